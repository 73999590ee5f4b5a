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
    |   +-- APIResponseProcessingError       not an answer: HTML, nothing, broken JSON
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
each of them `None` if it is not known. We put no prompt into a message, and no key: where Venice's own words repeat a key of
eight letters or more, it is taken out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._reported import PROXY_ASKS_WHO as PROXY_ASKS_WHO
from ._reported import error_for as error_for
from ._reported import may_report as may_report
from ._reported import reported as reported
from ._reported import without_errors as without_errors
from ._tree import *  # noqa: F403  # every class in it

if TYPE_CHECKING:
    from ._output import OutputInvalidError as OutputInvalidError
    from ._output import OutputTruncatedError as OutputTruncatedError
else:
    # They are pydantic errors, and pydantic is loaded when it is first needed.
    def __getattr__(name: str) -> object:
        if name not in {"OutputInvalidError", "OutputTruncatedError"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import _output

        value = globals()[name] = getattr(_output, name)
        return value
