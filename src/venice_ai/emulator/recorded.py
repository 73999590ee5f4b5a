"""The requests that the emulator received, as tests read them in `emulator.requests`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from venice_ai._core.request import SECRET_HEADERS

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
        """The body's JSON; the bytes if it is not JSON, and `None` without a body."""
        try:
            return decode(self.content) if self.content else None
        except ValueError:
            return self.content

    @classmethod
    def of(cls, incoming: Incoming) -> Self:
        """The record of a request."""
        headers = {name: "***" if name in SECRET_HEADERS else value for name, value in incoming.headers.items()}
        return cls(incoming.method, incoming.path, dict(incoming.query), headers, incoming.body)

    def json(self) -> dict[str, Any]:
        """The request in JSON, for the admin endpoint."""
        body = self.body.decode("utf-8", "replace") if isinstance(self.body, bytes) else self.body
        return {"method": self.method, "path": self.path, "query": self.query, "headers": self.headers, "body": body}
