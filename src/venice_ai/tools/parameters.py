"""Sorts the parameters of a callable: given by the model, by the loop (`ToolContext`), or already bound (`partial`)."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import typing
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, MutableMapping, MutableSet
from collections.abc import Set as AbstractSet
from contextlib import suppress
from inspect import Parameter
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, NamedTuple, cast

import typing_extensions
from pydantic import AfterValidator, WithJsonSchema
from pydantic.fields import FieldInfo

from .._structured.typed_dicts import changed_inside, for_pydantic, unqualified
from ..exceptions import InvalidRequestError, ToolSignatureError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTEXT = re.compile(r"(\w+\.)*ToolContext\b")


class Argument(NamedTuple):
    """A value that a call needs: from the model, under this key of the JSON; or a context."""

    key: str
    parameter: str  # the parameter it goes to
    annotation: Any
    default: Any
    role: Literal["named", "positional rest", "keyword", "keyword rest", "context"] = "named"


def named(name: str | None, function: object) -> str:
    """The name of a tool: the one given, else the callable's own."""
    found = own_name(function) if name is None else name
    if not isinstance(found, str) or not _NAME.fullmatch(found):
        remedy = "give it 1 to 64 letters, digits, '_' or '-' with name=..., for example FunctionTool(function, name='look_up')"
        raise InvalidRequestError(f"{found!r} is not the name of a tool: {remedy}")
    return found


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it only makes a coroutine or an asynchronous generator, and so never blocks."""
    function = without_bound(function)
    call = getattr(type(function), "__call__", None)  # noqa: B004  # the method itself is looked at, not whether there is one
    return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in (function, call))


def without_bound(function: Any) -> Any:
    """The callable that a partial calls; another callable itself."""
    while isinstance(function, functools.partial):
        function = cast("Any", function).func
    return function


def underlying(function: Callable[..., Any]) -> Callable[..., Any]:
    """The plain function behind partials, methods, callable objects and decorators, whose annotations and docs hold."""
    found = without_bound(function)
    if not inspect.isroutine(found) and not hasattr(found, "__wrapped__"):
        found = getattr(cast("type[Any]", type(found)), "__call__", found)  # noqa: B004  # the method itself is wanted
    found = getattr(found, "__func__", found)
    return cast("Callable[..., Any]", inspect.unwrap(found))


def inspected(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a callable; a ToolSignatureError if it cannot be read, or the callable is a class."""
    if inspect.isclass(function):
        remedy = f"for its fields as arguments use tool_from_model({function.__name__}), else give a function that makes one"
        raise ToolSignatureError(f"{function.__name__} is a class: {remedy}")
    if not callable(function):
        raise ToolSignatureError(f"{function!r} is not a tool: give a function, or a Tool")
    try:
        return inspect.signature(function)
    except (TypeError, ValueError, NameError) as error:
        raise ToolSignatureError(f"{own_name(function)} has no signature to read: {error}") from error


def sorted_parameters(
    function: Callable[..., Any], signature: inspect.Signature, names: dict[str, Any], context: type
) -> list[Argument]:
    """The arguments of a callable, those of keywords that no parameter names at the end."""
    found = list[Argument]()
    given: Any = function  # partials of partials are one partial
    bound: Mapping[str, Any] = given.keywords if isinstance(given, functools.partial) else {}
    for parameter in signature.parameters.values():
        if parameter.name in bound:
            continue  # what the caller bound is the caller's: the model neither sees nor changes it
        annotation = _annotation(parameter, function, names, context)
        if reason := _never(parameter, annotation, context):
            raise ToolSignatureError(f"{own_name(function)}'s parameter {parameter.name!r} can never be given: {reason}")
        found.extend(_arguments(parameter, annotation, names, context))
    keys = [argument.key for argument in found if argument.role not in {"context", "keyword rest"}]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ToolSignatureError(f"two arguments of {own_name(function)} are called {twice[0]!r} in JSON")
    return found


def _arguments(parameter: Parameter, annotation: Any, names: dict[str, Any], context: type) -> Iterator[Argument]:
    name, kind = parameter.name, parameter.kind
    unpacked = typing_extensions.get_origin(annotation) in _UNPACK
    if _mentions(annotation, context):
        yield Argument(name, name, annotation, None, "context")
    elif kind is Parameter.VAR_KEYWORD and unpacked:
        (fields,) = typing_extensions.get_args(annotation)
        for key, hint in typing_extensions.get_type_hints(fields, None, names, include_extras=True).items():
            # The class itself does not know of a qualifier that was written as a text.
            inner, required = unqualified(hint, required=key in fields.__required_keys__)
            yield Argument(key, name, inner, Parameter.empty if required else None, "keyword")
    elif kind is Parameter.VAR_KEYWORD:
        yield Argument(name, name, annotation, None, "keyword rest")
    elif kind is Parameter.VAR_POSITIONAL:
        if unpacked:
            raise ToolSignatureError(f"the parameter *{name}: {annotation!r} cannot be a tool's: name each of its values")
        yield Argument(name, name, list[annotation], [], "positional rest")
    else:
        if parameter.default is None:  # it takes a null, whatever its annotation says
            annotated = typing_extensions.get_origin(annotation) is Annotated
            annotation = changed_inside(annotation, _optional) if annotated else _optional(annotation)
        yield Argument(_key(name, annotation, parameter.default), name, annotation, parameter.default)


_optional = cast("Any", typing.Optional).__getitem__
_UNPACK = {typing.Unpack, typing_extensions.Unpack}  # two classes before Python 3.12


def _annotation(parameter: Parameter, function: Callable[..., Any], names: dict[str, Any], context: type) -> Any:
    """The annotation of a parameter, with names in texts looked up; what an unannotated one can be told from."""
    given = parameter.annotation
    if given is Parameter.empty:
        return _guessed(parameter)
    if isinstance(given, str) and _CONTEXT.match(given):
        return context  # its `Deps` may be known to type checkers alone
    holder = SimpleNamespace(__annotations__={parameter.name: given})
    try:
        namespace = getattr(underlying(function), "__globals__", {})
        hints = typing_extensions.get_type_hints(holder, namespace, names, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        problem = f"the annotation {given!r} of {own_name(function)}'s parameter {parameter.name!r} cannot be read: {error}"
        raise ToolSignatureError(f"{problem}. Define what it names at the top of a module") from error
    return _read_at_once(for_pydantic(hints[parameter.name], names))


def _guessed(parameter: Parameter) -> Any:
    """The type of a parameter without an annotation: that of its default, else a string in the schema and any in a call."""
    kind = cast("type[Any]", type(parameter.default))
    if kind in {bool, int, float, str}:
        return kind
    if parameter.kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}:
        return Any
    schema = {"type": "string"} if parameter.default is Parameter.empty else {"type": ["string", "null"]}
    return Annotated[Any, WithJsonSchema(cast("Any", schema))]


def _read_at_once(annotation: Any) -> Any:
    """`Iterable[X]` as a list, `Generator[X]` as the iterator of one: pydantic checks such values only as they are read."""
    origin, args = typing_extensions.get_origin(annotation) or annotation, typing_extensions.get_args(annotation)
    if origin is not Iterable and origin is not Generator:
        return changed_inside(annotation, _read_at_once)
    items = _LIST[_read_at_once(args[0]) if args else Any]
    return items if origin is Iterable else Annotated[items, AfterValidator(iter)]


def _never(parameter: Parameter, annotation: Any, context: type) -> str | None:
    """Why no call can give a parameter its value, where its annotation lets that be seen."""
    if parameter.kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD} and _mentions(annotation, context):
        return "there is one context; take it without stars"
    if annotation is _SELF:
        return "a function has no Self; name the class"
    origin, args = typing_extensions.get_origin(annotation), typing_extensions.get_args(annotation)
    kind = (typing_extensions.get_origin(args[0]) or args[0]) if args and origin in _HASHING else None
    if isinstance(kind, type) and kind.__hash__ is None:
        return f"{args[0]!r} cannot be in a set, nor a key; take a list"
    return next(filter(None, (_never(parameter, inner, context) for inner in args)), None)


# Type checkers take these for annotations.
_LIST: Any = list
_SELF: Any = typing.Self
_HASHING = {set, frozenset, AbstractSet, MutableSet, dict, Mapping, MutableMapping}


def _mentions(annotation: Any, context: type) -> bool:
    """Whether it is the context, perhaps for some `Deps`, annotated, or optional."""
    origin = typing_extensions.get_origin(annotation)
    if origin is Annotated or origin in {typing.Union, UnionType}:
        return any(_mentions(inner, context) for inner in typing_extensions.get_args(annotation))
    return annotation is context or origin is context


def names_around(target: Any) -> dict[str, Any]:
    """The names that annotations may use beside their module's: type parameters, what is in the class, and local names."""
    qualified = getattr(target, "__qualname__", "")
    names = _local_names(target) if "<locals>" in qualified else {}
    # The classes in whose bodies it is defined, from the outside in, as far as its module or these names lead there.
    classes, scope = list[type](), {**_module_names(target), **names}
    for step in qualified.rpartition("<locals>.")[2].split(".")[:-1]:
        if not isinstance(found := scope.get(step), type):
            break
        classes.append(found)
        scope = dict(vars(found))
    for name, value in scope.items() if classes else ():
        # A method is not meant by an annotation; the same name outside may be.
        alias = hasattr(value, "__origin__") or hasattr(value, "__value__")
        if alias or isinstance(value, (type, typing.TypeVar, UnionType)):
            names[name] = value
    for each in (*classes, target):
        names |= {kind.__name__: kind for kind in getattr(each, "__type_params__", ())}
    return names


def _module_names(target: Any) -> dict[str, Any]:
    module = sys.modules.get(getattr(target, "__module__", None) or "")
    return cast("dict[str, Any]", getattr(target, "__globals__", vars(module) if module else {}))


def _local_names(target: Any) -> dict[str, Any]:
    names: dict[str, Any] = {}
    module_names = _module_names(target)
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals is module_names:
            names = {**frame.f_locals, **names}  # an inner frame hides what is around it
        frame = frame.f_back
    code = getattr(target, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(target, "__closure__", None) or (), strict=True):
        with suppress(ValueError):  # not yet assigned
            names[name] = cell.cell_contents
    return names


def own_name(function: Any) -> str:
    """The name of a callable: its own, else its class's."""
    called = without_bound(function)
    return name if isinstance(name := getattr(called, "__name__", None), str) else type(called).__name__


def field_infos(annotation: Any, default: Any) -> list[FieldInfo]:
    """The `Field(...)`s of a parameter: its default, and those of its `Annotated`."""
    return [info for info in (default, *getattr(annotation, "__metadata__", ())) if isinstance(info, FieldInfo)]


def _key(name: str, annotation: Any, default: Any) -> str:
    """The key of an argument in JSON: the alias that a `Field` gives, else the parameter's name."""
    aliases = [alias for info in field_infos(annotation, default) for alias in (info.validation_alias, info.alias)]
    return next((alias for alias in aliases if isinstance(alias, str)), name)
