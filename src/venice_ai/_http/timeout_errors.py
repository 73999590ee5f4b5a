"""The errors for time limits that ran out: which clock it was, and how to allow more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .._core.request import Request
from .._core.settings import Timeout
from ..exceptions import APITimeoutError


@asynccontextmanager
async def within(clock: str, seconds: float | None, *, left: float | None = None) -> AsyncGenerator[None, None]:
    """Raises an APITimeoutError after so many seconds, of which `left` are left of this clock; None is no bound."""
    limit = asyncio.timeout(seconds if left is None else left)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise timed_out(clock, seconds or 0) from None


_WHAT = {
    "connect": "no connection was made",
    "first_chunk": "the stream did not begin",
    "idle": "nothing arrived",
    "plain": "the answer was not complete",
    "progress": "no content arrived",
    "deadline": "the call did not finish",
}


def ran_out(
    limits: Timeout, left: float | None, clock: str, kind: type[APITimeoutError] = APITimeoutError, *, streamed: bool
) -> APITimeoutError:
    """The error for a clock that ran out. It tells what was set, and not what earlier attempts had `left` of a deadline."""
    seconds: float | None = getattr(limits, clock)
    return timed_out(clock, seconds or left or 0, kind, long_answer=not streamed and clock != "connect")


def late(request: Request, clock: str, kind: type[APITimeoutError] = APITimeoutError) -> APITimeoutError:
    return ran_out(request.timeout, request.deadline_seconds, clock, kind, streamed=request.stream)


def timed_out(
    clock: str, seconds: float, kind: type[APITimeoutError] = APITimeoutError, *, long_answer: bool = False
) -> APITimeoutError:
    """The error for a clock that ran out; `long_answer`: perhaps because a whole answer was waited for."""
    name = "idle" if clock == "plain" else clock
    remedy = "; long answers do better with client.chat.completions.stream(...)" if long_answer else ""
    error = kind(
        f"{_WHAT[clock]} within {seconds:g} s (the {name!r} clock). Allow more with timeout=Timeout({name}=...), here or on "
        f"the client{remedy}."
    )
    error.clock = name
    return error
