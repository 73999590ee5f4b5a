"""What errors of aiohttp and of the operating system mean to a caller. Only what the system said stays as the cause."""

from __future__ import annotations

import os
import re

import aiohttp

from .._core.request import Request
from ..exceptions import APIConnectionError
from .transport_errors import begins_tls, broken, host_of, speaks_tls, unreachable, untrusted, without_proxy

_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch, aiohttp.ClientHttpProxyError)


def connection_error(error: Exception, request: Request, *, unsent: bool, connected: bool, proxied: bool) -> APIConnectionError:
    # A proxy may break off while it is asked to connect; then nothing of ours was sent.
    if isinstance(error, _NOT_CONNECTED) or unsent or (proxied and not connected):
        return _not_connected(error, host_of(request.url), proxied=proxied)
    return connection_broke(error, request.url, request.method, proxied=proxied)


def _not_connected(error: Exception, host: str, *, proxied: bool) -> APIConnectionError:
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        failure = untrusted(host, error, "base_url or proxy" if proxied else "base_url")
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        failure = without_proxy(host, error, error.status)
    elif proxied or isinstance(error, aiohttp.ClientProxyConnectionError):
        failure = without_proxy(host, _words(error))
    else:
        failure = unreachable(host, _words(error))
    failure.__cause__ = _system_error(error)
    return failure


def connection_broke(error: Exception, url: str, method: str, *, proxied: bool = False) -> APIConnectionError:
    host = host_of(url)
    came = _CAME.search(error.message) if isinstance(error, aiohttp.ClientResponseError) else None
    if came and begins_tls(bytes.fromhex(came[1] + came[2])):
        return speaks_tls(host)
    failure = broken(host, method, _words(error), proxied=proxied)
    failure.__cause__ = _system_error(error)
    return failure


def _words(error: Exception) -> object:
    """What is said of an error: nothing of aiohttp's insides, which may show a proxy's password, nor of what came."""
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, aiohttp.ClientOSError) and not hasattr(error, "os_error"):
        return os.strerror(error.errno) if error.errno else "it was closed while the request was sent"
    return "it was lost" if isinstance(error, aiohttp.ClientError) and not isinstance(error, OSError) else error


class TornError(aiohttp.ClientPayloadError):
    """The connection ended although the answer had not, and aiohttp did not say why: what came was no HTTP any more."""


_CAME = re.compile(r"""b['"]\\x([0-9a-f]{2})\\x([0-9a-f]{2})""")  # how aiohttp shows the bytes that it does not understand
_WORDS: dict[type[Exception], str] = {
    TornError: "what came is no HTTP any more",
    aiohttp.ServerDisconnectedError: "it was closed without an answer",
    aiohttp.ClientPayloadError: "it ended before the answer did",
    aiohttp.ClientResponseError: "what came is no HTTP",
}


def _system_error(error: Exception) -> OSError | None:
    """What the operating system, or OpenSSL, said. aiohttp's own errors hold what was sent."""
    for found in (error, getattr(error, "os_error", None), getattr(error, "certificate_error", None), error.__cause__):
        if isinstance(found, OSError) and not isinstance(found, aiohttp.ClientError):
            found.__cause__ = found.__context__ = None
            return found.with_traceback(None)
    return None
