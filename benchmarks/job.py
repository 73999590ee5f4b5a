"""What a worker is asked to do, and what it found out: one line of JSON each way."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Work = Literal[
    "create",
    "stream",
    "collect",
    "hold",
    "create_sync",
    "stream_sync",
    "stream_parse",
    "seal",
    "open_reused",
    "open_fresh",
    "verify",
    "create_plain",
    "create_sealed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`in_flight` lines of calls side by side, `calls` one after the other in each."""

    work: Work
    model: str
    warm_up: str
    calls: int = 1
    in_flight: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Job":
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """CPU seconds and memory of the client's process, and how much text it read meanwhile."""

    cpu_seconds: float
    resident_bytes: int
    text_length: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Finding":
        return cls(**json.loads(line))
