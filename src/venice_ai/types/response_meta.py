"""The status, headers and timing of an HTTP exchange, and what Venice says in its headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from .rate_limits import RateLimits, number, rate_limits

# What the API document calls them, and what Venice's notes for agents and RFC 8594 do.
_WARNINGS = ("x-venice-model-deprecation-warning", "x-venice-deprecated")
_DATES = ("x-venice-model-deprecation-date", "sunset")
DEPRECATION_HEADERS = frozenset({*_WARNINGS, *_DATES})
"""Names of the headers that say that a model will be retired."""


class Headers(Mapping[str, str]):
    """HTTP headers: names in any case; a repeated header's values are joined with a comma (RFC 9110, section 5.3)."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[bytes | str, bytes | str]] = ()) -> None:
        self._pairs = pairs if isinstance(pairs, (tuple, list)) else list(pairs)

    def _values(self, name: str) -> list[str]:
        lowered, size = name.lower(), len(name)  # few headers of few replies are ever looked at, so they stay as they came
        return [_str(value) for key, value in self._pairs if len(key) == size and _str(key).lower() == lowered]

    def __getitem__(self, name: str) -> str:
        if values := self._values(name):
            return ", ".join(values)
        raise KeyError(name)

    if not TYPE_CHECKING:  # the type is the base's; this one does without an exception for each header that is not there

        def get(self, key: str, default: Any = None) -> Any:
            """The value of a header; the default where it is not there."""
            values = self._values(key)
            return ", ".join(values) if values else default

    def without(self, secret: bytes) -> Headers:
        """The same, with `***` for a secret of eight characters or more, in any case: a server may repeat the key anywhere."""
        pairs: Any = self._pairs
        if len(secret) < 8 or not pairs:
            return self
        text = secret.decode("utf-8", "replace")
        key: Any = secret if isinstance(pairs[0][1], bytes) else text
        if key.lower() not in ("\n" if key is text else b"\n").join(chain.from_iterable(pairs)).lower():
            return self
        found = re.compile(re.escape(text), re.IGNORECASE)  # a proxy may write names in small letters
        return Headers([(found.sub("***", _str(name)), found.sub("***", _str(value))) for name, value in pairs])

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


@dataclass(slots=True)
class ResponseMeta:
    """Status, headers and timing of one reply. Times are in seconds."""

    status_code: int
    """The status of HTTP, such as 200."""
    headers: Headers
    """The headers, found by their names in any case."""
    received_at: float
    """Unix time at which the reply's headers came; for plain calls, its end."""
    latency: float
    """From sending the request (its last attempt) to the reply's headers; for plain calls, to its end."""
    time_to_first_chunk: float | None = None
    """From sending the request to the first chunk of a stream."""
    attempts: int = 1
    """How often the request was sent."""
    model_substituted: bool = False
    """Whether another model answered than the one that was asked for. Traits and aliases count as the model they stand for,
    feature suffixes do not count. Only the catalogue in memory is asked: False where the name is not in it."""
    models_tried: tuple[str, ...] = ()
    """The models that were asked, in order, the last of which answered; empty where there were no `fallback_models`."""
    body_id: str | None = None
    """The completion's id; None before it is known, and for replies other than completions."""

    @property
    def request_id(self) -> str | None:
        """The id to give Venice's support: the `CF-RAY` header, else the completion's id."""
        return self.headers.get("cf-ray") or self.body_id

    @property
    def rate_limits(self) -> RateLimits:
        """The rest of the rate limits, and when they reset (seconds from `received_at`)."""
        return rate_limits(self.headers, self.received_at)

    @property
    def balance_usd(self) -> float | None:
        """US dollars on the account before the call; None where not said."""
        return number(self.headers.get("x-venice-balance-usd"))

    @property
    def balance_diem(self) -> float | None:
        """DIEM on the account before the call; None where not said."""
        return number(self.headers.get("x-venice-balance-diem"))

    @property
    def deprecation_warning(self) -> str | None:
        """Venice's warning that the model will be retired, with the date and the successor where it gives them."""
        warning, date = self._first(_WARNINGS), self.deprecation_date
        message = f"{warning} ({date})" if warning and date else warning or (date and f"deprecated: {date}")
        successor = self.headers.get("x-venice-deprecated-replacement")
        return f"{message} Successor: {successor}" if message and successor and successor not in message else message

    @property
    def deprecation_date(self) -> str | None:
        """When the model will be retired, as Venice writes it; None where not said."""
        return self._first(_DATES)

    def _first(self, names: tuple[str, ...]) -> str | None:
        return next(filter(None, map(self.headers.get, names)), None)

    @property
    def venice_version(self) -> str | None:
        """The revision of the service that answered."""
        return self.headers.get("x-venice-version")

    @property
    def model_id(self) -> str | None:
        """The model that ran, by its header."""
        return self.headers.get("x-venice-model-id")
