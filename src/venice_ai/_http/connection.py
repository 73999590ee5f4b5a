"""A client's settings, the requests that are made with them, and the parts that send those: every resource has one."""

from __future__ import annotations

import os

from .._core import settings
from .._core.first_use import load, made_once
from .._core.request import KEY_HEADERS, SECRET_HEADERS, Request
from .._core.settings import Timeout
from .._version import __version__
from ..exceptions import APIError, AuthenticationError, InvalidRequestError, VeniceError
from .lifetime import Lifetime

TYPE_CHECKING = False  # start-up: what a client is made of does without `typing`
if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any, NoReturn, Self, TypeVar

    import aiohttp

    from .._core.ports import CallGate, Clock, Transport
    from .._core.privacy import Privacy
    from .._core.token_counts import TokenCounts
    from .._limits.budget import Budget
    from .._limits.limiter import Limiter
    from .._limits.rate_share import RateShare
    from .._wire.notices import Notices
    from ..tee.types import TeeOptions
    from ..telemetry import OpenSpan, Telemetry
    from ..types.api.models import ModelResponse
    from ..types.limits import WaitNotice
    from .caller import Caller

    ResourceT = TypeVar("ResourceT")

_OF_A_VIEW = frozenset({"chat", "limits", "caller", "_base_headers"})  # what each view makes once of its own settings


class Connection:
    """Settings of a client, checked, and what is made of them. The arguments are those of `VeniceClient`."""

    def __init__(  # noqa: PLR0915  # one statement for each setting
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
        telemetry: Telemetry | None = None,
    ) -> None:
        # First what is secret, and then without its names: a traceback may show those.
        address = None if proxy is None else settings.proxy_address(proxy)
        problem: APIError | None = settings.no_proxy("proxy") if proxy is not None and address is None else None
        self._api_key: str | None = None
        try:
            self._api_key = settings.resolve_key(api_key)
        except AuthenticationError as error:
            problem = error.with_traceback(None)
        tls = {"ssl_context": ssl_context, "ca_bundle": ca_bundle}
        self._http: dict[str, Any] = {"proxy": address, "trust_env": trust_env, **tls}
        self._headers = settings.check_headers(headers)
        del api_key, proxy, address, headers
        if problem is not None:
            raise problem
        self.base_url: str = settings.resolve_base_url(base_url)
        """Root of the API, without a trailing slash."""
        settings.start_log()
        self._timeouts = [settings.timeout_for(timeout, stream=stream) for stream in (False, True)]
        self._retries: dict[str, Any] = {"retries": _checked_count(max_retries), "retry_timeouts": retry_timeouts}
        self._session, self._transport, self._clock = session, transport, clock
        self._limited = limits
        self._limiting: dict[str, Any] = {"on_wait": on_wait, "fail_fast": fail_fast, "share": rate_share}
        self._lifetime = Lifetime()
        self._origin: Connection | None = None  # the client that this is a view of
        self.tee_options: TeeOptions | None = tee
        """What every call demands of enclaves."""
        self.min_privacy: Privacy | None = min_privacy
        """The least privacy a request must have to leave."""
        if min_privacy is not None:
            from .._core.privacy import check_privacy

            check_privacy(min_privacy)
        self.budget: Budget | None = budget
        """The cap on what its chats cost."""
        if telemetry is None and os.environ.get("VENICE_OTEL", "").lower() in {"1", "true"}:
            from .client_parts import own_telemetry

            telemetry = own_telemetry()
        self.telemetry: Telemetry | None = telemetry
        """Makes spans and metrics; None if neither is recorded."""
        self.fallback_models: Sequence[str] = ()
        """The models that are asked where a chat's own cannot answer."""
        self.preflight: bool = preflight
        """Whether chats are checked against the catalogue before they are sent."""
        if fallback_models is not None:
            from .client_parts import checked_names

            self.fallback_models = checked_names(fallback_models)
        self.hooks_in_threads: bool = False
        """Whether plain hooks of tool loops run in threads, because the event loop is not the caller's."""
        self.on_close: list[Callable[[], Awaitable[None] | None]] = []
        """Functions to call before connections are closed; what they return is awaited, unless it is None."""
        self._resources: dict[Any, Any] = {}
        ports: dict[str, object] = {"session": session, "transport": transport, "clock": clock, "budget": budget}
        ports |= {"rate_share": rate_share, "on_wait": on_wait, "telemetry": telemetry}
        if any(part is not None for part in (ssl_context, ca_bundle, tee, *ports.values())):
            from .client_parts import check_parts  # rarely given

            check_parts(self._http, tee, self.min_privacy, ports)
        switches = {"retry_timeouts": retry_timeouts, "trust_env": trust_env, "limits": limits, "fail_fast": fail_fast}
        _check_switches(**switches, preflight=preflight)

    __init__.__qualname__ = "VeniceClient.__init__"  # Python's message about a misspelt argument names what the caller wrote

    def with_options(
        self,
        *,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        retry_timeouts: bool | None = None,
        headers: Mapping[str, str] | None = None,
        fallback_models: Sequence[str] | None = None,
        preflight: bool | None = None,
    ) -> Self:
        """This client with other settings: a view that shares its connections, limiter, budget and catalogue.

        ::

            patient = client.with_options(timeout=600, max_retries=5)

        What is not given is as before. A view costs little, and may be made for a single call. Closing a view closes the
        client, and closing the client its views.

        Args:
            timeout: seconds, or a `Timeout`, as for the client.
            max_retries: how often a failed request is sent again, from 0.
            retry_timeouts: whether what ran out of time is sent again, too.
            headers: HTTP headers beside those of the client, which they replace where the names are the same.
            fallback_models: models to ask where that of a chat cannot answer; an empty list for none.
            preflight: whether chats are checked against the catalogue.

        Raises:
            InvalidRequestError: an argument is not allowed.
        """
        load("._limits.limiter")
        shared, before = self._origin or self, self._retries
        _ = shared.limiter, shared.notices, shared.token_counts  # made before they are shared
        view = object.__new__(type(self))
        vars(view).update({name: value for name, value in vars(self).items() if name not in _OF_A_VIEW}, _origin=shared)
        view._headers = settings.merged(self._headers, settings.check_headers(headers))
        del headers  # as in `__init__`
        view._timeouts = [settings.timeout_for(timeout, self._timeouts[stream], stream=stream) for stream in (False, True)]
        again = before["retry_timeouts"] if retry_timeouts is None else retry_timeouts
        view.preflight = self.preflight if preflight is None else preflight
        _check_switches(retry_timeouts=again, preflight=view.preflight)
        retries = before["retries"] if max_retries is None else _checked_count(max_retries)
        view._retries = {"retries": retries, "retry_timeouts": again}
        if fallback_models is not None:
            from .client_parts import checked_names

            view.fallback_models = checked_names(fallback_models)
        return view

    def resource(self, kind: Callable[[Connection], ResourceT]) -> ResourceT:
        """The part of the API that a class stands for: one object for each class."""
        found: ResourceT | None = self._resources.get(kind)
        return self._resources.setdefault(kind, kind(self._origin or self)) if found is None else found

    def build_request(
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
        span: OpenSpan | None = None,
    ) -> Request:
        """A request with this client's headers and clocks, checked; with `anonymous`, nothing in it stands for the account."""
        if self._lifetime.closed:
            raise VeniceError("this client was closed; make a new one, or enter it again (by `with` if it is synchronous)")
        if self.min_privacy is not None and method != "GET":
            from .._core.privacy import refuse_below

            refuse_below(self.min_privacy, privacy)
        limits = self._timeouts[stream] if timeout is None else self.clocks(timeout, stream=stream)
        more = settings.check_headers(extra_headers) if extra_headers else None
        # From here on a local name may hold a key: only the missing key is raised, for a traceback shows such names.
        headers = dict(self._base_headers)
        if self.telemetry is not None and not anonymous:
            self.telemetry.add_headers(headers, span)
        if body is not None:
            headers["Content-Type"] = "application/json"
        if stream:
            headers["Accept"] = "text/event-stream"
        if more:
            headers = settings.merged(headers, more)
        if anonymous:
            headers = {name: value for name, value in headers.items() if name.lower() not in SECRET_HEADERS}
        elif needs_key and self._api_key is None and not KEY_HEADERS.intersection(map(str.lower, headers)):
            raise AuthenticationError(
                f"no API key: pass api_key=... or set {settings.KEY_VARIABLE} (keys are made at https://venice.ai/settings/api)"
            )
        return Request(method, self.base_url + path, headers=headers, body=body, timeout=limits, stream=stream)

    def clocks(self, timeout: float | Timeout | None, *, stream: bool) -> Timeout:
        """The time limits of a call, checked."""
        return settings.timeout_for(timeout, self._timeouts[stream], stream=stream)

    @made_once
    def _base_headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": f"venice-chat/{__version__}"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return settings.merged(headers, self._headers)

    @made_once
    def caller(self) -> Caller:
        load("._http.caller", "._limits.limiter", *([] if self._transport else ["._http.aiohttp_transport", "encodings.idna"]))
        from dataclasses import replace

        from .caller import Caller
        from .retry import RetryPolicy

        policy = RetryPolicy(**self._retries)
        if self._origin is not None:
            return replace(self._origin.caller, policy=policy)
        clock = self._clock or self.limiter.clock
        if (transport := self._transport) is None:
            from .aiohttp_transport import AiohttpTransport
            from .routes import Routes

            transport = AiohttpTransport(Routes(**self._http), self._session)
        return Caller(transport, clock, policy, self._gates(clock), self.token_counts, self.notices, self._lifetime)

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
        """How models count tokens, as it was learnt from their responses."""
        from .._core.token_counts import TokenCounts

        return TokenCounts()

    @made_once
    def limiter(self) -> Limiter:
        """Keeps requests within the limits of the account."""
        from .._core.request import SystemClock
        from .._limits.limiter import Limiter

        server = getattr(self._transport, "server", None)
        return Limiter(self.base_url, self._clock or SystemClock(), server=server, **self._limiting)

    @made_once
    def notices(self) -> Notices:
        """Warnings and log lines about answers, each given once."""
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
        return self._lifetime.closed

    async def close(self) -> None:
        """Closes every connection, and forgets which enclaves were verified. May be called often."""
        self._lifetime.closed = True
        for call in tuple(self.on_close):
            if (work := call()) is not None:
                await work
        if "caller" in vars(origin := self._origin or self):
            await origin.caller.close()

    async def __aenter__(self) -> Self:
        self._lifetime.closed = False
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds a key and connections, and cannot be pickled; make one where it is needed")

    def __repr__(self) -> str:
        if "_lifetime" not in vars(self):
            return "<VeniceClient that was not made>"  # its settings were refused, and a debugger shows it
        key = "with a key" if self._api_key else "without a key"
        return f"<VeniceClient of {self.base_url} {key}{', closed' if self.closed else ''}>"


def _checked_count(count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise InvalidRequestError(f"max_retries={count!r} must be a whole number from 0")
    return count


def _check_switches(**switches: object) -> None:
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise InvalidRequestError(f"{name}={switch!r} must be True or False")
