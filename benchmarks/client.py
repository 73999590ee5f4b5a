"""What a contender's module offers, the same for all."""

from typing import Protocol


class Client(Protocol):
    """Each call takes a model's name and answers how many characters of text it read."""

    async def create(self, model: str) -> int: ...

    async def stream(self, model: str) -> int: ...

    async def hold(self, model: str) -> object:
        """A stream of which the first chunk was read; it stays open as long as the object lives."""

    async def aclose(self) -> None: ...
