"""What was asked of the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from venice_ai._core.ports import SECRET_HEADERS

from .contract import decode
from .sending import Incoming


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived; keys are left out."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """By their names in lower case."""
    content: bytes
    """The body's bytes."""

    @cached_property
    def body(self) -> Any:
        """The body's JSON; the bytes if it is none, and None if there is no body."""
        try:
            return decode(self.content) if self.content else None
        except ValueError:
            return self.content

    def json(self) -> dict[str, Any]:
        """As the admin endpoint shows it."""
        body = self.body.decode("utf-8", "replace") if isinstance(self.body, bytes) else self.body
        return {"method": self.method, "path": self.path, "query": self.query, "headers": self.headers, "body": body}


def recorded(incoming: Incoming) -> Recorded:
    """The record of a request."""
    headers = _without_secrets(incoming.headers)
    return Recorded(incoming.method, incoming.path, dict(incoming.query), headers, incoming.body)


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if name in SECRET_HEADERS else value for name, value in headers.items()}
