"""The errors for connections that fail and for time limits that ran out, with what to do about each, for both transports."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from .._core.request import Request
from .._wire.content_coding import BodyTooLargeError
from ..exceptions import APIConnectionError, APIResponseProcessingError, APITimeoutError, ConnectError
from ..exceptions._reported import PROXY_ASKS_WHO

# tinyproxy answers 401 to a wrong password, and 403 to an address or a port that it does not let through.
_REFUSED_BY_PROXY: Final = frozenset({401, 403, 405, 407})
_PROXY_REMEDY: Final = "Check proxy=... or the *_PROXY variables."
_permanent: Final = partial(ConnectError, permanent=True)
_PLAIN: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})  # what OpenSSL calls bytes that are not TLS


def host_of(url: str) -> str:
    """The host of an address with its port, without a user."""
    return urlsplit(url).netloc.rpartition("@")[2]


def unreachable(host: str, error: Any) -> ConnectError:
    return ConnectError(f"cannot connect to {host}: {words(error)}. Is base_url right, and does the server run?")


def untrusted(host: str, error: Any, setting: str = "base_url") -> ConnectError:
    """The error for a TLS connection that did not come about. `setting` is where the address comes from."""
    reason = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if getattr(reason, "reason", None) in _PLAIN:
        return _permanent(f"no TLS connection to {host}: it speaks plain http. If that is meant, set {setting} to http://...")
    # A connection that broke off during the handshake says nothing about what either side trusts.
    kind = ConnectError if isinstance(reason, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) else _permanent
    return kind(
        f"no trusted TLS connection to {host}: {words(error)}. If your network has an authority of its own, add "
        "it to the operating system's trust store or pass ca_bundle=..."
    )


def speaks_tls(host: str) -> ConnectError:
    return _permanent(f"{host} speaks TLS, and was asked in plain http: set base_url to https://...")


def begins_tls(data: bytes) -> bool:
    """Whether this, in place of the first bytes of a reply, is an alert or a handshake of TLS (RFC 8446, section 5.1)."""
    return data[:2] in {b"\x15\x03", b"\x16\x03"}


def without_proxy(host: str, error: Any, status: int | None = None) -> ConnectError:
    if status is not None:
        kind = _permanent if status in _REFUSED_BY_PROXY else ConnectError
        remedy = PROXY_ASKS_WHO if status in {401, 407} else _PROXY_REMEDY
        return kind(f"the proxy did not connect to {host}, it answered {status}. {remedy}")
    return ConnectError(f"no connection to the proxy for {host}: {words(error)}. {_PROXY_REMEDY}")


def broken(host: str, method: str, error: Any, *, proxied: bool = False) -> APIConnectionError:
    through = " through the proxy" if proxied else ""
    billed = " The call may have been billed." if method == "POST" else ""
    return APIConnectionError(f"the connection to {host}{through} broke: {words(error)}.{billed}")


def too_large(status: int, error: BodyTooLargeError) -> APIResponseProcessingError:
    return APIResponseProcessingError(
        f"Venice answered {status}, but {error}. The call may have been billed. {APIResponseProcessingError.remedy}",
        status_code=status,
        body=vars(error).pop("beginning").decode("utf-8", "replace"),  # where that error is the context, it shows nothing
    )


def words(error: Any) -> str:
    """The message of an error, without the numbers and objects around it."""
    reason = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    text = str(getattr(reason, "strerror", None) or reason) or type(error).__name__
    # asyncio puts its own words, and an address, in place of the system's.
    return os.strerror(reason.errno) if text.startswith("Connect call failed") else text


# -- time limits ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def within(clock: str, seconds: float | None, *, left: float | None = None) -> AsyncGenerator[None, None]:
    """Raises an APITimeoutError after so many seconds, of which `left` are left of this clock; None is not a bound."""
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


def late(request: Request, clock: str, kind: type[APITimeoutError] = APITimeoutError) -> APITimeoutError:
    """The error for a clock that ran out. It tells what was set, and not what earlier attempts had left of a deadline."""
    seconds: float = getattr(request.timeout, clock) or request.deadline_seconds or 0
    return timed_out(clock, seconds, kind, long_answer=not request.stream and clock != "connect")


def timed_out(
    clock: str, seconds: float, kind: type[APITimeoutError] = APITimeoutError, *, long_answer: bool = False
) -> APITimeoutError:
    """The error for a clock that ran out; `long_answer`: perhaps because a whole answer was waited for."""
    name = "idle" if clock == "plain" else clock
    remedy = "; long answers do better with client.chat.completions.stream(...)" if long_answer else ""
    return kind(
        f"{_WHAT[clock]} within {seconds:g} s (the {name!r} clock). Allow more with timeout=Timeout({name}=...), here or on "
        f"the client{remedy}.",
        clock=name,
    )
