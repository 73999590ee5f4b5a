"""Scripted answers of the emulator: texts, tool calls, errors and raw bytes, each with any fault of the delivery.

A script is a list of steps, one for each request, in order. Every constructor here takes, beside what is said, the members of
`Delivery` as keywords. Steps have a JSON form (`steps_from_json`), so that they can also be sent to a running emulator.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias, TypeVar, cast

import msgspec
from typing_extensions import Unpack

from venice_ai._core.settings import check_headers
from venice_ai.exceptions import InvalidRequestError
from venice_ai.types.api.params import CHAT_PATH

from .delivery import Delivery
from .schemas import instance

Status: TypeAlias = Annotated[int, msgspec.Meta(ge=200, le=599)]


class _Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", forbid_unknown_fields=True, omit_defaults=True):
    how: Delivery = {}


# The steps, by the names that they have in JSON. The functions below that make them say what each one answers.


class Usual(_Step, tag="usual", frozen=True): ...


class Echo(_Step, tag="echo", frozen=True): ...


class Text(_Step, tag="text", frozen=True):
    text: str
    reasoning: str | None = None
    finish_reason: str = "stop"
    deltas: list[str] | None = None

    def __post_init__(self) -> None:
        if self.deltas is not None and "".join(self.deltas) != self.text:
            raise ValueError("the deltas do not join to the text")


class PlannedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] | str = {}
    id: str | None = None


class Calls(_Step, tag="tool_calls", frozen=True):
    calls: list[PlannedCall]
    text: str = ""


class Whole(_Step, tag="completion", frozen=True):
    body: dict[str, Any]


class Failure(_Step, tag="error", frozen=True):
    status: Status
    body: Any = None


class Raw(_Step, tag="raw", frozen=True):
    status: Status
    body: bytes = b""


class Chunks(_Step, tag="events", frozen=True):
    chunks: list[Any]


class Pieces(_Step, tag="pieces", frozen=True):
    pieces: list[bytes]


class Refused(_Step, tag="refused", frozen=True): ...


TurnStep: TypeAlias = Echo | Text | Calls  # steps in which the model speaks, so that they answer chat requests alone
ReplyStep: TypeAlias = Whole | Failure | Raw | Chunks | Pieces | Refused  # steps that are the whole answer, whatever was asked
Step: TypeAlias = Usual | TurnStep | ReplyStep
AnyStep = TypeVar("AnyStep", bound=_Step)


def usual(**how: Unpack[Delivery]) -> Usual:
    """Answers as if nothing was scripted, with the faults given (a backend's answer stays without faults)."""
    return _step(Usual, how)


def echo(**how: Unpack[Delivery]) -> Echo:
    """Answers with the text of the user's last message."""
    return _step(Echo, how)


def text(
    content: str,
    *,
    reasoning: str | None = None,
    finish_reason: str = "stop",
    deltas: Iterable[str] | None = None,
    **how: Unpack[Delivery],
) -> Text:
    """Answers with this text. `deltas` are the pieces of a stream, if not one a token; joined they must be the text."""
    pieces = None if deltas is None else list(deltas)
    return _step(Text, how, text=content, reasoning=reasoning, finish_reason=finish_reason, deltas=pieces)


def from_schema(schema: Mapping[str, Any], *, salt: object = "", **how: Unpack[Delivery]) -> Text:
    """Answers with JSON that fits a JSON schema, another for another `salt`. Raises ValueError if none fits."""
    return text(json.dumps(instance(schema, salt=salt), ensure_ascii=False), **how)


def tool_call(
    name: str,
    arguments: Mapping[str, Any] | str = "{}",
    *,
    id: str | None = None,  # noqa: A002  # the wire's own word
    **how: Unpack[Delivery],
) -> Calls:
    """Answers with one tool call. `arguments` that are text are sent as they are, also if they are not JSON."""
    return _step(Calls, how, calls=[{"name": name, "arguments": arguments, "id": id}])


def tool_calls(*calls: tuple[str, Mapping[str, Any] | str], content: str = "", **how: Unpack[Delivery]) -> Calls:
    """Answers with several tool calls: pairs of a name and arguments; `content` is said beside them."""
    return _step(Calls, how, calls=[{"name": name, "arguments": arguments} for name, arguments in calls], text=content)


def completion(body: Mapping[str, Any], **how: Unpack[Delivery]) -> Whole:
    """Answers with this JSON body and the status 200, also if a stream was asked for."""
    return _step(Whole, how, body=body)


def error(status: int, body: Any = None, **how: Unpack[Delivery]) -> Failure:
    """Answers with an error status and a JSON body; a text becomes `{"error": text}`, `None` Venice's own body."""
    return _step(Failure, how, status=status, body={"error": body} if isinstance(body, str) else body)


def busy(retry_after: float | str | None = None, **how: Unpack[Delivery]) -> Failure:
    """Answers 429, the model is overloaded; with `Retry-After` if given (seconds, or any text)."""
    value = f"{retry_after:g}" if isinstance(retry_after, (int, float)) else retry_after
    directive = {} if value is None else {"retry-after": value}
    return _step(Failure, {**how, "headers": {**directive, **how.get("headers", {})}}, status=429)


def overloaded(**how: Unpack[Delivery]) -> Failure:
    """Answers 503, the model is at capacity, without `Retry-After`."""
    return _step(Failure, how, status=503)


def rate_limited(reset: float, *, of: str = "requests", **how: Unpack[Delivery]) -> Failure:
    """Answers 429, a rate limit is used up; `reset` is the value of its reset header, `of` is `requests` or `tokens`."""
    headers = {f"x-ratelimit-remaining-{of}": "0", f"x-ratelimit-reset-{of}": f"{reset:.16g}"}
    how = {**how, "headers": {**headers, **how.get("headers", {})}}
    return _step(Failure, how, status=429, body={"error": "Rate limit exceeded"})


def raw(status: int, body: bytes = b"", **how: Unpack[Delivery]) -> Raw:
    """Answers with these bytes and only the `headers` given; a socket adds what HTTP needs, such as the date."""
    return _step(Raw, how, status=status, body=body)


def events(*chunks: Any, **how: Unpack[Delivery]) -> Chunks:
    """Answers with a stream of these JSON values, then `[DONE]`."""
    return _step(Chunks, how, chunks=list(chunks))


def pieces(*packets: bytes, **how: Unpack[Delivery]) -> Pieces:
    """Answers with a stream of exactly these bytes, a packet each."""
    return _step(Pieces, how, pieces=list(packets))


def refused(**how: Unpack[Delivery]) -> Refused:
    """Refuses the connection; on a socket it is closed without an answer."""
    return _step(Refused, how)


class Script:
    """The steps that are still to be played, and those to play where no step is left, by path."""

    def __init__(self) -> None:
        self.left: defaultdict[str, deque[Step]] = defaultdict(deque)
        self.always: dict[str, Step | None] = {}

    def take(self, path: str) -> Step | None:
        return self.left[path].popleft() if self.left[path] else self.always.get(path)

    def extend(self, order: dict[str, Any]) -> int:
        """Takes the steps of an order in JSON, and counts them."""
        if "steps" not in order or order.keys() - {"steps", "path", "always"}:
            raise InvalidRequestError('expected {"steps": [...]}, with "path" and "always" where wanted')
        steps, path = steps_from_json(order["steps"]), str(order.get("path", CHAT_PATH))
        if order.get("always"):
            self.always[path] = steps[-1] if steps else None
        self.left[path].extend(steps[:-1] if order.get("always") else steps)
        return len(steps)


def steps_from_json(steps: Any) -> list[Step]:
    """Steps from their JSON form: `{"answer": "text", "text": "hi", "how": {"cut_at": 40}}`; bytes are base64.

    Raises:
        InvalidRequestError: there is no such step.
    """
    try:
        found = msgspec.convert(steps, list[Step])
        for given in steps:
            _checked(given.get("how", {}))
    except (msgspec.ValidationError, TypeError) as reason:
        raise InvalidRequestError(f"this is not a list of steps: {reason}") from None
    return found


def steps_to_json(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The JSON form of steps."""
    return cast("list[dict[str, Any]]", msgspec.to_builtins(list(steps)))


def _checked(how: Delivery) -> Delivery:
    if unknown := how.keys() - Delivery.__annotations__.keys():
        known = ", ".join(Delivery.__annotations__)
        raise TypeError(f"{', '.join(sorted(unknown))} is not part of a delivery; known are {known}")
    if isinstance(headers := how.get("headers"), dict):
        # A length that is wrong is a fault like others.
        check_headers({name: value for name, value in headers.items() if str(name).lower() != "content-length"})
    return how


def _step(kind: type[AnyStep], how: Delivery, **members: Any) -> AnyStep:
    """A step with these members: errors are raised where it is scripted, not where it is sent."""
    try:
        return msgspec.convert({**members, "how": _checked(how)}, kind)
    except msgspec.ValidationError as reason:
        raise InvalidRequestError(f"this is not a step: {reason}") from None
