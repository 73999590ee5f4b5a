"""The text of an answer becomes an object of a class, or an error that keeps everything that came.

JSON that validates is the answer, whatever its finish reason, unless it ends in a number that may be cut. JSON in one markdown
fence, after reasoning, or in the `{"value": ...}` that was asked for, is taken out of it. This imports pydantic.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, from_json, to_json

from ..exceptions import OutputError, OutputInvalidError, OutputMissingError, OutputRefusedError, ToolCallInsteadError
from ..exceptions._output import Mismatch, OutputTruncatedError, RefusedInWordsError, ToolCallWithWordsError, mismatch
from ..types._surrogates import before_half, paired
from ..types.api.chat import ChatChoice, ChatCompletionResponse, ParsedChatCompletion, choice_at
from .typed_dicts import for_pydantic, new_typed_dict

T = TypeVar("T")
R = TypeVar("R")
Wrapping: TypeAlias = Literal["think", "fence"]

WRAPPED = "value"  # the key under which an answer stands whose class is not an object
_CUT_OFF = frozenset({"length", "max_tokens"})
_THINKING = r"(?:think(?:ing)?|reason(?:ing)?|thoughts?)"
# Some servers put the opening tag into the prompt, so that the answer has the closing one alone.
_ENDED = rf".*?</{_THINKING}\s*+>\s*+"
_THOUGHT = re.compile(rf"{_ENDED}(?:<{_THINKING}\b[^>]*+>{_ENDED})*+", re.DOTALL | re.IGNORECASE)
_LAST_THOUGHT = re.compile(rf".*</{_THINKING}\s*+>\s*+", re.DOTALL | re.IGNORECASE)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)')
_CONTROLS = re.compile(r"[\x00-\x1f]")
# https://spec.commonmark.org/0.31.2/#fenced-code-blocks
_ONLY_A_FENCE = re.compile(r"\s*(?P<open>`{3,}|~{3,})[ \t]*(?:[\w+-]+(?=\s))?(?P<inner>.*?)(?P=open)[`~]*\s*", re.DOTALL)
_FENCE_LINE = re.compile(r"^[ \t]*(?P<open>`{3,}|~{3,})[^`\n]*$\n?", re.MULTILINE)
_BEGIN = re.compile(r"(?:[^{\[]*?(?:`{3,}|~{3,})[ \t]*[\w+-]*)?\s*(?=[{\[])")

_OPEN_NUMBER = re.compile(r"[\[:,]\s*-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$")

_log = logging.getLogger("venice_ai.output")
_LEFT_OUT: dict[Wrapping, str] = {
    "fence": "the answer's JSON stood in a markdown fence, and was taken out of it",
    "think": "the answer's JSON came after reasoning, which was left out",
}


def _error(kind: Any, problem: str, text: str, raw: str) -> ValidationError:
    detail = InitErrorDetails(type=PydanticCustomError(cast("Any", problem), cast("Any", text)), loc=(), input=raw)
    return ValidationError.from_exception_data(_name(kind), [detail])


def read(kind: type[T], response: ChatCompletionResponse, choice_index: int = 0, *, wrapped: bool) -> ParsedChatCompletion[T]:
    """The object of a class in a choice, asked for in `{"value": ...}` if `wrapped`; else the OutputError that says why."""
    found = _found(kind, response, choice_index, wrapped)
    if isinstance(found, OutputError):
        # From here: what shows the local variables of a traceback would show the answer's text.
        raise found from None if found.private else found.__cause__
    return found


def _found(kind: type[T], response: ChatCompletionResponse, index: int, wrapped: bool) -> ParsedChatCompletion[T] | OutputError:
    try:
        choice = choice_at(response, index)
    except ValueError:
        why = f"the response has no choice {index}, so there is no {_name(kind)}"
        return _failed(OutputMissingError, why, kind, response, None, None)
    message, finish_reason = choice.message, choice.finish_reason
    text = paired(message.text) if message.text else message.text
    refused = finish_reason == "content_filter" or bool(message.refusal)
    cause = None
    if text and text.strip() and not refused:
        try:
            parsed, unwrapped = _validated(kind, text, wrapped, cut_off=finish_reason in _CUT_OFF)
        except ValidationError as error:
            cause = error
        else:
            for wrapping in reversed(unwrapped):
                _log.info(_LEFT_OUT[wrapping])
            return ParsedChatCompletion(response, parsed, (response,), unwrapped)
    cls, why = _reason(_name(kind), choice, text)
    failure = _failed(cls, why, kind, response, text, cause)
    if isinstance(failure, OutputRefusedError) and isinstance(message.refusal, str):
        failure.refusal = message.refusal
    return failure


def _reason(name: str, choice: ChatChoice, text: str | None) -> tuple[type[OutputError], str]:
    has_text = bool(text and text.strip())
    finish_reason, refusal = choice.finish_reason, choice.message.refusal
    if refusal or finish_reason == "content_filter":
        who = f"the model refused: {refusal!r:.200}" if refusal else "a content filter stopped the answer"
        remedy = "Change the prompt, or choose another model" + ("" if refusal else "; what had come is in `raw_text`")
        return RefusedInWordsError if has_text else OutputRefusedError, f"{who}, so there is no {name}. {remedy}."
    if finish_reason in _CUT_OFF:
        where = f"after {len(text or '')} characters (finish_reason {finish_reason!r})"
        remedy = "Raise max_completion_tokens, which also counts reasoning; what had come is in `partial` and `raw_text`."
        return OutputTruncatedError, f"the answer was cut off {where}, so there is no whole {name}. {remedy}"
    if choice.message.tool_calls:
        why = f"the model wants a tool called, so there is no {name} yet. See `tool_calls`; run_with_tools(...) runs them."
        return ToolCallWithWordsError if has_text else ToolCallInsteadError, why
    what = "does not fit" if has_text else "has no text to fit"
    return OutputMissingError if text is None else OutputInvalidError, f"the answer {what} {name}; it is in `response`."


def _failed(
    cls: type[OutputError], why: str, kind: Any, response: ChatCompletionResponse, text: str | None, cause: Exception | None
) -> OutputError:
    partial = partial_data(text) if text else None
    state: dict[str, Any] = {"response": response, "raw_text": text, "partial": partial, "attempts": (response,)}
    state["total_usage"] = response.usage
    if not issubclass(cls, Mismatch):
        error = cls(why, **state)
    else:
        hide = bool(getattr(kind, "model_config", {}).get("hide_input_in_errors"))
        nothing = {"type": "no_output", "msg": "There is nothing to validate", "loc": (), "input": text}
        lines = cause.errors() if isinstance(cause, ValidationError) else [nothing]
        error = mismatch(cls, _name(kind), lines, reason=why, hide_input=hide, **state)
    error.__cause__ = None if cause is None else cause.__cause__  # what a validator of the class raised
    return error


def _validated(kind: type[T], text: str, wrapped: bool, *, cut_off: bool) -> tuple[T, tuple[Wrapping, ...]]:
    """The object in a text, and what stood around its JSON, from the outside in; the error is of the plainest reading."""
    first: ValidationError | None = None
    plain = text.removeprefix("\ufeff")
    for inner, unwrapped in ((change(part), around) for part, around in _parts(plain) for change in (str, with_escapes)):
        try:
            parsed = validate(kind, inner, wrapped=wrapped)
        except ValidationError as error:
            if error.errors()[0]["type"] != "json_invalid":
                raise  # it is JSON
            first = first or error
        else:
            if cut_off and "fence" not in unwrapped and inner[-1:].isdigit():
                raise _error(kind, "unfinished", "The number may go on", inner)  # 12 of 123
            return parsed, unwrapped
    assert first is not None  # there is always the text itself
    raise first


def with_escapes(text: str) -> str:
    """JSON with escapes for the line breaks, tabs and the like that models write into its strings as they are."""
    if _CONTROLS.search(text) is None:
        return text
    return _STRING.sub(lambda string: _CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", string[0]), text)


def _parts(plain: str) -> Iterator[tuple[str, tuple[Wrapping, ...]]]:
    """A text, and what is in it, from the outside in."""
    yield plain, ()
    ends = dict.fromkeys(found.end() for pattern in (_THOUGHT, _LAST_THOUGHT) if (found := pattern.match(plain)))
    around: tuple[Wrapping, ...] = ("think",) if ends else ()
    for end in ends or [0]:
        answer = plain[end:]
        if ends:
            yield answer, around
        if only := _ONLY_A_FENCE.fullmatch(answer):
            yield only["inner"], (*around, "fence")
        fences = list(_FENCE_LINE.finditer(answer))
        if len(fences) == 2 and fences[1]["open"].startswith(fences[0]["open"]):
            yield answer[fences[0].end() : fences[1].start()], (*around, "fence")


def validate(kind: type[T], text: str, *, wrapped: bool) -> T:
    """The object that JSON text stands for, in `{"value": ...}` or plain. What a validator of the class raises is the cause."""
    try:
        data = _json(text) if wrapped else None
        in_wrapper = isinstance(data, dict) and list(cast("dict[str, Any]", data)) == [WRAPPED]
        return cast("T", _fitted(kind, text) if in_wrapper else _taken(adapter(kind), text))
    except ValidationError:
        raise
    except Exception as error:  # what a user's validator raises; the answer was paid for, and goes along
        raise _error(kind, "validator_failed", f"{type(error).__name__}: {error}", text) from error


def _fitted(kind: Any, text: str) -> Any:
    """The object within `{"value": ...}`, or the one that has this very key."""
    # What was asked for comes first: an object whose fields have defaults would take `{"value": null}` for itself.
    try:
        return _taken(_wrapper(kind), text)[WRAPPED]
    except ValidationError as error:
        try:
            return _taken(adapter(kind), text)
        except ValidationError:
            raise error from None


def _json(text: str, otherwise: Any = None, **how: Any) -> Any:
    """The JSON of a text; `otherwise` if it is not JSON."""
    try:
        return from_json(text, **how)
    except (ValueError, TypeError):  # a TypeError if it has half of a surrogate pair
        return otherwise


def _taken(validator: TypeAdapter[T], text: str) -> T:
    """The object that JSON text stands for, where nulls are as good as absent keys."""
    try:
        return validator.validate_json(text)
    except ValidationError as error:
        data = _json(text)
        if not remove_nulls(data, error, optional_keys(validator.core_schema)):
            raise
    return validator.validate_json(to_json(data))


def remove_nulls(data: Any, error: ValidationError, optional: set[str]) -> bool:
    """Removes the nulls that a validation refused from objects, where the key is optional. Whether there were any."""
    removed = False
    for line in error.errors():
        for holder, step, inner in steps_to(data, line["loc"] if line["input"] is None else ()):
            if inner is None and step in optional:
                del holder[step]
                removed = True
    return removed


def steps_to(data: Any, location: tuple[int | str, ...]) -> Iterator[tuple[Any, int | str, Any]]:
    """The way to a location of a validation error: each holder, the key in it, and what stands there."""
    for step in location:
        with suppress(LookupError, TypeError):  # else it is not a key: it names the member of a union
            holder, data = data, data[step]
            yield holder, step, data


def optional_keys(schema: Any, *, with_defaults: bool = False) -> set[str]:
    """The keys that some TypedDict of a core schema may do without; `with_defaults`, also those of fields with a default."""
    found: set[str] = set()
    inner: list[Any] = list(schema) if isinstance(schema, (list, tuple)) else []  # pyright: ignore[reportUnknownArgumentType]  # of anything
    if isinstance(schema, dict):
        node = cast("dict[str, Any]", schema)
        inner = [value for key, value in node.items() if key not in {"metadata", "default"}]
        for name, field in fields_of(node):
            if not field.get("required", True) or (with_defaults and field["schema"]["type"] == "default"):
                found |= {name, *top_level_keys(field.get("validation_alias"))}
    return found.union(*(optional_keys(each, with_defaults=with_defaults) for each in inner))


def fields_of(node: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The fields that a node of a core schema has, with their names."""
    fields: Any = node.get("fields", [])
    if isinstance(fields, dict):
        return list(cast("dict[str, Any]", fields).items())
    return [(field["name"], field) for field in fields if isinstance(field, dict)]  # a dataclass's node has their names alone


def top_level_keys(alias: Any) -> list[str]:
    """The keys at the top of an object that an alias of a core schema names."""
    paths: list[Any] = [[alias]] if isinstance(alias, str) else alias if alias and isinstance(alias[0], list) else [alias or []]
    return [path[0] for path in paths if len(path) == 1]


def partial_data(text: str) -> Any:
    """The JSON in a text, as far as it goes: dicts, lists and unfinished texts, no unfinished number; None without JSON."""
    data: Any = unfinished_json(text, None)
    parts = data if _OPEN_NUMBER.search(text) else None  # what it ends in may be the middle of a number
    while parts and isinstance(parts, (dict, list)):
        held = cast("Any", parts)
        key = list(held)[-1] if isinstance(parts, dict) else -1
        parts = held[key]
        if isinstance(parts, (int, float)) and not isinstance(parts, bool):
            del held[key]
    return data


def unfinished_json(text: str, default: R) -> Any | R:
    """The JSON in an answer's text, as far as it goes; the default if it has not begun, or is not JSON."""
    thought = None if text.lstrip()[:1] in {"{", "["} else _THOUGHT.match(text)  # a closing tag within JSON ends nothing
    if (begin := _BEGIN.match(text, thought.end() if thought else 0)) is None:
        return default
    return _json(with_escapes(before_half(text[begin.end() :])), default, allow_partial="trailing-strings")


def remembered(make: Callable[[Any], R]) -> Callable[[Any], R]:
    """The function with a cache of limited size, by type: classes made on the fly do not stay for ever."""

    # Equal types may name the members of a union in another order, so how a type is written tells it apart, too.
    @lru_cache
    def made(kind: Any, _: str) -> R:
        return make(kind)

    def once(kind: Any) -> R:
        try:
            hash(kind)
        except TypeError:  # something in an Annotated
            return make(kind)
        return made(kind, "" if isinstance(kind, type) else repr(kind))

    return once


def new_adapter(annotation: Any) -> TypeAdapter[Any]:
    """A new validator of a type; `adapter` remembers them."""
    return TypeAdapter(for_pydantic(annotation, {}))


adapter = remembered(new_adapter)
_wrapper = remembered(lambda kind: TypeAdapter[Any](new_typed_dict("Wrapper", {WRAPPED: for_pydantic(kind, {})})))
"""What validates a type within `{"value": ...}`."""


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)) if isinstance(kind, type) else repr(kind)
