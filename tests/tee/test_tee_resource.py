"""`client.tee`: how evidence is fetched, kept and fetched again. Numbers in ids are those of docs/explanations/attacks.md."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import pickle
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from venice_ai import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    Timeout,
    VeniceClient,
)
from venice_ai.exceptions import APIResponseProcessingError, TeeAttestationError, TeeDowngradeWarning, TeeEncryptionError
from venice_ai.tee import MeasurementPins, TeeOptions, TeeSession
from venice_ai.tee.curve import Key
from venice_ai.tee.keccak import keccak256

from ..fakes import KEY, UNIX, RecordingClock, ScriptedReply, answer
from .enclave import MODEL, SERVER, Enclave, Silent, client_of, created, streamed

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")


def clock_of(client: VeniceClient) -> RecordingClock:
    clock = client.caller.clock
    assert isinstance(clock, RecordingClock)
    return clock


class Now:
    """A clock for `TeeOptions` that a test sets."""

    def __init__(self) -> None:
        self.at = UNIX

    def __call__(self) -> float:
        return self.at


def failures(error: TeeAttestationError) -> set[str]:
    """The checks that failed, by the report of an error."""
    assert error.report is not None
    assert (error.report.ok, error.report.model, len(error.report.nonce)) == (False, MODEL, 64)
    return {check.id for check in error.report.failures}


async def ask(client: VeniceClient, **params: Any) -> None:
    await created(client, **{"e2ee": True, **params})


# -- attesting -----------------------------------------------------------------------------------------------------------


async def test_an_attestation_gives_its_report() -> None:
    enclave = Enclave()

    report = await client_of(enclave).tee.attest(MODEL)

    assert (report.model, report.level, report.ok) == (MODEL, "server", True)
    assert report.model_public_key == enclave.public_key.hex()
    assert report.nonce == enclave.nonces[0]
    assert re.fullmatch("[0-9a-f]{64}", report.nonce)


async def test_an_attestation_is_fetched_without_the_key_and_other_credentials() -> None:
    enclave = Enclave()
    client = client_of(enclave, headers={"SIGN-IN-WITH-X": "signed", "Cookie": "c", "X-Gateway": "g"})

    await client.tee.attest(MODEL)
    with contextlib.suppress(NotFoundError):
        await client.tee.get_signature(model=MODEL, request_id="chatcmpl-1")

    for request in enclave.requests:
        assert KEY not in f"{request.headers}{request.url}"
        assert request.headers.keys() & {"Authorization", "SIGN-IN-WITH-X", "Cookie"} == set()
        assert request.headers["X-Gateway"] == "g"


async def test_an_attestation_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY", raising=False)

    assert (await client_of(Enclave(), api_key=None).tee.attest(MODEL)).ok


@pytest.mark.parametrize("model", ["", " ", None, 5])
async def test_an_attestation_without_a_model_is_refused(model: Any) -> None:
    enclave = Enclave()

    with pytest.raises(InvalidRequestError, match="model="):
        await client_of(enclave).tee.attest(model)

    assert enclave.requests == []


async def test_a_model_is_quoted_in_the_address() -> None:
    enclave = Enclave()

    with contextlib.suppress(TeeAttestationError):
        await client_of(enclave).tee.attest("e2ee-a&nonce=00 b")

    assert "model=e2ee-a%26nonce%3D00+b&" in enclave.requests[0].url


@pytest.mark.parametrize(
    "bent",
    [
        pytest.param({"verified": False}, id="attack 11: verified is false"),
        pytest.param({"verified": "true"}, id="attack 11: verified is a text"),
        pytest.param({"nonce": "00" * 32}, id="attack 7: another nonce"),
        pytest.param({"model": "e2ee-other"}, id="attack 12: another model"),
        pytest.param({"signing_public_key": Key().public_key.hex()}, id="attack 3: a swapped key"),
        pytest.param({"signing_public_key": None}, id="no key"),
    ],
)
async def test_bad_evidence_is_an_error_with_its_report(bent: dict[str, Any]) -> None:
    enclave = Enclave()
    enclave.attestation = lambda reply: {**reply, **bent}

    with pytest.raises(TeeAttestationError) as caught:
        await client_of(enclave).tee.attest(MODEL)

    assert caught.value.report is not None
    assert caught.value.report.failures
    assert len(enclave.attestations) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"verified": false, "verified": true}', id="attack 36: a key twice"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b" " * (4 * 2**20 + 10), id="more than 4 MiB"),
    ],
)
async def test_a_reply_that_is_not_an_attestation_is_an_error(body: bytes) -> None:
    enclave = Enclave()
    enclave.attestation = lambda _: ScriptedReply(body, headers={"content-type": "application/json"})

    with pytest.raises(TeeAttestationError) as caught:
        await ask(client_of(enclave))

    assert caught.value.report is not None
    assert enclave.chats == []


async def test_no_more_is_read_than_an_attestation_can_have() -> None:
    enclave = Enclave()
    reply = ScriptedReply(*[b" " * 2**20] * 100)
    enclave.attestation = lambda _: reply

    with pytest.raises(TeeAttestationError):
        await client_of(enclave).tee.attest(MODEL)

    assert reply.given <= 6
    assert reply.closed


@pytest.mark.parametrize("location", ["https://elsewhere.invalid/tee", "http://api.venice.ai/api/v1/tee/attestation"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.attack(37)
async def test_a_redirected_attestation_is_an_error_and_not_followed(status: int, location: str) -> None:
    enclave = Enclave()
    enclave.attestation = lambda _: ScriptedReply(b"", status=status, headers={"location": location})

    with pytest.raises(TeeAttestationError, match="redirect") as caught:
        await ask(client_of(enclave))

    assert failures(caught.value) == {"transport"}
    assert len(enclave.requests) == 1
    assert "Authorization" not in enclave.requests[0].headers


@pytest.mark.parametrize("call", ["attest", "open_session", "get_attestation"])
@pytest.mark.parametrize("timeout", [0.05, Timeout(deadline=0.05)])
async def test_the_clients_deadline_holds_for_attestations(call: str, timeout: Any) -> None:
    with pytest.raises(APITimeoutError) as caught:
        await getattr(client_of(Silent(), timeout=timeout).tee, call)(model=MODEL)

    assert caught.value.clock == "deadline"


@pytest.mark.parametrize(
    ("timeout", "clocks"),
    [
        pytest.param(None, (10, 60, 60, 60), id="none of its own"),
        pytest.param(Timeout(connect=99, idle=99), (10, 60, 60, 60), id="longer"),
        pytest.param(Timeout(connect=1, idle=5), (1, 5, 5, 5), id="shorter"),
        pytest.param(Timeout(connect=None, idle=None), (10, 60, 60, 60), id="switched off"),
    ],
)
async def test_evidence_is_waited_for_as_long_as_the_client_waits_and_no_longer_than_a_minute(
    timeout: Timeout | None, clocks: tuple[float, ...]
) -> None:
    enclave = Enclave()

    await client_of(enclave, timeout=timeout).tee.attest(MODEL)

    limits = enclave.requests[0].timeout
    assert (limits.connect, limits.first_chunk, limits.idle, limits.deadline) == clocks


# -- trying again --------------------------------------------------------------------------------------------------------


def failing(*replies: ScriptedReply | BaseException) -> Any:
    """Evidence that fails so often before it comes."""
    left = list(replies)

    def bend(reply: Any) -> Any:
        if not left:
            return reply
        failure = left.pop(0)
        if isinstance(failure, BaseException):
            raise failure
        return failure

    return bend


@pytest.mark.attack(53)
async def test_an_attestation_survives_two_bad_gateways_with_three_nonces() -> None:
    enclave = Enclave()
    enclave.attestation = failing(*[answer({"error": "provider down"}, status=502)] * 2)

    await ask(client_of(enclave))

    assert len(set(enclave.nonces)) == 3
    assert len(enclave.chats) == 1


async def test_an_attestation_after_three_bad_gateways_is_an_error() -> None:
    enclave = Enclave()
    enclave.attestation = failing(*[answer({"error": "provider down"}, status=502)] * 3)

    with pytest.raises(APIError) as caught:
        await ask(client_of(enclave))

    assert caught.value.status_code == 502
    assert (len(set(enclave.nonces)), enclave.chats) == (3, [])


async def test_a_lost_connection_is_tried_again_with_another_nonce() -> None:
    enclave = Enclave()
    enclave.attestation = failing(APIConnectionError("reset"))

    await ask(client_of(enclave))

    assert len(set(enclave.nonces)) == 2


async def test_a_client_without_retries_tries_once() -> None:
    enclave = Enclave()
    enclave.attestation = failing(answer({}, status=502))

    with pytest.raises(APIError):
        await ask(client_of(enclave, max_retries=0))

    assert len(enclave.nonces) == 1


@pytest.mark.attack(54)
async def test_a_429_of_the_attestation_is_waited_out_and_then_raised() -> None:
    enclave = Enclave()
    enclave.attestation = failing(*[answer({"error": "Rate limit exceeded."}, status=429)] * 9)
    client = client_of(enclave)

    with pytest.raises(RateLimitError):
        await ask(client)

    assert len(clock_of(client).slept) == 2
    assert clock_of(client).slept[0] > 0
    assert (len(set(enclave.nonces)), enclave.chats) == (3, [])


@pytest.mark.parametrize("status", [400, 502])
async def test_a_refusal_that_says_the_enclave_is_bad_is_about_the_enclave(status: int) -> None:
    enclave = Enclave()
    enclave.attestation = lambda reply: answer({**reply, "verified": False}, status=status)

    with pytest.raises(TeeAttestationError) as caught:
        await ask(client_of(enclave))

    assert failures(caught.value) == {"server_verified"}
    assert enclave.chats == []


@pytest.mark.parametrize("status", [201, 203, 206])
async def test_an_attestation_has_the_status_200(status: int) -> None:
    enclave = Enclave()
    enclave.attestation = lambda reply: answer(reply, status=status)

    with pytest.raises(TeeAttestationError, match=str(status)) as caught:
        await ask(client_of(enclave))

    assert failures(caught.value) == {"transport"}
    assert len(enclave.requests) == 1


@pytest.mark.parametrize("gpu", ["verify-if-present", "nras"])
async def test_the_error_of_a_reply_that_is_not_an_attestation_has_a_report(gpu: Any) -> None:
    enclave = Enclave()
    enclave.attestation = lambda _: ScriptedReply(b"<html>")
    client = client_of(enclave, tee=TeeOptions(gpu=gpu))

    with pytest.raises(TeeAttestationError) as attested:
        await client.tee.attest(MODEL)
    with pytest.raises(TeeAttestationError) as raw:
        await client.tee.get_attestation(model=MODEL)

    assert "transport" in failures(attested.value)
    assert failures(raw.value) == {"transport"}


@pytest.mark.parametrize(
    ("base_url", "good"),
    [
        ("https://proxy.invalid/api/v1", True),
        ("http://proxy.invalid/api/v1", False),
        ("http://192.0.2.1/api/v1", False),
        ("http://127.0.0.1:8000/api/v1", True),
        ("http://[::1]:8000/api/v1", True),
        ("http://localhost:8000/api/v1", True),
        ("http://localhost.invalid/api/v1", False),
    ],
)
async def test_evidence_comes_over_tls_or_from_this_machine(base_url: str, good: bool) -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, base_url=base_url)

    if good:
        assert (await client.tee.attest(MODEL)).ok
    else:
        with pytest.raises(TeeAttestationError, match="TLS") as caught:
            await client.tee.attest(MODEL)
        assert failures(caught.value) == {"transport"}
        assert (await client_of(Enclave(), base_url=base_url).tee.attest(MODEL)).level == "server"


async def test_another_refusal_is_raised_as_it_is() -> None:
    enclave = Enclave()
    enclave.attestation = lambda _: answer({"error": "no such model"}, status=404)

    with pytest.raises(NotFoundError):
        await ask(client_of(enclave))

    assert len(enclave.requests) == 1


# -- a nonce of the caller's ---------------------------------------------------------------------------------------------


async def test_a_nonce_of_the_callers_is_asked_with_once_and_nothing_is_kept() -> None:
    enclave = Enclave()
    client = client_of(enclave)

    await ask(client, e2ee=SERVER.replace(nonce="AB" * 32))
    await ask(client)
    await ask(client)

    assert enclave.nonces[0] == "ab" * 32
    assert len(enclave.nonces) == 2


async def test_a_nonce_of_the_callers_is_asked_with_though_a_key_is_kept() -> None:
    enclave = Enclave()
    client = client_of(enclave)
    await ask(client)

    response = await created(client, e2ee=SERVER.replace(nonce="ab" * 32))

    assert response.attestation is not None
    assert response.attestation.nonce == "ab" * 32
    assert len(enclave.nonces) == 2


async def test_an_attestation_with_a_nonce_of_the_callers_serves_no_other_request() -> None:
    enclave = Enclave()
    client = client_of(enclave)

    report = await client.tee.attest(MODEL, SERVER.replace(nonce="ab" * 32))
    response = await created(client, e2ee=True)

    assert response.attestation is not None
    assert (report.nonce, response.attestation.nonce) == tuple(enclave.nonces)
    assert len(set(enclave.nonces)) == 2


@pytest.mark.attack(9)
async def test_a_nonce_is_not_used_twice() -> None:
    enclave = Enclave()
    client = client_of(enclave)
    await ask(client, e2ee=SERVER.replace(nonce="ab" * 32))

    with pytest.raises(TeeAttestationError, match="nonce_unique"):
        await ask(client, e2ee=SERVER.replace(nonce="ab" * 32))

    assert len(enclave.chats) == 1


@pytest.mark.attack(9)
async def test_a_nonce_is_not_used_twice_in_a_process_by_any_client() -> None:
    enclave = Enclave()
    await ask(client_of(enclave), e2ee=SERVER.replace(nonce="ab" * 32))
    threads: list[Any] = []

    def elsewhere() -> None:
        try:
            asyncio.run(ask(client_of(enclave), e2ee=SERVER.replace(nonce="ab" * 32)))
        except TeeAttestationError as error:
            threads.append(error)

    with pytest.raises(TeeAttestationError, match="nonce_unique"):
        await ask(client_of(enclave), e2ee=SERVER.replace(nonce="ab" * 32))
    await asyncio.to_thread(elsewhere)

    assert len(threads) == 1
    assert len(enclave.chats) == 1


@pytest.mark.attack(9)
async def test_a_nonce_that_was_sent_counts_as_used_even_after_a_failure() -> None:
    enclave = Enclave()
    enclave.attestation = failing(answer({}, status=502))
    client = client_of(enclave)
    with pytest.raises(APIError):
        await ask(client, e2ee=SERVER.replace(nonce="ab" * 32))
    await client.tee.get_attestation(model=MODEL, nonce="cd" * 32)

    for nonce in ("ab" * 32, "cd" * 32):
        with pytest.raises(TeeAttestationError, match="nonce_unique"):
            await ask(client, e2ee=SERVER.replace(nonce=nonce))

    assert enclave.chats == []


async def test_a_nonce_of_the_callers_is_not_tried_again() -> None:
    enclave = Enclave()
    enclave.attestation = failing(answer({}, status=502))

    with pytest.raises(APIError):
        await ask(client_of(enclave), e2ee=SERVER.replace(nonce="ab" * 32))

    assert len(enclave.requests) == 1


@pytest.mark.parametrize("nonce", ["", "ab", "ab" * 33, "zz" * 32, 5])
async def test_a_nonce_is_64_hex_digits(nonce: Any) -> None:
    enclave = Enclave()

    with pytest.raises(InvalidRequestError, match="64 hex digits"):
        await client_of(enclave).tee.get_attestation(model=MODEL, nonce=nonce)

    assert enclave.requests == []


# -- keeping -------------------------------------------------------------------------------------------------------------


async def test_a_verified_key_serves_for_a_while() -> None:
    enclave, now = Enclave(), Now()
    client = client_of(enclave, tee=SERVER.replace(clock=now))

    for later in (0, 100, 299):
        now.at = UNIX + later
        await ask(client)
    assert len(enclave.attestations) == 1

    now.at = UNIX + 300
    await ask(client)
    assert len(enclave.attestations) == 2


@pytest.mark.parametrize(("ttl", "fetched"), [(0, 3), (10, 2), (1000, 1)])
async def test_attestation_ttl_sets_how_long_a_key_serves(ttl: float, fetched: int) -> None:
    enclave, now = Enclave(), Now()
    client = client_of(enclave, tee=SERVER.replace(clock=now, attestation_ttl=ttl))

    for later in (0, 5, 15):
        now.at = UNIX + later
        await ask(client)

    assert len(enclave.attestations) == fetched


async def test_a_clock_that_goes_back_keeps_nothing_alive() -> None:
    enclave, now = Enclave(), Now()
    client = client_of(enclave, tee=SERVER.replace(clock=now))
    await ask(client)

    now.at = UNIX - 10
    await ask(client)

    assert len(enclave.attestations) == 2


async def test_many_at_once_share_one_attestation() -> None:
    enclave = Enclave()
    client = client_of(enclave)

    await asyncio.gather(*(ask(client) for _ in range(20)))

    assert (len(enclave.attestations), len(enclave.chats)) == (1, 20)


async def test_one_that_stops_waiting_does_not_stop_the_others() -> None:
    enclave = Enclave()
    client = client_of(enclave)
    first, second = asyncio.ensure_future(ask(client)), asyncio.ensure_future(ask(client))
    await asyncio.sleep(0)

    first.cancel()
    await second

    assert (len(enclave.attestations), len(enclave.chats)) == (1, 1)


async def test_a_failure_is_not_kept() -> None:
    enclave = Enclave()
    client = client_of(enclave)
    enclave.attestation = lambda reply: {**reply, "verified": False}
    with pytest.raises(TeeAttestationError):
        await ask(client)

    enclave.attestation = lambda reply: reply
    await ask(client)

    assert len(enclave.attestations) == 2


async def test_other_models_clients_and_demands_have_their_own() -> None:
    enclave = Enclave()
    client, other = client_of(enclave), client_of(enclave)

    await ask(client)
    await ask(other)
    await ask(client, model="e2ee-other")
    await ask(client, e2ee=SERVER.replace(allow_dev_image=False))
    await ask(client, e2ee=SERVER.replace(verifier=Verdict(True)))

    assert len(enclave.attestations) == 5


async def test_verifiers_of_a_client_and_of_a_call_keep_what_they_accepted() -> None:
    enclave, one, other = Enclave(), Verdict(True), Verdict(True)
    client = client_of(enclave, tee=SERVER.replace(verifier=one))

    for _ in range(3):
        await ask(client, e2ee=SERVER.replace(verifier=other))

    assert (len(enclave.attestations), len(one.seen), len(other.seen)) == (1, 1, 1)


async def test_at_most_256_attestations_are_kept_and_expired_ones_are_dropped() -> None:
    enclave, now = Enclave(), Now()
    client = client_of(enclave)

    for _ in range(300):
        await client.tee.attest(MODEL, SERVER.replace(verifier=Verdict(True), clock=now))
    most = len(client.tee._reports)
    now.at += 300
    await client.tee.attest(MODEL, SERVER.replace(clock=now))

    assert most <= 256
    assert len(client.tee._reports) == 1


async def test_a_client_that_was_closed_knows_no_enclave_any_more() -> None:
    enclave = Enclave()
    client = client_of(enclave)
    await ask(client)

    await client.close()
    async with client:
        await ask(client)

    assert len(enclave.attestations) == 2


async def test_a_clock_without_a_finite_time_is_refused_before_anything_is_sent() -> None:
    enclave = Enclave()

    for wrong in (float("nan"), float("inf"), "now"):
        with pytest.raises(InvalidRequestError, match="clock"):
            await ask(client_of(enclave), e2ee=SERVER.replace(clock=lambda wrong=wrong: wrong))

    assert enclave.requests == []


async def test_calls_with_other_options_than_those_of_the_evidence_share_an_attestation() -> None:
    enclave = Enclave()
    client = client_of(enclave)

    await ask(client)
    await ask(client, e2ee=SERVER.replace(encrypt_roles=("user",)))
    await ask(client, e2ee=SERVER.replace(verify_signature="try"))

    assert len(enclave.attestations) == 1


async def test_attest_asks_anew_and_what_it_found_serves() -> None:
    enclave = Enclave()
    client = client_of(enclave)

    await client.tee.attest(MODEL)
    await client.tee.attest(MODEL)
    await ask(client)

    assert (len(enclave.attestations), len(enclave.chats)) == (2, 1)


# -- the caller's own verifier -------------------------------------------------------------------------------------------


class Verdict:
    """A verifier that gives what it was told to; an exception it raises."""

    def __init__(self, verdict: Any) -> None:
        self.verdict = verdict
        self.seen: list[Any] = []

    def verify(self, attestation: Any) -> Any:
        self.seen.append(attestation)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class AsyncVerdict(Verdict):
    """The same, in its own time."""

    async def verify(self, attestation: Any) -> Any:
        await asyncio.sleep(0)
        return Verdict.verify(self, attestation)


@pytest.mark.parametrize("kind", [Verdict, AsyncVerdict])
async def test_a_verifier_that_says_true_lets_pass(kind: type[Verdict]) -> None:
    enclave, verifier = Enclave(), kind(True)

    await ask(client_of(enclave), e2ee=SERVER.replace(verifier=verifier))

    (seen,) = verifier.seen
    assert seen.signing_public_key == enclave.public_key.hex()
    assert seen.sent_nonce == enclave.nonces[0]
    assert len(enclave.chats) == 1


@pytest.mark.parametrize("kind", [Verdict, AsyncVerdict])
@pytest.mark.parametrize("verdict", [None, 1, "yes", False, 0, [True], RuntimeError("no"), ValueError("no")], ids=repr)
@pytest.mark.attack(57)
async def test_a_verifier_that_does_not_say_true_refuses(verdict: Any, kind: type[Verdict]) -> None:
    enclave = Enclave()

    with pytest.raises(TeeAttestationError) as caught:
        await ask(client_of(enclave), e2ee=SERVER.replace(verifier=kind(verdict)))

    assert caught.value.report is not None
    assert not caught.value.report.ok
    assert enclave.chats == []


async def test_a_verifier_makes_nothing_good_that_was_bad() -> None:
    enclave, verifier = Enclave(), Verdict(True)
    enclave.attestation = lambda reply: {**reply, "verified": False}

    with pytest.raises(TeeAttestationError):
        await ask(client_of(enclave), e2ee=SERVER.replace(verifier=verifier))

    assert verifier.seen == []


# -- levels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["quote", "hardware"])
async def test_a_level_that_is_not_reached_is_an_error(level: Any) -> None:
    enclave = Enclave()

    with pytest.raises(TeeAttestationError) as caught:
        await ask(client_of(enclave, tee=TeeOptions(verification=level)))

    assert caught.value.report is not None
    assert enclave.chats == []


async def test_a_call_cannot_demand_less_than_its_client() -> None:
    enclave = Enclave()

    with pytest.raises(TeeAttestationError):
        await ask(client_of(enclave, tee=TeeOptions(verification="hardware")), e2ee=SERVER)

    assert enclave.chats == []


async def test_the_environment_raises_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_TEE_MIN_LEVEL", "quote")
    enclave = Enclave()

    for demand in (True, SERVER):
        with pytest.raises(TeeAttestationError):
            await ask(client_of(enclave), e2ee=demand)

    assert enclave.chats == []


async def test_the_environment_does_not_lower_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_TEE_MIN_LEVEL", "server")

    with pytest.raises(TeeAttestationError):
        await ask(client_of(Enclave(), tee=TeeOptions(verification="quote")))


async def test_the_environment_holds_a_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_TEE_MIN_LEVEL", "high")
    enclave = Enclave()

    with pytest.raises(InvalidRequestError, match="VENICE_TEE_MIN_LEVEL"):
        await ask(client_of(enclave))

    assert enclave.requests == []


async def test_a_level_of_the_environment_that_needs_pins_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_TEE_MIN_LEVEL", "pinned")

    with pytest.raises(InvalidRequestError, match="VENICE_TEE_MIN_LEVEL"):
        await ask(client_of(Enclave(), tee=TeeOptions()))


@pytest.mark.parametrize(
    "demand",
    [
        {"pins": MeasurementPins.from_dict(dict.fromkeys(("mrtd", "rtmr1", "rtmr2", "rtmr3"), "00" * 48))},
        {"gpu": "require"},
        {"gpu": "nras"},
    ],
    ids=repr,
)
def test_options_that_the_level_server_does_not_check_are_refused_with_it(demand: Any) -> None:
    with pytest.raises(InvalidRequestError, match="verification='server'"):
        TeeOptions(verification="server", **demand)


async def test_a_lowered_level_is_warned_of_once_for_each_model_and_reason() -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, tee=enclave.without_collateral.replace(attestation_ttl=0))

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", TeeDowngradeWarning)
        await ask(client)
        await ask(client)
        await ask(client, model="e2ee-other")

    assert [warning.category for warning in warned] == [TeeDowngradeWarning] * 2
    assert all("verified at the level 'quote' only" in str(warning.message) for warning in warned)


async def test_a_level_requested_by_name_causes_no_warning() -> None:
    await ask(client_of(Enclave(), tee=SERVER))


@pytest.mark.parametrize("value", [True, "hardware", {"verification": "quote"}])
def test_a_clients_options_are_options(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="tee="):
        VeniceClient(api_key="k", tee=value)


# -- as it came ----------------------------------------------------------------------------------------------------------


async def test_get_attestation_returns_the_reply_unchanged() -> None:
    enclave = Enclave()
    enclave.attestation = lambda reply: {**reply, "verified": False, "of_tomorrow": [1]}

    reply = await client_of(enclave).tee.get_attestation(model=MODEL)

    assert reply.verified is False
    assert reply["of_tomorrow"] == [1]
    assert reply.sent_nonce == reply.nonce == enclave.nonces[0]
    assert reply.intel_quote is None


async def test_get_attestation_sends_the_callers_nonce() -> None:
    reply = await client_of(Enclave()).tee.get_attestation(model=MODEL, nonce="AB" * 32)

    assert reply.nonce == "ab" * 32


async def test_a_session_can_be_opened_without_a_call() -> None:
    enclave = Enclave()
    client = client_of(enclave)

    session = await client.tee.open_session(model=MODEL, nonce="ab" * 32, verifier=Verdict(True))

    assert isinstance(session, TeeSession)
    assert session.attestation.model == MODEL
    assert session.headers["X-Venice-TEE-Model-Pub-Key"] == enclave.public_key.hex()
    assert enclave.nonces == ["ab" * 32]


async def test_a_session_is_refused_as_a_call_is() -> None:
    with pytest.raises(TeeAttestationError):
        await client_of(Enclave()).tee.open_session(model=MODEL, verifier=Verdict(None))


# -- signatures ----------------------------------------------------------------------------------------------------------


def signature_of(enclave: Enclave, *, signed: str = "00" * 32 + ":" + "11" * 32, **bent: Any) -> Callable[[str], ScriptedReply]:
    """A reply of `/tee/signature`, signed as an enclave does."""
    text = signed
    digest = keccak256(b"\x19Ethereum Signed Message:\n%d" % len(text) + text.encode())
    return lambda identity: answer(
        {
            "text": text,
            "signature": "0x" + enclave.signed(digest).hex(),
            "signing_address": enclave.address,
            "signing_algo": "ecdsa",
            "model": MODEL,
            "requested_request_id": identity,
            **bent,
        }
    )


async def test_the_signature_of_an_answer_is_verified() -> None:
    enclave = Enclave()
    enclave.signature = signature_of(enclave)
    client = client_of(enclave)

    response = await created(client, e2ee=True)
    report = await client.tee.verify_signature(response)

    assert (report.status, report.valid, report.bound, report.signer) == ("valid", True, None, enclave.address)
    assert response.signature is None


async def test_the_signature_of_a_stream_is_verified_once_it_has_ended() -> None:
    enclave = Enclave()
    enclave.signature = signature_of(enclave)
    client = client_of(enclave)

    opened = await streamed(client, e2ee=True)

    assert (await client.tee.verify_signature(opened)).valid


@pytest.mark.parametrize(
    "bent",
    [
        pytest.param({"signing_address": "0x" + "00" * 20}, id="another signer"),
        pytest.param({"text": "22" * 32 + ":" + "11" * 32}, id="an edited text"),
        pytest.param({"requested_request_id": "chatcmpl-other"}, id="another answer"),
        pytest.param({"signature": "0x" + "00" * 65}, id="zeros"),
        pytest.param({"signature": None}, id="none"),
    ],
)
@pytest.mark.attack(60)
async def test_a_bad_signature_is_not_valid(bent: dict[str, Any]) -> None:
    enclave = Enclave()
    enclave.signature = signature_of(enclave, **bent)
    client = client_of(enclave)

    report = await client.tee.verify_signature(await created(client, e2ee=True))

    assert not (report.valid and report.bound)


@pytest.mark.parametrize("as_stream", [True, False])
async def test_signatures_can_be_part_of_every_call(as_stream: bool) -> None:
    enclave = Enclave()
    enclave.signature = signature_of(enclave)
    client = client_of(enclave, tee=SERVER.replace(verify_signature="try"))

    if as_stream:
        opened = await streamed(client, e2ee=True)
        assert opened.signature is None
        found = (await opened.collect()).signature
        assert opened.signature is found
    else:
        found = (await created(client, e2ee=True)).signature

    assert found is not None
    assert (found.valid, found.bound) == (True, None)


@pytest.mark.parametrize("as_stream", [True, False])
async def test_a_signature_of_another_answer_does_not_satisfy_require(as_stream: bool) -> None:
    enclave = Enclave()
    enclave.signature = signature_of(enclave)  # by the attested key, of other bytes, given for this answer's id
    client = client_of(enclave, tee=SERVER.replace(verify_signature="require"))

    with pytest.raises(TeeEncryptionError, match="another answer") as caught:
        await (await streamed(client, e2ee=True)).collect() if as_stream else await ask(client)

    assert caught.value.partial is not None


@pytest.mark.parametrize("as_stream", [True, False])
@pytest.mark.parametrize(
    "signature",
    [pytest.param(({"error": "none"}, 404), id="none"), pytest.param(({"signature": "0x00", "text": "t"}, 200), id="invalid")],
)
async def test_a_signature_that_is_required_is_there(signature: tuple[dict[str, str], int], as_stream: bool) -> None:
    enclave = Enclave()
    enclave.signature = lambda _: answer(signature[0], status=signature[1])
    client = client_of(enclave, tee=SERVER.replace(verify_signature="require"))

    with pytest.raises(TeeEncryptionError) as caught:
        await (await streamed(client, e2ee=True)).collect() if as_stream else await ask(client)

    assert "secret" not in str(caught.value)


async def test_a_signature_that_is_tried_may_be_missing() -> None:
    enclave = Enclave()
    client = client_of(enclave, tee=SERVER.replace(verify_signature="try"))

    response = await created(client, e2ee=True)

    assert response.signature is not None
    assert response.signature.status == "unavailable"
    assert len(clock_of(client).slept) == 3


@pytest.mark.parametrize("as_stream", [True, False])
async def test_a_signature_of_the_very_bytes_says_so(as_stream: bool) -> None:
    enclave = Enclave()
    replies: list[bytes] = []

    class Watched(Enclave):
        async def send(self, request: Any) -> ScriptedReply:
            reply = await enclave.send(request)
            replies.append(b"".join(piece for piece in reply.script if isinstance(piece, bytes)))
            return reply

    def signed(identity: str) -> ScriptedReply:
        of = [hashlib.sha256(body).hexdigest() for body in (enclave.chats[0].body or b"", replies[-1])]
        return signature_of(enclave, signed=":".join(of))(identity)

    enclave.signature = signed
    client = client_of(Watched(), tee=SERVER.replace(verify_signature="require"))

    response = await (await streamed(client, e2ee=True)).collect() if as_stream else await created(client, e2ee=True)

    assert response.signature is not None
    assert (response.signature.request_hash_match, response.signature.response_hash_match) == (True, True)
    assert response.signature.bound is True


UNREADABLE = {
    "a page": ScriptedReply(b"<html>", headers={"content-type": "text/html"}),
    "a list": ScriptedReply(b"[]"),
    "a failure": answer({"error": "broken"}, status=500),
    "deep nesting": ScriptedReply(b'{"receipt":' + b'{"a":' * 900 + b"1" + b"}" * 901),
}


@pytest.mark.parametrize("as_stream", [True, False])
@pytest.mark.parametrize("signature", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_answer_is_given_though_its_signature_cannot_be_read(signature: ScriptedReply, as_stream: bool) -> None:
    enclave = Enclave()
    enclave.signature = lambda _: ScriptedReply(*signature.script, status=signature.status, headers=signature.headers)
    client = client_of(enclave, tee=SERVER.replace(verify_signature="try"))

    response = await (await streamed(client, e2ee=True)).collect() if as_stream else await created(client, e2ee=True)

    assert (response.text or "").replace("\n", "") == "my secret answer"
    assert response.signature is not None
    assert not response.signature.valid


@pytest.mark.parametrize("as_stream", [True, False])
@pytest.mark.parametrize("signature", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_answer_without_the_signature_it_must_have_is_not_lost(signature: ScriptedReply, as_stream: bool) -> None:
    enclave = Enclave()
    enclave.signature = lambda _: ScriptedReply(*signature.script, status=signature.status, headers=signature.headers)
    client = client_of(enclave, tee=SERVER.replace(verify_signature="require"))

    with pytest.raises(TeeEncryptionError) as caught:
        await (await streamed(client, e2ee=True)).collect() if as_stream else await ask(client)

    error = caught.value
    assert error.report is not None
    assert error.partial is not None
    assert (error.partial.text or "").replace("\n", "") == "my secret answer"
    assert "secret" not in f"{error!r} {error} {vars(error)!r}"
    assert b"secret" not in pickle.dumps(error)
    assert pickle.loads(pickle.dumps(error)).partial is None


async def test_a_signature_that_is_no_object_is_an_error_of_its_own() -> None:
    enclave = Enclave()
    enclave.signature = lambda _: ScriptedReply(b"<html>")

    with pytest.raises(APIResponseProcessingError, match="signature"):
        await client_of(enclave).tee.get_signature(model=MODEL, request_id="chatcmpl-1")


@pytest.mark.parametrize("policy", ["try", "require"])
async def test_the_calls_deadline_counts_the_signature(policy: Any) -> None:
    class Slow(Enclave):
        async def send(self, request: Any) -> ScriptedReply:
            if "/tee/signature" in request.url:
                await asyncio.Event().wait()
            return await Enclave.send(self, request)

    client = client_of(Slow(), tee=SERVER.replace(verify_signature=policy))

    if policy == "try":
        response = await created(client, e2ee=True, timeout=0.2)
        assert response.signature is not None
        assert response.signature.status == "unavailable"
    else:
        with pytest.raises(TeeEncryptionError, match="unavailable") as caught:
            await created(client, e2ee=True, timeout=0.2)
        assert isinstance(caught.value.__cause__, APITimeoutError)


async def test_an_answer_in_clear_has_no_signature() -> None:
    client = client_of(Enclave())
    with pytest.warns(UserWarning, match="not end-to-end encrypted"):
        opened = await streamed(client)

    with pytest.raises(InvalidRequestError, match="attestation"):
        await client.tee.verify_signature(opened)
