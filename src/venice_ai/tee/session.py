"""`TeeSession`: one end-to-end encrypted exchange. It encrypts a request and decrypts the answer piece by piece.

Each session has a key pair of its own. Text in clear where ciphertext belongs, and ciphertext that cannot be decrypted
or was opened before, raise before anything of their event is delivered. `end` says what a stream lacks; its reader raises that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from traceback import clear_frames
from typing import Any, Literal, NoReturn, cast

from .._wire.assembly import ends
from ..exceptions import InvalidRequestError, TeeEncryptionError
from ..types._base import mark_private, plain
from ..types.api.chat import ChatCompletionResponse, content_text
from ..types.api.streaming import CHUNK_KEYS
from ..types.attestation import AttestationReport, SignatureReport
from . import extra as extra  # noqa: PLC0414  # imported for what it does
from .crypto import EnvelopeError, Opener, is_envelope, public_key_bytes, seal
from .curve import InMemory, PrivateKey
from .guard import ALGORITHM, CLIENT_KEY, MODEL_KEY, NAME, guard, has_text

_OF_A_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})
_SEALED = frozenset({"content", "reasoning_content", "reasoning"})
# What is an answer in clear, or part of one, whatever it holds.
_IN_CLEAR = frozenset({"tool_calls", "function_call", "refusal", "audio", "reasoning_details", "message", "text", "logprobs"})
# What providers add: names and numbers, never sentences.
_NAMES = frozenset({"usage", "cost", "service_tier", "system_fingerprint", "kv_transfer_params", "stop_reason"})
# Fields with a check of their own; `_refuse_clear_text` skips them.
_USED_OF_A_CHUNK = frozenset({"venice_parameters", *CHUNK_KEYS})
_USED_OF_A_CHOICE = frozenset({"index", "delta", "finish_reason"})
_IDENTITY = re.compile(r"[A-Za-z0-9_.:/+-]{1,128}")
_BLANKS = " \t\r\n"  # what servers send in clear. No other blank: there are enough of those to write messages in.


class TeeSession(InMemory):
    """The state of one exchange: messages are sealed to the key in a report. `client.tee.open_session` makes one.

    `spoilt` is called on every failure, clear text included: the key may not be the enclave's any more. `private` is the key of
    this exchange; a new one, unless it is given, which is for known answers. A report without a verified key is a
    TeeEncryptionError.
    """

    def __init__(
        self,
        report: AttestationReport,
        *,
        encrypt_roles: Literal["all"] | tuple[str, ...] = "all",
        floor: Literal["tee", "e2ee"] | None = None,
        spoilt: Callable[[], None] | None = None,
        private: PrivateKey | None = None,
    ) -> None:
        if report.model_public_key is None:
            raise TeeEncryptionError(f"the attestation of {report.model!r} verified no key to seal to", report=report)
        self.attestation: AttestationReport = report  # what the enclave proved
        self.texts: frozenset[str] = _SEALED  # which members of a delta are encrypted
        self.signature: SignatureReport | None = None
        """The report on the signature of the response, if `verify_signature` asked for it."""
        self.request_id: str | None = None
        """The id of the answer; None before it began, and if its chunks do not agree on one."""
        self._model_key = public_key_bytes(report.model_public_key)
        self._roles: Literal["all"] | tuple[str, ...] = encrypt_roles
        self._floor: Literal["tee", "e2ee"] | None = floor
        self._spoilt = spoilt
        self._opener: Opener | None = Opener(private)
        self._public_key = self._opener.public_key
        self._ids: set[str] = set()
        self._choices: dict[int | None, bool] = {}  # those that brought something, and whether they have a finish reason
        self._has_opened = False  # whether anything encrypted came
        self._completion_tokens: float = 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers without which Venice would take the request for one in clear."""
        return {CLIENT_KEY: self._public_key.hex(), MODEL_KEY: self._model_key.hex(), ALGORITHM: "ecdsa"}

    def seal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body to send: its messages sealed, and what this protocol needs set.

        Raises:
            InvalidRequestError: it is for another model, or holds what cannot be sealed; see `guard`.
        """
        try:
            body = plain(body)
            guard(body, floor=self._floor, roles=self._roles)
            if body["model"] != self.attestation.model:
                raise InvalidRequestError(f"this session is with {self.attestation.model!r}, and the request for another model")
        except InvalidRequestError as refusal:
            del body  # what shows the local variables of a traceback must not show the prompt
            clear_frames(refusal.__traceback__)
            raise
        sealed = {name: value for name, value in body.items() if name not in {"prompt_cache_key", "prompt_cache_retention"}}
        sealed["messages"] = [self._sealed(message) for message in body["messages"]]
        sealed["stream"] = True
        sealed["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        ours = {"include_venice_system_prompt": False, "enable_e2ee": True}
        sealed["venice_parameters"] = {**(body.get("venice_parameters") or {}), **ours}
        return sealed

    def _sealed(self, message: Mapping[str, Any]) -> dict[str, Any]:
        sealed = {name: message[name] for name in ("role", "content") if name in message}
        if (content := sealed.get("content")) is not None and (self._roles == "all" or sealed["role"] in self._roles):
            sealed["content"] = seal(self._model_key, (content_text(content) or "").encode())
        return sealed

    def answered(self, response: ChatCompletionResponse) -> ChatCompletionResponse:
        """The whole answer, put together of opened chunks, with what the enclave proved; its `repr` shows nothing of it."""
        mark_private(response.with_attestation(self.attestation))
        if self.signature is not None:
            response._signature = self.signature  # noqa: SLF001
        return response

    def open(self, event: Any) -> Any:
        """The JSON of an event with every encrypted field in clear, in place. An error the server reports stays as it is.

        Raises:
            TeeEncryptionError: something in it is in clear, or cannot be opened.
        """
        if event.__class__ is not dict:
            return event
        chunk = cast("dict[str, Any]", event)
        if not CHUNK_KEYS.issuperset(chunk) or chunk.get("id") != self.request_id:
            if chunk.get("error"):
                return chunk
            self._note(chunk)
        stated = chunk.get("model"), chunk.get("object"), chunk.get("created").__class__
        if stated != (self.attestation.model, "chat.completion.chunk", int):
            self._look_at_identity(chunk)
        if choices := chunk.get("choices"):
            if choices.__class__ is not list:
                self._refuse("choices that are not a list")
            for choice in choices:
                self._open_choice(choice)
        return chunk

    def end(self, *, done: bool) -> str | None:
        """The part that an answer lacks, if it is over now; None if it is whole. `done`: `[DONE]` came.

        Raises:
            TeeEncryptionError: tokens were counted, but nothing encrypted came.
        """
        if self._completion_tokens and not self._has_opened:
            self._refuse(f"nothing encrypted in an answer of {self._completion_tokens} tokens")
        if not all(self._choices.values()):
            return "an encrypted answer must end with a finish reason for each choice"
        return None if done else "an encrypted answer must end with [DONE]"

    def begin_again(self) -> None:
        """Resets the state for the same request sent again; the reply that failed held nothing encrypted."""
        self.request_id = None
        self._ids.clear()
        self._choices.clear()
        self._completion_tokens = 0

    def refuse_reply(self) -> NoReturn:
        """Raises the TeeEncryptionError for a reply that is not a stream at all."""
        self._refuse("a reply that is not a stream")

    def close(self) -> None:
        """Forgets the private key; nothing can be opened any more."""
        self._opener = None

    def _open_choice(self, choice: Any) -> None:
        if choice.__class__ is not dict:
            self._refuse("a choice that is not an object")
        if not _OF_A_CHOICE.issuperset(choice) or choice.get("logprobs"):
            self._refuse_clear_text(choice, _USED_OF_A_CHOICE)
        delta = choice.get("delta")
        brought = self._open_delta(delta) if delta else False
        index, finish = choice.get("index"), choice.get("finish_reason")
        if finish is not None or index.__class__ is not int:
            self._note_choice(index, finish, brought=brought)
        elif brought and index not in self._choices:
            self._choices[index] = False

    def _open_delta(self, delta: Any) -> bool:
        """Whether a delta brought something sealed, which is opened in place."""
        if delta.__class__ is not dict:
            self._refuse("a delta that is not an object")
        brought = False
        for name, value in delta.items():
            if name in _SEALED:
                if value:
                    delta[name] = self.open_text(name, value)
                    brought = True
                elif value is not None and value.__class__ is not str:
                    self._refuse(f"{name!r} that is not text")
            elif name != "role":
                if value or name not in _IN_CLEAR:
                    self._refuse_clear_text({name: value})
            elif value and value != "assistant":
                self._refuse("a role that is not the assistant's")
        return brought

    def _note_choice(self, index: Any, finish: Any, *, brought: bool) -> None:
        key = index if index.__class__ is int else None
        if key is None and has_text(index):
            self._refuse("an index that is not a number")
        if ends(finish):
            if NAME.fullmatch(finish) is None:
                self._refuse("a finish reason that is not a plain name")
            self._choices[key] = True
        elif finish:
            self._refuse("a finish reason that is not a string")
        elif brought:
            self._choices.setdefault(key, False)

    def _look_at_identity(self, chunk: dict[str, Any]) -> None:
        """Checks that a chunk's `model` and `object` are names, and gives it the name of the model that was attested."""
        for name in ("model", "object"):
            stated: Any = chunk.get(name)
            if stated is not None and (stated.__class__ is not str or _IDENTITY.fullmatch(stated) is None):
                self._refuse(f"{name!r} is not a name")
        if "model" in chunk:
            chunk["model"] = self.attestation.model
        if has_text(chunk.get("created")):
            self._refuse("a time that is not a number")

    def _refuse_clear_text(self, holder: Mapping[str, Any], used: frozenset[str] = frozenset()) -> None:
        """Refuses what may be an answer in clear. Numbers and empty values are allowed, plain names only in `_NAMES`."""
        for name in holder.keys() - used:
            value = holder[name]
            if NAME.fullmatch(name) is None:
                self._refuse("a field whose name is not a plain name")
            if name in _IN_CLEAR:
                if value:
                    self._refuse(repr(name))
            elif has_text(value, NAME if name in _NAMES else None):
                self._refuse("a field that is not known" if name not in _NAMES else f"a text in {name!r}")

    def open_text(self, name: str, value: Any) -> str:
        """The text of an encrypted member of a delta; a TeeEncryptionError if it is in clear, or cannot be opened."""
        if value.__class__ is not str:
            self._refuse(f"{name!r} that is not text")
        if self._opener is None:
            self._fail("the session was closed")
        try:
            text = self._opener.open(value).decode()
        except EnvelopeError as error:
            if not value.strip(_BLANKS):  # servers send bare line breaks in clear
                return cast("str", value)
            if not is_envelope(value):
                self._refuse(f"text in clear in {name!r}")
            self._fail(f"an encrypted {name!r} ({value[:16]}...) cannot be opened: {error}")
        except UnicodeDecodeError:
            self._fail(f"an encrypted {name!r} is not UTF-8")
        self._has_opened = True
        return text

    def _note(self, chunk: dict[str, Any]) -> None:
        identity: Any = chunk.get("id")
        if identity is not None and (identity.__class__ is not str or _IDENTITY.fullmatch(identity) is None):
            self._refuse("an id that is not a plain name")
        if identity.__class__ is str and identity not in self._ids:
            self._ids.add(cast("str", identity))
            self.request_id = identity if len(self._ids) == 1 else None
        usage: Any = chunk.get("usage")
        if usage.__class__ is dict:
            tokens = usage.get("completion_tokens")
            if isinstance(tokens, (int, float)):
                self._completion_tokens = max(self._completion_tokens, tokens)
        self._refuse_clear_text(chunk, _USED_OF_A_CHUNK)
        if switches := chunk.get("venice_parameters"):
            if switches.__class__ is not dict or switches.get("enable_e2ee", True) not in (True, None):
                self._refuse("enable_e2ee switched off in the answer")
            if switches.get("web_search_citations") or has_text(switches, NAME):
                self._refuse("'venice_parameters' with more than switches")

    def _refuse(self, what: str) -> NoReturn:
        self._fail(f"plaintext in an encrypted stream: {what}")

    def _fail(self, why: str) -> NoReturn:
        if self._spoilt is not None:
            self._spoilt()
        message = f"{why}. The rest of the answer was not read, and nothing of this was delivered."
        raise TeeEncryptionError(message, report=self.attestation) from None

    def __repr__(self) -> str:
        return f"<TeeSession with {self.attestation.model!r}>"
