"""End-to-end encryption on the enclave's side: decrypts requests, and encrypts each text of an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeAlias

from venice_ai._core.json_values import members
from venice_ai.exceptions import InvalidRequestError
from venice_ai.tee.crypto import EnvelopeError, Opener, Sealer, public_key_bytes
from venice_ai.tee.curve import PrivateKey
from venice_ai.tee.guard import ALGORITHM, CLIENT_KEY, MODEL_KEY
from venice_ai.types._base import is_array
from venice_ai.types.api.models import ModelCapabilities

from ..sending import Act, Body, HTTPReply, acts_of, closed, encode_json

Chunk: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Chunk, "Channel"], Iterable[Chunk]]


class Channel:
    """An answer on its way to a client: takes its chunks, and gives what is sent, sealed if there is a key of the client's."""

    def __init__(self, request: bytes, client_key: bytes | None, fault: Change | None, *, signs_bytes: bool) -> None:
        self.id: str | None = None  # the id of the answer, once it has one
        self.contents: int = 0  # how many texts were sealed so far
        self.last: str = ""  # the text that was sealed last, as it was
        self.delta: dict[str, Any] = {}  # of the chunk under way, if content was sealed in it
        self._sealer = None if client_key is None else Sealer(client_key)
        self._fault = None if client_key is None else fault
        self._request = hashlib.sha256(request)
        self._response = hashlib.sha256()
        self._signs_bytes = signs_bytes

    def __call__(self, chunk: Chunk) -> Iterable[Chunk]:
        self.id, self.delta = chunk.get("id"), {}
        if (sealer := self._sealer) is not None:
            chunk = {**chunk, "choices": [self._choice(each, sealer) for each in chunk["choices"]]}
        sent = [chunk] if self._fault is None else [*self._fault(chunk, self)]
        for each in () if self._signs_bytes else sent:
            self._response.update(encode_json(each))
        return sent

    def leave(self, reply: HTTPReply) -> HTTPReply:
        """The reply, whose bytes are hashed while they are sent, if bytes are signed."""
        return replace(reply, body=self._noted(reply.body)) if self._signs_bytes else reply

    async def _noted(self, body: Body) -> AsyncIterator[Act]:
        try:
            async for act in acts_of(body):
                if isinstance(act, bytes):
                    self._response.update(act)
                yield act
        finally:
            await closed(body)

    @property
    def hashes(self) -> str:
        """The hashes that are signed: of the request, and of the answer as far as it was sent."""
        return f"{self._request.hexdigest()}:{self._response.hexdigest()}"

    def _choice(self, choice: Mapping[str, Any], sealer: Sealer) -> dict[str, Any]:
        delta: dict[str, Any] = dict(choice["delta"])
        for name in ("content", "reasoning_content", "reasoning"):
            text = delta.get(name)
            # Servers let blanks pass in clear.
            if isinstance(text, str) and text.strip():
                delta[name] = sealer.seal(text.encode("utf-8", "replace"))
                self.last = text
                if name == "content":
                    self.contents += 1
                    self.delta = delta
        return {**choice, "delta": delta}


def opened(
    body: dict[str, Any], headers: Mapping[str, str], able: ModelCapabilities, own: PrivateKey
) -> tuple[dict[str, Any], bytes | None]:
    """A body decrypted, and the key that its answer is to be sealed to; as it is, and `None`, if it came in clear."""
    is_sealed = all(headers.get(name.lower()) for name in (CLIENT_KEY, MODEL_KEY, ALGORITHM))
    if is_sealed and not able.supportsE2EE:
        raise InvalidRequestError("Invalid E2EE headers: the model has no end-to-end encryption")
    if not is_sealed or members(body.get("venice_parameters")).get("enable_e2ee") is False:
        return body, None
    if headers[ALGORITHM.lower()] != "ecdsa":
        raise InvalidRequestError("Unsupported signing algorithm")
    try:
        model_key, client_key = (public_key_bytes(headers[name.lower()]) for name in (MODEL_KEY, CLIENT_KEY))
    except ValueError as reason:
        raise InvalidRequestError(f"Invalid E2EE headers: {reason}") from None
    if model_key != own.public_key:
        raise InvalidRequestError("e2ee_model_key_mismatch")
    if body.get("stream") is not True:
        raise InvalidRequestError("E2EE requires streaming")
    opener = Opener(own)
    return {**body, "messages": [_opened(message, opener) for message in body["messages"]]}, client_key


def _opened(message: Mapping[str, Any], opener: Opener) -> dict[str, Any]:
    content = message.get("content")
    if content is None:
        return dict(message)
    try:
        bytes.fromhex(content)
    except (TypeError, ValueError):
        raise InvalidRequestError("Encrypted field is not valid hex") from None
    try:
        text = opener.open(content).decode()
    except (EnvelopeError, UnicodeDecodeError):
        raise InvalidRequestError("Failed to decrypt field") from None
    with suppress(ValueError):
        if is_array(parts := json.loads(text)):  # as content in parts is sealed
            return {**message, "content": parts}
    return {**message, "content": text}
