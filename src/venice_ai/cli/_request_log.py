"""The emulator of `serve`, which tells each request in a line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from .._core.json_values import members
from ..emulator import Emulator
from ..emulator.sending import Act, Answer, Incoming, Send, acts_of, closed
from . import _output

_TOKENS = re.compile(rb'"total_tokens":\s*(\d+)')


class LoggingEmulator(Emulator):
    """An emulator that waits `latency` seconds before each answer, and writes a line to stderr after it."""

    def __init__(self, *, latency: float, as_json: bool, **given: Any) -> None:
        super().__init__(**given)
        self.latency, self.as_json = latency, as_json

    async def respond(self, incoming: Incoming, *, now: float) -> Answer:
        """The answer to a request; `now` is Unix time."""
        began = time.monotonic()
        answer = await super().respond(incoming, now=now)
        answer = replace(answer, delay=answer.delay + self.latency)
        if not isinstance(answer.body, tuple):
            return replace(answer, body=self._logged(incoming, answer, began))
        self._tell(incoming, answer, [act.data for act in answer.body if isinstance(act, Send)], began - answer.delay)
        return answer

    async def _logged(self, incoming: Incoming, answer: Answer, began: float) -> AsyncIterator[Act]:
        told = list[bytes]()
        try:
            async for act in acts_of(answer.body):
                if isinstance(act, Send) and b"total_tokens" in act.data:
                    told = [act.data]
                yield act
        finally:  # also when the caller left
            await closed(answer.body)
            self._tell(incoming, answer, told, began)

    def _tell(self, incoming: Incoming, answer: Answer, said: list[bytes], began: float) -> None:
        try:
            model = members(json.loads(incoming.body or b"{}")).get("model")
        except ValueError:
            model = None
        tokens = max(map(int, _TOKENS.findall(b"".join(said))), default=0)
        told: dict[str, Any] = {"time": time.strftime("%H:%M:%S"), "path": incoming.path, "model": model}
        told |= {"status": answer.status, "tokens": tokens, "ms": round((time.monotonic() - began) * 1000)}
        line = "{time} {path} {model} {status} {tokens} tokens {ms} ms".format_map(told | {"model": model or "-"})
        _output.aside((json.dumps(told) if self.as_json else line) + "\n")
