"""One end-to-end encrypted chat: attest the enclave, encrypt and send the messages; again if the enclave has a new key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ..._core.caller_warnings import warn
from ..._core.privacy import Privacy, search_in
from ..._core.request import Request
from ..._core.settings import Timeout
from ..._http.transport_errors import within
from ..._wire.request_body import chat_size, encode
from ...exceptions import APIError, InvalidRequestError, TeeEncryptionError
from ...tee.guard import guard, in_clear, unsealed_roles
from ...types.api.params import CHAT_PATH
from ...types.attestation import SignatureReport
from .. import tee_of

if TYPE_CHECKING:
    from ..._http.connection import Connection
    from ...streaming import ChunkSource
    from ...tee.session import TeeSession
    from ...tee.types import TeeOptions
    from .fallbacks import Fallbacks

_FRAMED_ANEW: Final = (
    "what it signs are not the bytes that came, which Venice frames anew, so that its service has never met 'require'; 'try' "
    "shows what a signature proves"
)
_KEY_ERRORS: Final = (
    *("decryption failed", "failed to decrypt field", "e2ee_decryption_failed", "e2ee_model_key_mismatch"),
    "invalid public key",
)


@dataclass(eq=False, repr=False)
class SealedChat:
    """One call: what is to be sent, an InvalidRequestError if that cannot be sealed; and the session of its attempt."""

    client: Connection
    body: dict[str, Any]
    e2ee: bool | TeeOptions | None
    stream: bool
    timeout: float | Timeout | None
    extra_headers: Mapping[str, str] | None

    def __post_init__(self) -> None:
        client, body = self.client, self.body
        self._tee = tee_of(client)
        self.options: TeeOptions = self._tee.options(None if isinstance(self.e2ee, bool) else self.e2ee)
        roles = self.options.encrypt_roles
        guard(body, self.extra_headers, floor=client.min_privacy, roles=roles)
        self._limits = _limits(client, self.timeout, stream=self.stream)
        self._began = client.caller.clock.now()
        self._sent = b""
        self._request({}, b"")  # whatever is wrong with key, headers or clocks is wrong before the network is touched
        self.session: TeeSession  # opens the answer to the last request
        if names := [*in_clear(body), *(f"what {role} says" for role in unsealed_roles(body, roles))]:
            warn(f"{', '.join(names)} is not end-to-end encrypted: Venice can read it")

    async def answer(self, opened: Callable[..., Awaitable[ChunkSource]], fallbacks: Fallbacks | None, *, collect: bool) -> Any:
        """The chunks of the answer, or the whole; that of another model if this one did not begin to answer."""
        chat = self
        while True:
            try:
                try:
                    source = await opened(await chat.request(), chat=chat)
                except InvalidRequestError as failure:
                    source = await opened(await chat.renewed(failure), chat=chat)
                if fallbacks is not None:
                    source.reader.meta.models_tried = tuple(fallbacks.tried)
                return await source.stream(self.client).collect() if collect else source
            except APIError as failure:
                body = None if fallbacks is None else await fallbacks.body_after(failure)
                if body is None:
                    raise
                chat = replace(self, body=body)

    async def request(self) -> Request:
        """The sealed request, for an enclave that has proved what it is; a TeeAttestationError if it has not."""
        model = self.body["model"]
        report = self._tee.remembered(model, self.options)  # as for most calls: there is nothing to wait for, and so no clock
        if report is None:
            async with within("first_chunk", self._limits.first_chunk), self._deadline():
                report = await self._tee.verified(model, self.options)
        self._tee.warn_of_limits(report)
        self.session = self._tee.session_with(report, self.options)
        self._sent = encode(self.session.seal(self.body))
        return self._request(self.session.headers, self._sent)

    async def renewed(self, failure: APIError) -> Request:
        """The request sealed anew, for an enclave with another key; raises the failure if that was about something else."""
        text = f"{failure.code} {failure.message} {failure.body}".lower()
        about_keys = any(words in text for words in _KEY_ERRORS)
        if failure.status_code != 400 or not about_keys or self.options.nonce is not None:
            raise failure
        self._tee.forget(self.session.attestation)
        return await self.request()

    async def settle(self, received: bytes) -> None:
        """Verifies the signature of the answer; a TeeEncryptionError if one is required and not shown to be of this answer."""
        session, failure = self.session, None
        try:
            async with self._deadline():
                found = await self._tee.signed(session.attestation, session.request_id, self._sent, received)
        except APIError as error:
            found, failure = SignatureReport(status="unavailable"), error
        session.signature = found
        if self.options.verify_signature == "require" and found.bound is not True:
            text = found.status if found.status != "valid" else f"valid, but it may be another answer's: {_FRAMED_ANEW}"
            raise TeeEncryptionError(
                f"the signature of the answer is {text}, and TeeOptions(verify_signature='require'); `partial` has the answer",
                report=session.attestation,
            ) from failure

    def _deadline(self) -> AbstractAsyncContextManager[None]:
        return within("deadline", self._limits.deadline, left=self._left())

    def _left(self) -> float | None:
        return self._limits.left(self.client.caller.clock.now() - self._began)

    def _request(self, headers: Mapping[str, str], body: bytes) -> Request:
        request = self.client.build_request(
            "POST",
            CHAT_PATH,
            body=body,
            stream=True,
            timeout=self._limits.with_deadline(self._left()),
            extra_headers={**(self.extra_headers or {}), **headers},
            needs_key=True,
            privacy="e2ee",
        )
        request.chat = chat_size(self.body)
        return request


def _limits(client: Connection, timeout: float | Timeout | None, *, stream: bool) -> Timeout:
    """The clocks of a call: one that is a stream on the wire alone has the clocks of a plain call."""
    limits = client.clocks(timeout, stream=stream)
    unchanged = {"connect": limits.connect, "deadline": limits.deadline, "queue": limits.queue}
    return limits if stream else Timeout(**unchanged, **dict.fromkeys(("first_chunk", "idle", "progress"), limits.plain))


async def attested(client: Connection, body: Mapping[str, Any], timeout: float | Timeout | None, *, stream: bool) -> Privacy:
    """How private a chat in clear is with a model whose enclave was attested: `tee`; an error if it was not attested."""
    from ..models import Models  # what most chats do not need, they do not load

    if body.get("fallbacks"):
        raise InvalidRequestError("fallbacks are not allowed with min_privacy='tee': a model without an enclave may answer")
    if search := search_in(body):
        raise InvalidRequestError(f"{search} is refused with min_privacy='tee': it may look things up outside of the enclave")
    tee = tee_of(client)  # first, so that nothing is asked in vain if the extra is missing
    limits = _limits(client, timeout, stream=stream)
    async with within("first_chunk", limits.first_chunk), within("deadline", limits.deadline):
        entry = await client.resource(Models).find(model := body["model"])
        if entry.id != model.partition(":")[0]:
            raise InvalidRequestError(
                f"model={model!r} may be another model from one call to the next; with min_privacy='tee' name the model "
                f"itself: {entry.id!r}"
            )
        if getattr(entry.model_spec.capabilities, "supportsTeeAttestation", None) is not True:
            why = f"model={entry.id!r} does not run in an enclave, by the catalogue; this client has min_privacy='tee'"
            raise InvalidRequestError(f"{why}. Not sent.")
        await tee.verified(entry.id, tee.options(None))
    return "tee"
