"""Every error that a caller can catch; and the function that chooses one for a reply.

::

    VeniceError
    +-- APIError                             a call failed
    |   +-- InvalidRequestError              400, or refused before sending; a ValueError
    |   |   +-- PayloadTooLargeError         413
    |   |   +-- UnsupportedMediaTypeError    415
    |   |   +-- UnprocessableEntityError     422; against the content policy
    |   |   +-- ResponseFormatNotStrictError by `create`; a SchemaNotStrictError
    |   |   +-- ToolSignatureError           JSON cannot express a tool; a TypeError
    |   +-- AuthenticationError              401, or no key at all; a ValueError
    |   +-- PaymentRequiredError             402
    |   +-- PermissionDeniedError            403
    |   +-- NotFoundError                    404
    |   +-- ConflictError                    409
    |   +-- ModelGoneError                   410
    |   +-- RateLimitError                   429; `kind` says which limit
    |   |   +-- ModelOverloadedError         overloaded; a ServiceUnavailableError
    |   +-- InternalServerError              5xx
    |   |   +-- ServiceUnavailableError      503
    |   |   |   +-- CircuitOpenError         not sent: the server fails
    |   |   +-- GatewayTimeoutError          504
    |   +-- APIConnectionError               no reply; a ConnectionError
    |   |   +-- APITimeoutError              a time limit ran out; a TimeoutError
    |   |   +-- ConnectError                 no connection; nothing was sent
    |   |       +-- ConnectTimeoutError      not in time; an APITimeoutError
    |   +-- APIResponseProcessingError       HTML, nothing or broken JSON as a reply
    |   +-- StreamInterruptedError           a stream broke off; `partial`: what arrived
    |       +-- StreamTimeoutError           a time limit ran out; an APITimeoutError
    +-- InvalidArgumentError                 a wrong argument of a method; a ValueError
    +-- StreamConsumedError                  a stream can be read once
    +-- NoMatchingModelError                 no model fits; a ValueError
    +-- BudgetExceededError                  not sent: it may pass the budget's cap
    +-- SchemaNotStrictError                 strict mode cannot express it; a ValueError
    +-- OutputError                          the answer is not the object; a ValueError
    |   +-- OutputInvalidError               does not fit; a pydantic.ValidationError
    |   +-- OutputMissingError               has no text
    |   +-- OutputTruncatedError             was cut off; a pydantic.ValidationError
    |   +-- OutputRefusedError               the model, or a filter, refused
    |   +-- ToolCallInsteadError             the model asks for a tool call
    +-- NoChoicesError                       a response without choices; a ValueError
    +-- NoToolCallsError                     tool calls announced, none made; a ValueError
    +-- UnknownToolError                     a call of an unknown tool; a ValueError
    +-- ToolArgumentsError                   arguments that do not fit; a ValueError
    +-- ToolTimeoutError                     a tool took too long; a TimeoutError
    +-- MaxIterationsExceededError           a tool loop reached its limit
    +-- ToolLoopPausedError                  a tool loop waits for a person; `state`
    +-- TeeError                             confidential compute failed; `report`
        +-- TeeAttestationError              the enclave was refused; nothing was sent
        +-- TeeEncryptionError               an answer unencrypted, or not to be opened

After the semicolon stands what else the class is: `except ValueError` catches a ValueError. Every `APIError` carries
`status_code`, `counts_as`, `code`, `request_id`, `body`, `meta`, `retry_after_seconds` and `partial`; each may be None.
This package writes no prompt and no key into a message; a key of eight characters or more is taken out of Venice's words, too.
A server that repeats the prompt in its error has it in the message.
"""

from __future__ import annotations

from ._tree import *  # noqa: F403  # every class in it

TYPE_CHECKING = False  # pyright: ignore[reportConstantRedefinition]  # the star above brings that of `_tree`
if TYPE_CHECKING:
    from ..types.limits import RateLimitKind as RateLimitKind
    from ._output import OutputInvalidError as OutputInvalidError
    from ._output import OutputTruncatedError as OutputTruncatedError
else:
    # Two are pydantic errors; what is heavy is loaded when it is first needed.
    def __getattr__(name: str) -> object:
        if name == "RateLimitKind":
            from ..types import limits as home
        elif name in {"OutputInvalidError", "OutputTruncatedError"}:
            from . import _output as home
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(home, name)
        return value
