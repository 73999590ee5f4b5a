"""Answers the requests that a test foresaw, and fails the test for any other: `Replay` and `ScriptedEmulator`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from difflib import SequenceMatcher, unified_diff
from itertools import chain
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from .._core.ports import Clock
from .._wire.json_text import decode
from ..emulator import Emulator, EmulatorTransport, Step, VirtualClock, error, steps_to_json
from ..emulator.sending import Act, HTTPReply, Incoming, json_reply
from ._cassette import Cassette, Exchange, path_of


class ScriptMismatchError(AssertionError):
    """Other requests came than a test foresaw: those with `+` are too many, what has a `-` was never asked for."""


class _Foreseen:
    def __init__(self, unused: Callable[[], Iterable[str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._unused = unused  # what was foreseen, and did not come, in lines
        self._log: list[str] = []

    def _judged(self, incoming: Incoming, reply: HTTPReply | str) -> HTTPReply:
        """The answer; if it says why none was foreseen, that is raised in this process, and answered on a socket."""
        line = f"{incoming.method} {incoming.path} {incoming.body.decode('utf-8', 'replace'):.100}".rstrip()
        if not isinstance(reply, str):
            self._log.append(f"  {line}")
            return reply
        self._log.append(f"+ {line}\n{reply}")
        refusal = json_reply(501, {"error": {"message": reply}}, {"x-should-retry": "false"})
        return replace(refusal, failure=ScriptMismatchError(reply))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        log = [*self._log, *(f"- {line}" for line in self._unused())]
        if error[0] is None and any(line[0] in "+-" for line in log):
            raise ScriptMismatchError("\n".join(["the requests are not those foreseen:", *log]))


class Replay(_Foreseen):
    """Answers from a cassette: each exchange once, to a request with its method, path and body (JSON is compared as JSON).

    For clients with its `transport()` and `clock`, delays and gaps take no time, and time limits are met all the same.
    `serve(replay)` and `run_in_thread(replay)` let any client ask on a socket, where they take their time.

    Args:
        cassette: the file, or what was read from it and changed.
        speed: how many times as fast as recorded; `math.inf` leaves out delays and gaps.
    """

    def __init__(self, cassette: Cassette | str | Path, *, speed: float = 1.0) -> None:
        super().__init__(lambda: (" ".join(map(str.strip, lines)) for lines, _ in self._left))
        cassette = cassette if isinstance(cassette, Cassette) else Cassette.read(cassette)
        self.clock: Clock = VirtualClock(cassette.recorded_at)  # a clock for the client; it begins when the recording began
        self._known = [(_lines(each.request, each.body.data), each) for each in cassette.exchanges]
        self._left, self._speed = [*self._known], speed

    def transport(self) -> EmulatorTransport:
        """A transport for a client in this process."""
        return EmulatorTransport(self)

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        """The recorded reply."""
        asked = _lines(f"{incoming.method} {path_of(f'{incoming.path}?{urlencode(incoming.query)}')}", incoming.body)
        for place, (lines, each) in enumerate(self._left):
            if lines == asked:
                del self._left[place]
                status, delay = each.status or 200, each.delay_ms / 1_000 / self._speed
                refused = not (each.status or each.broken)
                return self._judged(incoming, HTTPReply(status, each.headers, self._acts(each), delay, refused))
        return self._judged(incoming, self._difference(asked))

    def _acts(self, each: Exchange) -> Iterator[Act]:
        for chunk in each.chunks:
            if seconds := chunk.gap_ms / 1_000 / self._speed:
                yield seconds
            yield chunk.data
        if each.broken:
            yield "reset"

    def _difference(self, asked: list[str]) -> str:
        known = [lines for lines, _ in self._known]
        nearest = max(known, key=lambda lines: SequenceMatcher(None, lines, asked).ratio(), default=list[str]())
        if nearest == asked:
            return f"{asked[0]} was asked more often than it is recorded"
        lines = unified_diff(nearest, asked, "the nearest request that is recorded", "what was asked", lineterm="")
        return "\n".join([f"{asked[0]} is not recorded like this:", *lines])


class ScriptedEmulator(_Foreseen, Emulator):
    """An emulator with a script, which alone answers chats, and is to be used up; `settings` are those of `Emulator`."""

    def __init__(self, *steps: Step, **settings: Any) -> None:
        super().__init__(lambda: map(_shown, steps_to_json(chain(*self._script.left.values()))), **settings)
        self.script(*steps)
        self.always(_UNSCRIPTED)

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        """The reply of the next step."""
        reply = await super().respond(incoming, now=now)
        return self._judged(incoming, "nobody scripted this chat" if _MARK in reply.headers else reply)


_shown = json.JSONEncoder(ensure_ascii=False).encode
_MARK = "x-not-scripted"
_UNSCRIPTED = error(501, headers={_MARK: "true"})


def _lines(request: str, body: bytes) -> list[str]:
    """A request to compare and to show, in lines: JSON with its members in order."""
    try:
        shown = json.dumps(decode(body), indent=2, sort_keys=True, ensure_ascii=False)
    except ValueError:
        shown = body.decode("utf-8", "backslashreplace")
    return [request, *shown.splitlines()]
