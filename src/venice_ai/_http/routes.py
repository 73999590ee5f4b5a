"""Connections, for both transports: proxies, TLS, and how long a connection is kept."""

from __future__ import annotations

import re
import select
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from .._core.first_use import made_once
from .._core.machine import is_loopback
from .._core.settings import no_proxy, proxy_address
from ..exceptions import InvalidRequestError
from ..types.response_meta import Headers
from .transport_errors import words

KEEP_ALIVE_SECONDS: Final = 4.0
"""How long a connection that nobody uses is kept if its server does not say: Node and uvicorn close theirs after 5 s."""
LONGEST_KEEP_ALIVE_SECONDS: Final = 60.0  # how long one is kept at most, whatever its server says
_MARGIN_SECONDS: Final = 1.0  # for the way there and back, and a server's coarse timer
_PROOF_SECONDS: Final = 0.05  # a server that closes after each reply has done so by then
MOST_ROUTES: Final = 100
CLOSED: Final = "the client was closed"
_SIMPLE: Final = re.compile(r"https?://[a-z0-9.-]*[a-z0-9](:(?!80/|443/)[1-9][0-9]*)?(/[A-Za-z0-9._~@:!$&'()*+,;=-]+)+")


def keep_alive_seconds(headers: Headers) -> float:
    """How long a reply's connection may be kept for the next request: what `Keep-Alive: timeout` says, less a margin."""
    for each in (headers.get("keep-alive") or "").split(","):
        name, _, value = each.partition("=")
        if name.strip().lower() == "timeout" and value.strip(' "').isdecimal():
            return min(max(int(value.strip(' "')) - _MARGIN_SECONDS, 0.0), LONGEST_KEEP_ALIVE_SECONDS)
    return KEEP_ALIVE_SECONDS


class Habits:
    """Which servers keep their connections open, by their places. Some close each after its reply without saying so.

    Until that is known, a connection waits a moment after its first reply: its end comes, or it serves again, and that tells.
    """

    def __init__(self) -> None:
        self._keeps: dict[object, bool] = {}

    def wait(self, place: object, served: int, rested: float) -> float | None:
        """Seconds to wait before a connection serves again, on which so many replies came; None if it had better not."""
        keeps = served > 1 or rested >= _PROOF_SECONDS or self._keeps.get(place)
        return _PROOF_SECONDS - rested if keeps is None else (0.0 if keeps else None)

    def learn(self, place: object, *, keeps: bool) -> None:
        """A connection was closed while it was waited for, or a second reply came on it."""
        if len(self._keeps) > MOST_ROUTES:
            self._keeps.clear()
        self._keeps[place] = keeps


def reader_of(sock: Any) -> Callable[[], object]:
    """A function that tells whether a socket can be read: bytes are there, or the other end has closed the connection."""
    if not hasattr(select, "poll"):
        return lambda: select.select([sock], [], [], 0)[0]
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return partial(poll.poll, 0)


class Route(NamedTuple):
    address: SplitResult
    proxy: str | None
    tls: ssl.SSLContext | None


@dataclass(kw_only=True, eq=False, repr=False)
class Routes:
    """Finds the routes of addresses. Few addresses, many calls: transports keep what it found."""

    proxy: str | None = None
    trust_env: bool = True
    ssl_context: ssl.SSLContext | None = None
    ca_bundle: str | None = None

    def find(self, url: str) -> Route:
        """An address parsed, its proxy (the caller's, else the environment's), and its TLS context, if it needs one."""
        parts = urlsplit(_encoded(url))
        proxy = _environment_proxy(parts) if self.proxy is None and self.trust_env else self.proxy
        secure = parts.scheme == "https" or (proxy or "").startswith("https:")
        return Route(parts, proxy, self._tls if secure else None)

    @made_once
    def _tls(self) -> ssl.SSLContext:
        """The caller's context, or one that trusts a bundle, or what the operating system trusts."""
        if self.ssl_context is not None:
            return self.ssl_context
        if self.ca_bundle is None:
            import truststore

            return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            return ssl.create_default_context(cafile=self.ca_bundle)
        except (ssl.SSLError, OSError) as error:
            why = f"ca_bundle={self.ca_bundle!r} holds no certificates that can be read: {words(error)}"
            raise InvalidRequestError(why) from None


def _encoded(url: str) -> str:
    """The address as it is sent: percent-encoded, the host in ASCII, without the port that goes without saying."""
    if _SIMPLE.fullmatch(url) and "/." not in url:
        return url
    from yarl import URL  # whatever is not simple is encoded as aiohttp does it

    return str(URL(url))


def _environment_proxy(address: SplitResult) -> str | None:
    """The proxy that the environment wants for an address. What is for this machine does not leave it."""
    if is_loopback(address.hostname or ""):
        return None
    port = address.port or (443 if address.scheme == "https" else 80)
    if proxy_bypass(f"{address.hostname}:{port}"):  # it compares with and without the port
        return None
    proxies = getproxies()
    named = next((name for name in (address.scheme, "all") if proxies.get(name)), None)
    found = None if named is None else proxy_address(proxies[named])
    if named is not None and found is None:
        del proxies  # a traceback may show them
        raise no_proxy(f"{named.upper()}_PROXY")
    return found
