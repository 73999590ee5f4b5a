"""The headers of a reply, found by their names in any case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any


class Headers(Mapping[str, str]):
    """HTTP headers: names in any case; a repeated header's values are joined with a comma (RFC 9110, section 5.3)."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[bytes | str, bytes | str]] = ()) -> None:
        self._pairs = pairs if isinstance(pairs, (tuple, list)) else list(pairs)

    def _values(self, name: str) -> list[str]:
        # Few headers of few replies are ever looked at, so they stay as they came.
        wanted, size = name.lower(), len(name)
        return [_str(value) for key, value in self._pairs if len(key) == size and _str(key).lower() == wanted]

    def __getitem__(self, name: str) -> str:
        values = self._values(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    if not TYPE_CHECKING:  # the type is the base's; this one does without an exception for each header that is not there

        def get(self, key: str, default: Any = None) -> Any:
            """The value of a header; the default where it is not there."""
            values = self._values(key)
            return ", ".join(values) if values else default

    def has_any(self, names: frozenset[str]) -> bool:
        """Whether one of some headers is there, whose names are given in lower case."""
        sizes = set(map(len, names))
        return any(_str(key).lower() in names for key, _ in self._pairs if len(key) in sizes)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(_str(name).lower() for name, _ in self._pairs))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


def _str(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
