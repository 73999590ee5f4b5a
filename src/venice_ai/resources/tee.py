"""`client.tee`: attestations of enclaves, and signatures of their answers, fetched here and judged in `venice_ai.tee`.

These requests carry no key. Every attempt asks with a nonce of its own, so no answer serves twice.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import random
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import urlencode, urlsplit

from .._core.caller_warnings import warn
from .._core.concurrency import SingleFlight
from .._core.json_values import members
from .._core.machine import cache_folder, is_loopback
from .._core.settings import Timeout
from .._http.caller import Call, Caller
from .._http.retry import RetryPolicy
from .._http.transport_errors import within
from .._resource import APIResource
from .._wire.reply_body import unusable
from ..exceptions import APIError, APIResponseProcessingError, InvalidRequestError, TeeAttestationError, TeeDowngradeWarning
from ..tee import attestation, signature
from ..tee.canonical import as_object, parse
from ..tee.checks import raise_for, reached, with_custom
from ..tee.crypto import public_key_bytes
from ..tee.session import TeeSession
from ..tee.stricter import check_floor, effective, identity
from ..tee.types import CollectedEvidence, QuoteVerifier, TeeOptions
from ..types._base import Response
from ..types.api.chat import ChatCompletionResponse
from ..types.api.tee import TeeAttestation, TeeSignature
from ..types.attestation import AttestationReport, SignatureReport
from .tee_evidence import Fetcher, ask_nras, read_at_most

if TYPE_CHECKING:
    from .._http.connection import Connection
    from ..streaming import ChatStream

R = TypeVar("R", bound=Response)
T = TypeVar("T")

_SECONDS: Final = 60.0  # the endpoint can be slow; it allows ten requests a minute
_CONNECT_SECONDS: Final = 10.0
_ATTEMPTS: Final = 3
_MOST_REPORTS: Final = 256
_SIGNATURE_DELAYS: Final = (0.0, 0.5, 1.0, 2.0)
_OFF_THE_LOOP_BYTES: Final = 100_000  # replies that are longer are read in a thread; the longest that was seen has 205 kB
_NOT_COVERED: Final = (
    "Not covered: a relay that tampers (it can swap the key that answers are sealed to, replay sealed messages, and forge "
    "answers), which software runs in the enclave unless you pin it, and whether the GPU belongs to this machine."
)
USED_NONCES: Final[dict[bytes, object]] = {}  # of the whole process: an answer to a nonce of another client's is as old


class Tee(APIResource["Connection"]):
    """Attestations and signatures of the enclaves that `e2ee-*` models run in. Works without an API key."""

    def __init__(self, client: Connection) -> None:
        super().__init__(client)
        caller = client.caller
        self._policy = caller.policy
        self._once = Caller(caller.transport, caller.clock, RetryPolicy(retries=0))
        self._reports: dict[Any, tuple[AttestationReport, TeeOptions]] = {}
        self._single_flight: SingleFlight[AttestationReport] = SingleFlight()
        self._given_warnings: deque[Any] = deque(maxlen=100)  # a server can word each warning anew
        self._shown: dict[str, frozenset[str]] = {}
        self._fetchers: dict[str, Fetcher] = {}
        client.on_close.append(self.forget)

    async def attest(self, model: str, options: TeeOptions | None = None) -> AttestationReport:
        """Asks the enclave of a model to prove what it is, and verifies what it answers. Always asks anew.

        Args:
            model: id of an `e2ee-*` model.
            options: what to demand; the client's, or the defaults, if not given. They never demand less than the client's.

        Raises:
            TeeAttestationError: the enclave did not prove what it must; `report` has every check.
            RateLimitError: too many requests (ten a minute are allowed), also after waiting.
            APIError: the attestation could not be had.
        """
        chosen = self.options(options)
        async with self._in_time():
            report = await self._attested(_checked(model), chosen)
        self._warn_of_downgrade(report, chosen)
        return report

    async def verified(self, model: str, options: TeeOptions) -> AttestationReport:
        """The report on an attestation under `effective` options; the remembered one, if it is fresh."""
        if (report := self.remembered(model := _checked(model), options)) is not None:
            return report
        attest = partial(self._attested, model, options)
        alone = options.nonce is not None or not options.attestation_ttl
        report = await (attest() if alone else self._single_flight.share(_key(model, options), attest))
        # Here, and not where it is attested: that may be in a task of its own, which has no line of the caller in its stack.
        self._warn_of_downgrade(report, options)
        return report

    def remembered(self, model: str, options: TeeOptions) -> AttestationReport | None:
        """The report that is in memory, if it is fresh; none for options with a nonce of the caller's."""
        report, _ = self._reports.get(_key(model, options), (None, None)) if options.nonce is None else (None, None)
        if report is None or not report.fetched_at <= options.clock() < report.expires_at:
            return None
        self._warn_of_downgrade(report, options)
        return report

    def options(self, given: TeeOptions | None) -> TeeOptions:
        """The options that hold for a call that is given these: the stricter of them, the client's and the environment's."""
        chosen = effective(given, self._client.tee_options, os.environ)
        check_floor(self._client.min_privacy, chosen)
        return chosen

    def forget(self, report: AttestationReport | None = None) -> None:
        """Drops a report, so that the next call attests anew; without a report, drops all of them."""
        self._reports = {key: pair for key, pair in self._reports.items() if report is not None and pair[0] is not report}

    async def get_attestation(self, *, model: str, nonce: str | None = None) -> TeeAttestation:
        """The reply of `GET /tee/attestation` as it came. Nothing in it is verified; `attest` does that.

        Args:
            model: id of a model.
            nonce: 64 hex digits that the reply must answer; random ones if not given.

        Raises:
            TeeAttestationError: the reply is not a JSON object.
            APIError: it could not be had.
        """
        async with self._in_time():
            asked = await self._asked(_checked(model), TeeOptions(nonce=nonce))
        try:
            reply = await _read(TeeAttestation, asked.reply)
        except ValueError as error:
            raise _refused(asked, "transport", f"the reply is not an attestation: {error}") from None
        vars(reply)["sent_nonce"] = asked.nonce.hex()
        return reply

    async def open_session(
        self, *, model: str, nonce: str | None = None, verifier: QuoteVerifier | None = None, options: TeeOptions | None = None
    ) -> TeeSession:
        """Attests a model and gives the session to seal one request with, and to open its answer.

        `chat.completions.create(e2ee=True)` does all of it.

        Args:
            model: id of an `e2ee-*` model.
            nonce: as in `TeeOptions`.
            verifier: as in `TeeOptions`.
            options: everything else to demand.

        Raises:
            TeeAttestationError: the enclave did not prove what it must.
            APIError: the attestation could not be had.
        """
        given = {name: value for name, value in (("nonce", nonce), ("verifier", verifier)) if value is not None}
        chosen = self.options((options or self._client.tee_options or TeeOptions()).replace(**given) if given else options)
        async with self._in_time():
            return self.session_with(await self.verified(model, chosen), chosen)

    def session_with(self, report: AttestationReport, options: TeeOptions) -> TeeSession:
        """The session with an enclave that was verified; the report is forgotten as soon as an answer is not as it must be."""
        roles, spoilt = options.encrypt_roles, partial(self.forget, report)
        return TeeSession(report, encrypt_roles=roles, floor=self._client.min_privacy, spoilt=spoilt)

    async def examine(self, model: str, options: TeeOptions) -> tuple[CollectedEvidence, AttestationReport]:
        """Asks the enclave, Intel and NVIDIA, and judges the answers by these (effective) options."""
        async with self._in_time():
            return await self._examined(_checked(model), options)

    async def _examined(self, model: str, options: TeeOptions) -> tuple[CollectedEvidence, AttestationReport]:
        _now(options)  # a bad clock, and stored numbers that cannot be Intel's, are errors before anything is sent
        fetcher = self._fetcher(options)
        seen = fetcher.seen
        asked = await self._asked(model, options)
        reply, now, server = asked.reply, _now(options), urlsplit(self._client.base_url)
        on_this_machine = is_loopback(server.hostname or "")
        platform, payload = await _apart(reply, lambda: attestation.subjects(reply))
        platform = None if options.verification == "server" else platform
        collected = replace(
            asked,
            now=now,
            collateral=await self._intel(platform, options, now),
            nras=None if payload is None or options.gpu != "nras" else await ask_nras(self._once.transport, payload),
            private=on_this_machine or server.scheme == "https",
            known_server=on_this_machine or self._client.knows_server,
            seen=seen,
            shown_before=self._shown.get(model, ()),
        )
        # In a thread: the evidence of eight GPUs takes a tenth of a second.
        report = await asyncio.to_thread(attestation.verify, collected, options)
        # The numbers of collateral that was verified are kept, and what was not is dropped: another server may have better.
        if platform is not None and {check.id for check in report.failures} & {"collateral", "revocation", "tcb_eval"}:
            fetcher.forget(*platform)
        if report.ok and report.tcb is not None:
            fetcher.remember(report.tcb)
        return collected, report

    async def _attested(self, model: str, options: TeeOptions) -> AttestationReport:
        collected, report = await self._examined(model, options)
        raise_for(report, options)
        if options.verifier is not None:
            report = await self._judged(options.verifier, report, collected)
            raise_for(report, options)
        self._keep(report, options)
        return report

    async def _judged(self, verifier: QuoteVerifier, report: AttestationReport, given: CollectedEvidence) -> AttestationReport:
        """The report with what the caller's own verifier said: it must say True, and nothing else."""
        evidence = await _apart(given.reply, lambda: attestation.evidence(given))
        try:
            answer = await asyncio.to_thread(verifier.verify, evidence)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:  # whatever a caller's code raises, it did not accept
            why = f"the verifier given in TeeOptions raised {type(error).__name__}; nothing was sent"
            raise TeeAttestationError(why, report=with_custom(report, error)) from error
        return with_custom(report, answer)

    async def _intel(self, platform: tuple[str, str] | None, options: TeeOptions, now: float) -> Mapping[str, Any] | str | None:
        """Intel's collateral for a platform; None, or why, if it cannot be had."""
        given = options.collateral
        if platform is None or isinstance(given, Mapping):
            return given if isinstance(given, Mapping) else None
        if given is None:
            return await self._fetcher(options).get(*platform, now)
        try:
            found: object = given.get(*platform, now)
            if inspect.isawaitable(found):
                found = await found
        except Exception as error:  # noqa: BLE001  # whatever a caller's code raises, there is no collateral
            return f"the provider given in TeeOptions raised {type(error).__name__}: {error}"
        if found is None or isinstance(found, Mapping):
            return found
        return f"the provider given in TeeOptions gave {type(found).__name__}, which is not a mapping"

    def _fetcher(self, options: TeeOptions) -> Fetcher:
        """Where Intel's collateral comes from. What tests trust is neither mixed with Intel's nor kept beyond the process."""
        if (root := options.trust.name) not in self._fetchers:
            transport, clock = self._once.transport, self._once.clock
            self._fetchers[root] = Fetcher(transport, clock, cache_folder() if root == "intel" else None)
        return self._fetchers[root]

    def _keep(self, report: AttestationReport, options: TeeOptions) -> None:
        """Remembers a report; and what it proved, which is expected from then on."""
        self._shown[report.model] = self._shown.get(report.model, frozenset()) | attestation.shown(report)
        if options.nonce is not None or not options.attestation_ttl:
            return
        self._reports = {key: pair for key, pair in self._reports.items() if pair[1].clock() < pair[0].expires_at}
        while len(self._reports) >= _MOST_REPORTS:
            del self._reports[next(iter(self._reports))]
        self._reports[_key(report.model, options)] = report, options

    def warn_of_limits(self, report: AttestationReport) -> None:
        """Says, before the first request at a level is sent, what was reached and what that does not protect from."""
        if report.level not in self._given_warnings:
            warn(f"end-to-end encryption: {reached(report)} {_NOT_COVERED}")
            self._given_warnings.append(report.level)

    def _warn_of_downgrade(self, report: AttestationReport, options: TeeOptions) -> None:
        if options.verification != "auto" or report.reaches("hardware"):
            return
        if (warning := reached(report)) not in self._given_warnings:
            warn(f"{warning} TeeOptions(verification='hardware') refuses that.", TeeDowngradeWarning)
            self._given_warnings.append(warning)  # after the warning: where warnings are errors, each call raises it

    async def get_signature(self, *, model: str, request_id: str) -> TeeSignature:
        """The reply of `GET /tee/signature` as it came; `verify_signature` verifies it.

        Args:
            model: id of the model that answered.
            request_id: the id of its answer, such as `chatcmpl-...`.

        Raises:
            NotFoundError: the answer has no signature.
            APIResponseProcessingError: the reply is not a JSON object.
            APIError: it could not be had.
        """
        if not isinstance(request_id, str) or not request_id:
            raise InvalidRequestError(f"request_id={request_id!r} must be the id of an answer, such as response.id")
        body = await self._body("/tee/signature", {"model": _checked(model), "request_id": request_id, "signing_algo": "ecdsa"})
        try:
            return await _read(TeeSignature, body)
        except ValueError as error:
            why = f"/tee/signature gave something else than a signature: {error}"
            raise APIResponseProcessingError(why, status_code=200) from None

    async def verify_signature(self, answer: ChatCompletionResponse | ChatStream) -> SignatureReport:
        """Whether the attested key signed an end-to-end encrypted answer: one that `create` gave, or a stream that has ended.

        Even then the signature does not cover the bytes that this client sent and received: Venice frames them anew.

        Raises:
            InvalidRequestError: the answer did not come end-to-end encrypted, or is not over.
            APIError: the signature could not be fetched. That the answer has no signature is not an error: the status is
                `unavailable`.
        """
        response = answer if isinstance(answer, ChatCompletionResponse) else await answer.collect()
        if response.attestation is None:
            raise InvalidRequestError("this answer has no attestation: it did not come end-to-end encrypted")
        return await self.signed(response.attestation, response.id)

    async def signed(
        self, report: AttestationReport, request_id: str | None, sent: bytes | None = None, received: bytes | None = None
    ) -> SignatureReport:
        """The report on a response's signature, by the bytes that are known; the server may need a moment after its end."""
        key = report.model_public_key
        if key is None or not isinstance(request_id, str):
            return signature.UNAVAILABLE
        for delay in _SIGNATURE_DELAYS:
            if delay:
                await self._once.clock.sleep(delay)
            try:
                reply = vars(await self.get_signature(model=report.model, request_id=request_id))
            except APIError as error:
                if error.status_code not in {404, 502}:
                    raise
            else:
                own = public_key_bytes(key)
                return signature.verify(reply, public_key=own, request_id=request_id, sent=sent, received=received)
        return signature.UNAVAILABLE

    def _in_time(self) -> AbstractAsyncContextManager[None]:
        """The client's deadline for all the requests of a call."""
        return within("deadline", self._client.clocks(None, stream=False).deadline)

    async def _asked(self, model: str, options: TeeOptions) -> CollectedEvidence:
        """A nonce, and the reply to it. Only a random one is tried again, and then it is another one."""
        own, attempt = bytes.fromhex(options.nonce or ""), 0
        while True:
            attempt += 1
            nonce = own or secrets.token_bytes(32)
            # Used from now on, whatever becomes of it: somebody has seen it. In one step, for clients may have threads.
            again = USED_NONCES.setdefault(nonce, mine := object()) is not mine
            asked = CollectedEvidence(model=model, nonce=nonce, reply=b"", now=options.clock(), used_nonce=again)
            try:
                return replace(asked, reply=await self._body("/tee/attestation", {"model": model, "nonce": nonce.hex()}))
            except APIError as failure:
                last, spread = bool(own) or attempt >= _ATTEMPTS, random.random()  # noqa: S311  # spreads retries
                delay = None if last else self._policy.delay(attempt, failure, idempotent=True, random=spread)
                if delay is None:
                    raise _judged(failure, asked) from failure
                await self._once.clock.sleep(delay)

    async def _body(self, path: str, query: dict[str, str]) -> bytes:
        """The body of a reply, at most a byte more than is allowed."""
        own = self._client.clocks(None, stream=False)  # where they are shorter, they count
        seconds, connect = min(_SECONDS, own.plain or _SECONDS), min(_CONNECT_SECONDS, own.connect or _CONNECT_SECONDS)
        limits = Timeout(connect=connect, first_chunk=seconds, idle=seconds, deadline=seconds)
        request = self._client.build_request("GET", f"{path}?{urlencode(query)}", timeout=limits, anonymous=True)
        request.stream = True
        call = Call(self._once, request)
        accepted = await call.result()
        call.done(None)
        with closing(accepted.reply):
            if accepted.meta.status_code != 200:
                raise unusable(b"", accepted.meta)
            return await read_at_most(accepted.reply, attestation.MAX_REPLY_BYTES)


def _judged(failure: APIError, asked: CollectedEvidence) -> Exception:
    """The error for a refused attestation: a TeeAttestationError if the refusal is about the evidence, else itself."""
    status, body = failure.status_code or 0, members(failure.body)
    if 200 <= status < 300:
        return _refused(asked, "transport", f"the attestation came with the status {status}, not 200")
    if 300 <= status < 400:
        return _refused(asked, "transport", f"the attestation was redirected ({status}), which is not followed")
    if body.get("verified") is False:
        return _refused(asked, "server_verified", f"Venice says itself that the enclave did not verify ({status})")
    return failure


def _refused(asked: CollectedEvidence, check: Literal["transport", "server_verified"], why: str) -> TeeAttestationError:
    return TeeAttestationError(f"{why}; nothing was sent", report=attestation.refused(asked, check, why))


async def _apart(reply: bytes, rule: Callable[[], T]) -> T:
    """The result of a rule about a reply; in a thread if that is long, for the loop must not wait for it."""
    return rule() if len(reply) <= _OFF_THE_LOOP_BYTES else await asyncio.to_thread(rule)


def _now(options: TeeOptions) -> float:
    now: object = options.clock()
    if isinstance(now, bool) or not isinstance(now, (int, float)) or not math.isfinite(now):
        raise InvalidRequestError(f"the clock given in TeeOptions gives {now!r}, which is not a time in seconds")
    return now


def _checked(model: str) -> str:
    if not isinstance(model, str) or not model.strip():
        raise InvalidRequestError(f"model={model!r} is not a model id; client.models.list() shows all")
    return model.strip()


async def _read(kind: type[R], body: bytes) -> R:
    return await _apart(body, lambda: kind._adopt(as_object(parse(body), "it")))  # noqa: SLF001  # it is ours to give away


def _key(model: str, options: TeeOptions) -> tuple[Any, ...]:
    """The cache key of a verified attestation: it is good for this process, this model, and the same demands."""
    # Objects by identity; the options are kept with the report, so that no other object takes the place of these.
    objects = {"verifier": identity(options.verifier), "collateral": id(options.collateral), "clock": id(options.clock)}
    demands = (name for name in TeeOptions.__slots__ if name not in {"encrypt_roles", "verify_signature"})
    return (os.getpid(), model, *(objects.get(name, getattr(options, name)) for name in demands))
