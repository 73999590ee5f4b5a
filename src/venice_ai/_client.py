"""`VeniceClient`: settings in, resources out, lifetime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self

from ._core.first_use import load, made_once
from ._core.ports import KEY_HEADERS, SECRET_HEADERS, Request
from ._core.privacy import Privacy, check_privacy, refuse_below
from ._core.settings import (
    DEFAULT_TIMEOUT,
    KEY_VARIABLE,
    Timeout,
    check_headers,
    no_proxy,
    proxy_address,
    resolve_base_url,
    resolve_key,
    timeout_for,
)
from ._version import __version__
from .exceptions import AuthenticationError, InvalidRequestError, VeniceError

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from ._core.ports import Clock, Transport
    from ._http.caller import Caller
    from ._wire.notices import Notices
    from .resources.chat import Chat
    from .resources.models import Models
    from .resources.tee import Tee
    from .tee.types import TeeOptions


class VeniceClient:
    """A client of Venice's Chat Completions API.

    Making one costs next to nothing and never touches the network; what is heavy is imported when the first request is
    sent. Close it with `close()` or `async with`. It may be used from several event loops, also one after the other.

    Args:
        api_key: the key; else the variable `VENICE_API_KEY`. Without one, `models` works, and chats raise.
        base_url: root of the API; else the variable `VENICE_BASE_URL`; else `https://api.venice.ai/api/v1`.
        timeout: seconds, or the five clocks. A number is the deadline of plain calls, each answer of which must also come
            within 300 s (`Timeout(idle=...)` sets that); of streams it limits the wait for the first chunk, between bytes and
            between pieces of content.
        max_retries: how often a failed request is sent again, from 0, where that is safe.
        retry_timeouts: also send again what ran out of time, here or at a gateway (504), or lost its connection, and may have
            been billed.
        headers: HTTP headers for every request.
        proxy: address of an HTTP proxy; else the environment's, if `trust_env`.
        trust_env: heed `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
        ssl_context: the TLS context to use; else one with the operating system's trust store.
        ca_bundle: path of a file with certificates to trust instead of the operating system's.
        session: an `aiohttp.ClientSession` to send through. Its pool, resolver, TLS, keep-alive, proxy, cookies and headers
            count; redirects, `raise_for_status`, time limits and decompression are this client's. It is used on its own event
            loop alone, and stays open when the client is closed. The asynchronous client alone takes one.
        transport: what sends the requests, in place of HTTP; then the settings of HTTP have no effect.
        clock: what waits are slept on, in place of the system's clock.
        tee: what to demand of enclaves, in every call. The options of a call may demand more, never less.
        min_privacy: `"e2ee"` lets only end-to-end encrypted chats leave; `"tee"` also chats in clear with models whose enclave
            was attested. Anything weaker raises, whatever it is part of.

    Raises:
        InvalidRequestError: an argument is not allowed.
        AuthenticationError: the key holds characters that a header cannot carry.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int = 2,
        retry_timeouts: bool = False,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        ssl_context: ssl.SSLContext | None = None,
        ca_bundle: str | None = None,
        session: aiohttp.ClientSession | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        tee: TeeOptions | None = None,
        min_privacy: Privacy | None = None,
    ) -> None:
        # First what is secret, and then without its names: a traceback may show those.
        self._api_key, wrong_key = _resolved_key(api_key)
        address = None if proxy is None else proxy_address(proxy)
        problem = wrong_key or (no_proxy("proxy") if proxy is not None and address is None else None)
        self._http: dict[str, Any] = {
            "proxy": address,
            "trust_env": trust_env,
            "ssl_context": ssl_context,
            "ca_bundle": ca_bundle,
        }
        self._headers = check_headers(headers)
        del api_key, proxy, address, headers
        if problem is not None:
            raise problem
        if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
            raise InvalidRequestError(f"max_retries={max_retries!r} must be a whole number from 0")
        self.base_url: str = resolve_base_url(base_url)
        """Root of the API, without a trailing slash."""
        self._timeouts = (
            timeout_for(timeout, DEFAULT_TIMEOUT, stream=False),
            timeout_for(timeout, DEFAULT_TIMEOUT, stream=True),
        )
        self._max_retries = max_retries
        self._retry_timeouts = retry_timeouts
        self._session = session
        self._transport = transport
        self._clock = clock
        self._closed = False
        self.tee_options: TeeOptions | None = tee
        """What every call demands of enclaves."""
        self.min_privacy: Privacy | None = check_privacy(min_privacy)
        """The least privacy a request must have to leave."""
        self._hooks_in_threads: bool = False
        """Whether plain hooks of tool loops run in threads, because the event loop is not the caller's."""
        _check_tls(ssl_context, ca_bundle)
        if session is not None:
            _check_session(session, [name for name in ("proxy", "ssl_context", "ca_bundle") if self._http[name] is not None])
        _check_methods("transport", transport, "send", "aclose")
        _check_methods("clock", clock, "now", "time", "sleep")
        for name, switch in (("retry_timeouts", retry_timeouts), ("trust_env", trust_env)):
            if not isinstance(switch, bool):
                raise InvalidRequestError(f"{name}={switch!r} must be True or False")
        if tee is not None:
            _check_tee(tee, self.min_privacy)

    @made_once
    def chat(self) -> Chat:
        """Chats: `client.chat.completions`."""
        load(".resources.chat")
        from .resources.chat import Chat

        return Chat(self)

    @made_once
    def models(self) -> Models:
        """The catalogue of models."""
        load(".resources.models")
        from .resources.models import Models

        return Models(self)

    @made_once
    def tee(self) -> Tee:
        """Attestations and signatures of enclaves.

        Raises:
            ImportError: the extra `e2ee` is not installed.
        """
        from .tee.extra import require_extra

        require_extra()
        load(".resources.tee")
        from .resources.tee import Tee

        return Tee(self)

    @made_once
    def caller(self) -> Caller:
        """What sends requests and tries them again."""
        load("._http.caller", *([] if self._transport else ["._http.aiohttp_transport", "encodings.idna"]))
        from ._core.ports import SystemClock
        from ._http.caller import Caller
        from ._http.retry import RetryPolicy

        policy = RetryPolicy(retries=self._max_retries, retry_timeouts=self._retry_timeouts)
        return Caller(self._transport or self._http_transport(), self._clock or SystemClock(), policy)

    @made_once
    def notices(self) -> Notices:
        """What is told once beside answers."""
        from ._wire.notices import Notices

        return Notices()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        stream: bool = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        needs_key: bool = False,
        anonymous: bool = False,
        privacy: Privacy | None = None,
    ) -> Request:
        """A request to this API, with this client's headers and clocks.

        With `anonymous`, nothing that stands for the account is in it. `privacy` is how private the prompt in it is.

        Raises:
            AuthenticationError: it needs a key and there is none.
            InvalidRequestError: a header or a time limit is not allowed, or it is not private enough to leave.
            VeniceError: the client was closed.
        """
        if self._closed:
            raise VeniceError("this client was closed; make a new one, or enter it again with `async with`")
        if self.min_privacy is not None and method != "GET":
            refuse_below(self.min_privacy, privacy)
        limits = self._timeouts[stream] if timeout is None else self.clocks(timeout, stream=stream)
        more = check_headers(extra_headers) if extra_headers else None
        # From here on a local name may hold a key: nothing is raised but that there is none, for a traceback shows such names.
        headers = dict(self._base_headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        if stream:
            headers["Accept"] = "text/event-stream"
        if more:
            headers = _merged(headers, more)
        if anonymous:
            headers = {name: value for name, value in headers.items() if name.lower() not in SECRET_HEADERS}
        elif needs_key and self._api_key is None and not KEY_HEADERS.intersection(map(str.lower, headers)):
            raise AuthenticationError(
                f"no API key: pass api_key=... or set {KEY_VARIABLE} (keys are made at https://venice.ai/settings/api)"
            )
        return Request(method, self.base_url + path, headers=headers, body=body, timeout=limits, stream=stream)

    def clocks(self, timeout: float | Timeout | None, *, stream: bool) -> Timeout:
        """The time limits of a call.

        Raises:
            InvalidRequestError: `timeout` is none.
        """
        return timeout_for(timeout, self._timeouts[stream], stream=stream)

    @made_once
    def _base_headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": f"venice-chat/{__version__}"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return _merged(headers, self._headers)

    def _http_transport(self) -> Transport:
        from ._http.aiohttp_transport import AiohttpTransport
        from ._http.routes import Routes

        settings: dict[str, Any] = self._http
        return AiohttpTransport(Routes(**settings), self._session)

    @property
    def _knows_server(self) -> bool:
        """Whether its TLS verifies whose server answers."""
        context: ssl.SSLContext | None = self._http["ssl_context"]  # type: ignore[assignment]  # the names of `Routes`
        if context is None:
            return True
        return context.check_hostname and context.verify_mode != 0  # ssl.CERT_NONE, without the import

    @property
    def closed(self) -> bool:
        """Whether it was closed, and not entered again."""
        return self._closed

    async def close(self) -> None:
        """Closes every connection, and forgets which enclaves were verified. May be called often."""
        self._closed = True
        if "tee" in self.__dict__:
            self.tee.forget_all()
        if "caller" in self.__dict__:
            await self.caller.close()

    async def __aenter__(self) -> Self:
        self._closed = False
        if "caller" in self.__dict__:
            self.caller.closed = False
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds a key and connections, and cannot be pickled; make one where it is needed")

    def __repr__(self) -> str:
        if "_closed" not in vars(self):
            return "<VeniceClient that was not made>"  # its settings were refused, and a debugger shows it
        key = "with a key" if self._api_key else "without a key"
        return f"<VeniceClient of {self.base_url} {key}{', closed' if self._closed else ''}>"


def _merged(headers: dict[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Headers in which the others win, whatever the case of their names."""
    names = {name.lower() for name in others}
    return {name: value for name, value in headers.items() if name.lower() not in names} | dict(others)


def _check_tee(options: object, floor: Privacy | None) -> None:
    from .tee.stricter import check_floor
    from .tee.types import TeeOptions

    if not isinstance(options, TeeOptions):
        raise InvalidRequestError(f"tee={options!r} must be a TeeOptions")
    check_floor(floor, options)


def _resolved_key(argument: str | None) -> tuple[str | None, AuthenticationError | None]:
    """The key, or what is wrong with it: an error that was not raised where names hold it."""
    try:
        return resolve_key(argument), None
    except AuthenticationError as error:
        return None, error.with_traceback(None)


def _check_session(session: object, others: list[str]) -> None:
    if not all(hasattr(session, name) for name in ("request", "connector", "closed")):  # importing aiohttp would take too long
        raise InvalidRequestError(f"session={session!r} must be an aiohttp.ClientSession")
    if others:
        raise InvalidRequestError(f"session and {others[0]} cannot both be given: it is the session's own matter")


def _check_methods(name: str, port: object, *methods: str) -> None:
    if port is not None and not all(hasattr(port, method) for method in methods):
        raise InvalidRequestError(f"{name}={port!r} must have the methods {', '.join(methods)}")


def _check_tls(ssl_context: ssl.SSLContext | None, ca_bundle: str | None) -> None:
    if ssl_context is not None:
        from ssl import SSLContext

        if not isinstance(ssl_context, SSLContext):
            raise InvalidRequestError(f"ssl_context={ssl_context!r} must be an ssl.SSLContext")
        if ca_bundle is not None:
            raise InvalidRequestError("ssl_context and ca_bundle cannot both be given: load the bundle into the context")
    if ca_bundle is not None:
        import os

        if not isinstance(ca_bundle, (str, os.PathLike)) or not os.path.isfile(ca_bundle):  # noqa: PTH113  # pathlib is not worth its start-up here
            raise InvalidRequestError(f"ca_bundle={ca_bundle!r} is not a file")
