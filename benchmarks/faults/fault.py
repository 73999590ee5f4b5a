"""A fault: what is done to a client, and what is right for a caller to get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.scripted_server import Step

Kind = Literal["stream", "plain", "tools"]
Place = Literal["server", "refused", "no such name", "untrusted", "expired", "no TLS", "backlog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What is right: the same for every client."""

    ends: Literal["answer", "error", "either"] = "answer"
    """Whether the caller gets an answer or an error. `either`: an answer that is whole, or an error."""
    text: str = ""
    """The text that the server sent. The caller has it in the end: in the answer, in deltas, or held by the error."""
    finish: str | None = "stop"
    """The finish reason of an answer; None: none was sent, so none may be told."""
    calls: tuple[str, ...] = ()
    """The tool calls of an answer, as `name(arguments)`."""
    status: int | None = None
    """The HTTP status that the error knows."""
    requests: int = 1
    """How many requests may be sent at most."""
    seconds: float = 9.0
    """When the call is over at the latest; on a busy machine all takes longer, so this is generous."""

    def sentence(self) -> str:
        """The rule as a sentence for the page."""
        outcome = {"answer": "an answer", "error": "an error", "either": "the whole answer, or an error"}[self.ends]
        with_text = " with the text that came" if self.text and self.ends == "error" else ""
        status = f" with the status {self.status}" if self.status else ""
        calls = f" with the calls {', '.join(self.calls)}" if self.calls else ""
        requests = "one request" if self.requests == 1 else f"at most {self.requests} requests"
        return f"{outcome}{with_text}{status}{calls}; {requests}; within {self.seconds:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    name: str
    """Short and unique: the row's name and, with hyphens, its anchor."""
    group: str
    does: str
    """What is done to the client, in a sentence."""
    kinds: tuple[Kind, ...]
    replies: Sequence[Sequence[Step]] = ((b"",),)
    """In turn for each request, and the last one from then on."""
    right: Right
    retries: int | None = None
    """What the client is told about retries; None: nothing, its default holds."""
    calls: int = 1
    """How many calls are made one after the other with the same client; the last one is judged."""
    pause: float = 0.0
    """Seconds between them."""
    alone: bool = False
    """Whether it keeps the processor busy: then nothing else runs beside it."""
    parse: bool = True
    """Whether the text fits the class that `parse` asks for."""
    place: Place = "server"

    @property
    def anchor(self) -> str:
        return "".join(each if each.isalnum() else "-" for each in self.name.lower())
