"""A Venice with one enclave behind the transport port, small enough to be bent in every way by a test.

It proves what the baseline proves (no quote: level `server`); a `quoted` one proves what Intel's hardware does. It opens what
is sealed to it, refuses what is not, and seals its answer chunk by chunk. Whatever a test wants otherwise it overrides: a reply
for the attestation, events for the answer.
"""

from __future__ import annotations

import asyncio
import copy
import json
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from itertools import count
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from venice_ai import ChatCompletionResponse, ChatStream, VeniceClient
from venice_ai.emulator import enclave as emulated
from venice_ai.tee import TeeOptions
from venice_ai.tee.crypto import Opener, Sealer, address
from venice_ai.tee.curve import Key, PrivateKey
from venice_ai.transport import Request

from .. import fakes
from ..fakes import DONE, KEY, UNIX, RecordingClock, ScriptedReply, answer, completion, event, stream

MODEL: Final = "e2ee-m"
ASK: Final[dict[str, Any]] = {"model": MODEL, "messages": [{"role": "user", "content": "my secret prompt"}]}
SERVER: Final = TeeOptions(verification="server")
CLIENT_KEY: Final = "X-Venice-TEE-Client-Pub-Key"
MODEL_KEY: Final = "X-Venice-TEE-Model-Pub-Key"


_KEYS = count()


@cache
def made_key(_: int) -> tuple[PrivateKey, ec.EllipticCurvePrivateKey, str]:
    """A key to open with, the same to sign with, and its address. Tests share a few, for making one takes as long as a test."""
    secret = secrets.token_bytes(32)
    private = Key(secret)
    return private, ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256K1()), address(private.public_key)


@cache
def made_enclave() -> emulated.Enclave:
    """The one whose certificates all tests share; each has a copy, with a fault and a key of its own."""
    return emulated.Enclave()


class Enclave:
    """Answers as Venice does. `requests` are all that came, `asked` what was asked in the sealed ones."""

    def __init__(self, *, text: str = "my secret answer", model: str = MODEL, quoted: bool = False) -> None:
        self.text = text
        self.hardware = copy.copy(made_enclave()) if quoted else None
        self.model = model
        self.requests: list[Request] = []
        self.asked: list[list[dict[str, Any]]] = []
        self.attestation: Callable[[dict[str, Any]], Any] = lambda reply: reply
        """Bends the reply to `/tee/attestation`: a dict, or a whole `ScriptedReply`."""
        self.answer: Callable[[Sealed], list[Any]] = whole
        """The events of an answer."""
        self.refusals: list[ScriptedReply | BaseException] = []
        """What the next chats get instead of an answer."""
        self.signature: Callable[[str], ScriptedReply] = lambda _: answer({"error": "no such"}, status=404)
        self.catalogue = [
            entry(MODEL, supportsTeeAttestation=True, supportsE2EE=True),
            entry("tee-m", supportsTeeAttestation=True),
        ]
        self.catalogue += [entry("ordinary")]
        self.names = {"default": "ordinary", "most_private": "tee-m"}
        """Traits, and other vendors' names."""
        self.rotate()

    def rotate(self) -> None:
        """Takes a new key."""
        self._private, self._signing, self.address = made_key(next(_KEYS) % 16)
        self.public_key = self._private.public_key

    def signed(self, digest: bytes) -> bytes:
        """The signature of a digest: r, s and v."""
        r, s = utils.decode_dss_signature(self._signing.sign(digest, ec.ECDSA(utils.Prehashed(SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x1b"

    async def send(self, request: Request) -> ScriptedReply:
        self.requests.append(request)
        parts = urlsplit(request.url)
        if parts.path.endswith("/tee/attestation"):
            return self._attest({name: values[0] for name, values in parse_qs(parts.query).items()})
        if parts.path.endswith("/tee/signature"):
            return self.signature(parse_qs(parts.query)["request_id"][0])
        if parts.path.endswith("/chat/completions"):
            return self._chat(request)
        if parts.path.endswith("/models"):
            return answer({"object": "list", "data": self.catalogue})
        return answer({"data": self.names} if "/models/" in parts.path else {"error": "no such address"})

    async def aclose(self) -> None:
        pass

    @property
    def demands(self) -> TeeOptions:
        """Options under which this enclave is accepted."""
        return SERVER if self.hardware is None else self.hardware.options(verification="quote", clock=lambda: UNIX)

    @property
    def without_collateral(self) -> TeeOptions:
        """Options under which a quoted enclave reaches the level `quote`, and a warning."""
        assert self.hardware is not None
        return self.hardware.options(collateral=NoCollateral(), clock=lambda: UNIX)

    def _quoted(self, query: Mapping[str, str]) -> dict[str, Any]:
        assert self.hardware is not None
        self.hardware.key = cast("Any", _OwnKey(self.public_key, self.address))
        found: dict[str, Any] = json.loads(self.hardware.attestation(query["model"], bytes.fromhex(query["nonce"])))
        return found

    def _attest(self, query: Mapping[str, str]) -> ScriptedReply:
        if self.hardware is not None:
            reply = self.attestation(self._quoted(query))
            return reply if isinstance(reply, ScriptedReply) else answer(reply)
        reply = self.attestation(
            {
                "verified": True,
                "model": query["model"],
                "nonce": query["nonce"],
                "nonce_source": "client",
                "signing_address": self.address,
                "signing_public_key": self.public_key.hex(),
                "signing_algo": "ecdsa",
                "tee_hardware": "intel-tdx",
                "tee_provider": "phala",
            }
        )
        return reply if isinstance(reply, ScriptedReply) else answer(reply)

    def _chat(self, request: Request) -> ScriptedReply:
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, BaseException):
                raise refusal
            return refusal
        body = json.loads(request.body or b"")
        if CLIENT_KEY not in request.headers:
            in_clear = [event(chunk("in clear", finish="stop")), DONE]
            return stream(*in_clear) if body.get("stream") else answer(completion("in clear"))
        if request.headers[MODEL_KEY] != self.public_key.hex():
            return refused("e2ee_model_key_mismatch")
        opener = Opener(self._private)
        try:
            self.asked.append([{**each, "content": opener.open(each["content"]).decode()} for each in body["messages"]])
        except ValueError:
            return refused("Encrypted field is not valid hex")
        sealed = Sealed(bytes.fromhex(request.headers[CLIENT_KEY]))
        events = [each if isinstance(each, (bytes, BaseException)) else event(each) for each in self.answer_of(sealed)]
        return stream(*events, headers={"x-venice-tee": "true"})

    def answer_of(self, sealed: Sealed) -> list[Any]:
        """The events of the answer to a client whose key is in `sealed`."""
        sealed.text = self.text
        return self.answer(sealed)

    @property
    def attestations(self) -> list[Request]:
        """The requests for evidence."""
        return [request for request in self.requests if "/tee/attestation" in request.url]

    @property
    def chats(self) -> list[Request]:
        """The chats that came."""
        return [request for request in self.requests if request.method == "POST"]

    @property
    def nonces(self) -> list[str]:
        """What evidence was asked for with."""
        return [parse_qs(urlsplit(request.url).query)["nonce"][0] for request in self.attestations]


class NoCollateral:
    """Intel's word cannot be had."""

    def get(self, _fmspc: str, _ca: str, _now: float, /) -> None:
        """Nothing."""


class _OwnKey(NamedTuple):
    """What the emulated hardware has to know of a key that it attests."""

    public: bytes
    address: str


class Silent(Enclave):
    """Never answers what is asked of one address."""

    def __init__(self, address: str = "/tee/attestation", *, quoted: bool = False) -> None:
        super().__init__(quoted=quoted)
        self._silent = address

    async def send(self, request: Request) -> ScriptedReply:
        if self._silent in request.url:
            self.requests.append(request)
            await asyncio.Event().wait()
        return await super().send(request)


def entry(identity: str, **capabilities: bool) -> dict[str, Any]:
    """A model of the catalogue."""
    spec: dict[str, Any] = {"capabilities": capabilities, "availableContextTokens": 1000, "privacy": "private", "traits": []}
    return {"id": identity, "type": "text", "object": "model", "model_spec": spec}


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of the attested model."""
    return {**fakes.chunk(text, **more), "model": MODEL}


def envelope(**fields: Any) -> dict[str, Any]:
    """A chunk of the attested model with these fields."""
    return fakes.envelope(**{"model": MODEL, **fields})


class Sealed:
    """Seals to the client of one request."""

    def __init__(self, client_key: bytes) -> None:
        self.text = ""
        self.client_key = client_key
        self._sealer = Sealer(client_key)

    def __call__(self, text: str) -> str:
        return self._sealer.seal(text.encode())


def whole(sealed: Sealed) -> list[Any]:
    """An answer as it should be."""
    half = len(sealed.text) // 2
    return [
        chunk("", role="assistant"),
        chunk(sealed(sealed.text[:half])),
        chunk("\n"),
        chunk(sealed(sealed.text[half:])),
        chunk(finish="stop"),
        envelope(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        DONE,
    ]


def refused(reason: str, *, status: int = 400) -> ScriptedReply:
    """A refusal as Venice words it."""
    return answer({"error": {"message": reason, "type": "invalid_request_error"}}, status=status)


async def created(client: VeniceClient, **params: Any) -> ChatCompletionResponse:
    """The answer to the question that every test asks."""
    asked: dict[str, Any] = {**ASK, **params, "stream": False}
    found = cast("object", await client.chat.completions.create(**asked))
    assert isinstance(found, ChatCompletionResponse)
    return found


async def streamed(client: VeniceClient, **params: Any) -> ChatStream:
    """The same, as a stream."""
    asked: dict[str, Any] = {**ASK, **params}
    opened: ChatStream = await client.chat.completions.stream(**asked)
    return opened


def case(change: Callable[[Sealed], Any], *, id: str) -> Any:  # noqa: A002  # as pytest.param has it
    """A parameter that says what comes in a sealed answer."""
    return pytest.param(change, id=id)


def client_of(enclave: Enclave, **settings: Any) -> VeniceClient:
    """A client of this enclave, with a clock that does not wait."""
    chosen: dict[str, Any] = {"api_key": KEY, "clock": RecordingClock(), "tee": enclave.demands, **settings}
    return VeniceClient(transport=enclave, **chosen)
