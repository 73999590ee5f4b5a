"""A pool for each event loop: a session, its connections, and who waits for them.

A session belongs to the event loop it was made on, so each running loop has one, owned by an async generator that is left open:
loops close those when they shut down, and a client that outlives its loop leaves nothing unclosed. Or it is the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from inspect import CORO_CREATED, getcoroutinestate
from typing import Protocol
from weakref import WeakSet

import aiohttp

from .._wire.content_coding import ACCEPTED
from ..exceptions import APIConnectionError, InvalidRequestError
from .aiohttp_connections import ConnectionStates, Connector, SentRequest
from .routes import CLOSED
from .timers import Deadlines

ACCEPT_ENCODING = {"Accept-Encoding": ACCEPTED}
_REST_SECONDS = 0.05


class Reading(Protocol):
    """A reply that is read piece by piece."""

    def abandon(self, why: APIConnectionError) -> None:
        """Drops the connection; whoever reads is told why."""


class Pool:
    """What one event loop has. `owner` is the generator that a session of our own belongs to."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        states: ConnectionStates,
        owner: AsyncGenerator[aiohttp.ClientSession, None] | None = None,
    ) -> None:
        self.session = session
        self.states = states
        self.closed = False
        self.deadlines: Deadlines = Deadlines()
        self.streams: WeakSet[Reading] = WeakSet()
        self._owner = owner

    async def aclose(self) -> None:
        self.closed = True
        # aiohttp tells nobody who waits that the session was closed.
        for limit in list(self.deadlines.limits):
            limit.expire()
        for stream in list(self.streams):
            stream.abandon(APIConnectionError(CLOSED))
        if self._owner is not None:
            await self._owner.aclose()


class Pools(dict[asyncio.AbstractEventLoop, Pool]):
    """The pools of a transport, with sessions of our own or on that of the caller."""

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        super().__init__()
        self._session = session

    async def opened(self, loop: asyncio.AbstractEventLoop) -> Pool:
        """A new pool for the running loop; an InvalidRequestError if the caller's session cannot be used on it."""
        for other in list(self):
            if other.is_closed():
                self.pop(other, None)
        states = ConnectionStates()
        if self._session is None:
            owner = _session_until_loop_ends(states)
            pool = Pool(await anext(owner), states, owner)
        elif self._session.closed:
            raise InvalidRequestError("session=... was closed; make the client with one that is open")
        elif getattr(self._session, "_loop", loop) is not loop:  # the public name for it is deprecated
            raise InvalidRequestError("session=... belongs to another event loop: use the client on the loop of its session")
        else:
            pool = Pool(self._session, states)
        self[loop] = pool
        return pool

    async def aclose(self) -> None:
        """Closes the pools of every loop that runs. Those of closed loops went with them; a loop that rests closes its own."""
        for loop, pool in list(self.items()):  # other threads may be adding theirs
            if loop.is_running() or loop.is_closed():
                self.pop(loop, None)
            if loop is asyncio.get_running_loop():
                await pool.aclose()
            elif loop.is_running():
                await _close_elsewhere(loop, pool)


async def _session_until_loop_ends(states: ConnectionStates) -> AsyncGenerator[aiohttp.ClientSession, None]:
    async with aiohttp.ClientSession(
        connector=Connector(states), request_class=SentRequest, cookie_jar=aiohttp.DummyCookieJar(), headers=ACCEPT_ENCODING
    ) as session:
        try:
            yield session
        finally:
            states.closed = True


async def _close_elsewhere(loop: asyncio.AbstractEventLoop, pool: Pool) -> None:
    """Closes a pool on its own loop, in another thread, unless that loop comes to rest: then it closes its own."""
    closing = pool.aclose()
    try:
        told = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(closing, loop))
    except RuntimeError:  # it was closed just now
        told = None
    while told is not None and not told.done() and loop.is_running():
        await asyncio.wait([told], timeout=_REST_SECONDS)
    if getcoroutinestate(closing) == CORO_CREATED:
        closing.close()
    if told is not None and told.done() and not told.cancelled():
        told.result()
