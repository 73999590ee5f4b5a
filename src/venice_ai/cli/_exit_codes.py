"""The exit codes of the command, and the errors that they stand for."""

from __future__ import annotations

from typing import Final

from .. import exceptions

EXIT_CODES: Final = {
    0: "all went well",
    1: "any other failure",
    2: "wrong usage, or an invalid request",
    3: "the key is missing, refused, not permitted or out of credit",
    4: "no such model",
    5: "rate limited, or the model is overloaded or offline",
    6: "no connection, or no answer in time",
    7: "the stream broke off before its end",
    130: "Ctrl-C",
    143: "SIGTERM",
}

# The first that fits counts: a stream that ran out of time is an interrupted stream.
_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (exceptions.StreamInterruptedError, 7),
    (exceptions.APIConnectionError, 6),
    (exceptions.GatewayTimeoutError, 6),
    (exceptions.ServiceUnavailableError, 5),
    (exceptions.RateLimitError, 5),
    (exceptions.NotFoundError, 4),
    (exceptions.ModelGoneError, 4),
    (exceptions.NoMatchingModelError, 4),
    (exceptions.AuthenticationError, 3),
    (exceptions.PermissionDeniedError, 3),
    (exceptions.PaymentRequiredError, 3),
    (exceptions.InvalidRequestError, 2),
    (exceptions.InvalidArgumentError, 2),
)


def exit_code(error: Exception) -> int:
    """The exit code that stands for an error."""
    return code_of(type(error))


def code_of(kind: type[Exception]) -> int:
    """The exit code that stands for a kind of error."""
    return next((code for known, code in _CODES if issubclass(kind, known)), 1)
