"""The parts of the API. The path follows the call: `client.chat.completions` is `resources/chat/completions.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core.first_use import load

if TYPE_CHECKING:
    from .._http.connection import Connection
    from .tee import Tee


def tee_of(client: Connection) -> Tee:
    """The attestations of a client, `client.tee`; an ImportError if the extra `e2ee` is not installed."""
    from ..tee.extra import require_extra

    require_extra()
    load(".resources.tee")
    from .tee import Tee

    return client.resource(Tee)
