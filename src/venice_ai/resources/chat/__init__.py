"""`client.chat`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._resource import APIResource
from .completions import ChatCompletions

if TYPE_CHECKING:
    from ..._client import VeniceClient


class Chat(APIResource["VeniceClient"]):
    """Chats."""

    def __init__(self, client: VeniceClient) -> None:
        super().__init__(client)
        self.completions: ChatCompletions = ChatCompletions(client)


__all__ = ["Chat", "ChatCompletions"]
