"""The emulator's enclave: real clients accept it with its roots, refuse it without, and refuse every attack it can play."""

from __future__ import annotations

import copy
import json
import secrets
import warnings
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import pytest
import pytest_asyncio
from pydantic import BaseModel

from venice_ai import (
    APIError,
    ChatCompletionResponse,
    ChatStream,
    SyncVeniceClient,
    UserMessage,
    VeniceClient,
    VeniceParameters,
)
from venice_ai.emulator import Emulator, echo, run_in_thread, serve, text, text_model
from venice_ai.emulator.enclave import FAULTS, Enclave
from venice_ai.exceptions import (
    InvalidRequestError,
    StreamInterruptedError,
    TeeAttestationError,
    TeeDowngradeWarning,
    TeeEncryptionError,
)
from venice_ai.tee import TeeOptions, TrustRoots
from venice_ai.tee.crypto import Opener, is_envelope, seal
from venice_ai.tee.guard import ALGORITHM, CLIENT_KEY, MODEL_KEY

from ..shared import shared
from .asking import JSON, KEY, Got, in_process
from .test_backend import Parrot

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")

MODEL = "e2ee-ponte-chiuso-p"
SAID = "The door is behind the third arch."
QUESTION = [UserMessage(content="Where is the door?")]
ATTESTATION = "/api/v1/tee/attestation"
SIGNATURE = "/api/v1/tee/signature"


async def asked(client: VeniceClient, *, model: str = MODEL, e2ee: bool | TeeOptions = True) -> ChatCompletionResponse:
    """The answer to the question that every test asks."""
    return await client.chat.completions.create(model=model, messages=QUESTION, e2ee=e2ee)


async def streamed(client: VeniceClient, *, e2ee: bool | TeeOptions = True) -> ChatStream:
    """The same, as a stream."""
    return await client.chat.completions.stream(model=MODEL, messages=QUESTION, e2ee=e2ee)


class SealedParrot(Parrot):
    """A real model, in the enclave."""

    model_id = "e2ee-parrot"


@pytest.fixture(scope="module")
def made() -> Enclave:
    return Enclave()


@pytest.fixture
def enclave(made: Enclave) -> Enclave:
    """One with a fault, a key and answers of its own. Its certificates are those of all tests: making them takes long."""
    return copy.copy(made)


@pytest.fixture
def emulator(enclave: Enclave) -> Emulator:
    emulator = Emulator(tee=enclave)
    emulator.always(text(SAID, reasoning="Bridges have arches."))
    return emulator


def client_of(emulator: Emulator, **options: Any) -> VeniceClient:
    """A client that trusts the enclave, and demands all there is."""
    assert emulator.enclave is not None
    tee = emulator.enclave.options(**{"verification": "hardware", **options})
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock, tee=tee)


@pytest_asyncio.fixture
async def client(emulator: Emulator) -> AsyncGenerator[VeniceClient]:
    async with client_of(emulator) as client:
        yield client


def failures(error: TeeAttestationError) -> set[str]:
    """The checks that failed."""
    assert error.report is not None
    return {check.id for check in error.report.failures}


def chats(emulator: Emulator) -> list[Any]:
    return [request for request in emulator.requests if request.path.endswith("/chat/completions")]


# -- as it should be -----------------------------------------------------------------------------------------------------


async def test_a_client_with_its_roots_chats_at_the_level_hardware(emulator: Emulator, client: VeniceClient) -> None:
    reply = await asked(client)

    assert reply.text == SAID
    assert reply.choices[0].message.reasoning_content == "Bridges have arches."
    assert reply.attestation is not None
    assert (reply.attestation.level, reply.attestation.trust_root) == ("hardware", "custom")
    assert [gpu.model for gpu in reply.attestation.gpus] == ["GH100 A01", "GH100 A01"]
    assert reply.attestation.warnings == ()
    (chat,) = chats(emulator)
    assert is_envelope(chat.body["messages"][0]["content"])
    assert b"door" not in chat.content


async def test_every_text_of_the_answer_is_sealed_on_the_wire(emulator: Emulator, enclave: Enclave) -> None:
    reader = Opener()
    got = await ask_sealed(emulator, enclave, [{"role": "user", "content": "hi"}], reader=reader)

    texts = [chunk["choices"][0]["delta"].get("content") for chunk in got.chunks if chunk.get("choices")]
    sealed = [each for each in texts if each]
    assert len(sealed) > 3
    assert "".join(reader.open(each).decode() for each in sealed if is_envelope(each)) == SAID
    assert SAID[:8].encode() not in got.content


async def test_an_encrypted_chat_works_over_a_socket_and_for_the_synchronous_client(
    emulator: Emulator, enclave: Enclave
) -> None:
    async with (
        serve(emulator) as server,
        VeniceClient(api_key="any", base_url=server.url, tee=enclave.options(verification="hardware")) as client,
    ):
        stream = await streamed(client)
        assert "".join([piece async for piece in stream.text_deltas()]) == SAID


def test_the_synchronous_client_is_encrypted_too(emulator: Emulator, enclave: Enclave) -> None:
    options = enclave.options(verification="hardware", verify_signature="try")
    with run_in_thread(emulator) as server, SyncVeniceClient(api_key="any", base_url=server.url, tee=options) as client:
        reply = client.chat.completions.create(model=MODEL, messages=QUESTION, e2ee=True)
        with client.chat.completions.stream(model=MODEL, messages=QUESTION, e2ee=True) as stream:
            streamed = "".join(stream.text_deltas())
        report = client.tee.attest(MODEL)

    assert (reply.text, streamed, report.level) == (SAID, SAID, "hardware")
    assert reply.signature is not None
    assert reply.signature.valid
    assert all(b"door" not in request.content for request in chats(emulator))


async def test_a_real_models_answer_is_sealed_as_it_comes(enclave: Enclave) -> None:
    parrot = SealedParrot()
    emulator = Emulator(backend=parrot, tee=enclave)
    async with client_of(emulator) as client:
        reply = await asked(client, model=parrot.model_id)

    assert reply.text == "Where is the door?"
    assert parrot.asked[0]["messages"][0]["content"] == "Where is the door?"
    assert b"door" not in chats(emulator)[0].content


@pytest.mark.parametrize(
    "how", [pytest.param({"piece_bytes": 1}, id="byte by byte"), pytest.param({"chunk_delay": 0.5, "delay": 2.0}, id="slowly")]
)
async def test_sealed_answers_are_read_however_their_bytes_are_cut(emulator: Emulator, client: VeniceClient, how: Any) -> None:
    emulator.script(text(SAID, **how))

    assert (await asked(client)).text == SAID


async def test_an_answer_that_breaks_off_is_an_interrupted_stream(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(text(SAID, reset_at=3_000))

    with pytest.raises(StreamInterruptedError) as caught:
        await asked(client)

    assert caught.value.partial is not None
    assert SAID.startswith(caught.value.partial.text or "nothing")


async def test_a_new_key_is_attested_once_more(emulator: Emulator, enclave: Enclave, client: VeniceClient) -> None:
    await asked(client)
    enclave.rotate()

    assert (await asked(client)).text == SAID
    nonces = [request.query["nonce"] for request in emulator.requests if request.path == ATTESTATION]
    assert len(nonces) == len(set(nonces)) == 2


async def test_two_enclaves_have_nothing_in_common(enclave: Enclave) -> None:
    other = Enclave()

    assert enclave.trust != other.trust
    assert enclave.key.public != other.key.public


# -- who refuses it ------------------------------------------------------------------------------------------------------


async def test_a_client_without_its_roots_refuses_it(emulator: Emulator) -> None:
    plain = VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)
    async with plain as client:
        with pytest.raises(TeeAttestationError) as caught:
            await asked(client, e2ee=TeeOptions(collateral=emulator.enclave))

    assert failures(caught.value) >= {"intel_chain", "gpu_chain"}
    assert chats(emulator) == []


@pytest.mark.parametrize("kept", ["intel_root_der", "nvidia_root_sha256"])
async def test_one_root_alone_is_not_enough(emulator: Emulator, enclave: Enclave, kept: str) -> None:
    half = TrustRoots(**{kept: getattr(enclave.trust, kept)})
    async with client_of(emulator, trust=half) as client:
        with pytest.raises(TeeAttestationError):
            await asked(client)

    assert chats(emulator) == []


# -- attacks on the attestation ------------------------------------------------------------------------------------------

REFUSED_BY: dict[str, str] = {
    "swapped_key": "key_address",
    "swapped_key_and_address": "report_data_address",
    **dict.fromkeys(("two_keys", "key_off_curve", "key_compressed", "key_infinity", "no_key"), "model_key"),
    "keyset_of_others": "model_key",
    **dict.fromkeys(("stale_nonce", "server_nonce"), "nonce_echo"),
    "replayed_quote": "report_data_nonce",
    **dict.fromkeys(("not_verified", "verified_as_text", "verified_missing"), "server_verified"),
    **dict.fromkeys(("other_model", "no_model"), "model"),
    **dict.fromkeys(("other_hardware", "other_algorithm"), "hardware"),
    **dict.fromkeys(
        ("claims_invalid", "claims_other_data", "claims_debug", "debug_switch", "debug_in_a_list"), "server_claims"
    ),
    "keys_beside": "aci_keyset",
    **dict.fromkeys(("doubled_keys", "many_keys"), "transport"),
    "forged_lines": "model",
    "long_compose_unsigned": "quote_signature",
    "duplicate_members": "transport",
    **dict.fromkeys(("trailing_garbage", "truncated_quote", "sgx_quote", "quote_v5"), "quote_parse"),
    **dict.fromkeys(("other_domain", "right_aligned_address", "swapped_halves", "bound_to_tls"), "report_data_address"),
    "other_intel": "intel_chain",
    "quote_flipped": "quote_signature",
    "report_data_padding": "report_data_padding",
    **dict.fromkeys(("hashed_nonce", "zero_nonce"), "report_data_nonce"),
    **dict.fromkeys(("debug", "no_sept_ve_disable", "migratable", "pks", "perfmon", "seam_signer"), "td_attributes"),
    **dict.fromkeys(("event_removed", "event_reordered"), "rtmr_replay"),
    **dict.fromkeys(("event_edited", "event_duplicated", "extra_compose_hash"), "event_payload"),
    **dict.fromkeys(("event_with_colon", "event_without_name", "event_split", "boot_without_end"), "event_payload"),
    "compose_edited": "compose_hash",
    "other_config_id": "mr_config_id",
    "forged_os_image": "info_match",
    **dict.fromkeys(("gpu_nonce", "gpu_replayed"), "gpu_nonce"),
    "gpu_other_root": "gpu_chain",
    **dict.fromkeys(("gpu_other_chain", "gpu_measurement", "gpu_signature", "gpu_opaque"), "gpu_signature"),
    **dict.fromkeys(("gpu_twice", "gpu_two_keys"), "gpu_unique"),
    "gpu_switch": "gpu_chain",
    "gpu_firmware": "gpu_firmware",
    **dict.fromkeys(("gpu_empty_record", "gpu_zeros"), "gpu_structure"),
    "gpu_empty": "gpu_evidence",
    **dict.fromkeys(("forged_collateral", "edited_tcb_info", "other_fmspc"), "collateral"),
    **dict.fromkeys(("expired_collateral", "early_collateral", "expired_crl"), "collateral"),
    **dict.fromkeys(("platform_revoked", "ca_revoked"), "revocation"),
    **dict.fromkeys(("status_revoked", "unknown_status"), "tcb_status"),
    **dict.fromkeys(("out_of_date", "module_out_of_date", "qe_out_of_date"), "tcb_status"),
    **dict.fromkeys(("needs_configuration", "needs_hardening", "qe_needs_configuration"), "tcb_status"),
    **dict.fromkeys(("platform_signed", "authority_signed", "other_pce", "other_tcb_type"), "collateral"),
    "rolled_back": "tcb_eval",
}
"""The check that refuses an attack."""
WARNED_OF: dict[str, str] = {
    "dev_image": "made for development",
    "loose_images": "not pinned by their hash",
    "unknown_image": "unknown",
    "image_of_another": "not those of it",
}
"""What a client is told of, and accepts."""
LEFT_OUT: dict[str, str] = {
    "no_gpus": "evidence of its 2 GPUs",
    "gpu_less": "evidence of 1 of its 2 GPUs",
    "no_machine": "evidence of its GPUs",
    "no_compose": "the compose file",
    "gateway_without_version": "aci_endorsement",
}
"""What a reply promises and leaves out, so that it does not reach `hardware`."""
IN_AN_ANSWER = (
    *("plaintext_chunk", "plaintext_reply", "plaintext_reasoning", "plaintext_choice"),
    *("chunk_tag", "chunk_text", "chunk_nonce", "chunk_key", "chunk_short", "chunk_odd", "chunk_prefix", "chunk_other_key"),
    *("role_in_clear", "role_of_text", "name_in_clear", "id_in_clear", "id_in_a_delta", "model_in_clear", "object_in_clear"),
    *("time_in_clear", "odd_blanks"),
    *("replayed_chunk", "tool_call_in_clear", "refusal_in_clear", "logprobs_in_clear", "downgraded"),
)
IN_A_SIGNATURE = (
    *("signature_signer", "signature_text", "signature_request"),
    *("signature_zero_r", "signature_zero_s", "signature_large_r", "signature_large_s"),
)
HARMLESS = ("no_claims", "upper_case", "other_spelling", "other_name", "long_compose", "container_events")


def test_every_fault_has_its_test() -> None:
    others = ("no_quote", "redirect", "chat_redirect", "signature_relabelled", "gpus_denied", "older_lists")

    assert sorted(FAULTS) == sorted([*REFUSED_BY, *WARNED_OF, *LEFT_OUT, *IN_AN_ANSWER, *IN_A_SIGNATURE, *HARMLESS, *others])


@pytest.mark.parametrize("fault", REFUSED_BY)
async def test_an_attack_on_the_attestation_is_refused(
    emulator: Emulator, enclave: Enclave, client: VeniceClient, fault: str
) -> None:
    enclave.fault = fault

    with pytest.raises(TeeAttestationError) as caught:
        await asked(client)

    assert REFUSED_BY[fault] in failures(caught.value)
    assert chats(emulator) == []


@pytest.mark.parametrize("fault", WARNED_OF)
async def test_an_accepted_flaw_of_an_attestation_is_a_warning(enclave: Enclave, client: VeniceClient, fault: str) -> None:
    enclave.fault = fault

    report = await client.tee.attest(MODEL)

    assert report.level == "hardware"
    assert any(WARNED_OF[fault] in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        pytest.param("no_gpus", {"gpu": "require", "verification": "auto"}, id="no GPUs"),
        pytest.param("unknown_image", {"allow_dev_image": False}, id="an unknown image"),
        pytest.param("image_of_another", {"allow_dev_image": False}, id="another image's measurements"),
        pytest.param("dev_image", {"allow_dev_image": False}, id="an image for development"),
    ],
)
async def test_an_accepted_flaw_can_be_refused_by_an_option(
    emulator: Emulator, enclave: Enclave, fault: str, options: Any
) -> None:
    enclave.fault = fault
    async with client_of(emulator, **options) as client:
        with pytest.raises(TeeAttestationError):
            await asked(client)

    assert chats(emulator) == []


@pytest.mark.parametrize("fault", LEFT_OUT)
async def test_a_left_out_part_keeps_the_level_below_hardware(emulator: Emulator, enclave: Enclave, fault: str) -> None:
    enclave.fault = fault
    async with client_of(emulator) as strict, client_of(emulator, verification="auto") as tolerant:
        with pytest.raises(TeeAttestationError, match=LEFT_OUT[fault]):
            await asked(strict)
        assert chats(emulator) == []
        with pytest.warns(TeeDowngradeWarning, match=LEFT_OUT[fault]):
            report = await tolerant.tee.attest(MODEL)

    assert report.level == "quote"


async def test_a_part_that_a_model_showed_once_is_expected_from_then_on(emulator: Emulator, enclave: Enclave) -> None:
    async with client_of(emulator, attestation_ttl=0) as client, client_of(emulator) as newcomer:
        await asked(client)
        enclave.fault = "gpus_denied"

        with pytest.raises(TeeAttestationError, match="evidence of its GPUs"):
            await asked(client)
        assert (await asked(newcomer)).text == SAID


async def test_events_of_containers_stand_apart(enclave: Enclave, client: VeniceClient) -> None:
    before = await client.tee.attest(MODEL)
    enclave.fault = "container_events"

    report = await client.tee.attest(MODEL)

    assert before.workload is not None
    assert report.workload is not None
    assert [name for name, _ in report.workload.later_events] == ["compose-hash", "compose-hash", "system-ready"]
    assert report.workload.compose_hash == before.workload.compose_hash
    assert report.summary().count("as a container says") == 3


@pytest.mark.parametrize("fault", HARMLESS)
async def test_harmless_variations_of_an_answer_are_accepted(enclave: Enclave, client: VeniceClient, fault: str) -> None:
    enclave.fault = fault

    assert (await asked(client)).text == SAID


async def test_without_a_quote_nothing_but_the_lowest_level_is_reached(emulator: Emulator, enclave: Enclave) -> None:
    enclave.fault = "no_quote"
    async with client_of(emulator) as strict:
        with pytest.raises(TeeAttestationError):
            await asked(strict)
    assert chats(emulator) == []

    async with client_of(emulator, verification="auto") as client:
        with pytest.raises(TeeAttestationError, match="the reply has no quote"):
            await asked(client)
    assert chats(emulator) == []

    async with client_of(emulator, verification="server") as client:
        with pytest.warns(UserWarning, match=r"NOT verified: Venice's own statement.*SECURITY LIMITATION"):
            reply = await asked(client)
    assert reply.attestation is not None
    assert reply.attestation.level == "server"


async def test_a_quote_that_was_there_must_stay(emulator: Emulator, enclave: Enclave) -> None:
    async with client_of(emulator, verification="auto", attestation_ttl=0) as client:
        await asked(client)
        enclave.fault = "no_quote"

        with pytest.raises(TeeAttestationError):
            await asked(client)

    assert len(chats(emulator)) == 1


async def test_redirects_are_not_followed(emulator: Emulator, enclave: Enclave, client: VeniceClient) -> None:
    enclave.fault = "redirect"
    with pytest.raises(TeeAttestationError, match="redirected"):
        await asked(client)
    assert chats(emulator) == []

    enclave.fault = "chat_redirect"
    with pytest.raises(APIError, match="redirect"):
        await asked(client)
    assert len(chats(emulator)) == 1


@pytest.mark.parametrize(
    "fault", ["out_of_date", "needs_configuration", "needs_hardening", "module_out_of_date", "qe_out_of_date"]
)
async def test_a_status_can_be_accepted_by_name(emulator: Emulator, enclave: Enclave, fault: str) -> None:
    enclave.fault = fault
    statuses = frozenset({"UpToDate", "OutOfDate", "ConfigurationNeeded", "SWHardeningNeeded"})
    async with client_of(emulator, tcb_statuses=statuses) as client:
        assert (await asked(client)).text == SAID


async def test_an_evaluation_that_was_seen_is_not_gone_back_from(emulator: Emulator, enclave: Enclave) -> None:
    async with (
        client_of(emulator, min_tcb_eval=0, attestation_ttl=0) as client,
        client_of(emulator, min_tcb_eval=0) as newcomer,
    ):
        await asked(client)
        enclave.fault = "older_lists"
        with pytest.raises(TeeAttestationError) as caught:
            await asked(client)
        assert failures(caught.value) == {"revocation"}
        enclave.fault = "rolled_back"

        with pytest.raises(TeeAttestationError) as caught:
            await asked(client)
        assert failures(caught.value) == {"tcb_eval"}
        assert (await asked(newcomer)).text == SAID


# -- attacks on the answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", IN_AN_ANSWER)
async def test_an_attack_on_the_answer_ends_it(enclave: Enclave, client: VeniceClient, fault: str) -> None:
    enclave.fault = fault
    stream = await streamed(client)
    read: list[str] = []

    with pytest.raises(TeeEncryptionError):
        async for piece in stream.text_deltas():
            read.append(piece)  # noqa: PERF401  # what was read before the error counts

    assert SAID.startswith("".join(read))
    assert len("".join(read)) < len(SAID) / 2


@pytest.mark.parametrize("fault", IN_A_SIGNATURE)
async def test_a_bad_signature_is_refused_where_one_is_required(emulator: Emulator, enclave: Enclave, fault: str) -> None:
    enclave.fault = fault
    async with client_of(emulator, verify_signature="require") as client:
        with pytest.raises(TeeEncryptionError, match="signature"):
            await asked(client)
    async with client_of(emulator, verify_signature="try") as client:
        reply = await asked(client)

    assert reply.signature is not None
    assert (reply.signature.status, reply.signature.valid) == ("invalid", False)


@pytest.mark.parametrize("backend", [None, "a real model"])
@pytest.mark.parametrize("as_stream", [True, False])
async def test_an_enclave_that_signs_the_bytes_that_go_out_meets_what_is_required(as_stream: bool, backend: str | None) -> None:
    enclave = Enclave(signs_bytes=True)
    model = MODEL if backend is None else SealedParrot.model_id
    emulator = Emulator(tee=enclave, backend=None if backend is None else SealedParrot())
    async with client_of(emulator, verify_signature="require") as client:
        if as_stream:
            opened = await client.chat.completions.stream(model=model, messages=QUESTION, e2ee=True)
            reply = await opened.collect()
            assert opened.signature == reply.signature
        else:
            reply = await asked(client, model=model)

        found = reply.signature
        assert found is not None
        assert (found.bound, found.request_hash_match, found.response_hash_match) == (True, True, True)

        enclave.fault = "signature_relabelled"
        with pytest.raises(TeeEncryptionError, match="another answer's"):
            await asked(client, model=model)


async def test_a_required_signature_that_venice_cannot_give_is_an_error_with_the_answer(emulator: Emulator) -> None:
    async with client_of(emulator, verify_signature="require") as client:
        with pytest.raises(
            TeeEncryptionError, match="Venice frames anew, so that its service has never met 'require'"
        ) as caught:
            await asked(client)

    assert caught.value.partial is not None


async def test_a_signature_says_what_it_proves_and_no_more(emulator: Emulator) -> None:
    async with client_of(emulator, verify_signature="try") as client:
        reply = await asked(client)

    found = reply.signature
    assert found is not None
    assert (found.valid, found.bound) == (True, None)
    # The enclave read the request as it was opened, and wrote no server-sent events.
    assert found.request_hash_match is False
    assert found.response_hash_match is not True


def shape(value: Any) -> Any:
    """The members of an object, and of those in it, with the kinds of their values."""
    if not isinstance(value, dict):
        return type(value).__name__
    return {name: shape(each) for name, each in cast("dict[str, Any]", value).items()}


def test_the_emulators_server_verification_has_the_shape_of_venices() -> None:
    recorded = shared("tee/attestation_gemma.json")["server_verification"]
    emulated = json.loads(Enclave().attestation(MODEL, bytes(32)))["server_verification"]

    assert shape(emulated) == shape(recorded)
    assert emulated["tdx"]["measurements"]["tdAttributes"] == recorded["tdx"]["measurements"]["tdAttributes"]
    assert emulated["tdx"]["measurements"]["xfam"] == recorded["tdx"]["measurements"]["xfam"]


# -- how strict it is ----------------------------------------------------------------------------------------------------


def headers_for(enclave: Enclave, reader: Opener, **changes: str | None) -> dict[str, str]:
    """The headers of a sealed request, some of them changed or left out."""
    own = {CLIENT_KEY: reader.public_key.hex(), MODEL_KEY: enclave.key.public.hex(), ALGORITHM: "ecdsa", **changes}
    return {**KEY, **JSON, **{name: value for name, value in own.items() if value is not None}}


async def ask_sealed(
    emulator: Emulator,
    enclave: Enclave,
    messages: list[Mapping[str, Any]],
    *,
    reader: Opener | None = None,
    headers: Mapping[str, str | None] | None = None,
    sealed: bool = True,
    **members: Any,
) -> Got:
    """A request that no client of ours makes."""
    key = enclave.key.public
    closed = [{**each, "content": seal(key, each["content"].encode())} if sealed else each for each in messages]
    body = {"model": MODEL, "messages": closed, "stream": True, **members}
    async with in_process(emulator) as ask:
        return await ask(body, headers=headers_for(enclave, reader or Opener(), **(headers or {})))


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool"])
async def test_every_role_must_be_sealed(emulator: Emulator, enclave: Enclave, role: str) -> None:
    other = {"tool_call_id": "call_1"} if role == "tool" else {}
    messages: list[Mapping[str, Any]] = [
        {"role": "user", "content": seal(enclave.key.public, b"hi")},
        {"role": role, "content": "in clear", **other},
    ]

    got = await ask_sealed(emulator, enclave, messages, sealed=False)

    assert (got.status, got.json["error"]["message"]) == (400, "Encrypted field is not valid hex")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("", "Failed to decrypt field", id="an empty text"),
        pytest.param("ab" * 20, "Failed to decrypt field", id="hex that is not an envelope"),
        pytest.param(seal(Opener().public_key, b"hi"), "Failed to decrypt field", id="sealed to another key"),
        pytest.param([{"type": "text", "text": "hi"}], "Encrypted field is not valid hex", id="parts in clear"),
    ],
)
async def test_a_text_that_the_enclave_cannot_decrypt_is_refused(
    emulator: Emulator, enclave: Enclave, content: Any, reason: str
) -> None:
    got = await ask_sealed(emulator, enclave, [{"role": "user", "content": content}], sealed=False)

    assert (got.status, got.json["error"]["message"]) == (400, reason)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        pytest.param({ALGORITHM: "ed25519"}, "Unsupported signing algorithm", id="another algorithm"),
        pytest.param({CLIENT_KEY: "04" + "00" * 64}, "Invalid E2EE headers", id="a client key off the curve"),
        pytest.param({CLIENT_KEY: "ab"}, "Invalid E2EE headers", id="not a client key"),
        pytest.param({MODEL_KEY: Opener().public_key.hex()}, "e2ee_model_key_mismatch", id="another model key"),
    ],
)
async def test_wrong_headers_are_refused(emulator: Emulator, enclave: Enclave, headers: Any, reason: str) -> None:
    got = await ask_sealed(emulator, enclave, [{"role": "user", "content": "hi"}], headers=headers)

    assert got.status == 400
    assert reason in got.json["error"]["message"]


async def test_a_sealed_request_must_stream(emulator: Emulator, enclave: Enclave) -> None:
    got = await ask_sealed(emulator, enclave, [{"role": "user", "content": "hi"}], stream=False)

    assert (got.status, got.json["error"]["message"]) == (400, "E2EE requires streaming")


@pytest.mark.parametrize("missing", [CLIENT_KEY, MODEL_KEY, ALGORITHM])
async def test_with_a_header_missing_the_answer_comes_in_clear(emulator: Emulator, enclave: Enclave, missing: str) -> None:
    got = await ask_sealed(emulator, enclave, [{"role": "user", "content": "hi"}], headers={missing: None}, sealed=False)

    assert (got.status, got.text) == (200, SAID)


async def test_with_encryption_switched_off_the_answer_comes_in_clear(emulator: Emulator, enclave: Enclave) -> None:
    switches = {"enable_e2ee": False}
    got = await ask_sealed(emulator, enclave, [{"role": "user", "content": "hi"}], sealed=False, venice_parameters=switches)

    assert (got.status, got.text) == (200, SAID)


async def test_a_model_that_cannot_encrypt_says_so(enclave: Enclave) -> None:
    models = [text_model("tee-only", supports=["TeeAttestation"])]
    other = Emulator(models=models, tee=enclave)

    got = await ask_sealed(other, enclave, [{"role": "user", "content": "hi"}], model="tee-only")

    assert got.status == 400
    assert "no end-to-end encryption" in got.json["error"]["message"]


async def test_a_text_that_is_a_json_list_is_content_in_parts(enclave: Enclave) -> None:
    emulator, parts = Emulator(tee=enclave), [{"type": "text", "text": "the third arch"}]
    emulator.script(echo())
    reader = Opener()

    got = await ask_sealed(emulator, enclave, [{"role": "user", "content": json.dumps(parts)}], reader=reader)

    texts = [chunk["choices"][0]["delta"].get("content") for chunk in got.chunks if chunk.get("choices")]
    assert "".join(reader.open(each).decode() if is_envelope(each) else each for each in texts if each) == "the third arch"


async def test_the_contract_holds_for_what_was_sealed(emulator: Emulator, enclave: Enclave) -> None:
    got = await ask_sealed(emulator, enclave, [{"role": "user", "content": '[{"type": "nothing"}]'}])

    assert got.status == 400
    assert got.json["issues"]


# -- the addresses -------------------------------------------------------------------------------------------------------


async def get(emulator: Emulator, path: str, **query: str) -> Got:
    pairs = "&".join(f"{name}={value}" for name, value in query.items())
    async with in_process(emulator) as ask:
        return await ask(method="GET", path=f"{path}?{pairs}", headers={})


async def test_an_attestation_needs_no_key_and_answers_the_nonce(emulator: Emulator) -> None:
    nonce = secrets.token_hex(32)

    got = await get(emulator, ATTESTATION, model=MODEL, nonce=nonce)

    assert got.status == 200
    assert (got.json["nonce"], got.json["nonce_source"], got.json["model"]) == (nonce, "client", MODEL)


async def test_without_a_nonce_the_server_takes_one(emulator: Emulator) -> None:
    got = await get(emulator, ATTESTATION, model=MODEL)

    assert got.json["nonce_source"] == "server"
    assert len(got.json["nonce"]) == 64


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param({"model": "e2ee-nobody", "nonce": "ab" * 32}, 404, id="no such model"),
        pytest.param({"model": "venice-1", "nonce": "ab" * 32}, 400, id="a model in no enclave"),
        pytest.param({"model": MODEL, "nonce": "ab" * 16}, 400, id="a short nonce"),
        pytest.param({"model": MODEL, "nonce": "zz" * 32}, 400, id="a nonce that is not hex"),
        pytest.param({}, 404, id="nothing"),
    ],
)
async def test_a_wrong_question_is_refused(emulator: Emulator, query: dict[str, str], status: int) -> None:
    assert (await get(emulator, ATTESTATION, **query)).status == status


async def test_without_an_enclave_there_are_no_such_addresses() -> None:
    emulator = Emulator()

    assert emulator.enclave is None
    assert (await get(emulator, ATTESTATION, model=MODEL, nonce="ab" * 32)).status == 404
    assert (await get(emulator, SIGNATURE, model=MODEL, request_id="chatcmpl-1")).status == 404


async def test_there_is_no_signature_of_an_answer_that_was_not_given(emulator: Emulator) -> None:
    assert (await get(emulator, SIGNATURE, model=MODEL, request_id="chatcmpl-1")).status == 404


async def test_a_stream_in_clear_is_signed_too(emulator: Emulator, enclave: Enclave) -> None:
    async with client_of(emulator) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream = await streamed(client, e2ee=False)
        answered = await stream.collect()
        reply = await client.tee.get_signature(model=MODEL, request_id=answered.id)

    assert reply.signing_address == enclave.key.address


# -- switches ------------------------------------------------------------------------------------------------------------


def test_an_unknown_fault_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequestError, match=r"no fault 'debgu'; near are .*debug"):
        Enclave(fault="debgu")


async def test_the_admin_gives_the_roots_and_switches_faults() -> None:
    emulator = Emulator(tee=Enclave(fault="debug"), admin=True)
    assert emulator.enclave is not None
    key = emulator.enclave.key.public
    async with in_process(emulator) as ask:
        roots = (await ask(method="GET", path="/_emulator/tee")).json
        switched = await ask({"fault": None, "rotate": True}, path="/_emulator/tee")
        orders: tuple[Any, ...] = (
            {"fault": "debgu"},
            {"fault": ["debug"]},
            {"rotate": "no"},
            {"rotate": False},
            {},
            {"fualt": None},
            b"{",
        )
        wrong = [await ask(body, path="/_emulator/tee") for body in orders]
        assert (await ask(method="DELETE", path="/_emulator/tee")).status == 405

    assert roots["fault"] == "debug"
    assert (switched.json["fault"], emulator.enclave.fault) == (None, None)
    assert emulator.enclave.key.public != key
    assert [got.status for got in wrong] == [400] * len(orders)
    trust = TrustRoots(bytes.fromhex(roots["trust"]["intel_root_der"]), roots["trust"]["nvidia_root_sha256"])
    collateral = roots["collateral"]  # of the emulator's time
    tee = TeeOptions(trust=trust, collateral=collateral, verification="hardware", clock=emulator.clock.time)
    async with VeniceClient(api_key="any", transport=emulator.transport(), tee=tee) as client:
        assert (await client.tee.attest(MODEL)).level == "hardware"


async def test_the_admin_knows_nothing_of_an_enclave_that_is_not_there() -> None:
    async with in_process(Emulator(admin=True)) as ask:
        assert (await ask(method="GET", path="/_emulator/tee")).status == 404


def test_collateral_is_given_of_its_own_platform_alone(enclave: Enclave) -> None:
    assert enclave.get("90C06F000000", "platform", 1.8e9) is not None
    assert enclave.get("20A06F000000", "platform", 1.8e9) is None
    assert enclave.get("90C06F000000", "processor", 1.8e9) is None


# -- objects -------------------------------------------------------------------------------------------------------------


class Hiding(BaseModel):
    """Where something is hidden."""

    arch: int
    secret_word: str


@pytest.mark.parametrize(
    "switch",
    [
        pytest.param({"e2ee": True}, id="argument"),
        pytest.param({"venice_parameters": {"enable_e2ee": True}}, id="switch"),
        pytest.param({"venice_parameters": VeniceParameters(enable_e2ee=True)}, id="switch, typed"),
    ],
)
async def test_parse_sends_its_schema_sealed_and_asks_again_where_it_does_not_fit(
    emulator: Emulator, enclave: Enclave, client: VeniceClient, switch: dict[str, Any]
) -> None:
    emulator.script(text('{"arch": "third"}'), text('{"arch": 3, "secret_word": "leon"}'))

    result = await client.chat.completions.parse(model=MODEL, messages=QUESTION, response_format=Hiding, max_reasks=1, **switch)

    assert result.parsed == Hiding(arch=3, secret_word="leon")
    assert len(result.attempts) == 2
    assert [[message["role"] for message in chat.body["messages"]] for chat in chats(emulator)] == [
        ["system", "user"],
        ["system", "user", "assistant", "user"],
    ]
    for chat in chats(emulator):
        assert "response_format" not in chat.body
        assert all(is_envelope(message["content"]) for message in chat.body["messages"])
        assert b"secret_word" not in chat.content
    prompt = Opener(enclave.key.private).open(chats(emulator)[0].body["messages"][0]["content"])
    assert b'"secret_word"' in prompt


async def test_an_object_grows_out_of_a_sealed_answer(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(text('{"arch": 3, "secret_word": "leon"}'))

    stream = await client.chat.completions.stream_parse(model=MODEL, messages=QUESTION, response_format=Hiding, e2ee=True)
    async with stream:
        grown = [each async for each in stream]

    assert grown[-1] == Hiding(arch=3, secret_word="leon")
    assert len(grown) > 2
    assert b"secret_word" not in chats(emulator)[0].content
