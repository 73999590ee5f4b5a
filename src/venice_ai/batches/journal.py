"""The journal of a batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse


@dataclass(frozen=True, slots=True)
class JournalRow:
    """What a journal knows of one request."""

    custom_id: str | None
    state: Literal["answered", "failed", "in_flight", "open"]
    request: dict[str, Any]
    response: ChatCompletionResponse | None
    error: str | None
    attempts: int
    cost_usd: float | None
    maybe_billed_before: bool


class JournalCounts(NamedTuple):
    """How many requests of a journal are in which state."""

    answered: int
    failed: int
    in_flight: int
    open: int
    cost_usd: float

    @property
    def total(self) -> int:
        """All of them."""
        return self.answered + self.failed + self.in_flight + self.open


class Journal:
    """A file that keeps what a batch sends and what it is answered."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sync: bool = False,
        key: bytes | None = None,
        key_file: str | os.PathLike[str] | None = None,
        retry_failed: bool = False,
    ) -> None:
        self.path: Path = Path(path)
        self.retry_failed: bool = retry_failed

    @property
    def settings(self) -> dict[str, str]:
        """The settings it was made with."""
        raise NotImplementedError

    def counts(self) -> JournalCounts:
        """How many requests are in which state."""
        raise NotImplementedError

    def rows(self) -> Iterator[JournalRow]:
        """What it holds."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
