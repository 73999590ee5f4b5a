"""Serves the gateway: on loopback unless another name is allowed, with bounded waits, and to the end of what is under way."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Unpack

from aiohttp import web

from .._client import VeniceClient
from .._core.machine import is_loopback, listening, origin
from ..exceptions import APIError, InvalidRequestError
from ._application import GATEWAY, Gateway, Options, app, refusal

_STOP_SECONDS = 1.0  # for a request that was told to stop, to tell its program so


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that is served."""

    host: str
    port: int
    token: str | None = field(repr=False)  # what programs must give as their API key; None if they need none

    @property
    def url(self) -> str:
        """The base URL of OpenAI's API for a program; it ends in `/v1`."""
        return f"{origin(self.host, self.port)}/v1"


@asynccontextmanager
async def serve(
    client: VeniceClient,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | Literal[True] | None = None,
    drain_seconds: float = 30.0,
    **options: Unpack[Options],
) -> AsyncGenerator[Running]:
    """Serves a gateway until the context ends; the client stays open.

    Args:
        client: what sends everything; see `app`.
        host: the address to listen on; other machines can reach it only if `allow_hosts` names how they call it.
        port: the port; 0 takes a free one.
        token: the token; True makes one, which `running.token` tells.
        drain_seconds: how long requests that are under way at the end are waited for. What is left then breaks off.
        **options: see `Options`; `patience_seconds` is also how long a connection may be idle, and a request's head may take.

    Raises:
        InvalidRequestError: other machines can reach the address, and `allow_hosts` is empty; or there is no such port.
        InvalidArgumentError: another argument is not allowed.
        VeniceError: the port cannot be had.
    """
    if not (is_loopback(host) or options.get("allow_hosts")):
        remedy = "its names there belong in allow_hosts; or take host='127.0.0.1'"
        raise InvalidRequestError(f"host={host!r} can be reached from other machines; {remedy}")
    token = secrets.token_urlsafe(32) if token is True else token
    application = app(client, token=token, **options)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    assert runner.server is not None
    more: dict[str, Any] = {"access_log": None, "auto_decompress": False, "logger": _http_logger}
    more |= {"loop": asyncio.get_running_loop(), "keepalive_timeout": application[GATEWAY].patience}
    accept = partial(_Connection, runner.server, **more)
    try:
        async with listening(accept, host, port, backlog=1_024) as taken:
            yield Running(host, taken, token)
    finally:
        try:
            runner.server.pre_shutdown()  # connections take no further request
            await _drain(application[GATEWAY], drain_seconds)
        finally:
            await runner.cleanup()


class _Connection(web.RequestHandler):
    """A connection of a program. Bytes that are not HTTP are refused in OpenAI's shape, too, and not repeated."""

    __slots__ = ()

    def handle_error(self, *given: Any, **named: Any) -> web.StreamResponse:
        """The refusal of bytes that are not HTTP."""
        status = super().handle_error(*given, **named).status  # which logs it
        reply = refusal(APIError("the request is not valid HTTP, or a header is too long", status_code=status))
        reply.force_close()
        return reply


async def _drain(gateway: Gateway, seconds: float) -> None:
    if gateway.under_way:
        await asyncio.wait([*gateway.under_way], timeout=seconds)
    if left := [*gateway.under_way]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_STOP_SECONDS)


def _without_details(record: logging.LogRecord) -> bool:
    """Takes the error out of a log record about bytes that are not HTTP: it repeats them, and there may be a token in it."""
    record.exc_info = None
    return True


_http_logger = logging.getLogger("venice_ai.gateway.http")
_http_logger.addFilter(_without_details)
