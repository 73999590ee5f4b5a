"""The types of `client.limits.snapshot()` and `on_wait=`: known limits, calls that wait for them; and what a 429 is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

RateLimitKind: TypeAlias = Literal["requests", "tokens", "failures", "overloaded", "concurrency", "unknown"]
"""What ran out, of a `RateLimitError`."""


@dataclass(frozen=True)
class BucketSnapshot:
    """The known limits of one bucket: an API key, a base URL and a model. Times are seconds from now; None: not known."""

    in_flight: int
    """Requests that were sent and have not ended."""
    limit_requests: float | None
    """Requests that are allowed a minute: as a header said, or as refusals have shown."""
    remaining_requests: float | None
    """Requests that may be sent now."""
    reset_requests_seconds: float | None
    """When the server counts requests anew."""
    limit_tokens: float | None
    """Tokens that are allowed a minute."""
    remaining_tokens: float | None
    """Tokens that may be used now."""
    reset_tokens_seconds: float | None
    """When the server counts tokens anew."""
    learned: bool
    """Whether own requests are counted, under the named limit or one that refusals showed, as headers are missing or wrong."""
    paused_seconds: float
    """For how long all requests are held, because the server refused one or failed; 0 if they are not."""
    why: str
    """What holds them, such as `paused by a 429`; empty if nothing does."""
    limit_requests_day: float | None
    """Requests that are allowed a day, which ends at midnight, universal time; known after `client.limits.refresh()`."""
    remaining_requests_day: float | None
    """Requests that may be sent until then, by what this process has sent."""
    limit_tokens_day: float | None
    """Tokens that are allowed a day."""
    remaining_tokens_day: float | None
    """Tokens that may be used until then."""


class WaitNotice(NamedTuple):
    """A call that waits in the queue, as `on_wait` gets it."""

    model: str
    """The model that is asked for; empty for requests other than chats."""
    why: str
    """What is waited for, such as `requests a minute`, `paused by a 429`, `failures` or `circuit open`."""
    seconds: float | None
    """How long it will be, at least; None if that is up to requests in flight."""


@dataclass(frozen=True)
class ModelLimits:
    """The known limits of one model, and the calls that wait for them."""

    model: str
    """The model; empty for requests other than chats."""
    limits: BucketSnapshot
    """Its limits of requests and tokens."""
    circuit: str
    """The circuit breaker: `closed`, or `open` while the server is left alone because most requests failed."""
    waiting: int
    """How many calls wait."""
    why: str
    """What the first of them waits for; empty if nobody waits."""
    waiting_since_seconds: float | None
    """How long the first of them has waited."""
    until_seconds: float | None
    """When the first of them is let through, in seconds from now; None if nobody waits, or it is up to requests in flight."""


@dataclass(frozen=True)
class LimitsSnapshot:
    """The known limits of an API key at a base URL."""

    failures: int
    """Requests that were answered with an error in the last 30 s, with whatever status; once it is 20, nothing is sent."""
    models: tuple[ModelLimits, ...]
    """Every model that was asked."""
