"""The base of the parts of the synchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._resource import APIResource

if TYPE_CHECKING:
    from .client import Bridge, SyncVeniceClient


class Facade(APIResource["SyncVeniceClient"]):
    """A part of the API for code that does not await."""

    def __init__(self, client: SyncVeniceClient, bridge: Bridge) -> None:
        super().__init__(client)
        self._bridge = bridge
        self._run = bridge.run
