"""The weights of a model's tokens, found in the counts of its chats by recursive least squares with relative errors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

# Of models as they are: a constant, then tokens for a message, letter, space, two spaces, digit, sign, four signs of a drawn
# line, line break, byte beyond ASCII.
_USUAL: Final = (0.0, 0.0, 0.15, 0.3, -0.5, 0.5, 0.4, -1.5, 0.3, 0.25)
_SPREADS: Final = (600.0, 8.0, 0.05, 0.2, 0.2, 0.15, 0.2, 0.2, 0.3, 0.12)
_NOISE: Final = 0.04  # the relative error that no weights take away
_MEMORY: Final = 0.995  # older chats count less, for models change behind their names
_LEARNT: Final = 5
_KEPT: Final = 64  # counts that wait for an estimate to be asked for
Features: TypeAlias = tuple[float, ...]


class Count(NamedTuple):
    """A number of tokens, and how far off it is likely to be (relative, at most so far in nine of ten cases)."""

    tokens: float
    spread: float


class Weights:
    """What was learnt of one model; `waiting` are the chats that were counted since the last estimate."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Features, int]] = deque(maxlen=_KEPT)
        self._weights = list(_USUAL)
        self._covariance: list[list[float]] = []  # of no chats yet, as the first calls have no time for it
        self._errors: deque[float] = deque(maxlen=50)
        self._seen = 0

    def count(self, features: Features) -> Count | None:
        while self.waiting:
            self._learn(*self.waiting.popleft())
        if self._seen < _LEARNT:
            return None
        spread = sorted(self._errors)[len(self._errors) * 9 // 10]
        return Count(max(_product(self._weights, features), 1.0), max(spread, 0.01))

    def _learn(self, features: Features, tokens: int) -> None:
        error = tokens - _product(self._weights, features)
        covariance = self._covariance or [
            [spread * spread * (row == column) for column, spread in enumerate(_SPREADS)] for row in range(len(_SPREADS))
        ]
        moved = [_product(row, features) for row in covariance]
        scale = (_NOISE * tokens) ** 2 + 1 + _product(moved, features)
        gains = [each / scale for each in moved]
        self._weights = [weight + gain * error for weight, gain in zip(self._weights, gains, strict=True)]
        self._covariance = [
            [(value - gain * each) / _MEMORY for value, each in zip(row, moved, strict=True)]
            for row, gain in zip(covariance, gains, strict=True)
        ]
        self._seen += 1
        if self._seen > 2:  # the first ones are far off, for nothing was known
            self._errors.append(abs(error) / tokens)


def _product(one: Iterable[float], other: Iterable[float]) -> float:
    return sum(map(float.__mul__, one, other))
