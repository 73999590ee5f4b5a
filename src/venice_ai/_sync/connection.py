"""The synchronous client's settings, and the asynchronous client that makes a call, in this thread or on the loop's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from .._client import VeniceClient
from .._core.first_use import load
from .._core.ports import drive
from .._core.privacy import Privacy, encryption_requested_in
from .._resource import APIResource
from ..exceptions import VeniceError

if TYPE_CHECKING:
    import ssl

    from .._core.ports import Clock, Transport
    from .._core.settings import Timeout
    from .._limits.budget import Budget
    from .._limits.rate_share import RateShare
    from ..tee.types import TeeOptions
    from ..telemetry import Telemetry
    from ..types.limits import WaitNotice
    from .loop_thread import LoopThread

T = TypeVar("T")


class SyncConnection:
    """Settings of a synchronous client, checked, and its lifetime. The arguments are those of `SyncVeniceClient`."""

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
        settings = given_arguments(locals())
        del api_key, proxy, headers  # a traceback may show them
        try:
            template = VeniceClient(**settings)
        except BaseException:
            settings.clear()
            raise
        self._template = template  # it has checked the settings, and says whether the others are closed; it sends nothing
        # What came from the environment stays as it was, whatever happens to the environment until a fork.
        self._settings: dict[str, Any] = {**settings, "api_key": template._api_key, "base_url": template.base_url}  # noqa: SLF001
        self._clients: dict[LoopThread, VeniceClient] = {}
        self._blocking: VeniceClient | None = None
        self._origin: SyncConnection | None = None  # the client that this is a view of, by these options
        self._options: dict[str, Any] = {}
        # These may suspend; and on Windows Ctrl-C interrupts no read of a socket.
        own = (transport, clock, min_privacy, budget, fallback_models)
        self._needs_loop = sys.platform == "win32" or preflight or any(given is not None for given in own)
        # What these are, `Connection` tells.
        self.base_url: str = template.base_url
        self.tee_options: TeeOptions | None = tee
        self.min_privacy: Privacy | None = min_privacy
        self.budget: Budget | None = budget
        self.telemetry: Telemetry | None = template.telemetry
        self.fallback_models: Sequence[str] = template.fallback_models
        self.preflight: bool = preflight

    __init__.__qualname__ = "SyncVeniceClient.__init__"  # as in `Connection`

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
        """This client with other settings: a view; see `VeniceClient.with_options`."""
        options = {name: value for name, value in given_arguments(locals()).items() if value is not None}
        del headers  # as above
        try:
            template = self._template.with_options(**options)
        except BaseException:
            options.clear()
            raise
        view = object.__new__(type(self))
        vars(view).update({name: value for name, value in vars(self).items() if name not in {"chat", "limits"}})
        view._origin, view._options, view._clients, view._blocking = self, options, {}, None
        view._template, view.fallback_models, view.preflight = template, template.fallback_models, template.preflight
        view._needs_loop = self._needs_loop or view.preflight or bool(view.fallback_models)
        return view

    @property
    def closed(self) -> bool:
        """Whether it was closed, and not entered again."""
        return self._template.closed

    def close(self) -> None:
        """Closes every connection. May be called often."""
        self._each(VeniceClient.close)

    def __enter__(self) -> Self:
        self._each(VeniceClient.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds a key and connections, and cannot be pickled; make one where it is needed")

    def __repr__(self) -> str:
        template: VeniceClient | None = vars(self).get("_template")
        return f"<Sync{repr(template)[1:]}" if template else "<SyncVeniceClient that was not made>"

    def _for_this_thread(self, params: Mapping[str, Any]) -> VeniceClient | None:
        """The client that makes a call with these parameters in the calling thread; None if the call takes the event loop."""
        switched = any(map(params.get, ("venice_parameters", "extra_body")))
        suspends = self._needs_loop or params.get("e2ee") or params.get("fallback_models")
        if suspends or (switched and encryption_requested_in(params)):
            return None
        if self._blocking is None:
            self._make_blocking()
        # On the loop's thread, waiting would stop everybody. While another thread imports it, no loop runs there.
        kind = getattr(sys.modules.get(f"{__package__}.loop_thread"), "LoopThread", None)
        if shared := kind and kind.running():
            shared.check()
        return self._blocking

    def _make_blocking(self) -> None:
        if self._origin is not None:
            here = self._origin._for_this_thread({})  # noqa: SLF001  # of the same class
            self._blocking, self._needs_loop = here and here.with_options(**self._options), here is None
            return
        try:
            load("._http.blocking_transport", "._http.caller", "._limits.limiter", ".resources.chat", "encodings.idna")
            from .._http.blocking_transport import BlockingClock, BlockingTransport
            from .._http.routes import Routes
        except ImportError as error:
            raise _ended(error) from error
        names = ("proxy", "trust_env", "ssl_context", "ca_bundle")
        transport = BlockingTransport(Routes(**{name: self._settings[name] for name in names}))
        if transport.reaches(self.base_url):
            self._blocking = self._made(transport=transport, clock=BlockingClock(transport))
        else:
            self._needs_loop = True

    @property
    def _connected(self) -> VeniceClient:
        """The asynchronous client of this process's event loop thread. Its methods are called here and run there."""
        thread = loop_thread()
        if (found := self._clients.get(thread)) is None:
            if self._origin is not None:
                client = self._origin._connected.with_options(**self._options)  # noqa: SLF001  # of the same class
            else:
                client = self._made()
                client.hooks_in_threads = True
                _ = client.caller, client.chat, client.models  # imports what calls need, while nobody else has to wait for it
                thread.hold(client.close, owner=self)
            # Two threads may get here at the same time: the client of one is taken, the other's was never used.
            found = self._clients.setdefault(thread, client)
        return found

    def _made(self, **ports: Any) -> VeniceClient:
        """A new client, closed if the others are; all of them share the catalogue's names, warnings given, and token counts."""
        client = VeniceClient(**{**self._settings, **ports})
        client.notices, client.token_counts = self._template.notices, self._template.token_counts
        if self._template.closed:
            drive(client.close())
        return client

    def _each(self, act: Callable[[VeniceClient], Coroutine[Any, Any, object]]) -> None:
        """Closes the client of every loop that still runs, or makes it usable again."""
        if self._origin is not None:
            self._origin._each(act)  # noqa: SLF001  # of the same class
            return
        for client in filter(None, (self._template, self._blocking)):
            drive(act(client))
        for thread, client in list(self._clients.items()):
            if not thread.ended:
                thread.run(act(client))


def loop_thread() -> LoopThread:
    """The thread of this process's event loop, ready to be waited for; after a fork there is another one."""
    try:
        own = ("._sync.loop_thread", "._sync.streams", ".streaming")
        load(*own, "._http.aiohttp_transport", ".resources.chat", ".resources.models")
        from .loop_thread import LoopThread
    except ImportError as error:
        raise _ended(error) from error
    thread = LoopThread.shared()
    thread.check()
    return thread


def given_arguments(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the method that passes its `locals()`, with those that its `**params` or `**kwargs` hold."""
    named = {name: value for name, value in variables.items() if name not in {"self", "params", "kwargs"}}
    return {**named, **variables.get("params", {}), **variables.get("kwargs", {})}


def _ended(error: ImportError) -> VeniceError:
    """The error for a call in a `__del__` after the end."""
    return VeniceError(f"the interpreter has ended ({error}); call before the program ends")


class SyncResource(APIResource[SyncConnection]):
    """A part of the API for code that does not await."""

    @property
    def _connected(self) -> VeniceClient:
        return self._client._connected  # noqa: SLF001  # of the same package

    @staticmethod
    def _run(work: Coroutine[Any, Any, T]) -> T:
        return loop_thread().run(work)
