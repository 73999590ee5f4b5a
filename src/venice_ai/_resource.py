"""The base of everything that hangs on a client."""

from __future__ import annotations

from typing import Generic, TypeVar

ClientT = TypeVar("ClientT")


class APIResource(Generic[ClientT]):
    """A part of the API, reached through a client."""

    def __init__(self, client: ClientT) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"
