"""One end-to-end encrypted exchange: a request is sealed, and the answer opened piece by piece.

A session is fed the body of a request, then the JSON of each event of the answer, then told of its end. It has a key pair of
its own, which no other request uses. What is not as it must be raises, and nothing of it is delivered: text in clear where
ciphertext belongs, ciphertext that cannot be opened or came before, an end that is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, cast

from .._assemble import Assembly, ends
from ..exceptions import TeeEncryptionError
from ..types._base import hush
from ..types.api.chat import ChatCompletionResponse, content_text
from ..types.api.streaming import ChatCompletionChunk
from . import needs_extra as needs_extra  # noqa: PLC0414  # imported for what it does
from .crypto import EnvelopeError, Opener, is_envelope, public_key_bytes, seal
from .curve import PrivateKey
from .guard import ALGORITHM, CLIENT_KEY, MODEL_KEY
from .report import AttestationReport, SignatureReport

_COMMON_FIELDS = 5  # id, object, created, model, choices
_SEALED = frozenset({"content", "reasoning_content", "reasoning"})
_TEXTS_OF_CHOICES = ("message", "text", "logprobs")
_KNOWN_IN_CLEAR = frozenset({"tool_calls", "function_call", "refusal", "audio", "reasoning_details"})
_DROPPED = ("prompt_cache_key", "prompt_cache_retention")


class TeeSession:
    """The state of one exchange.

    Args:
        report: what the enclave proved. Messages are sealed to the key in it.
        encrypt_roles: the roles whose messages are sealed, or `all`.
        spoilt: called when an answer cannot be opened: the key may not be the enclave's any more.
        private: the key of this exchange; a new one, unless it is given, which is for known answers.

    Raises:
        TeeEncryptionError: the report has no verified key.
    """

    def __init__(
        self,
        report: AttestationReport,
        *,
        encrypt_roles: Literal["all"] | tuple[str, ...] = "all",
        spoilt: Callable[[], None] | None = None,
        private: PrivateKey | None = None,
    ) -> None:
        if report.model_public_key is None:
            raise TeeEncryptionError(f"the attestation of {report.model!r} verified no key to seal to", report=report)
        self.attestation: AttestationReport = report
        """What the enclave proved."""
        self.signature: SignatureReport | None = None
        """What the signature of the answer came to, if it was asked for."""
        self.request_id: str | None = None
        """The id of the answer; None before it began, and if its chunks do not agree on one."""
        self._model_key = public_key_bytes(report.model_public_key)
        self._roles = encrypt_roles
        self._spoilt = spoilt
        self._opener: Opener | None = Opener(private)
        self._public_key = self._opener.public_key
        self._ids: set[str] = set()
        self._choices: dict[int | None, bool] = {}  # those that brought something, and whether they have a finish reason
        self._envelopes = 0
        self._completion_tokens = 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers without which Venice would take the request for one in clear."""
        return {
            CLIENT_KEY: self._public_key.hex(),
            MODEL_KEY: self._model_key.hex(),
            ALGORITHM: "ecdsa",
        }

    # -- out -------------------------------------------------------------------------------------------------------------

    def seal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body to send for one that `guard` let pass: its messages sealed, and what this protocol needs set."""
        sealed = {name: value for name, value in body.items() if name not in _DROPPED}
        sealed["messages"] = [self._sealed(message) for message in body["messages"]]
        sealed["stream"] = True
        sealed["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        sealed["venice_parameters"] = {
            **(body.get("venice_parameters") or {}),
            "include_venice_system_prompt": False,
            "enable_e2ee": True,
        }
        return sealed

    def _sealed(self, message: Mapping[str, Any]) -> dict[str, Any]:
        role: str = message["role"]
        content = message.get("content")
        kept = {"role": role, **({"content": content} if "content" in message else {})}
        if content is not None and (self._roles == "all" or role in self._roles):
            kept["content"] = seal(self._model_key, (content_text(content) or "").encode())
        return kept

    # -- in --------------------------------------------------------------------------------------------------------------

    def assembly(self, choices: int) -> Assembly:
        """What puts the opened chunks together; what it makes shows nothing of the answer in its `repr`."""
        return _PrivateAssembly(choices, self)

    def open(self, event: Any) -> Any:
        """The JSON of an event with every encrypted field in clear, in place. An error the server reports stays as it is.

        Raises:
            TeeEncryptionError: something in it is in clear, or cannot be opened.
        """
        if not isinstance(event, dict):
            return event
        chunk = cast("dict[str, Any]", event)
        if chunk.get("error"):
            return chunk
        choices = chunk.get("choices")
        if choices:
            if choices.__class__ is not list:
                self._refuse("choices that are no list")
            for choice in choices:
                self._open_choice(choice)
        if len(chunk) > _COMMON_FIELDS or chunk.get("id") != self.request_id:
            self._note(chunk)
        return chunk

    def end(self, *, done: bool) -> str | None:
        """What the answer lacks, if it is over now; None if it is whole. `done`: `[DONE]` came.

        Raises:
            TeeEncryptionError: tokens were counted, but nothing encrypted came.
        """
        if self._completion_tokens and not self._envelopes:
            self._refuse(f"nothing encrypted in an answer of {self._completion_tokens} tokens")
        if not all(self._choices.values()):
            return "an encrypted answer must end with a finish reason for each choice"
        return None if done else "an encrypted answer must end with [DONE]"

    def refuse_reply(self) -> NoReturn:
        """For a reply that is no stream at all.

        Raises:
            TeeEncryptionError: always.
        """
        self._refuse("a reply that is not a stream")

    def close(self) -> None:
        """Forgets the private key; nothing can be opened any more."""
        self._opener = None

    def _open_choice(self, choice: Any) -> None:  # noqa: C901  # the hot path, spelled out
        if choice.__class__ is not dict:
            self._refuse("a choice that is no object")
        for name in _TEXTS_OF_CHOICES:
            if choice.get(name):
                self._refuse(f"{name!r}")
        delta = choice.get("delta")
        brought = False
        if delta:
            if delta.__class__ is not dict:
                self._refuse("a delta that is no object")
            for name, value in delta.items():
                if value and name in _SEALED:
                    delta[name] = self._opened(name, value)
                    brought = True
                # Numbers and nothing say nothing; the rest would be an answer in clear.
                elif value and name != "role" and not isinstance(value, (bool, int, float)):
                    self._refuse(repr(name) if name in _KNOWN_IN_CLEAR else "a field that is not known")
        index = choice.get("index")
        key = index if index.__class__ is int else None
        reason = choice.get("finish_reason")
        if reason is not None and ends(reason):
            self._choices[key] = True
        elif brought:
            self._choices.setdefault(key, False)

    def _opened(self, name: str, value: Any) -> str:
        if value.__class__ is not str:
            self._refuse(f"{name!r} that is not text")
        if self._opener is None:
            self._fail("the session was closed")
        try:
            text = self._opener.open(value).decode()
        except EnvelopeError as error:
            if value.isspace():  # servers send bare line breaks in clear
                return cast("str", value)
            if not is_envelope(value):
                self._refuse(f"text in clear in {name!r}")
            self._fail(f"an encrypted {name!r} ({value[:16]}...) cannot be opened: {error}")
        except UnicodeDecodeError:
            self._fail(f"an encrypted {name!r} is not UTF-8")
        self._envelopes += 1
        return text

    def _note(self, chunk: dict[str, Any]) -> None:
        identity: Any = chunk.get("id")
        if identity.__class__ is str and identity not in self._ids:
            self._ids.add(identity)
            self.request_id = identity if len(self._ids) == 1 else None
        usage: Any = chunk.get("usage")
        if usage.__class__ is dict:
            tokens = usage.get("completion_tokens")
            self._completion_tokens = tokens if isinstance(tokens, int) else 0
        switches: Any = chunk.get("venice_parameters")
        if switches.__class__ is dict and switches.get("enable_e2ee", True) not in (True, None):
            self._refuse("enable_e2ee switched off in the answer")

    def _refuse(self, what: str) -> NoReturn:
        self._fail(f"plaintext in an encrypted stream: {what}")

    def _fail(self, why: str) -> NoReturn:
        if self._spoilt is not None:
            self._spoilt()
        raise TeeEncryptionError(
            f"{why}. The rest of the answer was not read, and nothing of this was delivered.", report=self.attestation
        ) from None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session holds a private key and cannot be pickled")

    def __repr__(self) -> str:
        return f"<TeeSession with {self.attestation.model!r}>"


class _PrivateAssembly(Assembly):
    """Puts opened chunks together. Neither they nor the answer show what they hold in their `repr`."""

    __slots__ = ("_session",)

    def __init__(self, expected: int, session: TeeSession) -> None:
        super().__init__(expected)
        self._session = session

    def common(self, data: dict[str, Any]) -> ChatCompletionChunk | None:
        chunk = super().common(data)
        if chunk is not None and not self.unseen:
            hush(chunk)
        return chunk

    def add(self, chunk: ChatCompletionChunk) -> bool:
        hush(chunk)
        return super().add(chunk)

    def response(self) -> ChatCompletionResponse:
        response = super().response().with_attestation(self._session.attestation)
        hush(response)
        if self._session.signature is not None:
            response._signature = self._session.signature  # noqa: SLF001
        return response
