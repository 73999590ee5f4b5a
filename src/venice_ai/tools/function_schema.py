"""A callable's signature as JSON: the schema of its arguments, and from a model's arguments to a call.

The arguments are the keys of a TypedDict, which may have any name, also those that no field of a class may have.
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

from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, to_jsonable_python

from .._core.caller_warnings import warn
from .._structured.read_output import optional_keys, remove_nulls, steps_to
from .._structured.strict_schema import or_null, written_out
from .._structured.typed_dicts import for_pydantic, new_typed_dict, of_key
from ..exceptions import ToolArgumentsError, ToolSignatureError
from ..types.api.chat import read_arguments
from . import parameters
from .docstrings import Documentation
from .parameters import Argument, own_name


class Signature:
    """The schema of a callable's arguments for a model, and the call that a model's arguments make; `context` is left out."""

    def __init__(self, function: Callable[..., Any], *, context: type, strict: bool) -> None:
        target = parameters.underlying(function)
        self._function = function
        self._signature = parameters.inspected(function)
        names = parameters.names_around(target)
        self._arguments = parameters.sorted_parameters(function, self._signature, names, context)
        shown = [argument for argument in self._arguments if argument.role not in {"context", "keyword rest"}]
        rest = next((argument.annotation for argument in self._arguments if argument.role == "keyword rest"), None)
        # A default of a `Field`'s is known to pydantic only, and not to the function.
        defaults = {each.key: each.default for each in shown if each.default is not Parameter.empty}
        self._own_defaults = {key for key, default in defaults.items() if not isinstance(default, FieldInfo)}
        known = {name for each in shown for name in (each.key, each.parameter)}
        with suppress(TypeError, ValueError, NameError):
            known |= inspect.signature(target).parameters.keys()  # also those that are bound
        docs = Documentation(_doc(function), known)
        self.description: str | None = docs.description  # what the documentation says of the callable as a whole
        fields = {argument.key: _field(argument, docs.parameters) for argument in shown}
        further: dict[str, Any] = {"closed": True} if rest is None else {"extra_items": rest}
        try:
            self._adapter, schema = _schema_with_nulls(new_typed_dict("Arguments", fields, **further), names, strict=strict)
        except _INEXPRESSIBLE as error:
            raise _inexpressible(shown, function, error) from error
        self.parameters: dict[str, Any] = schema  # the JSON schema of the arguments
        unannotated = (each.name for each in self._signature.parameters.values() if each.annotation is Parameter.empty)
        blanks = [name for name in unannotated if schema["properties"].get(name) == {"type": "string"}]
        _warn(function, docs.parameters if target.__doc__ and rest is None else {}, known, blanks)

    def bind(self, arguments: Mapping[str, Any], context: Any) -> Callable[[], Any]:
        """The call that a model's arguments make, with every value as its annotation asks; else a ToolArgumentsError."""
        given, values = self._validated(arguments)
        for key in self._own_defaults - given.keys():
            values.pop(key, None)
        bound = BoundArguments(self._signature, cast("Any", {}))
        for argument in self._arguments:
            if argument.role == "context":
                bound.arguments[argument.parameter] = context
            elif argument.role in {"keyword", "keyword rest"}:  # what the parameters before have left
                bound.arguments[argument.parameter] = values
            elif argument.key in values:
                bound.arguments[argument.parameter] = values.pop(argument.key)
        bound.apply_defaults()
        return functools.partial(self._function, *bound.args, **bound.kwargs)

    def _validated(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments, mended as far as models are known to slip, and their values as the annotations ask."""
        given: dict[str, Any] = dict(arguments)
        while True:
            # As JSON: a strict datetime may then be a text, as it must be. Objects are there if somebody edited the arguments.
            text = json.dumps(given, default=to_jsonable_python)
            try:
                return given, self._adapter.validate_json(text)
            except ValidationError as error:
                problems = error.errors()
                given = json.loads(text)
                texts = (each for each in problems if _CONTAINER_EXPECTED.fullmatch(each["type"]))
                read = [_read_in_place(given, each["loc"]) for each in texts]
                optional = optional_keys(self._adapter.core_schema, with_defaults=True)
                if not remove_nulls(given, error, optional) and not any(read):
                    reasons = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ") for each in problems)
                    raise ToolArgumentsError("; ".join(reasons)) from error


# What pydantic calls a text, a number and the like where it wants a container.
_CONTAINER_EXPECTED = re.compile(
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


_INEXPRESSIBLE = (PydanticUserError, TypeError, NameError, RecursionError)


def _schema_with_nulls(kind: Any, names: dict[str, Any], *, strict: bool = False) -> tuple[TypeAdapter[Any], dict[str, Any]]:
    """The validator of a class, and the JSON schema that is sent for it; if `strict`, what may be left out may be null."""
    adapter = TypeAdapter[Any](kind)
    adapter.rebuild(_types_namespace=names)
    schema = written_out(adapter.json_schema(schema_generator=_StrictGenerator if strict else _Generator))
    return adapter, {key: value for key, value in schema.items() if key not in {"title", "description"}}


def class_schema(cls: Any) -> tuple[str | None, dict[str, Any]]:
    """The description and the JSON schema of a class with fields: a pydantic model, a dataclass, a TypedDict."""
    try:
        names = parameters.names_around(cls)
        _, schema = _schema_with_nulls(for_pydantic(cls, names), names)
    except _INEXPRESSIBLE as error:
        raise ToolSignatureError(f"{cls!r} cannot be the arguments of a tool: {_first_line(error)}") from error
    if not schema.keys() & {"properties", "additionalProperties"}:
        raise ToolSignatureError(f"{cls!r} cannot be the arguments of a tool: it is not an object with fields")
    properties = schema.get("properties", {})
    docs = Documentation(_class_doc(cls), properties, attributes=True)
    for key in filter(docs.parameters.get, docs.parameters.keys() & properties.keys()):
        properties[key].setdefault("description", docs.parameters[key])
    return docs.description, schema


def _field(argument: Argument, docs: Mapping[str, str]) -> Any:
    """The annotation of an argument's key, with its default and its description."""
    annotation, default = argument.annotation, argument.default
    settings: dict[str, Any] = {}
    if not any(info.description for info in parameters.field_infos(annotation, default)):
        notes = (getattr(note, "documentation", note) for note in getattr(annotation, "__metadata__", ()))  # of Doc("...")
        description = next((text for text in notes if isinstance(text, str)), None)
        settings["description"] = description or docs.get(argument.key) or docs.get(argument.parameter)
    if isinstance(default, FieldInfo):
        annotation = Annotated[annotation, default]
    elif default is not Parameter.empty and argument.role == "named":
        settings["default"] = default
    field: Any = Annotated[annotation, Field(**settings)]
    return of_key(field, required=default is Parameter.empty or argument.role == "named")


def _inexpressible(arguments: list[Argument], function: Any, error: Exception) -> ToolSignatureError:
    where = ""
    for argument in arguments:
        try:
            TypeAdapter(argument.annotation).json_schema(schema_generator=_Generator)
        except (PydanticUserError, TypeError, NameError):
            where = f"'s parameter {argument.parameter!r}"
            break
    remedy = "Give it an annotation that JSON can express, bind it with functools.partial, or take it from a ToolContext"
    return ToolSignatureError(f"{own_name(function)}{where} has no JSON schema: {_first_line(error)}. {remedy}")


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


def _warn(function: Any, described: Mapping[str, str], known: set[str], blanks: list[str]) -> None:
    """Warns of descriptions that belong to no parameter, and of parameters that nothing describes to a model."""
    if strangers := [name for name in described if name not in known]:
        why = f"its parameters are others ({', '.join(sorted(known)) or 'it has none'}), so that no model sees it"
        unknown = ", ".join(map(repr, strangers))
        warn(f"the docstring of {own_name(function)} describes {unknown}, but {why}; correct the name")
    if blanks:
        remedy = "give it an annotation, or describe it in the docstring"
        warn(f"of {own_name(function)}'s parameter {blanks[0]!r} a model is told nothing but the name: {remedy}")


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
