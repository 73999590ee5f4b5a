"""`no_network`: whatever would leave this machine fails the test that does it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from .._core.machine import is_loopback

# Which argument names the other machine: https://docs.python.org/3/library/audit_events.html
_SECOND = {f"socket.{name}": 1 for name in ("connect", "sendto", "sendmsg")}
_PLACES = _SECOND | {f"socket.{name}": 0 for name in ("getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo")}
_guards: list[list[AssertionError]] = []
_listen = cache(sys.addaudithook)  # once, for there is no way to remove one


@contextmanager
def no_network() -> Generator[None]:
    """Lets all that would reach another machine raise an AssertionError, in this process and until the context ends.

    If the program swallowed it, it is raised once more at the end.
    """
    _listen(_judge)
    refused: list[AssertionError] = []
    _guards.append(refused)
    try:
        yield
    finally:
        _guards[:] = (each for each in _guards if each is not refused)
    if refused:
        raise refused[0]


def _judge(event: str, arguments: tuple[Any, ...]) -> None:
    if _guards and (place := _PLACES.get(event)) is not None:
        address = arguments[place]
        host: object = cast("tuple[object, ...]", address)[0] if isinstance(address, tuple) else None if place else address
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "localhost")  # none: a file's path
        if not is_loopback(name):
            refusal = f"{name:.100} is not on this machine, and `no_network` forbids to reach it ({event})"
            for refused in _guards:
                refused.append(AssertionError(refusal))
            raise AssertionError(refusal)
