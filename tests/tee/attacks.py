"""An attack on an encrypted chat, played against a whole client, and one function that judges the outcome.

The emulator plays the attacks that it has as faults; a transport between it and the client changes replies for the others.
"""

from __future__ import annotations

import json
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from venice_ai import APIError, VeniceClient
from venice_ai.emulator import Emulator, Step, text
from venice_ai.emulator.enclave import Enclave
from venice_ai.exceptions import (
    InvalidRequestError,
    RateLimitError,
    StreamInterruptedError,
    TeeAttestationError,
    TeeEncryptionError,
)
from venice_ai.tee import TeeOptions
from venice_ai.tee.crypto import is_envelope
from venice_ai.transport import Reply, Request

from ..fakes import KEY, UNIX, ScriptedReply
from .enclave import CLIENT_KEY

MODEL: Final = "e2ee-ponte-chiuso-p"
SECRET: Final = "what nobody else may read"
SAID: Final = "An answer that is long enough to come in a good many chunks."
ENCLAVE: Final = Enclave()
OUTCOMES: Final[dict[str, type[Exception] | None]] = {
    "IRE": InvalidRequestError,
    "TAE": TeeAttestationError,
    "TEE": TeeEncryptionError,
    "API": APIError,
    "interrupted": StreamInterruptedError,
    "limited": RateLimitError,
    "invalid": TeeEncryptionError,
    "OK": None,
}
"""What can be required of a client: an error, or None for the whole answer."""
_HEAD = 2 * (65 + 12)  # of an envelope: a public key and a nonce


@dataclass(frozen=True)
class Attack:
    """What somebody does to a chat.

    Args:
        fault: what the emulator plays, of `FAULTS`.
        reply: the members of the attestation that are others when it arrives, given those that it was sent with.
        instead: what answers a request in the emulator's place, given how many came before it; None lets it pass.
        step: how the model answers.
        options: what the client demands, besides the level `hardware`.
        call: what it asks with.
        later: a good answer comes first, and the attack begins after it.
        rotated: it begins with another key of the enclave.
        client: what else the client is made with.
    """

    fault: str | None = None
    reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    instead: Callable[[int, Request], ScriptedReply | None] = lambda _, __: None
    step: Step = field(default_factory=lambda: text(SAID))
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    call: Mapping[str, Any] = field(default_factory=dict[str, Any])
    later: bool = False
    rotated: bool = False
    client: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Scene:
    """One attack: the client, the emulator, and the wire between them."""

    def __init__(self, attack: Attack) -> None:
        self.attack = attack
        self.emulator = Emulator(tee=ENCLAVE)
        self.requests: list[Request] = []
        self.read = ""
        self._way = self.emulator.transport()

    async def send(self, request: Request) -> Reply:
        self.requests.append(request)
        if (other := self.attack.instead(len(self.requests) - 1, request)) is not None:
            return other
        found = await self._way.send(request)
        if self.attack.reply is None or not urlsplit(request.url).path.endswith("/tee/attestation"):
            return found
        members = json.loads(await found.read())
        return ScriptedReply(json.dumps({**members, **self.attack.reply(members)}).encode())

    async def aclose(self) -> None:
        await self._way.aclose()

    @property
    def chats(self) -> list[Request]:
        return [request for request in self.requests if request.method == "POST"]

    async def play(self) -> Exception | None:
        """What the attack comes to: an error, or None for a whole answer."""
        options = {"verification": "hardware", "clock": lambda: UNIX, **self.attack.options}
        ENCLAVE.fault = None
        self.emulator.always(text(SAID))
        tee = ENCLAVE.options(**options)
        async with self._client(tee) as client:
            if self.attack.later:
                await self._ask(client)
            ENCLAVE.fault = self.attack.fault
            self.emulator.always(self.attack.step)
            if self.attack.rotated:
                ENCLAVE.rotate()
            try:
                await self._ask(client)
            except Exception as error:  # noqa: BLE001  # which one it is is what is looked at
                return error
            return None

    def _client(self, tee: TeeOptions) -> VeniceClient:
        return VeniceClient(api_key=KEY, transport=self, clock=self.emulator.clock, tee=tee, **self.attack.client)

    async def _ask(self, client: VeniceClient) -> None:
        """Reads an answer as far as it can be read."""
        self.read = ""
        asked: Any = {"model": MODEL, "messages": [{"role": "user", "content": SECRET}], "e2ee": True, **self.attack.call}
        async with await client.chat.completions.stream(**asked) as stream:
            async for piece in stream.text_deltas():
                self.read += piece


async def assert_outcome(attack: Attack, required: str) -> None:
    """That an attack comes to what is required, and that nothing was sent, read or shown that must not be."""
    scene = Scene(attack)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = await scene.play()

    expected = OUTCOMES[required]
    assert error is None if expected is None else isinstance(error, expected), repr(error)
    if required == "IRE":
        assert scene.requests == []
    if required in {"TAE", "limited"}:
        assert len(scene.chats) == attack.later
    assert SAID.startswith(scene.read)
    if required in {"IRE", "TAE", "limited"}:
        assert scene.read == ""
    if required == "TEE":
        assert len(scene.read) < len(SAID) / 2
    if required == "OK":
        assert scene.read == SAID
    _assert_sealed(scene.chats)
    _assert_silent(error)


def _assert_sealed(chats: list[Request]) -> None:
    """Every content is sealed with a key and a nonce of its own, and goes to Venice alone."""
    contents = [message["content"] for chat in chats for message in json.loads(chat.body or b"")["messages"]]
    assert all(map(is_envelope, contents))
    assert len({content[:_HEAD] for content in contents}) == len(contents)
    assert len({chat.headers[CLIENT_KEY] for chat in chats}) == len(chats)
    assert {urlsplit(chat.url).hostname for chat in chats} <= {"api.venice.ai"}


def _assert_silent(error: Exception | None) -> None:
    """An error shows no question, no answer and no key."""
    shown = "" if error is None else repr(error) + "".join(traceback.format_exception(error))
    assert [secret for secret in (SECRET, SAID, KEY) if secret in shown] == []
