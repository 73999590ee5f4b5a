"""`client.chat`, which holds `completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._resource import APIResource
from .completions import ChatCompletions

if TYPE_CHECKING:
    from ..._http.connection import Connection


class Chat(APIResource["Connection"]):
    """Chats."""

    def __init__(self, client: Connection) -> None:
        super().__init__(client)
        self.completions: ChatCompletions = ChatCompletions(client)


__all__ = ["Chat", "ChatCompletions"]
