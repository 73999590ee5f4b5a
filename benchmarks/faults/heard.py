"""What a client is asked to do, and what its caller got. Nothing of this project is imported: it runs in all environments."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any, cast

TIMEOUT_SECONDS = 3.0
KEY = "canary-key-0123456789abcdef"
PROMPT = "canary-prompt: which boat goes to Burano?"
MODEL = "venice-1"
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": PROMPT}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a client is asked to do."""

    url: str
    retries: int | None = None
    calls: int = 1
    pause: float = 0.0
    timeout: float = TIMEOUT_SECONDS
    key: str = KEY
    """Another one for each call: clients may learn what a server allows a key."""

    def options(self) -> dict[str, Any]:
        """The settings that all clients but one name alike."""
        retries = {} if self.retries is None else {"max_retries": self.retries}
        return {"base_url": self.url, "api_key": self.key, "timeout": self.timeout, **retries}


@dataclass(kw_only=True)
class Heard:
    """What the caller got, as it came."""

    text: str = ""
    finish: str | None = None
    calls: list[str] = field(default_factory=list[str])
    error: str | None = None
    """The type of the error, with its module."""
    message: str = ""
    status: int | None = None
    begun: bool = False
    over: bool = False
    """Whether the call came to an end."""
    seconds: float = 0.0
    requests: int = 0

    def begin(self, pause: float) -> None:
        """Another call: what an earlier one gave does not count. The pause is before every call but the first."""
        if self.begun:
            time.sleep(pause)
        self._forget()

    async def again(self, pause: float) -> None:
        """The same for an asynchronous client, whose event loop goes on."""
        if self.begun:
            await asyncio.sleep(pause)
        self._forget()

    def _forget(self) -> None:
        self.begun, self.text, self.finish, self.calls = True, "", None, []

    def chunk(self, chunk: Any) -> None:
        """A chunk of a stream, as OpenAI's protocol has it."""
        for choice in getattr(chunk, "choices", None) or ():
            self.text += _text(getattr(choice.delta, "content", None))
            self.finish = choice.finish_reason or self.finish

    def whole(self, response: Any) -> None:
        """A whole answer, as OpenAI's protocol has it."""
        self.text = ""
        for choice in getattr(response, "choices", None) or ():
            self.text += _text(choice.message.content)
            self.finish = choice.finish_reason or None
            called = [each.function for each in choice.message.tool_calls or ()]
            self.calls = [call_text(each.name, each.arguments) for each in called]

    def failed(self, error: BaseException) -> None:
        """The error, and the text that it holds."""
        self.error = f"{type(error).__module__}.{type(error).__qualname__}"
        self.message = str(error)[:300]
        self.status = getattr(error, "status_code", None)
        held = [getattr(getattr(error, name, None), "choices", None) for name in ("partial", "response")]
        choices: Any = held[0] or held[1] or ()
        text = "".join(_text(getattr(choice.message, "content", None)) for choice in choices)
        if len(text) > len(self.text):
            self.text = text

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def call_text(name: object, arguments: object) -> str:
    """A tool call in one line; arguments that are JSON lose their blanks."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return f"{name}({arguments})"
    return f"{name}({json.dumps(arguments or {}, separators=(',', ':'))})"


def _text(content: object) -> str:
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        return "".join(str(cast("Any", part)["text"] if isinstance(part, dict) else part.text) for part in parts)
    return content if isinstance(content, str) else ""
