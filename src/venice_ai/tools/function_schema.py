"""A callable's signature as JSON: the schema of its arguments, and from a model's arguments to a call.

Each argument becomes a field of a pydantic model. Fields have names of their own (`p0`, `p1`) and carry the argument's name as
an alias, because an argument may be called what no field may (`schema`, `_private`, `self`).
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from inspect import BoundArguments, Parameter
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, to_jsonable_python

from .._core.caller_warnings import warn
from .._structured.read_output import optional_keys, remove_nulls, steps_to
from .._structured.strict_schema import or_null
from .._structured.typed_dicts import for_pydantic
from ..exceptions import ToolArgumentsError, ToolSignatureError
from ..types.api.chat import read_arguments
from . import parameters
from .docstrings import Documentation
from .parameters import REST, Argument, own_name


class Signature:
    """What a model is told of a callable's arguments, and what becomes of those it gives; a `context` is not shown."""

    def __init__(self, function: Callable[..., Any], *, context: type, strict: bool = False) -> None:
        target = parameters.underlying(function)
        self._function = function
        self._signature = parameters.inspected(function)
        names = parameters.names_around(target)
        found = parameters.sorted_parameters(function, self._signature, names, context)
        self._arguments, self._contexts, unannotated = found
        known = {name for each in self._arguments for name in (each.key, each.parameter)}
        with suppress(TypeError, ValueError, NameError):
            known |= inspect.signature(target).parameters.keys()  # also those that are bound
        docs = Documentation(_doc(function), known)
        self.description: str | None = docs.description
        """What the documentation says of the callable as a whole."""
        self._model, schema = _model(function, self._arguments, docs.parameters, names, strict=strict)
        self.parameters: dict[str, Any] = _parameters(schema, self._arguments)
        """The JSON schema of the arguments."""
        if target.__doc__ and not any(each.role == "keyword rest" for each in self._arguments):
            _warn_of_strangers(function, docs.parameters, known)
        _warn_of_blanks(function, unannotated, self._model)

    def bind(self, arguments: Mapping[str, Any], context: Any) -> Callable[[], Any]:
        """The call that a model's arguments make, with every value as its annotation asks; else a ToolArgumentsError."""
        values = self._validated(arguments)
        bound = BoundArguments(self._signature, cast("Any", {}))
        for name in self._contexts:
            bound.arguments[name] = context
        for index, argument in enumerate(self._arguments):
            # A default of a `Field`'s is known to pydantic only, and not to the function.
            own = argument.default is not Parameter.empty and not isinstance(argument.default, FieldInfo)
            if own and f"p{index}" not in values.model_fields_set:
                continue
            value = getattr(values, f"p{index}")
            if argument.role == "keyword":
                bound.arguments.setdefault(argument.parameter, {})[argument.key] = value
            else:
                bound.arguments[argument.parameter] = tuple(value) if argument.role == "positional rest" else value
        bound.apply_defaults()
        return functools.partial(self._function, *bound.args, **bound.kwargs)

    def _validated(self, arguments: Mapping[str, Any]) -> BaseModel:
        """The arguments as their annotations ask. What does not fit is mended as far as models are known to slip."""
        given: dict[str, Any] = dict(arguments)
        while True:
            # As JSON: a strict datetime may then be a text, as it must be. Objects are there if somebody edited the arguments.
            text = json.dumps(self._with_rest(given), default=to_jsonable_python)
            try:
                return self._model.model_validate_json(text)
            except ValidationError as error:
                mended = self._mended(json.loads(text), error)
                if mended is None:
                    raise ToolArgumentsError(_reasons(error)) from error
                given = mended

    def _with_rest(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments with those that no parameter names in a place of their own."""
        known = {argument.key for argument in self._arguments if argument.role != "keyword rest"}
        if len(known) == len(self._arguments):
            return given
        rest = {key: value for key, value in given.items() if key not in known}
        return {**{key: value for key, value in given.items() if key in known}, REST: rest}

    def _mended(self, given: dict[str, Any], error: ValidationError) -> dict[str, Any] | None:
        """The arguments, mended in place: JSON text for containers is read, nulls for defaults go; `None` if nothing was."""
        changed = False
        for line in error.errors(include_url=False, include_context=False):
            if _CONTAINER_WANTED.fullmatch(line["type"]) and isinstance(line["input"], str):
                changed |= _read_in_place(given, line["loc"])
        changed |= remove_nulls(given, error, optional_keys(self._model.__pydantic_core_schema__, with_defaults=True))
        given |= given.pop(REST, {})
        return given if changed else None


# What pydantic calls a text, a number and the like where it wants a container.
_CONTAINER_WANTED = re.compile(
    "(list|deque|set|frozen_set|tuple|named_tuple|dict|ordered_dict|counter|mapping|iterable|model|model_attributes|dataclass)_type"
)


def _read_in_place(given: Any, where: tuple[int | str, ...]) -> bool:
    """Puts the list or object that JSON text stands for in the text's place; whether there was one."""
    texts = ((holder, step, inner) for holder, step, inner in steps_to(given, where) if isinstance(inner, str))
    for holder, step, text in texts:
        with suppress(ValueError, RecursionError):
            if isinstance(value := read_arguments(text), (list, dict)) and text.strip():
                holder[step] = value
                return True
    return False


def class_schema(cls: Any) -> tuple[str | None, dict[str, Any]]:
    """The description and the JSON schema of a class with fields: a pydantic model, a dataclass, a TypedDict."""
    try:
        names = parameters.names_around(cls)
        adapter = TypeAdapter[Any](for_pydantic(cls, names))
        adapter.rebuild(_types_namespace=names)
        schema = adapter.json_schema(schema_generator=_Generator)
    except (PydanticUserError, TypeError, NameError) as error:
        raise ToolSignatureError(f"{cls!r} cannot be the arguments of a tool: {_first_line(error)}") from error
    if (reference := schema.get("$ref", "")).startswith("#/$defs/"):  # that of a recursive class refers to an object
        top = schema["$defs"][reference.removeprefix("#/$defs/")]
        schema = {**top, "properties": {k: dict(v) for k, v in top.get("properties", {}).items()}, "$defs": schema["$defs"]}
    if schema.get("type") != "object" or not ("properties" in schema or "additionalProperties" in schema):
        raise ToolSignatureError(f"{cls!r} cannot be the arguments of a tool: it is not an object with fields")
    properties = schema.get("properties", {})
    docs = Documentation(_class_doc(cls), properties, attributes=True)
    for key in filter(docs.parameters.get, docs.parameters.keys() & properties.keys()):
        properties[key].setdefault("description", docs.parameters[key])
    schema.pop("title", None)
    schema.pop("description", None)
    return docs.description, schema


def _model(
    function: Callable[..., Any], arguments: list[Argument], docs: Mapping[str, str], names: dict[str, Any], *, strict: bool
) -> tuple[type[BaseModel], dict[str, Any]]:
    fields: Any = {f"p{index}": _field(argument, docs) for index, argument in enumerate(arguments)}
    module = getattr(parameters.underlying(function), "__module__", __name__)
    try:
        model: type[BaseModel] = create_model("Arguments", __config__=ConfigDict(extra="forbid"), __module__=module, **fields)
        model.model_rebuild(_types_namespace=names or None)
        return model, model.model_json_schema(schema_generator=_StrictGenerator if strict else _Generator)
    except (PydanticUserError, TypeError, NameError, RecursionError) as error:
        raise _inexpressible(arguments, function, error) from error


def _field(argument: Argument, docs: Mapping[str, str]) -> tuple[Any, Any]:
    annotation, default = argument.annotation, argument.default
    infos = parameters.field_infos(annotation, default)
    settings: dict[str, Any] = {"alias": argument.key}
    if isinstance(default, FieldInfo):
        annotation = Annotated[annotation, default]
    elif default is not Parameter.empty:
        settings["default"] = default
    if not any(info.description for info in infos):
        settings["description"] = _annotated_text(annotation) or docs.get(argument.key) or docs.get(argument.parameter)
    if argument.role == "keyword rest":
        settings["description"] = None
    return annotation, Field(**settings)


def _annotated_text(annotation: Any) -> str | None:
    notes = (getattr(note, "documentation", note) for note in getattr(annotation, "__metadata__", ()))  # typing_extensions.Doc
    return next((text for text in notes if isinstance(text, str)), None)


def _parameters(given: dict[str, Any], arguments: list[Argument]) -> dict[str, Any]:
    """The schema of the arguments as a model is told it, from that of the class."""
    properties: dict[str, Any] = given.get("properties", {})
    rest = properties.pop(REST, None)
    for argument in arguments:
        if argument.role in {"keyword", "positional rest"}:  # its default is only that it may be left out
            properties[argument.key].pop("default", None)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required := given.get("required"):
        schema["required"] = required
    schema["additionalProperties"] = False if rest is None else rest.get("additionalProperties", True)
    return schema | ({"$defs": given["$defs"]} if "$defs" in given else {})


def _inexpressible(arguments: list[Argument], function: Any, error: Exception) -> ToolSignatureError:
    where = ""
    for argument in arguments:
        try:
            TypeAdapter(argument.annotation).json_schema(schema_generator=_Generator)
        except (PydanticUserError, TypeError, NameError):
            where = f"'s parameter {argument.parameter!r}"
            break
    return ToolSignatureError(
        f"{own_name(function)}{where} cannot be told to a model: {_first_line(error)}. Give it an annotation that JSON can "
        "express, bind it with functools.partial, or take it from a ToolContext"
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


class _Generator(GenerateJsonSchema):
    """Schemas without titles that only repeat names. What pydantic would leave out with a warning is refused."""

    ignored_warning_kinds = {"non-serializable-default"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def encode_default(self, dft: Any) -> Any:
        encoded = super().encode_default(dft)
        try:
            json.dumps(to_jsonable_python(dft, inf_nan_mode="constants"), allow_nan=False)
        except ValueError as error:
            raise PydanticSerializationError(str(error)) from None  # it is left out
        return encoded

    def emit_warning(self, kind: Any, detail: str) -> None:
        if kind not in self.ignored_warning_kinds:
            raise PydanticInvalidForJsonSchema(detail)


class _StrictGenerator(_Generator):
    """In strict mode every property is answered, so what may be left out may be null instead: `remove_nulls` removes it."""

    def _field_schema(self, schema: Any) -> dict[str, Any]:
        node = self.generate_inner(schema["schema"])
        # A constant is asked for as it is: it tells the members of a union apart.
        return node if self.field_is_required(schema, total=True) or "const" in node else or_null(node)

    model_field_schema = dataclass_field_schema = typed_dict_field_schema = _field_schema


def _reasons(error: ValidationError) -> str:
    reasons: list[str] = []
    for found in error.errors(include_url=False, include_context=False):
        path = ".".join(str(step) for step in found["loc"] if step != REST)
        reasons.append(f"{path}: {found['msg']}" if path else found["msg"])
    return "; ".join(reasons)


def _warn_of_strangers(function: Any, described: Mapping[str, str], known: set[str]) -> None:
    if strangers := [name for name in described if name not in known]:
        warn(
            f"the docstring of {own_name(function)} describes {', '.join(map(repr, strangers))}, but its parameters "
            f"are others ({', '.join(sorted(known)) or 'it has none'}), so that a model is not told of it; correct the name"
        )


def _warn_of_blanks(function: Any, unannotated: list[str], model: type[BaseModel]) -> None:
    described = {field.alias for field in model.model_fields.values() if field.description}
    if blanks := [name for name in unannotated if name not in described]:
        warn(
            f"of {own_name(function)}'s parameter {blanks[0]!r} a model is told nothing but the name: give it an annotation, "
            "or describe it in the docstring"
        )


def _doc(function: Any) -> str | None:
    """The docstring of a callable; of an object whose `__call__` has none, its class's."""
    function = parameters.without_bound(function)
    if inspect.isroutine(function) or hasattr(function, "__wrapped__"):
        return inspect.getdoc(function)
    own = parameters.underlying(function).__doc__
    return inspect.cleandoc(own) if own else _class_doc(type(function))


def _class_doc(cls: Any) -> str | None:
    doc = vars(cls).get("__doc__") if inspect.isclass(cls) else None
    # A dataclass without a text has its signature there.
    return inspect.cleandoc(doc) if isinstance(doc, str) and not doc.startswith(f"{cls.__name__}(") else None
