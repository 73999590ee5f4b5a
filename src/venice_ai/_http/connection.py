"""What every part of the API needs of the client: its settings, requests made with them, and what sends those.

`VeniceClient` is a `Connection` with the parts of the API on it. Those (`resources/`) and streams know this class alone, so
that nothing is imported in a circle. One that needs another asks for `connection.resource(Models)`: that is `client.models`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from .._core.first_use import load, made_once
from .._core.privacy import Privacy, check_privacy
from .._core.settings import Timeout, check_headers, no_proxy, proxy_address, resolve_base_url, resolve_key, timeout_for
from ..exceptions import AuthenticationError, InvalidRequestError
from .request_builder import RequestBuilder
from .retry import RetryPolicy

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from .._core.ports import CallGate, Clock, Transport
    from .._core.token_counts import TokenCounts
    from .._limits.budget import Budget
    from .._limits.limiter import Limiter
    from .._limits.rate_share import RateShare
    from .._limits.snapshot import WaitNotice
    from .._wire.notices import Notices
    from ..tee.types import TeeOptions
    from ..types.api.models import ModelResponse
    from .caller import Caller

ResourceT = TypeVar("ResourceT")


class Connection(RequestBuilder):
    """Settings of a client, checked, and what is made of them once. The arguments are those of `VeniceClient`."""

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
        budget: Budget | None = None,
        fallback_models: Sequence[str] | None = None,
        preflight: bool = False,
        limits: bool = True,
        fail_fast: bool = False,
        on_wait: Callable[[WaitNotice], object] | None = None,
        rate_share: RateShare | None = None,
    ) -> None:
        # First what is secret, and then without its names: a traceback may show those.
        self._api_key, wrong_key = _resolved_key(api_key)
        address = None if proxy is None else proxy_address(proxy)
        problem = wrong_key or (no_proxy("proxy") if proxy is not None and address is None else None)
        tls = {"ssl_context": ssl_context, "ca_bundle": ca_bundle}
        self._http: dict[str, Any] = {"proxy": address, "trust_env": trust_env, **tls}
        self._headers = check_headers(headers)
        del api_key, proxy, address, headers
        if problem is not None:
            raise problem
        if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
            raise InvalidRequestError(f"max_retries={max_retries!r} must be a whole number from 0")
        self.base_url: str = resolve_base_url(base_url)
        """Root of the API, without a trailing slash."""
        self._timeouts = [timeout_for(timeout, stream=stream) for stream in (False, True)]
        self._retries = RetryPolicy(retries=max_retries, retry_timeouts=retry_timeouts)
        self._session, self._transport, self._clock = session, transport, clock
        self._limited = limits
        self._limiting: dict[str, Any] = {"on_wait": on_wait, "fail_fast": fail_fast, "share": rate_share}
        self._closed = False
        self.tee_options: TeeOptions | None = tee
        """What every call demands of enclaves."""
        self.min_privacy: Privacy | None = check_privacy(min_privacy)
        """The least privacy a request must have to leave."""
        self.budget: Budget | None = budget
        """The cap on what its chats cost."""
        self.fallback_models: Sequence[str] = ()
        """The models that are asked where a chat's own cannot answer."""
        self.preflight: bool = preflight
        """Whether chats are checked against the catalogue before they are sent."""
        if fallback_models is not None:
            from .client_parts import checked_names

            self.fallback_models = checked_names(fallback_models)
        self.hooks_in_threads: bool = False
        """Whether plain hooks of tool loops run in threads, because the event loop is not the caller's."""
        self.before_close: set[Callable[[], Awaitable[None]]] = set()
        """What is waited for before connections are closed."""
        self.on_close: list[Callable[[], None]] = []
        """What is called when the client is closed."""
        self._resources: dict[Any, Any] = {}
        limiting = self._limiting["on_wait"], self._limiting["share"]
        if any(part is not None for part in (ssl_context, ca_bundle, session, transport, clock, tee, budget, *limiting)):
            from .client_parts import check_parts  # rarely given

            check_parts(self._http, session, transport, clock, tee, self.min_privacy, budget, *limiting)
        named = {"retry_timeouts": retry_timeouts, "trust_env": trust_env, "limits": limits, "fail_fast": fail_fast}
        for name, switch in (*named.items(), ("preflight", preflight)):
            if not isinstance(switch, bool):
                raise InvalidRequestError(f"{name}={switch!r} must be True or False")

    __init__.__qualname__ = "VeniceClient.__init__"  # Python's message about a misspelt argument names what the caller wrote

    def resource(self, kind: Callable[[Connection], ResourceT]) -> ResourceT:
        """The part of the API that a class stands for: one object for each class."""
        found: ResourceT | None = self._resources.get(kind)
        return self._resources.setdefault(kind, kind(self)) if found is None else found

    @made_once
    def caller(self) -> Caller:
        """What sends requests and tries them again."""
        load("._http.caller", "._limits.limiter", *([] if self._transport else ["._http.aiohttp_transport", "encodings.idna"]))
        from .caller import Caller

        clock = self._clock or self.limiter.clock
        if (transport := self._transport) is None:
            from .aiohttp_transport import AiohttpTransport
            from .routes import Routes

            transport = AiohttpTransport(Routes(**self._http), self._session)
        return Caller(transport, clock, self._retries, self._gates(clock), counts=self.token_counts, notices=self.notices)

    def _gates(self, clock: Clock) -> tuple[CallGate, ...]:
        gates: list[CallGate] = []
        if self.budget is not None:
            from .budget_gate import BudgetGate

            # Before the limiter: whoever waits for money, or for the catalogue, is to keep no place of those who could be sent.
            gates.append(BudgetGate(self.budget, self._find_model, clock))
        if self._limited:
            gates.append(self.limiter)
        return tuple(gates)

    async def _find_model(self, name: str) -> ModelResponse:
        """The catalogue's entry of a model; the client, which has the catalogue, knows how."""
        raise NotImplementedError

    @made_once
    def token_counts(self) -> TokenCounts:
        """What was learnt of how models count tokens."""
        from .._core.token_counts import TokenCounts

        return TokenCounts()

    @made_once
    def limiter(self) -> Limiter:
        """What keeps the requests within the limits of the account."""
        from .._core.request import SystemClock
        from .._limits.limiter import Limiter

        server = getattr(self._transport, "server", None)
        clock = self._clock or SystemClock()
        return Limiter(self.base_url, clock, server=server, **self._limiting)

    @made_once
    def notices(self) -> Notices:
        """What is told once beside answers."""
        from .._wire.notices import Notices

        return Notices()

    @property
    def knows_server(self) -> bool:
        """Whether its TLS verifies whose server answers."""
        context: ssl.SSLContext | None = self._http["ssl_context"]
        return context is None or (context.check_hostname and context.verify_mode != 0)  # ssl.CERT_NONE, without the import

    @property
    def closed(self) -> bool:
        """Whether it was closed, and not entered again."""
        return self._closed

    async def close(self) -> None:
        """Closes every connection, and forgets which enclaves were verified. May be called often."""
        self._closed = True
        for wait in tuple(self.before_close):
            await wait()
        for call in self.on_close:
            call()
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


def _resolved_key(argument: str | None) -> tuple[str | None, AuthenticationError | None]:
    """The key, or what is wrong with it: an error that was not raised where names hold it."""
    try:
        return resolve_key(argument), None
    except AuthenticationError as error:
        return None, error.with_traceback(None)
