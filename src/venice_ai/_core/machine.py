"""This machine: which hosts name it, the sockets that our servers listen on, and its user's cache folder."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from ..exceptions import InvalidRequestError, VeniceError

_LARGEST_PORT = 65_535
_UNAVAILABLE = {errno.EADDRINUSE: "is in use; choose another", errno.EACCES: "is not allowed; choose one above 1023"}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: an address, or `localhost` and names below it (RFC 6761, section 6.3), not looked up."""
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def origin(host: str, port: int) -> str:
    """The address of a server on a host and a port, without a path; from this machine, if it listens on all addresses."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # nosec B104  # not to listen on
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@asynccontextmanager
async def listening(
    accept: Callable[[], asyncio.BaseProtocol], host: str, port: int, *, backlog: int = 128
) -> AsyncGenerator[int]:
    """Accepts connections until the context ends; gives the port. Raises VeniceError if it cannot be had."""
    if not 0 <= port <= _LARGEST_PORT:
        raise InvalidRequestError(f"port={port!r} is not a port; 0 takes a free one, others end at {_LARGEST_PORT}")
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(accept, host, port, backlog=backlog)
    except OSError as error:
        why, hint = f"port {port} on {host} {_UNAVAILABLE.get(error.errno or 0)}", "or port=0 for a free one"
        other = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise VeniceError(f"{why}, {hint}" if error.errno in _UNAVAILABLE else other) from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # A connection that was accepted just now meets a closed server otherwise, and nobody closes it (CPython 3.11, 3.12).
        with suppress(NotImplementedError):  # loops of Windows
            for each in server.sockets:
                loop.remove_reader(each)
        for _ in range(3):  # its task starts, its transport is made, its protocol is told
            await asyncio.sleep(0)
        server.close()


def cache_folder() -> Path | None:
    """The user's folder for files that can be made again; None without platformdirs, which comes with the extras."""
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return None
    return user_cache_path("venice-chat", appauthor=False)
