"""Every error a caller can catch, and the one function that picks it.

::

    VeniceError
    +-- APIError                             anything that went wrong with a call
    |   +-- InvalidRequestError              400; before the network too (is a ValueError)
    |   |   +-- PayloadTooLargeError         413
    |   |   +-- UnsupportedMediaTypeError    415
    |   |   +-- UnprocessableEntityError     422; a prompt against the content policy
    |   |   +-- ResponseFormatNotStrictError a class given to `create` (is a SchemaNotStrictError)
    |   |   +-- ToolSignatureError           a function that JSON cannot express (is a TypeError)
    |   +-- AuthenticationError              401; no key at all (is a ValueError)
    |   +-- PaymentRequiredError             402
    |   +-- PermissionDeniedError            403
    |   +-- NotFoundError                    404
    |   +-- ConflictError                    409
    |   +-- ModelGoneError                   410
    |   +-- RateLimitError                   429; `kind` says which limit
    |   |   +-- ModelOverloadedError         an overloaded model, in a 200 reply (is a ServiceUnavailableError)
    |   +-- InternalServerError              5xx
    |   |   +-- ServiceUnavailableError      503
    |   |   +-- GatewayTimeoutError          504
    |   +-- APIConnectionError               no answer (is a ConnectionError)
    |   |   +-- APITimeoutError              a clock ran out (is a TimeoutError)
    |   +-- APIResponseProcessingError       an answer that is none: HTML, nothing, broken JSON
    |   +-- StreamInterruptedError           a stream that broke off; `partial` has what came
    |       +-- StreamTimeoutError           because a clock ran out (is an APITimeoutError)
    +-- InvalidArgumentError                 an argument of a method here, not of a request, is wrong (is a ValueError)
    +-- StreamConsumedError                  a stream is read once
    +-- NoMatchingModelError                 no model fits (is a ValueError)
    +-- SchemaNotStrictError                 a class that strict mode cannot express (is a ValueError)
    +-- OutputError                          a paid answer that is not the object asked for (is a ValueError)
    |   +-- OutputInvalidError               it does not fit the class (is a pydantic.ValidationError)
    |   +-- OutputMissingError               it has no text at all
    |   +-- OutputTruncatedError             it was cut off (is a pydantic.ValidationError)
    |   +-- OutputRefusedError               the model, or a filter, refused
    |   +-- ToolCallInsteadError             the model wants a tool called first
    +-- NoChoicesError                       an answer without choices (is a ValueError)
    +-- NoToolCallsError                     a turn that says it calls tools, and calls none (is a ValueError)
    +-- UnknownToolError                     a call of a tool that is not there (is a ValueError)
    +-- ToolArgumentsError                   a call whose arguments do not fit (is a ValueError)
    +-- ToolTimeoutError                     a tool that took too long (is a TimeoutError)
    +-- MaxIterationsExceededError           a tool loop that did not come to an answer; `pending_calls`
    +-- ToolLoopPausedError                  a tool loop that waits for a person; `state`
    +-- TeeError                             confidential compute failed; `report` says what was checked
        +-- TeeAttestationError              the enclave did not prove what it must: nothing was sent
        +-- TeeEncryptionError               an answer that should be sealed is not, or cannot be opened

Every `APIError` carries `status_code`, `counts_as`, `code`, `request_id`, `body`, `meta`, `retry_after_seconds` and `partial`,
each None where there is none. We put no prompt into a message, and no key: where Venice's own words repeat a key of eight
letters or more, it is taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from .tee.report import AttestationReport
    from .types.api.chat import ChatCompletionResponse, ChatUsage, Message, ToolCall, ToolLoopState
    from .types.response_meta import ResponseMeta

RateLimitKind: TypeAlias = Literal["requests", "tokens", "failures", "overloaded", "concurrency", "unknown"]


class VeniceError(Exception):
    """The base of every error this package raises on its own account."""

    @property
    def message(self) -> str:
        """What happened and what to do."""
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        state = dict(vars(self))
        if getattr(state.get("partial"), "_private", False):
            # What came end-to-end encrypted stays out of what workers and trackers write down.
            state["partial"] = None
        if attempts := state.get("attempts"):
            state["attempts"] = _kept_attempts(attempts)
        return type(self), self.args, state


class APIError(VeniceError):
    """A call failed. The subclasses say how."""

    remedy = ""

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        body: Any = None,
        meta: ResponseMeta | None = None,
        retry_after_seconds: float | None = None,
        partial: ChatCompletionResponse | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        """HTTP status of the answer; None if there was none."""
        self.counts_as: int | None = status_code
        """Decides whether to try again: `status_code`; for an error in a 200 reply before any content, its code's."""
        self.code = code
        """Venice's own code for the error, where it gives one."""
        self.request_id = request_id
        """What to tell Venice's support."""
        self.body = body
        """The error's body: decoded JSON, or text."""
        self.meta = meta
        """Headers and timing of the answer."""
        self.retry_after_seconds = retry_after_seconds
        """How long the server asked to wait, in seconds."""
        self.partial = partial
        """What had arrived of the answer when a stream failed."""
        self.tool_loop: ToolLoopState | None = None
        """The tool loop whose call failed, as it was before: `run_with_tools(resume=error.tool_loop)` runs no tool twice."""
        self.attempts: tuple[ChatCompletionResponse, ...] = ()
        """The answers that did not fit, oldest first, when `parse` asked again and that call failed. They were paid for."""


class InvalidRequestError(APIError, ValueError):
    """The request cannot be right: refused here before it was sent, or by Venice (400)."""

    remedy = "Correct the request; sending it again unchanged fails again."


class InvalidArgumentError(VeniceError, ValueError):
    """A method of this package was called in a way that cannot be right, such as `batch(max_concurrency=0)`; nothing was sent.

    Unlike `InvalidRequestError`, which is about the parameters of a request, it is no `APIError`.
    """


class PayloadTooLargeError(InvalidRequestError):
    """The request body, or a file in it, is too large (413)."""

    remedy = "Send less. How much is taken may be up to a proxy on the way."


class UnsupportedMediaTypeError(InvalidRequestError):
    """The server wants another content type (415)."""

    remedy = "Is base_url the address of Venice's API?"


class UnprocessableEntityError(InvalidRequestError):
    """The content cannot be processed, most often because of a content policy (422)."""

    remedy = "Change the prompt, or choose another model."


class ToolSignatureError(InvalidRequestError, TypeError):
    """A function cannot be a tool, because JSON cannot express its signature. Raised when it is registered."""


class AuthenticationError(APIError, ValueError):
    """The key is missing, wrong or not allowed this model (401)."""

    remedy = "Check the key: pass api_key=... or set VENICE_API_KEY; keys are made at https://venice.ai/settings/api."


class PaymentRequiredError(APIError):
    """The balance or a spending limit does not cover the call (402)."""

    remedy = "Add credits or raise the key's limit at https://venice.ai/settings/api."


class PermissionDeniedError(APIError):
    """The key may not do this (403)."""

    remedy = "Check the key's permissions and privacy setting at https://venice.ai/settings/api."


class NotFoundError(APIError):
    """There is no such model, character or address (404)."""

    remedy = (
        "client.models.list() shows the models there are; base_url should end in /api/v1. A character_slug may be wrong, too."
    )


class ConflictError(APIError):
    """The request conflicts with the state of the server (409)."""


class ModelGoneError(APIError):
    """The model, or the address, was retired (410)."""

    remedy = "Choose another model: client.models.resolve_chat() finds one."


class RateLimitError(APIError):
    """Too much, too fast, or an overloaded model (429). `retry_after_seconds` says how long to wait, where known."""

    remedy = "Wait before the next request, or send fewer at once."
    kind: RateLimitKind = "unknown"
    """The limit that was met; `failures` is the block after too many failed requests."""


class InternalServerError(APIError):
    """Venice failed to answer (5xx)."""

    remedy = "Try again later, or another model."


class ServiceUnavailableError(InternalServerError):
    """The model is offline or at capacity (503)."""


class ModelOverloadedError(RateLimitError, ServiceUnavailableError):
    """The model is overloaded, says an error inside a 200 reply. It counts as 503, and is caught as a 429 is, too."""


class GatewayTimeoutError(InternalServerError):
    """The answer took too long to make (504)."""

    remedy = "Long answers do better with client.chat.completions.stream(...). The call may have been billed."


class APIConnectionError(APIError, ConnectionError):
    """No answer: refused, unreachable, no such host, a TLS failure, or a connection that broke."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """One of the five clocks ran out. The call may have been billed."""

    clock: str = ""
    """Which: `connect`, `first_chunk`, `idle`, `progress` or `deadline`."""


class APIResponseProcessingError(APIError):
    """The server answered with a success status, but not with an answer."""

    remedy = "Is base_url the address of Venice's API (https://api.venice.ai/api/v1)?"


class StreamInterruptedError(APIError):
    """A stream broke off before its end. `partial` holds what had arrived; `__cause__` says why."""


class StreamTimeoutError(StreamInterruptedError, APITimeoutError):
    """A stream broke off because one of the five clocks ran out; `clock` names it."""


class StreamConsumedError(VeniceError):
    """A stream can be iterated once; `collect()` gives the whole at any time."""


class NoMatchingModelError(VeniceError, ValueError):
    """No model of the catalogue has what was asked for."""


class SchemaNotStrictError(VeniceError, ValueError):
    """A class cannot be expressed as a strict JSON schema; the message names the path."""

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        """Where, such as `$.person.tags[]`; None if it is not known."""


class ResponseFormatNotStrictError(SchemaNotStrictError, InvalidRequestError):
    """A class that was given to `create` or `stream` as `response_format` cannot be expressed as a strict JSON schema."""


class OutputError(VeniceError, ValueError):
    """A paid answer is not the object that was asked for. The error carries all that came."""

    response: ChatCompletionResponse
    """The answer, with its usage, cost and meta."""
    raw_text: str | None = None
    """The text of the choice, as the model wrote it; None if there is none."""
    partial: Any = None
    """The JSON in that text as far as it goes: dicts and lists, not validated, without a number that may have been cut; None if
    there is none."""
    attempts: tuple[ChatCompletionResponse, ...] = ()
    """Every answer of the call, oldest first; more than one if the model was asked again."""
    total_usage: ChatUsage | None = None
    """The usage of all attempts together."""

    @property
    def usage(self) -> ChatUsage | None:
        """The usage of `response`."""
        return self.response.usage

    @property
    def private(self) -> bool:
        """Whether the answer came end-to-end encrypted. Then neither the text of this error nor its pickle shows it."""
        return self.response.attestation is not None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, self.state_to_keep()

    def state_to_keep(self) -> dict[str, Any]:
        """What a pickle holds: what came end-to-end encrypted stays out of what workers and trackers write down."""
        state = dict(vars(self))
        if self.private:
            hidden = {"raw_text": None, "partial": None, "refusal": None, "response": _without_answer(self.response)}
            state |= hidden | {"attempts": _kept_attempts(self.attempts)}
        return state


def _kept_attempts(attempts: tuple[ChatCompletionResponse, ...]) -> tuple[ChatCompletionResponse, ...]:
    """Answers as a pickle holds them."""
    return tuple(each if each.attestation is None else _without_answer(each) for each in attempts)


def _without_answer(response: ChatCompletionResponse) -> ChatCompletionResponse:
    told = {name: response.get(name) for name in ("id", "model", "usage", "cost")}
    return type(response).model_validate(told).with_attestation(response.attestation)


class OutputMissingError(OutputError):
    """The answer has no text at all: no choices, null, or media only. There is nothing that could fit a class."""


class OutputRefusedError(OutputError):
    """The model refused to answer, or a content filter stepped in.

    If it said something that does not fit the class, this is a `pydantic.ValidationError`, too.
    """

    refusal: str | None = None
    """The model's words, where they came apart from the text."""


class ToolCallInsteadError(OutputError):
    """The model wants a tool called before it answers.

    If it said something beside the call that does not fit the class, this is a `pydantic.ValidationError`, too.
    """

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls that the first choice asks for."""
        return self.response.tool_calls


if TYPE_CHECKING:
    from ._structured.read_output import OutputInvalidError as OutputInvalidError  # noqa: PLC0414  # they can be imported from here
    from ._structured.read_output import OutputTruncatedError as OutputTruncatedError  # noqa: PLC0414
else:
    # They are pydantic errors, and pydantic is loaded when it is first needed.
    def __getattr__(name: str) -> object:
        if name not in {"OutputInvalidError", "OutputTruncatedError"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module("._structured.read_output", __package__), name)
        return value


class NoChoicesError(VeniceError, ValueError):
    """An answer came without a choice, so there is nothing to go on with."""


class NoToolCallsError(VeniceError, ValueError):
    """A model's turn in a tool loop says that it calls tools, but holds neither a call nor a text. It was paid for."""

    def __init__(
        self, message: str, state: ToolLoopState | None = None, last_response: ChatCompletionResponse | None = None
    ) -> None:
        super().__init__(message)
        self.state = state
        """The loop without that turn: `run_with_tools(resume=error.state)` asks once more."""
        self.last_response = last_response
        """The answer."""


class UnknownToolError(VeniceError, ValueError):
    """The model called a tool that was not registered, or that nothing runs."""


class ToolArgumentsError(VeniceError, ValueError):
    """The arguments of a tool call are not JSON, or not what the tool takes. A tool error: by default the model is told."""


class ToolTimeoutError(VeniceError, TimeoutError):
    """A tool did not answer in time. A tool error: by default the model is told."""


def _by_keywords(error: VeniceError) -> tuple[Any, ...]:
    """How an error is pickled that is made with keywords only."""
    return partial(type(error), **vars(error)), error.args


class MaxIterationsExceededError(VeniceError):
    """A tool loop reached its limit of round trips while the model still called tools. `state` lets it go on.

    A loop that raises one gives it everything; a test of yours may leave out what it does not look at.
    """

    def __init__(
        self,
        message: str = "",
        *,
        iterations: int = 0,
        messages: Sequence[Message] = (),
        last_response: ChatCompletionResponse | None = None,
        usage: ChatUsage | None = None,
        pending_calls: Sequence[ToolCall] = (),
        state: ToolLoopState | None = None,
    ) -> None:
        super().__init__(message)
        self.iterations = iterations
        """Round trips that were made."""
        self.messages: list[Message] = list(messages)
        """The history. It ends with the turn whose calls are pending."""
        self.last_response: ChatCompletionResponse = cast("ChatCompletionResponse", last_response)
        """The last answer; None only if the error was made without, like `state`."""
        self.usage = usage
        """Tokens of all round trips together; None if no answer told any."""
        self.pending_calls: list[ToolCall] = list(pending_calls)
        """The calls of the last answer. None of them was run."""
        self.state: ToolLoopState = cast("ToolLoopState", state)
        """The loop, to go on with: `run_with_tools(resume=error.state, max_iterations=...)`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_keywords(self)


class ToolLoopPausedError(VeniceError):
    """A tool loop waits for a person to decide on calls. Store `state` as JSON, and resume with the decisions."""

    def __init__(self, message: str, *, state: ToolLoopState) -> None:
        super().__init__(message)
        self.state = state
        """The loop as plain JSON: `run_with_tools(resume=state, decisions={call_id: ...})` goes on, in any process."""

    @property
    def waiting_calls(self) -> list[ToolCall]:
        """The calls to decide on. None of them was run."""
        return self.state.waiting_calls

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_keywords(self)


class TeeError(VeniceError):
    """Confidential compute failed. Whatever the reason, nothing was sent or read in clear instead."""

    def __init__(self, message: str, *, report: AttestationReport | None = None) -> None:
        super().__init__(message)
        self.report = report
        """What was checked and how it ended; None if it did not come to that."""
        self.attempts: tuple[ChatCompletionResponse, ...] = ()
        """The answers that did not fit, oldest first, when `parse` asked again and that call failed. They were paid for."""


class TeeAttestationError(TeeError):
    """The enclave did not prove what it must. No prompt was sent."""


class TeeEncryptionError(TeeError):
    """Part of an answer that should be sealed is not, or cannot be opened: it was not delivered. Or a signature is missing."""

    partial: ChatCompletionResponse | None = None
    """The whole answer, opened, if all that it lacks is the signature that `verify_signature="require"` asks for."""


class TeeDowngradeWarning(UserWarning):
    """An attestation was accepted at a lower level than this client can verify."""


class ModelSubstitutedWarning(UserWarning):
    """Another model answered than the one that was asked for; `response.meta.model_substituted` tells it of each reply.

    It comes once for each pair of models and client, and never costs an answer: where warnings are errors, it is logged.
    """


_BY_STATUS: dict[int, type[APIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: ModelGoneError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    503: ServiceUnavailableError,
    504: GatewayTimeoutError,
}

PROXY_ASKS_WHO = "The proxy wants to know who asks: proxy='http://user:password@host:port', here or in the *_PROXY variables."
_LONGEST_DETAIL = 1000  # characters of what a server says
# An error inside a 200 reply has no status of its own; its code, or its type where it has no code, tells which it counts as.
_CODES_BY_STATUS = {
    400: "bad_request invalid_request invalid_request_error invalid_model context_length_exceeded too_many_tokens",
    401: "authentication_failed authentication_failed_inactive_key authentication_error invalid_api_key pro_only_model",
    402: "insufficient_balance insufficient_quota payment_required billing_error",
    403: "unauthorized permission_denied permission_error api_access_disabled",
    404: "model_not_found character_not_found not_found not_found_error",
    413: "payload_too_large request_too_large",
    422: "content_policy_violation content_blocked_by_provider content_filter content_filter_error provider_content_policy",
    429: "rate_limit rate_limited rate_limit_exceeded rate_limit_error too_many_requests x402_concurrency_limit",
    500: "server_error internal_error internal_server_error api_error inference_failed unknown_error",
    502: "upstream_error bad_gateway provider_error",
    503: "model_overloaded overloaded overloaded_error engine_overloaded model_offline model_at_capacity service_unavailable",
    504: "request_timeout gateway_timeout timeout timeout_error",
}
_STATUS_BY_CODE = {code: status for status, codes in _CODES_BY_STATUS.items() for code in codes.split()}


def reported(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The part of a 200 reply, or of an event of a stream, that reports an error: the whole, a choice or a delta; else None.

    A part reports one in a member whose name begins with `error` and that is not empty. The whole does so, too, if its `type`
    or `object` is `error`, or by a `message` or `detail` without `choices`.
    """
    if reply.get("type") == "error" or reply.get("object") == "error" or _error_members(reply):
        return reply
    choices: Any = reply.get("choices")
    if "choices" not in reply:
        return reply if reply.get("message") or reply.get("detail") else None
    for choice in cast("list[Any]", choices) if isinstance(choices, list) else ():
        for part in (choice, _member(choice, "delta"), _member(choice, "message")):
            if isinstance(part, Mapping) and _error_members(cast("Mapping[str, Any]", part)):
                return cast("Mapping[str, Any]", part)
    return None


def may_report(text: bytes, reply: Mapping[str, Any]) -> bool:
    """Whether it is worth looking for an error in a reply or event, whose JSON text this is. Nearly none is."""
    return b'"error' in text or "choices" not in reply


def without_errors(reply: Any) -> Any:
    """A reply or event without the members that report an error: what came beside it."""
    if not isinstance(reply, Mapping):
        return [without_errors(each) for each in cast("list[Any]", reply)] if isinstance(reply, list) else reply
    inner = {"choices", "delta", "message"}
    return {
        name: without_errors(value) if name in inner else value
        for name, value in cast("Mapping[str, Any]", reply).items()
        if not name.startswith("error")
    }


def _error_members(part: Mapping[str, Any]) -> list[Any]:
    """What the members of a part hold that report an error."""
    return [value for name, value in part.items() if name.startswith("error") and value]


def error_for(
    status: int,
    headers: Mapping[str, str],
    body: Any,
    *,
    meta: ResponseMeta | None = None,
    retry_after_seconds: float | None = None,
    partial: ChatCompletionResponse | None = None,
) -> APIError:
    """The error that an HTTP answer, or an error inside a stream (status 200), stands for.

    `headers` is looked up in lower case; `body` is decoded JSON, or text that is not JSON.
    """
    said: Any = body
    if status < 300 and isinstance(body, Mapping):
        content = cast("Mapping[str, Any]", body)
        said = reported(content) or content
    code = _code(said)
    counts_as = status if status >= 300 else _counts_as(said, code, status)
    kind = _class(counts_as, code, said, told=status)
    detail = _shortened(_detail(said, headers))
    remedy = kind.remedy
    if issubclass(kind, RateLimitError) and retry_after_seconds:
        remedy = remedy.replace("Wait", f"Wait {retry_after_seconds:.3g} s")
    if status == 407:
        remedy = PROXY_ASKS_WHO
    request_id = headers.get("cf-ray") or _text(_member(body, "request_id"))
    who = "the proxy" if status == 407 else "Venice"
    where = f"{who} answered {status}" if status >= 300 else "Venice reported an error"
    message = f"{where}: {_sentence(detail)}{' ' + remedy if remedy else ''}"
    error = kind(
        f"{message} [request {request_id}]" if request_id else message,
        status_code=status,
        code=code,
        request_id=request_id,
        body=body,
        meta=meta,
        retry_after_seconds=retry_after_seconds,
        partial=partial,
    )
    error.counts_as = counts_as
    if isinstance(error, RateLimitError):
        error.kind = _rate_limit_kind(headers, detail.lower(), code or "")
    return error


def _shortened(detail: str) -> str:
    """What a message can hold; `body` has it all."""
    return detail if len(detail) <= _LONGEST_DETAIL else f"{detail[:_LONGEST_DETAIL]} ..."


def _class(status: int, code: str | None, body: Any, *, told: int) -> type[APIError]:
    """The class for what a status, or an error inside a reply with the status `told`, stands for."""
    if status == 402 and _member(body, "x402Version") is not None:
        return AuthenticationError  # Venice's way to say that no credentials were sent
    if told < 300:
        if status < 300 and code:  # an unknown code is not tried again; the type still tells what kind of error it is
            status = _status_of(_type(body), status)
        elif status == 503 and "overloaded" in (code or _type(body) or "").lower():
            return ModelOverloadedError
    if status >= 500:
        return _BY_STATUS.get(status, InternalServerError)
    return _BY_STATUS.get(status, APIError)


def _counts_as(body: Any, code: str | None, status: int) -> int:
    """The status that an error inside a 200 reply counts as; that of the reply, if its code is not known."""
    return _status_of(code or _type(body), status)


def _status_of(code: str | None, otherwise: int) -> int:
    name = (code or "").lower()
    if name.isdecimal() and 400 <= int(name[:9]) <= 599:  # some relays give the status they were told as the code
        return int(name)
    return _STATUS_BY_CODE.get(name, otherwise)


def _type(body: Any) -> str | None:
    types = (_text(_member(each, "type")) for each in (*_nested(body), body))
    return next((name for name in types if name not in {None, "error"}), _text(_member(body, "error_type")))


def _nested(body: Any) -> list[Any]:
    return _error_members(cast("Mapping[str, Any]", body)) if isinstance(body, Mapping) else []


def _rate_limit_kind(headers: Mapping[str, str], detail: str, code: str) -> RateLimitKind:
    if "too many failed" in detail or headers.get("x-ratelimit-remaining") == "0":
        return "failures"
    if "overloaded" in detail or "overloaded" in code.lower():
        return "overloaded"
    if "concurrency" in code.lower():
        return "concurrency"
    if headers.get("x-ratelimit-remaining-requests") == "0":
        return "requests"
    if headers.get("x-ratelimit-remaining-tokens") == "0":
        return "tokens"
    return "unknown"


def _member(body: Any, name: str) -> Any:
    return cast("Mapping[str, Any]", body).get(name) if isinstance(body, Mapping) else None


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _code(body: Any) -> str | None:
    codes = (
        _text(_member(each, name)) for name in ("code", "error_code") for each in (_member(body, "error"), *_nested(body), body)
    )
    return next(filter(None, codes), None)


def _detail(body: Any, headers: Mapping[str, str]) -> str:
    if isinstance(body, str):
        return _page(body, headers.get("content-type", ""))
    places = (_member(body, "error"), _member(body, "error_message"), body, *_nested(body))
    said = next(filter(None, map(_message, places)), "no reason was given")
    reasons = list(dict.fromkeys(reason for reason in _reasons(body) if reason not in said))[:10]
    return f"{said} ({'; '.join(reasons)})" if reasons else said


def _page(text: str, content_type: str) -> str:
    """A body that is not JSON: short texts are shown, pages are named."""
    if not text.strip():
        return "an empty body"
    if "html" in content_type or text.lstrip()[:1] == "<":
        return "an HTML page, not JSON"
    return text.strip()[:200]


def _message(error: Any) -> str | None:
    if isinstance(error, list):
        return "; ".join(filter(None, map(_message, cast("list[Any]", error)))) or None
    return _text(error) or _text(_member(error, "message")) or _text(_member(error, "detail"))


def _reasons(body: Any) -> Iterator[str]:
    issues = _member(body, "issues")
    for issue in cast("list[Any]", issues) if isinstance(issues, list) else []:
        path, message = _member(issue, "path"), _text(_member(issue, "message"))
        steps = ".".join(map(str, cast("list[Any]", path))) if isinstance(path, list) else ""
        if message:
            yield f"{steps}: {message}" if steps else message
    details = _member(body, "details")
    if isinstance(details, str):
        yield details
    elif not issues:
        yield from _tree(details, "")


def _tree(node: Any, path: str) -> Iterator[str]:
    """Reasons in a nested `{"field": {"_errors": [...]}}`."""
    if not isinstance(node, Mapping):
        return
    for name, value in cast("Mapping[str, Any]", node).items():
        if name == "_errors" and isinstance(value, list):
            for text in filter(None, map(_text, cast("list[Any]", value))):
                yield f"{path}: {text}" if path else text
        else:
            yield from _tree(value, f"{path}.{name}" if path else name)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text[-1:] in ".!?" else f"{text}."
