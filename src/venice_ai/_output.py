"""The text of an answer becomes an object of a class, or an error that keeps everything that came.

What validates is the answer, whatever its finish reason. JSON in one markdown fence, after a `<think>` block, or in the
`{"value": ...}` that stands for a class that is no object, is taken out of it. pydantic is imported here, at the top, so this
module is imported where it is first needed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, cast

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError, from_json, to_json
from typing_extensions import is_typeddict

from ._typed_dicts import modern
from .exceptions import OutputError, OutputRefusedError, ToolCallInsteadError

if TYPE_CHECKING:
    from .types.api.chat import ChatCompletionResponse

T = TypeVar("T")
Wrapping: TypeAlias = Literal["think", "fence"]

WRAPPED = "value"
"""The key under which an answer stands whose class is no object."""
_CUT_OFF = frozenset({"length", "max_tokens"})
_THOUGHT = re.compile(r"\s*<think(?:ing)?>.*?</think(?:ing)?>\s*", re.DOTALL)
_ONLY_A_FENCE = re.compile(r"\s*```[ \t]*(?:[\w+-]+(?=\s))?(.*?)```\s*", re.DOTALL)
_FENCE_LINE = re.compile(r"^[ \t]*```[^`\n]*$\n?", re.MULTILINE)
_BEGIN = re.compile(r"(?:[^{\[]*?```[ \t]*[\w+-]*)?\s*(?=[{\[])")

_log = logging.getLogger("venice_ai.output")


# -- errors --------------------------------------------------------------------------------------------------------------


class _Mismatch(OutputError, ValidationError):
    """What all errors have in common that are pydantic's, too: `errors()` and the rest say where it does not fit."""

    said: str = ""

    @property
    def message(self) -> str:
        """What happened and what to do."""
        return self.said

    def __str__(self) -> str:
        return self.said

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.said!r})" if self.private else ValidationError.__repr__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # pydantic's own forgets what an object was given beside the errors.
        lines = [_HIDDEN] if self.private else self.errors(include_url=False)
        return _restored, (type(self), self.title, lines, self.state_to_keep())


_HIDDEN: Final = {
    "type": "hidden",
    "msg": "What does not fit came end-to-end encrypted and is not kept",
    "loc": (),
    "input": None,
}


class OutputInvalidError(_Mismatch):
    """The answer does not fit the class: it is not JSON, or other JSON. It is a `pydantic.ValidationError`."""

    def __str__(self) -> str:
        # Not only the values, the names of fields and what validators say may be part of the answer, too.
        lines = "" if self.private else f"\n{ValidationError.__str__(self)}"
        return f"{self.said}{lines}"


class OutputTruncatedError(_Mismatch):
    """The answer was cut off before its JSON was whole. It is a `pydantic.ValidationError`."""


class _RefusedInWordsError(_Mismatch, OutputRefusedError):
    """A refusal with a text that does not fit the class."""


class _ToolCallWithWordsError(_Mismatch, ToolCallInsteadError):
    """A tool call beside a text that does not fit the class."""


# Tracebacks and pickles show where users find them.
OutputInvalidError.__module__ = OutputTruncatedError.__module__ = OutputError.__module__


def _restored(cls: type[_Mismatch], title: str, lines: list[Any], state: dict[str, Any]) -> _Mismatch:
    error = _mismatch(cls, title, lines)
    vars(error).update(state)
    return error


def _mismatch(cls: type[_Mismatch], title: str, lines: list[Any], *, hide_input: bool = False) -> _Mismatch:
    return cls.from_exception_data(title, [_line(line) for line in lines], "json", hide_input)


def _line(error: Any) -> InitErrorDetails:
    """A line of a validation error as pydantic takes it back."""
    kind, context = error["type"], error.get("ctx")
    try:
        known = PydanticKnownError(kind, context).message() == error["msg"]
    except (KeyError, TypeError):
        known = False
    details = InitErrorDetails(
        type=kind if known else PydanticCustomError(kind, error["msg"], context), loc=error["loc"], input=error["input"]
    )
    if known and context:
        details["ctx"] = context
    return details


# -- reading -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Output(Generic[T]):
    """What was read from an answer."""

    parsed: T
    unwrapped: tuple[Wrapping, ...]
    """What stood around the JSON, from the outside in."""


def read(kind: type[T], response: ChatCompletionResponse, choice_index: int = 0) -> Output[T]:
    """The object in a choice of a response.

    Raises:
        OutputRefusedError: the model, or a filter, refused.
        OutputTruncatedError: the JSON was cut off.
        ToolCallInsteadError: there is a tool call, and no such object.
        OutputInvalidError: there is no such choice, it has no text, or the text does not fit the class.
    """
    found = _found(kind, response, choice_index)
    if isinstance(found, OutputError):
        raise found from None  # from here: what shows the local variables of a traceback would show the answer's text
    return found


def _found(kind: type[T], response: ChatCompletionResponse, choice_index: int) -> Output[T] | OutputError:
    choices: Any = response.choices
    if not isinstance(choices, list) or not -len(cast("list[Any]", choices)) <= choice_index < len(cast("list[Any]", choices)):
        said = f"the response has no choice {choice_index}, so there is no {_name(kind)}"
        return _failed(OutputInvalidError, said, kind, response, None)
    choice: Any = cast("list[Any]", choices)[choice_index]
    message: Any = getattr(choice, "message", None)
    text: Any = getattr(message, "text", None)
    finish_reason: Any = getattr(choice, "finish_reason", None)
    refusal: Any = getattr(message, "refusal", None)
    refused = finish_reason == "content_filter" or bool(refusal)
    cause = None
    if text and text.strip() and not refused:
        try:
            return _said_so(_validated(kind, text))
        except ValidationError as error:
            cause = error
    return _reason(kind, response, text, cause, finish_reason, refusal, getattr(message, "tool_calls", None))


def _reason(
    kind: Any,
    response: ChatCompletionResponse,
    text: str | None,
    cause: ValidationError | None,
    finish_reason: Any,
    refusal: Any,
    tool_calls: Any,
) -> OutputError:
    """Why there is no object in an answer."""
    name = _name(kind)
    spoken = bool(text and text.strip())
    if refusal or finish_reason == "content_filter":
        who = f"the model refused: {refusal!r:.200}" if refusal else "a content filter stopped the answer"
        if refusal:
            remedy = "Change the prompt, or choose another model"
        else:
            remedy = "Change the prompt, or choose another model; what had come is in `raw_text`"
        cls = _RefusedInWordsError if spoken else OutputRefusedError
        error = _failed(cls, f"{who}, so there is no {name}. {remedy}.", kind, response, text, cause)
        cast("OutputRefusedError", error).refusal = refusal if isinstance(refusal, str) else None
        return error
    if finish_reason in _CUT_OFF:
        said = (
            f"the answer was cut off after {len(text or '')} characters (finish_reason {finish_reason!r}), so there is no "
            f"whole {name}. Raise max_completion_tokens, which also counts reasoning; what had come is in `partial` and "
            "`raw_text`."
        )
        return _failed(OutputTruncatedError, said, kind, response, text, cause)
    if tool_calls:
        said = f"the model wants a tool called, so there is no {name} yet. See `tool_calls`; run_with_tools(...) runs them."
        return _failed(_ToolCallWithWordsError if spoken else ToolCallInsteadError, said, kind, response, text, cause)
    what = "does not fit" if spoken else "has no text to fit"
    return _failed(OutputInvalidError, f"the answer {what} {name}; it is in `response`.", kind, response, text, cause)


def _failed(
    cls: type[OutputError],
    said: str,
    kind: Any,
    response: ChatCompletionResponse,
    text: str | None,
    cause: ValidationError | None = None,
) -> OutputError:
    error = cls(said) if not issubclass(cls, _Mismatch) else _with_lines(cls, said, kind, text, cause)
    error.response = response
    error.raw_text = text
    error.partial = partial_data(text) if text else None
    error.attempts = (response,)
    error.total_usage = response.usage
    return error


def _with_lines(cls: type[_Mismatch], said: str, kind: Any, text: str | None, cause: ValidationError | None) -> _Mismatch:
    hide = bool(getattr(kind, "model_config", {}).get("hide_input_in_errors"))
    nothing = {"type": "no_output", "msg": "There is nothing to validate", "loc": (), "input": text}
    lines = [nothing] if cause is None else cause.errors(include_url=False)
    error = _mismatch(cls, _name(kind), lines, hide_input=hide)
    error.said = said
    return error


def _said_so(output: Output[T]) -> Output[T]:
    if "fence" in output.unwrapped:
        _log.info("the answer's JSON stood in a markdown fence, and was taken out of it")
    if "think" in output.unwrapped:
        _log.info("the answer's JSON came after a <think> block, which was left out")
    return output


def _validated(kind: type[T], text: str) -> Output[T]:
    """The object in a text.

    Raises:
        ValidationError: there is none; of the plainest reading of the text.
    """
    first: ValidationError | None = None
    for inner, unwrapped in _readings(text):
        try:
            return Output(validate(kind, inner), unwrapped)
        except ValidationError as error:
            if not is_json_missing(error):
                raise
            first = first or error
    assert first is not None  # there is always the text itself
    raise first


def is_json_missing(error: ValidationError) -> bool:
    """Whether a text is not JSON at all."""
    return error.error_count() == 1 and error.errors(include_url=False)[0]["type"] == "json_invalid"


def _readings(text: str) -> Iterator[tuple[str, tuple[Wrapping, ...]]]:
    """A text, and what is in it if it is not JSON by itself."""
    plain = text.removeprefix("\ufeff")
    yield plain, ()
    thought = _THOUGHT.match(plain)
    around: tuple[Wrapping, ...] = ("think",) if thought else ()
    answer = plain[thought.end() :] if thought else plain
    if thought:
        yield answer, around
    if only := _ONLY_A_FENCE.fullmatch(answer):
        yield only[1], (*around, "fence")
    fences = list(_FENCE_LINE.finditer(answer))
    if len(fences) == 2:
        yield answer[fences[0].end() : fences[1].start()], (*around, "fence")


def validate(kind: type[T], text: str) -> T:
    """The object that JSON text stands for.

    Raises:
        ValidationError: it is not JSON, or does not fit.
    """
    validator = adapter(kind)
    inner = wrapped_value(kind, text)
    if inner is not None:
        # What was asked for comes first: an object whose fields have defaults would take `{"value": null}` for itself.
        try:
            return validator.validate_json(inner)
        except ValidationError:
            pass
    return validator.validate_json(text)


def wrapped_value(kind: Any, text: str) -> bytes | None:
    """The JSON within `{"value": ...}`, for a class that may be no object; None if it is not such a text."""
    if is_object_class(kind):
        return None
    try:
        data = from_json(text)
    except ValueError:
        return None
    return to_json(data[WRAPPED]) if isinstance(data, dict) and list(cast("dict[str, Any]", data)) == [WRAPPED] else None


def is_object_class(kind: object) -> bool:
    """Whether the JSON of a class is an object that is asked for as it is."""
    bases: tuple[object, ...] = getattr(kind, "__mro__", ())
    if BaseModel in bases:
        return RootModel not in bases
    return is_dataclass(kind) or is_typeddict(kind)


def partial_data(text: str) -> Any:
    """The JSON in a text, as far as it goes: dicts, lists and unfinished texts; None if there is none."""
    start = json_start(text)
    if start is None:
        return None
    try:
        return from_json(text[start:], allow_partial="trailing-strings")
    except ValueError:
        return None


def json_start(text: str) -> int | None:
    """Where the JSON of an answer begins that may be unfinished; None if it has not begun."""
    thought = _THOUGHT.match(text)
    begin = _BEGIN.match(text, thought.end() if thought else 0)
    return begin.end() if begin else None


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """What validates a class."""
    return _cached_adapter(cast("Hashable", kind)) if isinstance(kind, type) else new_adapter(kind)


def new_adapter(annotation: Any) -> TypeAdapter[Any]:
    """What validates any type."""
    return TypeAdapter(modern(annotation, {}))


# Bounded, so that classes made on the fly do not stay for ever.
_cached_adapter = lru_cache(maxsize=256)(new_adapter)


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)) if isinstance(kind, type) else repr(kind)
