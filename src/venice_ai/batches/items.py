"""The items that a batch yields, one for each request, and the progress that it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple

from typing_extensions import TypeVar

from .. import exceptions
from ..types.api.chat import ChatCompletionResponse

ParsedT = TypeVar("ParsedT", default=Any)
OF_THE_ACCOUNT: Final = exceptions.AuthenticationError, exceptions.PaymentRequiredError, exceptions.PermissionDeniedError
"""What every other request would meet, too, and says nothing about this one."""
OF_THE_MODEL: Final = exceptions.NotFoundError, exceptions.ModelGoneError, exceptions.NoMatchingModelError
"""What every other request to the same model would meet."""


def is_for_good(error: BaseException, attempts: int) -> bool:
    """Whether a request is set aside: not if it was never sent, or account or model forbid it, for it is not to blame."""
    innocent = isinstance(error, (*OF_THE_ACCOUNT, *OF_THE_MODEL)) or not isinstance(error, Exception)
    return not (innocent or getattr(error, "unsent", False)) and (attempts > 0 or isinstance(error, (ValueError, TypeError)))


@dataclass(frozen=True)  # with slots, BatchItem[Any](...) would be a TypeError before Python 3.12
class BatchItem(Generic[ParsedT]):
    """The outcome of one request of `batch_iter`: a response or an error."""

    index: int
    """Its place among the requests, from 0."""
    custom_id: str | None = None
    """The id that the request was given."""
    request: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """The request, as it was when it was taken from the iterable."""
    response: ChatCompletionResponse | None = None
    """The answer; of a tool loop, the last one. None if there is an error."""
    error: BaseException | None = None
    """What went wrong; None if there is a response."""
    parsed: ParsedT | None = None
    """With `response_format`, the object in the answer."""
    attempts: int = 0
    """How often something was sent for it: with retries, re-asks and the round trips of a tool loop."""
    cost_usd: float | None = None
    """What all of that cost in US dollars: as the server said, else by usage and the catalogue; None if neither is known."""
    replayed: bool = False
    """Whether it came from the journal. What it cost was paid when it was answered first, so it is not to be added again."""
    maybe_billed_before: bool = False
    """Whether it may have been billed without an answer that was kept: by a killed run, or its failure does not tell."""
    kept: bool = False
    """Whether it is in the journal. False without one, and for what came after the journal could not be written any more."""


class BatchProgress(NamedTuple):
    """How far a batch is. Rates and the time to go follow from it: `done / elapsed_seconds` and so on."""

    done: int
    """Requests of which something came: an answer, or an error; also what came from the journal."""
    failed: int
    """How many of them failed."""
    replayed: int
    """How many of them came from the journal."""
    in_flight: int
    """Requests that were begun and of which nothing came yet."""
    total: int | None
    """How many requests there are; None if that is not known."""
    cost_usd: float
    """What this run cost in US dollars, as far as that is known; what came from the journal had been paid before."""
    elapsed_seconds: float
    """Seconds since it began."""
    max_concurrency: int
    """How many requests may be under way at once now."""
