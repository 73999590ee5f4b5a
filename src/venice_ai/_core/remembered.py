"""A bounded set of the warnings that were already given."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MOST: Final = 100


class Remembered(Generic[T]):
    """What was warned of. The oldest is forgotten: a server can word each warning anew."""

    def __init__(self) -> None:
        self._things: dict[T, None] = {}

    def add(self, thing: T) -> None:
        while len(self._things) >= _MOST:
            self._things.pop(next(iter(self._things)), None)
        self._things[thing] = None

    def __contains__(self, thing: T) -> bool:
        return thing in self._things
