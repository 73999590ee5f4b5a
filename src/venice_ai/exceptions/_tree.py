"""The classes of errors, but for those that need pydantic (`_output.py`). `venice_ai.exceptions` draws their tree."""

from __future__ import annotations

from types import MappingProxyType

TYPE_CHECKING = False  # start-up: what a client is made of does without `typing`
if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from typing import Any

    from ..types.api.chat import ChatCompletionResponse, ChatUsage, Message, ToolCall, ToolLoopState
    from ..types.attestation import AttestationReport
    from ..types.limits import RateLimitKind
    from ..types.response_meta import ResponseMeta


class VeniceError(Exception):
    """The base of every error this package raises on its own account.

    Args:
        message: what happened and what to do.
        **fields: the attributes that the class describes, by their names.
    """

    results: Mapping[int, ChatCompletionResponse] = MappingProxyType({})
    """What else had been answered, by index, when `batch` failed with this error, of a call or of `on_result`."""

    def __init__(self, message: str = "", **fields: Any) -> None:
        super().__init__(message)
        known = {name for base in type(self).__mro__ for name in vars(base).get("__annotations__", ())}
        if unknown := fields.keys() - known:
            raise TypeError(f"{type(self).__name__} has no field {min(unknown)!r}")
        vars(self).update(fields)

    @property
    def message(self) -> str:
        """What happened and what to do."""
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, self.state_to_keep()

    def state_to_keep(self) -> dict[str, Any]:
        """The state for a pickle. What came end-to-end encrypted stays out of what workers and trackers write down."""
        state = dict(vars(self))
        for name in ("partial", "last_response", "tool_loop", "state"):
            if getattr(state.get(name), "_private", False):
                state[name] = None
                state.update((each, []) for each in ("messages", "pending_calls") if each in state)
        if results := state.get("results"):
            state["results"] = {index: each for index, each in results.items() if each.attestation is None}
        if attempts := state.get("attempts"):
            state["attempts"] = tuple(each if each.attestation is None else _without_answer(each) for each in attempts)
        return state


class APIError(VeniceError):
    """A call failed. The subclasses say how."""

    remedy = ""
    """What to do about an error of this class: the last sentence of its message, where the answer says nothing better."""
    status_code: int | None = None
    """HTTP status of the answer; None if there was none."""
    counts_as: int | None = None
    """Decides whether to try again: `status_code`; for an error in a 200 reply before any content, its code's."""
    code: str | None = None
    """Venice's own code for the error, where it gives one."""
    request_id: str | None = None
    """What to tell Venice's support."""
    body: Any = None
    """The error's body: decoded JSON, or text."""
    meta: ResponseMeta | None = None
    """Headers and timing of the answer."""
    retry_after_seconds: float | None = None
    """How long the server asked to wait, in seconds."""
    partial: ChatCompletionResponse | None = None
    """What had arrived of the answer when a stream failed."""
    replayed: bool = False
    """Whether it is the answer to an earlier request with the same body, which was refused three times in 30 s."""
    tool_loop: ToolLoopState | None = None
    """The tool loop whose call failed, as it was before: `run_with_tools(resume=error.tool_loop)` runs no tool twice."""
    attempts: tuple[ChatCompletionResponse, ...] = ()
    """The answers that did not fit, oldest first, when `parse` asked again and that call failed. They were paid for."""

    def __init__(self, message: str = "", **fields: Any) -> None:
        super().__init__(message, **{"counts_as": fields.get("status_code"), **fields})


class InvalidRequestError(APIError, ValueError):
    """The request cannot be right: refused here before it was sent, or by Venice (400)."""

    remedy = "Correct the request; sending it again unchanged fails again."


class InvalidArgumentError(VeniceError, ValueError):
    """A method of this package was called in a way that cannot be right, such as `batch(max_concurrency=0)`; nothing was sent.

    Unlike `InvalidRequestError`, which is about the parameters of a request, it is not an `APIError`.
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

    remedy = "client.models.list() shows the models there are; base_url should end in /api/v1."


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


class CircuitOpenError(ServiceUnavailableError):
    """Most of the last requests failed, so the server is left alone for seconds: this one was not sent."""


class ModelOverloadedError(RateLimitError, ServiceUnavailableError):
    """The model is overloaded, says an error inside a 200 reply. It counts as 503, and is caught as a 429 is, too."""


class GatewayTimeoutError(InternalServerError):
    """The answer took too long to make (504)."""

    remedy = "Long answers do better with client.chat.completions.stream(...). The call may have been billed."


class APIConnectionError(APIError, ConnectionError):
    """No answer: refused, unreachable, no such host, a TLS failure, or a connection that broke."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """A time limit of the call ran out. The call may have been billed."""

    clock: str = ""
    """Which: `connect`, `first_chunk`, `idle`, `progress`, `deadline` or `queue`."""


class ConnectError(APIConnectionError):
    """The connection could not be made, so nothing was sent, and nothing is billed."""

    unsent = True
    permanent: bool = False
    """Whether these settings can never succeed, so that trying again would only take time: no trust, or not TLS."""


class ConnectTimeoutError(ConnectError, APITimeoutError):
    """The connection was not made in time, so nothing was sent, and nothing is billed."""


class APIResponseProcessingError(APIError):
    """The server answered with a success status, but not with an answer."""

    remedy = "Is base_url the address of Venice's API (https://api.venice.ai/api/v1)?"


class StreamInterruptedError(APIError):
    """A stream broke off before its end. `partial` holds what had arrived; `__cause__` says why."""


class StreamTimeoutError(StreamInterruptedError, APITimeoutError):
    """A stream broke off because a time limit ran out; `clock` names it."""


class StreamConsumedError(VeniceError):
    """A stream can be iterated once; `collect()` gives the whole at any time."""


class NoMatchingModelError(VeniceError, ValueError):
    """No model of the catalogue has what was asked for."""


class BudgetExceededError(VeniceError):
    """A request was not sent, because it may cost more than is left of its `Budget`."""

    enough_usd: Decimal | None = None
    """The cap, in US dollars, under which it would have been sent; None where no cap is known to be kept."""


class SchemaNotStrictError(VeniceError, ValueError):
    """A class cannot be expressed as a strict JSON schema; the message names the path."""

    path: str | None = None
    """Where, such as `$.person.tags[]`; None if it is not known."""


class ResponseFormatNotStrictError(SchemaNotStrictError, InvalidRequestError):
    """A class that was given to `create` or `stream` as `response_format` cannot be expressed as a strict JSON schema."""


class OutputError(VeniceError, ValueError):
    """A paid answer is not the object that was asked for. The error carries all that came."""

    response: ChatCompletionResponse
    """The answer, with its usage, cost and meta."""
    raw_text: str | None = None
    """The text of the choice, as the model wrote it; None if the choice has no text."""
    partial: Any = None
    """The JSON in that text as far as it goes: dicts and lists, not validated, without a number that may have been cut; None if
    the text holds no JSON."""
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

    def state_to_keep(self) -> dict[str, Any]:
        """The state for a pickle: nothing of an answer that came end-to-end encrypted."""
        hidden = {"raw_text": None, "partial": None, "refusal": None, "response": _without_answer(self.response)}
        return super().state_to_keep() | (hidden if self.private else {})


def _without_answer(response: ChatCompletionResponse) -> ChatCompletionResponse:
    fields = {name: response.get(name) for name in ("id", "model", "usage", "cost")}
    return type(response).model_validate(fields).with_attestation(response.attestation)


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


class NoChoicesError(VeniceError, ValueError):
    """An answer came without a choice, so there is nothing to go on with."""


class NoToolCallsError(VeniceError, ValueError):
    """A model's turn in a tool loop says that it calls tools, but holds neither a call nor a text. It was paid for."""

    state: ToolLoopState | None = None
    """The loop without that turn: `run_with_tools(resume=error.state)` asks once more."""
    last_response: ChatCompletionResponse | None = None
    """The answer."""


class UnknownToolError(VeniceError, ValueError):
    """The model called a tool that was not registered, or that nothing runs."""


class ToolArgumentsError(VeniceError, ValueError):
    """The arguments of a tool call are not JSON, or not what the tool takes. A tool error: by default the model gets it."""


class ToolTimeoutError(VeniceError, TimeoutError):
    """A tool did not answer in time. A tool error: by default the model gets it."""


class MaxIterationsExceededError(VeniceError):
    """A tool loop reached its limit of round trips while the model still called tools. `state` lets it go on.

    A loop that raises one gives it everything; a test of yours may leave out what it does not look at.
    """

    iterations: int = 0
    """Round trips that were made."""
    messages: list[Message]
    """The history. It ends with the turn whose calls are pending."""
    last_response: ChatCompletionResponse
    """The last answer; None only if the error was made without, like `state`."""
    usage: ChatUsage | None = None
    """Tokens of all round trips together; None if no answer had any."""
    pending_calls: list[ToolCall]
    """The calls of the last answer. None of them was run."""
    state: ToolLoopState
    """The loop, to go on with: `run_with_tools(resume=error.state, max_iterations=...)`."""

    def __init__(self, message: str = "", **fields: Any) -> None:
        lists = {name: list(fields.get(name, ())) for name in ("messages", "pending_calls")}
        super().__init__(message, **{"last_response": None, "state": None, **fields, **lists})


class ToolLoopPausedError(VeniceError):
    """A tool loop waits for a person to decide on calls. Store `state` as JSON, and resume with the decisions."""

    state: ToolLoopState
    """The loop as plain JSON: `run_with_tools(resume=state, decisions={call_id: ...})` goes on, in any process."""

    @property
    def waiting_calls(self) -> list[ToolCall]:
        """The calls to decide on. None of them was run."""
        return self.state.waiting_calls


class TeeError(VeniceError):
    """Confidential compute failed. Whatever the reason, nothing was sent or read in clear instead."""

    report: AttestationReport | None = None
    """What was checked and how it ended; None if it did not come to that."""
    attempts: tuple[ChatCompletionResponse, ...] = ()
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


# Tracebacks and pickles name the module that users import them from.
for _class in [each for each in globals().values() if isinstance(each, type) and each.__module__ == __name__]:
    _class.__module__ = __name__.rpartition(".")[0]
