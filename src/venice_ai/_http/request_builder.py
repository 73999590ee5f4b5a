"""Requests of a client: their address, headers, key and time limits, by its settings and those of the call."""

from __future__ import annotations

from collections.abc import Mapping

from .._core.first_use import made_once
from .._core.privacy import Privacy, refuse_below
from .._core.request import KEY_HEADERS, SECRET_HEADERS, Request
from .._core.settings import KEY_VARIABLE, Timeout, check_headers, timeout_for
from .._version import __version__
from ..exceptions import AuthenticationError, VeniceError


class RequestBuilder:
    """The part of a `Connection` that makes requests."""

    base_url: str
    min_privacy: Privacy | None
    _api_key: str | None
    _headers: dict[str, str]
    _timeouts: list[Timeout]
    """Of plain calls, and of streams."""
    _closed: bool

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
    ) -> Request:
        """A request with this client's headers and clocks, checked; with `anonymous`, nothing in it stands for the account."""
        if self._closed:
            raise VeniceError("this client was closed; make a new one, or enter it again with `async with`")
        if self.min_privacy is not None and method != "GET":
            refuse_below(self.min_privacy, privacy)
        limits = self._timeouts[stream] if timeout is None else self.clocks(timeout, stream=stream)
        more = check_headers(extra_headers) if extra_headers else None
        # From here on a local name may hold a key: only the missing key is raised, for a traceback shows such names.
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
        """The time limits of a call, checked."""
        return timeout_for(timeout, self._timeouts[stream], stream=stream)

    @made_once
    def _base_headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": f"venice-chat/{__version__}"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return _merged(headers, self._headers)


def _merged(headers: dict[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Headers in which the others win, whatever the case of their names."""
    names = {name.lower() for name in others}
    return {name: value for name, value in headers.items() if name.lower() not in names} | dict(others)
