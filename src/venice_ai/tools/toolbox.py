"""A tool: a function with its definition for the model, the arguments of a call, and the text of a result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import is_not
from types import CodeType
from typing import Any, Generic, Protocol, TypeVar, cast

import msgspec
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python

from .._structured.strict_schema import strict_schema
from ..exceptions import InvalidArgumentError, InvalidRequestError, ToolArgumentsError, UnknownToolError
from ..types._base import Model, plain
from ..types._surrogates import sendable
from ..types.api.chat import ChatUsage, Message, Tool, ToolCall, ToolCallFunction, ToolFunction, read_arguments
from .function_schema import Signature
from .parameters import is_async, named
from .sealed_form import SEALED_ID, UNREADABLE

Deps = TypeVar("Deps")


@dataclass(frozen=True, slots=True)
class ToolContext(Generic[Deps]):
    """The state of the loop that runs a tool, for the tool to read.

    A parameter annotated `ToolContext` or `ToolContext[Deps]` is given one, and the model does not see it.
    """

    deps: Deps
    """The value of `run_with_tools(deps=...)`."""
    call: ToolCall
    """The call as the model made it."""
    iteration: int
    """The round trip in which the model made the call, from 1."""
    messages: tuple[Message, ...]
    """The conversation up to the turn with the call."""
    usage: ChatUsage | None
    """Tokens of the round trips so far; None if no response had a usage."""


class FunctionTool:
    """A function as a tool, with a name, a description or a time limit other than its own.

    `run_with_tools(tools=[...])` makes one of every function it is given. Make it yourself to name a lambda, to limit one
    tool's time, or to have the signature read once for many loops.

    Args:
        function: a function, bound method, partial or callable object, synchronous or not. What a partial binds is neither
            shown to the model nor changed by it. Every parameter needs an annotation that JSON can express; one without an
            annotation is what its default is, or a string.
        name: 1 to 64 letters, digits, `_` or `-`; else the function's.
        description: for the model; else what the docstring says.
        timeout: seconds that a call may take; else the loop's.
        strict: make the model keep exactly to the schema. Every argument is required then, also inside classes; a null for
            one that has a default and takes no null means the default.

    Raises:
        ToolSignatureError: JSON cannot express the signature. It is an InvalidRequestError and a TypeError.
        InvalidRequestError: the name is not allowed.
        InvalidArgumentError: the time limit is not allowed.
        SchemaNotStrictError: strict mode cannot express an argument.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout: float | None = None,
        strict: bool = False,
    ) -> None:
        self._signature = Signature(function, context=ToolContext, strict=strict)
        self.function: Callable[..., Any] = function
        """The function."""
        self.timeout: float | None = checked_timeout(timeout)
        """Seconds that a call may take; None for the limit of the loop."""
        self.is_async: bool = is_async(function)
        """Whether it runs on the event loop; otherwise it runs in a thread."""
        name, description = named(name, function), description or self._signature.description
        self.definition: Tool = definition(name, description, self._signature.parameters, strict=strict)
        """The description for the model."""

    def call(self, arguments: Mapping[str, Any], context: ToolContext[Any]) -> Callable[[], Any]:
        """A function without parameters that makes the call; a ToolArgumentsError if a model's arguments do not fit."""
        return self._signature.bind(arguments, context)

    def __repr__(self) -> str:
        made = getattr(self, "definition", None)  # not if its constructor failed, and a traceback is shown with its variables
        return f"FunctionTool({None if made is None else tool_name(made)!r})"


def definition(name: str, description: str | None, parameters: dict[str, Any], *, strict: bool) -> Tool:
    """The definition of a tool, as it is sent to the model."""
    schema = strict_schema(parameters) if strict else parameters
    return Tool(function=ToolFunction(name=name, description=description, parameters=schema, strict=strict or None))


def checked_timeout(seconds: float | None, name: str = "timeout") -> float | None:
    """A time limit for tools, if it is a number of seconds above 0, or `None`."""
    if seconds is None or (isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds > 0):
        return seconds
    raise InvalidArgumentError(f"{name}={seconds!r} is not allowed: expected seconds above 0, or None for no limit")


class PlainFunction(Protocol):
    """A function of which a type checker knows nothing else: to mypy `[f, g]` of unlike functions is a list of such."""

    @property
    def __code__(self) -> CodeType: ...


SEARCH_ID = "web_search_call"
SEARCH_NAMES = frozenset({"web_search", "venice_web_search_documents"})


class Toolbox:
    """The tools of a loop by their names: functions, `FunctionTool`s, and definitions as `Tool`s or mappings."""

    def __init__(self, tools: Iterable[Any]) -> None:
        given: object = tools
        if isinstance(given, (str, bytes, Mapping, Model)) or not isinstance(given, Iterable):
            raise InvalidRequestError(f"tools must be a list of functions and Tools, not {given!r:.100}")
        self.definitions: list[Tool | Mapping[str, Any]] = []
        self.functions: dict[str, FunctionTool] = {}
        self.names: list[str] = []
        for tool in tools:
            if isinstance(tool, (Tool, Mapping)):
                definition = cast("Tool | Mapping[str, Any]", tool)
            else:
                function = tool if isinstance(tool, FunctionTool) else FunctionTool(tool)
                definition = function.definition
                self.functions[tool_name(definition) or ""] = function
            if (name := tool_name(definition)) is not None:
                if name in self.names:
                    raise InvalidRequestError(f"two tools are called {name!r}; rename one: FunctionTool(function, name=...)")
                self.names.append(name)
            self.definitions.append(definition)

    def is_search(self, call: ToolCall) -> bool:
        """Whether a call is Venice's way to deliver the documents that a web search found, and no call at all."""
        # https://docs.venice.ai/api-reference/api-spec: return_search_results_as_documents
        unknown = call_name(call) in SEARCH_NAMES.difference(self.names)
        return call.id == SEARCH_ID or (unknown and not call.id.startswith(SEALED_ID))

    def unknown(self, call: ToolCall) -> UnknownToolError | None:
        """The error for a call of a tool that is not here; None if it is."""
        if (call.type or "function") == "function" and call_name(call) in (*self.names, UNREADABLE):
            return None
        known = ", ".join(map(repr, self.names)) or "none"
        return UnknownToolError(f"the model called {call_name(call)!r}, which is not a tool here; the tools are {known}")

    def unhandled(self, call: ToolCall) -> UnknownToolError:
        """The error for a call of a tool that nothing runs."""
        remedy = "give its function in place of the Tool, or on_tool_call that returns its results"
        return UnknownToolError(f"nothing runs the tool {call_name(call)!r}: {remedy}")


def prepared(tools: Iterable[Any]) -> list[FunctionTool | Tool | Mapping[str, Any]]:
    """The tools with every function's signature read: here, where local classes that it names can be seen."""
    box = Toolbox(tools)
    return [box.functions.get(tool_name(definition) or "", definition) for definition in box.definitions]


def tool_name(tool: Tool | Mapping[str, Any]) -> str | None:
    """The name of the function that a definition defines; None for Venice's own kinds of tools."""
    function = plain(tool).get("function")
    name = cast("dict[str, Any]", function).get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def call_name(call: ToolCall) -> str:
    """The name in a call; empty if it has none."""
    name: object = getattr(call.function, "name", None)
    return name if isinstance(name, str) else ""


def call_arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call. No text, and null, mean none; a server may send an object instead of its text."""
    given: Any = call.function.get("arguments") if isinstance(call.function, ToolCallFunction) else None
    try:
        read = read_arguments(given)
    except (ValueError, RecursionError) as error:
        raise ToolArgumentsError(f"the arguments are not JSON: {error}") from error
    if read is not None and not isinstance(read, dict):
        raise ToolArgumentsError(f"the arguments are {read!r:.100}, not a JSON object")
    return cast("dict[str, Any]", read or {})


def result_text(value: Any) -> str:
    """A tool's result as the text for the model: a text as it is, anything else as JSON, and what JSON does not know by `str`.

    Bytes that are not all text are base64. What no request can hold, such as half of a surrogate pair, is a mark in its place.
    """
    if isinstance(value, str):
        return sendable(str.__str__(value))  # of a member of an Enum, its value
    read = whole(value)  # what an iterator raises is the tool's own error
    try:
        return _json_text(read)
    except Exception:  # noqa: BLE001  # code of the caller's writes its classes, and may raise anything
        return sendable(as_text(read))


def as_text(value: object) -> str:
    """A value as `str` has it; as `repr` has it if that is empty or fails, and at last the name of its class."""
    for write in (str, repr):
        try:
            if text := write(value):
                return text
        except Exception:  # noqa: BLE001, S112  # nosec B112  # code of the caller's; there are other ways to say it
            continue
    return object.__repr__(value)


_DEEPEST = 100  # results have no deeper JSON than this; a value that holds itself has no end


def whole(value: Any, depth: int = 0) -> Any:
    """A result with the iterators in it, which can be read only once, as lists; itself if it holds no iterator."""
    if depth > _DEEPEST:
        return value
    if isinstance(value, Iterator):
        return [whole(item, depth + 1) for item in cast("Iterator[Any]", value)]
    if isinstance(value, dict):
        given = cast("dict[Any, Any]", value)
        read = {key: whole(item, depth + 1) for key, item in given.items()}
        return read if any(map(is_not, read.values(), given.values())) else given
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        got = [whole(item, depth + 1) for item in items]
        return got if any(map(is_not, got, items)) else items
    return value


def _json_text(value: Any) -> str:
    unknown = partial(_json_of, value)
    try:
        return to_json(value, inf_nan_mode="strings", fallback=unknown).decode()
    except PydanticSerializationError as error:
        if "utf-8" not in str(error):  # neither of bytes nor of half a pair of surrogates
            raise
    plainly = to_jsonable_python(value, bytes_mode="base64", fallback=unknown)
    mended = from_json(sendable(json.dumps(plainly, ensure_ascii=False)))
    return to_json(mended, inf_nan_mode="strings").decode()


def _json_of(result: Any, value: Any) -> Any:
    """JSON of a value that pydantic does not know: our views, other mappings, msgspec's structs, types with a schema."""
    if isinstance(value, (Model, Mapping)):
        return plain(value)
    with suppress(TypeError):
        return msgspec.to_builtins(value)
    with suppress(Exception):  # what a class of the caller's may raise
        return TypeAdapter[Any](cast("Any", type(value))).dump_python(value, mode="json", warnings=False)
    if value is result:
        raise TypeError(f"a value of the type {type(value).__name__} cannot be written as JSON")
    return as_text(value)
