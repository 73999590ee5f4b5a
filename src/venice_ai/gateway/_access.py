"""Who may ask: whoever knows the token, by a name of this server, and no page in a browser.

Any page can have its browser send requests to this machine, and read the answers if its own name leads here (DNS rebinding).
Such requests name the page's site in `Host` or `Origin`, or carry `Sec-Fetch-Site`; those of programs do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from .._core.machine import is_loopback
from ..exceptions import APIError, InvalidArgumentError

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?")
_TOKEN: Final = re.compile(r"[!-~]{8,}")


class Access:
    """The token (None: nobody needs one), and the names besides those of loopback by which this server may be called."""

    def __init__(self, token: str | None, names: Iterable[str]) -> None:
        if token is not None and not _TOKEN.fullmatch(token):
            raise InvalidArgumentError("token must be 8 or more characters of ASCII without blanks; token=True makes one")
        self.names: frozenset[str] = frozenset(name.lower() for name in names)
        if self.names and token is None:
            raise InvalidArgumentError("a server that other machines can reach needs a token; token=True makes one")
        self._token = None if token is None else token.encode()

    def check(self, headers: CIMultiDictProxy[str], *, needs_token: bool) -> None:
        """Raises the APIError for a request that is not allowed in, by its headers."""
        hosts = headers.getall("Host", [])
        if len(hosts) != 1 or not self._is_own(hosts[0].lower()):
            raise APIError("this server is not called by that Host; allow the name", status_code=403, code="host_not_allowed")
        if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
            raise APIError("pages in a browser may not ask this server", status_code=403, code="origin_not_allowed")
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        same = self._token is None or compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        if needs_token and not (same and (self._token is None or scheme.lower() == "bearer")):
            raise APIError("the token of this gateway is the API key to give", status_code=401, code="invalid_api_key")

    def _is_own(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        name = "" if found is None else found[1] or found[2]
        return is_loopback(name) or name in self.names
