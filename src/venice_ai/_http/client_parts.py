"""Checks of the parts that a caller gives a client: TLS, a session, a transport, a clock, options for enclaves, a budget."""

from __future__ import annotations

import inspect
import os
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from .._core.privacy import Privacy
from ..exceptions import InvalidRequestError

if TYPE_CHECKING:
    from ..telemetry import Telemetry

_PORTS: Final = {
    "session": ("must be an aiohttp.ClientSession", "request", "connector", "closed"),  # importing aiohttp would take too long
    "transport": ("must have the methods send, aclose", "send", "aclose"),
    "clock": ("must have the methods now, time, sleep", "now", "time", "sleep"),
    "budget": ("must be a Budget", "reserve", "spent"),
    "rate_share": ("must be a RateShare", "_current", "close"),
    "on_wait": ("must be a function", "__call__"),
    "telemetry": ("must be a Telemetry", "chat", "step"),
}
"""By setting: the words of the error for a value that does not fit, and the attributes that a value must have."""


def check_parts(http: Mapping[str, Any], tee: object, floor: Privacy | None, ports: Mapping[str, object]) -> None:
    """Raises an InvalidRequestError for a part that cannot be what it is given for; None stands for one that is not."""
    _check_tls(http["ssl_context"], http["ca_bundle"])
    for name, (demand, *attributes) in _PORTS.items():
        port = ports[name]
        if port is not None and not all(hasattr(port, attribute) for attribute in attributes):
            raise InvalidRequestError(f"{name}={port!r} {demand}")
    others = [name for name in ("proxy", "ssl_context", "ca_bundle") if http[name] is not None]
    if ports["session"] is not None and others:
        raise InvalidRequestError(f"session and {others[0]} cannot both be given: set {others[0]} in the session itself")
    if inspect.iscoroutinefunction(on_wait := ports["on_wait"]):
        raise InvalidRequestError(f"on_wait={on_wait!r} must not be an async function: nobody awaits it")
    if tee is not None:
        from ..tee.stricter import check_floor
        from ..tee.types import TeeOptions

        if not isinstance(tee, TeeOptions):
            raise InvalidRequestError(f"tee={tee!r} must be a TeeOptions")
        check_floor(floor, tee)


def _check_tls(ssl_context: ssl.SSLContext | None, ca_bundle: str | None) -> None:
    if ssl_context is not None:
        if not isinstance(ssl_context, ssl.SSLContext):
            raise InvalidRequestError(f"ssl_context={ssl_context!r} must be an ssl.SSLContext")
        if ca_bundle is not None:
            raise InvalidRequestError("ssl_context and ca_bundle cannot both be given: load the bundle into the context")
    if ca_bundle is not None and (not isinstance(ca_bundle, (str, os.PathLike)) or not os.path.isfile(ca_bundle)):  # noqa: PTH113  # pathlib is not worth its start-up here
        raise InvalidRequestError(f"ca_bundle={ca_bundle!r} is not a file")


def checked_names(names: object) -> Sequence[str]:
    """The names of fallback models; an InvalidRequestError if they are not a list of names."""
    if names is None:
        return ()
    listed = isinstance(names, Sequence) and not isinstance(names, (str, bytes))
    if not listed or not all(isinstance(name, str) and name.strip() for name in cast("Sequence[object]", names)):
        raise InvalidRequestError(f"fallback_models={names!r} must be a list of model ids")
    return tuple(cast("Sequence[str]", names))


def own_telemetry() -> Telemetry | None:
    """Telemetry with the program's own providers; None where the extra `otel` is not installed."""
    with suppress(ImportError):
        from ..telemetry import Telemetry

        return Telemetry()
    return None
