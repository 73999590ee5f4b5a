"""Checks of the parts that a caller gives a client: TLS, a session, a transport, a clock, options for enclaves, a budget."""

from __future__ import annotations

import inspect
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, cast

from .._core.privacy import Privacy
from ..exceptions import InvalidRequestError


def check_parts(
    http: Mapping[str, Any],
    session: object,
    transport: object,
    clock: object,
    tee: object,
    floor: Privacy | None,
    budget: object,
    on_wait: object,
    rate_share: object,
) -> None:
    """Raises an InvalidRequestError for a part that cannot be what it is given for; None stands for one that is not."""
    _check_tls(http["ssl_context"], http["ca_bundle"])
    # Importing aiohttp, to ask for its class, would take too long.
    _check_methods("session", session, "must be an aiohttp.ClientSession", "request", "connector", "closed")
    others = [name for name in ("proxy", "ssl_context", "ca_bundle") if http[name] is not None]
    if session is not None and others:
        raise InvalidRequestError(f"session and {others[0]} cannot both be given: it is the session's own matter")
    for name, port, methods in (("transport", transport, ("send", "aclose")), ("clock", clock, ("now", "time", "sleep"))):
        _check_methods(name, port, f"must have the methods {', '.join(methods)}", *methods)
    _check_methods("budget", budget, "must be a Budget", "reserve", "spent")
    _check_methods("rate_share", rate_share, "must be a RateShare", "_current", "close")
    _check_methods("on_wait", on_wait, "must be a function", "__call__")
    if inspect.iscoroutinefunction(on_wait):
        raise InvalidRequestError(f"on_wait={on_wait!r} must not be an async function: nobody awaits it")
    if tee is not None:
        from ..tee.stricter import check_floor
        from ..tee.types import TeeOptions

        if not isinstance(tee, TeeOptions):
            raise InvalidRequestError(f"tee={tee!r} must be a TeeOptions")
        check_floor(floor, tee)


def _check_methods(name: str, port: object, demand: str, *methods: str) -> None:
    if port is not None and not all(hasattr(port, method) for method in methods):
        raise InvalidRequestError(f"{name}={port!r} {demand}")


def _check_tls(ssl_context: ssl.SSLContext | None, ca_bundle: str | None) -> None:
    if ssl_context is not None:
        if not isinstance(ssl_context, ssl.SSLContext):
            raise InvalidRequestError(f"ssl_context={ssl_context!r} must be an ssl.SSLContext")
        if ca_bundle is not None:
            raise InvalidRequestError("ssl_context and ca_bundle cannot both be given: load the bundle into the context")
    if ca_bundle is not None and (not isinstance(ca_bundle, (str, os.PathLike)) or not os.path.isfile(ca_bundle)):  # noqa: PTH113  # pathlib is not worth its start-up here
        raise InvalidRequestError(f"ca_bundle={ca_bundle!r} is not a file")


def checked_names(names: object) -> Sequence[str]:
    """The names of fallback models; an InvalidRequestError if they are no list of names."""
    if names is None:
        return ()
    listed = isinstance(names, Sequence) and not isinstance(names, (str, bytes))
    if not listed or not all(isinstance(name, str) and name.strip() for name in cast("Sequence[object]", names)):
        raise InvalidRequestError(f"fallback_models={names!r} must be a list of model ids")
    return tuple(cast("Sequence[str]", names))
