"""The ports of a client, `Transport`, `Clock` and `CallGate`; and its default transport, to put code of the caller's around it.

A `Transport` sends a `Request` and gives a `Reply`; a `Clock` is what waits are slept on. A client takes any object with these
methods as its `transport` or `clock`. To log, count, cache or change requests, write a transport around `http_transport()`,
which is what a client without one uses::

    class Timed:
        def __init__(self, inner: Transport) -> None:
            self.inner = inner

        async def send(self, request: Request) -> Reply:
            started = time.monotonic()
            reply = await self.inner.send(request)
            seconds = time.monotonic() - started
            print(request.method, request.url, reply.status, f"{seconds:.2f} s")
            return reply

        async def aclose(self) -> None:
            await self.inner.aclose()

    client = VeniceClient(transport=Timed(http_transport()))

One `send` is one attempt: the client retries above it. A request holds the key and the prompt; its `repr` shows neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._core.chat_size import ChatSize
from ._core.ports import Attempt, CallGate, Clock, Pass, Reply, Transport
from ._core.request import Request, SystemClock
from ._core.settings import no_proxy, proxy_address

if TYPE_CHECKING:
    import ssl

__all__ = ["Attempt", "CallGate", "ChatSize", "Clock", "Pass", "Reply", "Request", "SystemClock", "Transport", "http_transport"]


def http_transport(
    *, proxy: str | None = None, trust_env: bool = True, ssl_context: ssl.SSLContext | None = None, ca_bundle: str | None = None
) -> Transport:
    """The transport of a client that is given none: HTTP with aiohttp, connections that are kept, no redirects.

    Args:
        proxy: address of a proxy for every request.
        trust_env: whether proxies are read from the environment.
        ssl_context: for TLS, in place of the system's certificates.
        ca_bundle: path of a file with the certificates to trust, in place of the system's.

    Raises:
        InvalidRequestError: `proxy` is not the address of one.
    """
    from ._http.aiohttp_transport import AiohttpTransport  # aiohttp is half of a program's start
    from ._http.routes import Routes

    address = None if proxy is None else proxy_address(proxy)
    if proxy is not None and address is None:
        raise no_proxy("proxy")
    return AiohttpTransport(Routes(proxy=address, trust_env=trust_env, ssl_context=ssl_context, ca_bundle=ca_bundle))
