"""The exit codes of the command, and the errors that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .. import exceptions

FAILED_ROWS: Final = 9
EXIT_CODES: Final = {
    0: "all went well",
    1: "any other failure",
    2: "wrong usage, or an invalid request",
    3: "the key is missing, refused, not permitted or out of credit",
    4: "no such model",
    5: "rate limited, or the model is overloaded or offline",
    6: "no connection, or no answer in time",
    7: "the stream broke off before its end",
    8: "the budget is used up",
    FAILED_ROWS: "rows of a batch failed",
    130: "Ctrl-C",
    143: "SIGTERM",
}

# The first that fits counts: a stream that ran out of time is an interrupted stream.
_CODES: Final[tuple[tuple[int, tuple[type[Exception], ...]], ...]] = (
    (8, (exceptions.BudgetExceededError,)),
    (7, (exceptions.StreamInterruptedError,)),
    (6, (exceptions.APIConnectionError, exceptions.GatewayTimeoutError)),
    (5, (exceptions.ServiceUnavailableError, exceptions.RateLimitError)),
    (4, (exceptions.NotFoundError, exceptions.ModelGoneError, exceptions.NoMatchingModelError)),
    (3, (exceptions.AuthenticationError, exceptions.PermissionDeniedError, exceptions.PaymentRequiredError)),
    (2, (exceptions.InvalidRequestError, exceptions.InvalidArgumentError, exceptions.SchemaNotStrictError)),
)


def code_of(kind: type[BaseException]) -> int:
    """The exit code that stands for a kind of error."""
    return next((code for code, known in _CODES if issubclass(kind, known)), 1)


def listed(codes: Mapping[int, str]) -> str:
    """Exit codes as help shows them."""
    return "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in codes.items())
