"""All attacks, played one by one against a whole client; and replies of any shape, which are refused or harmless.

The page docs/explanations/attacks.md lists them by number. Which check refuses what is tested beside the checks; here every
attack has the outcome that the protocol's description requires.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shared import shared, shared_text
from venice_ai.emulator import error, text
from venice_ai.emulator.enclave.attestation import Domain
from venice_ai.emulator.enclave.hardware import DAY, FMSPC
from venice_ai.exceptions import TeeAttestationError
from venice_ai.tee import MeasurementPins, TeeOptions
from venice_ai.tee.checks import raise_for
from venice_ai.tee.types import INTEL_AND_NVIDIA, OS_PINS
from venice_ai.transport import Request

from ..fakes import HI, UNIX, ScriptedReply, answer
from .attacks import ENCLAVE, SAID, SECRET, Attack, assert_outcome
from .enclave import CLIENT_KEY, Enclave, client_of, created
from .evidence import Case, failed, resigned
from .test_attestation import OFFSETS, OTHER_KEY

# -- the table -----------------------------------------------------------------------------------------------------------

Row = list[tuple[str, Attack]]


def faults(required: str, *names: str, **how: Any) -> Row:
    """Attacks that the emulator knows."""
    return [(required, Attack(name, **how)) for name in names]


def replies(required: str, *changes: Callable[[dict[str, Any]], dict[str, Any]]) -> Row:
    """Attestations that are another one on their way."""
    return [(required, Attack(reply=change)) for change in changes]


def asks(required: str, *calls: dict[str, Any], **how: Any) -> Row:
    """Calls with further arguments."""
    return [(required, Attack(call=call, **how)) for call in calls]


def demands(required: str, *options: dict[str, Any], **how: Any) -> Row:
    """Clients with other options."""
    return [(required, Attack(options=each, **how)) for each in options]


def flipped(offset: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(reply: dict[str, Any]) -> dict[str, Any]:
        raw = bytearray.fromhex(reply["intel_quote"])
        raw[offset] ^= 1
        return {"intel_quote": raw.hex()}

    return change


def evidence_answers(status: int, *, times: int = 1_000, **headers: str) -> Attack:
    """The evidence is not there, so many times."""

    def instead(before: int, request: Request) -> ScriptedReply | None:
        return answer({"error": "no"}, status=status, headers=headers) if "/tee/" in request.url and before < times else None

    return Attack(instead=instead)


def collateral_answers(required: str, level: str, *bodies: bytes, status: int = 200) -> Row:
    """Whoever is asked for collateral answers so; the client has none from elsewhere."""

    def instead(_: int, request: Request) -> ScriptedReply | None:
        if "api.venice.ai" in request.url:
            return None
        return ScriptedReply(*bodies, status=status, headers={"location": "https://elsewhere.example/"})

    return [(required, Attack(instead=instead, options={"collateral": None, "verification": level}))]


def unverified() -> ssl.SSLContext:
    """TLS with whoever answers."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Verdict:
    """A verifier's answer; an exception is raised."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def verify(self, _: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


(OS_IMAGE,) = ENCLAVE.options().os_images
STATUSES = {"tcb_statuses": {"UpToDate", "OutOfDate", "ConfigurationNeeded", "SWHardeningNeeded"}}
KEYSET = {"workload_keyset": {"e2ee_public_keys": [{"public_key": OTHER_KEY}]}}
AUTO = {"verification": "auto"}
FLOOR = {"min_privacy": "e2ee"}
UNVERIFIED = {"ssl_context": unverified()}
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.invalid"}}]}]

PINS = {
    **{name: getattr(OS_IMAGE, name) for name in OS_PINS},
    "os_image_hash": OS_IMAGE.os_image_hash,
    "compose_hash": Domain().compose_hash.hex(),
}
"""The enclave's own software."""

ROWS: dict[int, Row] = {
    1: replies("TAE", *map(flipped, OFFSETS)),
    2: faults("TAE", "trailing_garbage", "truncated_quote", "no_quote"),
    3: faults("TAE", "swapped_key"),
    4: faults("TAE", "swapped_key_and_address"),
    5: faults("TAE", "two_keys"),
    6: [*faults("TAE", "key_off_curve", "key_compressed"), *replies("TAE", lambda _: {"signing_public_key": "00"})],
    7: faults("TAE", "stale_nonce"),
    8: faults("TAE", "replayed_quote"),
    9: demands("TAE", {"nonce": "ab" * 32}, later=True),
    10: faults("TAE", "server_nonce"),
    11: [
        *faults("TAE", "not_verified", "verified_as_text", "verified_missing"),
        *replies("TAE", lambda _: {"verified": 1}, lambda _: {"verified": None}),
    ],
    12: faults("TAE", "other_model", "no_model"),
    13: faults("TAE", "other_domain"),
    14: faults("TAE", "report_data_padding"),
    15: faults("TAE", "right_aligned_address", "swapped_halves", "hashed_nonce", "zero_nonce", "bound_to_tls"),
    16: faults("TAE", "debug"),
    17: faults("TAE", "no_sept_ve_disable", "migratable", "pks", "perfmon"),
    18: faults("TAE", "seam_signer", "sgx_quote", "quote_v5"),
    19: faults("TAE", "other_intel"),
    20: faults("TAE", "forged_collateral", "edited_tcb_info", "other_fmspc"),
    21: faults("TAE", "expired_collateral", "early_collateral", "expired_crl"),
    22: faults("TAE", "platform_revoked", "ca_revoked", "status_revoked"),
    23: [
        *faults("TAE", "out_of_date", "needs_configuration", "needs_hardening"),
        *faults("TAE", "module_out_of_date", "qe_out_of_date", "unknown_status"),
        *faults("OK", "out_of_date", "needs_configuration", "needs_hardening", options=STATUSES),
        *faults("OK", "module_out_of_date", "qe_out_of_date", options=STATUSES),
        *faults("TAE", "unknown_status", "status_revoked", options=STATUSES),
    ],
    24: [
        *faults("TAE", "rolled_back"),
        *faults("TAE", "rolled_back", options={"min_tcb_eval": 0, "attestation_ttl": 0}, later=True),
    ],
    25: faults("TAE", "event_removed", "event_reordered", "event_edited", "event_duplicated", "extra_compose_hash"),
    26: faults("TAE", "compose_edited", "other_config_id"),
    27: faults("TAE", "forged_os_image"),
    28: faults("TAE", "claims_invalid", "claims_other_data"),
    29: faults("OK", "no_claims"),
    30: [
        *faults("TAE", "gpu_nonce", "gpu_replayed", "gpu_other_root", "gpu_other_chain", "gpu_measurement"),
        *faults("TAE", "gpu_signature", "gpu_opaque", "gpu_twice", "gpu_empty"),
    ],
    31: [
        *faults("OK", "no_gpus", options={"verification": "auto"}),
        *faults("TAE", "no_gpus", options={"verification": "auto", "gpu": "require"}),
    ],
    32: demands("TAE", *({"pins": MeasurementPins.from_dict({**PINS, name: "00" * (len(PINS[name]) // 2)})} for name in PINS)),
    33: replies("TAE", lambda _: {"signing_public_key": None, "api_version": "aci/1", "attestation": KEYSET}),
    34: demands("TAE", {"trust": INTEL_AND_NVIDIA}),
    35: replies(
        "OK",
        lambda reply: {"intel_quote": base64.b64encode(bytes.fromhex(reply["intel_quote"])).decode()},
        lambda reply: {"signing_address": reply["signing_address"].lower()},
        lambda reply: {"signing_address": "0x" + reply["signing_address"][2:].upper()},
    ),
    36: faults("TAE", "duplicate_members"),
    37: [*faults("TAE", "redirect"), ("TAE", evidence_answers(302, location="http://api.venice.ai/api/v1/tee/attestation"))],
    38: faults("API", "chat_redirect"),
    39: [
        *collateral_answers("TAE", "hardware", status=302),
        *collateral_answers("OK", "auto", status=302),
        *collateral_answers("TAE", "hardware", *[b" " * 2**20] * 3),
        *collateral_answers("OK", "auto", *[b" " * 2**20] * 3),
    ],
    40: faults("TEE", "plaintext_chunk"),
    41: faults("TEE", "plaintext_reply"),
    42: faults("TEE", "plaintext_reasoning", "plaintext_choice"),
    43: [
        *faults("TEE", "chunk_tag", "chunk_text", "chunk_nonce", "chunk_key", "chunk_short"),
        *faults("TEE", "chunk_odd", "chunk_prefix", "chunk_other_key"),
    ],
    44: faults("OK", "upper_case"),
    45: faults("TEE", "replayed_chunk"),
    46: [("interrupted", Attack(step=step)) for step in (text(SAID, no_done=True), text(SAID, cut_at=3_000))],
    47: faults("TEE", "tool_call_in_clear", "refusal_in_clear", "logprobs_in_clear"),
    48: faults("TEE", "downgraded"),
    49: [("API", Attack(step=text(SAID, in_band_error="the model is down")))],
    50: [
        *asks("IRE", {"model": "venice-1"}, {"model": "e2ee-ponte-chiuso-p:enable_web_search=on"}),
        *asks("IRE", {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"messages": IMAGE}, {"logprobs": True}),
        *asks(
            "IRE", {"venice_parameters": {"enable_web_search": "auto"}}, {"venice_parameters": {"enable_web_scraping": True}}
        ),
        *asks("IRE", {"venice_parameters": {"enable_e2ee": False}}, {"fallbacks": [{"model": "venice-1"}]}),
    ],
    51: [
        *asks("IRE", {"extra_body": {"messages": HI}}, {"extra_body": {"stream": False}}),
        *asks("IRE", {"extra_headers": {CLIENT_KEY: "00"}}, {"extra_headers": {CLIENT_KEY.lower(): "00"}}),
    ],
    52: [
        ("OK", Attack(later=True, rotated=True)),
        ("API", Attack(later=True, step=error(400, {"error": "e2ee_model_key_mismatch"}))),
    ],
    53: [("OK", evidence_answers(502, times=2))],
    54: [("limited", evidence_answers(429))],
    55: [("OK", Attack(later=True))],
    56: [*faults("TAE", "swapped_key"), *faults("TEE", "chunk_tag", "plaintext_chunk"), *faults("OK", "upper_case")],
    57: demands("TAE", *({"verifier": Verdict(said)} for said in (None, 1, ValueError("no")))),
    59: faults("TAE", "no_quote", options={"verification": "auto", "attestation_ttl": 0}, later=True),
    60: [
        *faults("invalid", "signature_signer", "signature_text", "signature_request", options={"verify_signature": "require"}),
        *faults("invalid", "signature_zero_r", "signature_zero_s", options={"verify_signature": "require"}),
        *faults("invalid", "signature_large_r", "signature_large_s", options={"verify_signature": "require"}),
    ],
    61: demands(
        "TAE",
        *(
            {"clock": lambda now=UNIX + years * 365 * DAY: now, "collateral": ENCLAVE.get(FMSPC, "platform", UNIX)}
            for years in (-10, 10)
        ),
    ),
    62: [
        *asks("IRE", {"messages": [{**HI[0], "name": "n"}]}),
        *asks("IRE", {"messages": [*HI, {"role": "assistant", "content": "c", "tool_calls": [{"id": "1"}]}]}),
        *asks("OK", {"messages": [*HI, {"role": "assistant", "content": "c"}, *HI]}),
    ],
}
"""What each row requires of which attacks.

Rows 55 and 56 (no key serves twice, no error shows a secret) are looked at in all of them. Row 58 is about a package that is
not installed, and stands below.
"""


EVIDENCE: dict[str, Row] = {
    "63 pins that are met": demands("OK", {"pins": MeasurementPins.from_dict(PINS)}),
    "63 a log that means two things": faults(
        "TAE", "event_with_colon", "event_without_name", "event_split", "boot_without_end"
    ),
    "63 what a container measures is not the boot's": [
        *faults("OK", "container_events"),
        *faults("OK", "container_events", options={"pins": MeasurementPins.from_dict(PINS)}),
    ],
    "64 an image that is for development, unknown, or measured otherwise": [
        *faults("OK", "dev_image", "unknown_image", "image_of_another"),
        *faults("TAE", "dev_image", "unknown_image", "image_of_another", options={"allow_dev_image": False}),
        *demands("OK", {"allow_dev_image": False}),
        *demands("TAE", {"allow_dev_image": False, "os_images": ()}),
    ],
    "65 a part that is left out": [
        *faults("TAE", "no_gpus", "gpu_less", "no_machine", "no_compose", "gateway_without_version"),
        *faults("TAE", "gpus_denied", options={"attestation_ttl": 0}, later=True),
    ],
    "66 what is not a GPU, or not another one": [
        *faults("TAE", "gpu_two_keys", "gpu_switch", "gpu_firmware", "gpu_empty_record", "gpu_zeros")
    ],
    "67 collateral that another signed, or of something else": [
        *faults("TAE", "platform_signed", "authority_signed", "other_pce", "other_tcb_type", "qe_needs_configuration"),
        *faults("OK", "qe_needs_configuration", options=STATUSES),
        *faults("TAE", "older_lists", options={"attestation_ttl": 0}, later=True),
    ],
}
"""Attacks beyond the protocol's description, on the evidence of an enclave's software, its GPUs and its platform."""


@pytest.mark.parametrize("row", EVIDENCE)
async def test_an_attack_on_the_evidence_has_the_required_outcome(row: str) -> None:
    for required, attack in EVIDENCE[row]:
        await assert_outcome(attack, required)


IN_CLEAR = ("role_in_clear", "role_of_text", "name_in_clear", "id_in_clear", "id_in_a_delta", "model_in_clear")
READING_ALONG: dict[str, Row] = {
    "no quote, at every level but the one that asks for none": [
        *faults("TAE", "no_quote", options={"verification": "auto"}),
        *faults("TAE", "no_quote", options={"verification": "quote"}),
        *faults("OK", "no_quote", options={"verification": "server"}),
        *[
            ("TAE", Attack("no_quote", options={"verification": "auto"}, client={"min_privacy": floor}))
            for floor in ("tee", "e2ee")
        ],
        *[("OK", Attack(options={"verification": "auto"}, client={"min_privacy": floor})) for floor in ("tee", "e2ee")],
    ],
    "a domain in debug mode, by the server's own word": [
        *faults("TAE", "debug", "claims_debug", "debug_switch", options={"verification": "server"}),
        *faults("TAE", "claims_debug", "debug_switch", "debug_in_a_list", options={"verification": "auto"}),
        *faults("TAE", "debug_in_a_list", options={"verification": "server"}),
    ],
    "evidence that takes long": [
        *faults("TAE", "doubled_keys", "many_keys", "keys_beside", "long_compose_unsigned", options={"verification": "auto"}),
        *faults("TAE", "doubled_keys", "many_keys", options={"verification": "server"}),
        *faults("OK", "long_compose"),
    ],
    "an answer in clear beside the sealed one": [
        *faults("TEE", *IN_CLEAR, "object_in_clear", "time_in_clear", "odd_blanks"),
        *faults("OK", "other_name"),
    ],
    "another answer's signature": [
        *faults("invalid", "signature_relabelled", options={"verify_signature": "require"}),
        *faults("OK", "signature_relabelled", options={"verify_signature": "try"}),
    ],
    "a careless caller with a floor": [
        *asks(
            "IRE", {"stop": [SECRET]}, {"metadata": {"about": SECRET}}, {"user": SECRET}, {"stop_token_ids": [1]}, client=FLOOR
        ),
        *asks("IRE", {"anything": SECRET}, {"anything": [{SECRET: 1}]}, {SECRET: 1}, client=FLOOR),
        *asks("IRE", {"venice_parameters": {SECRET: 1}}, {"reasoning": {SECRET: True}}, client=FLOOR),
        *asks("IRE", {"messages": [{"role": SECRET, "content": "c"}]}, {"messages": [{**HI[0], SECRET: 1}]}, client=FLOOR),
        *demands("IRE", {"encrypt_roles": ("system",)}, client=FLOOR),
        *asks("IRE", {"e2ee": False}, {"model": "venice-1", "e2ee": False}, client=FLOOR),
    ],
    "lines of a report": faults("TAE", "forged_lines"),
    "a server that TLS does not know": [
        *[("TAE", Attack(options={"verification": level}, client=UNVERIFIED)) for level in ("auto", "quote", "hardware")],
        *[("OK", Attack(options={"verification": "server"}, client=UNVERIFIED))],
    ],
}
"""Attacks that an audit of the whole client found, and the outcome that is required since."""


@pytest.mark.parametrize("row", READING_ALONG)
async def test_an_attack_that_would_reveal_a_text_has_the_required_outcome(row: str) -> None:
    for required, attack in READING_ALONG[row]:
        await assert_outcome(attack, required)


@pytest.mark.parametrize("number", ROWS, ids=lambda number: f"attack {number}")
async def test_an_attack_of_the_table_has_the_required_outcome(number: int) -> None:
    for required, attack in ROWS[number]:
        await assert_outcome(attack, required)


@pytest.mark.attack(58)
def test_without_dcap_qvl_the_level_is_lower_or_the_enclave_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dcap_qvl", None)
    report = resigned().judged()

    raise_for(report, TeeOptions())
    assert report.level == "quote"
    with pytest.raises(TeeAttestationError):
        raise_for(report, TeeOptions(verification="hardware"))


def test_every_row_is_played_with_the_outcome_that_is_described() -> None:
    table = shared_text("tee-protocol.md").partition("### 4.2")[2]
    described = dict(re.findall(r"^\| (\d+) \| .*? \| (.*?) \|", table, re.MULTILINE))
    played = {row: {required for required, _ in attacks} for row, attacks in ROWS.items()} | {58: {"TAE", "OK"}}

    assert sorted(map(int, described)) == sorted(played) == list(range(1, 63))
    for row, outcome in described.items():
        assert set(re.findall(r"\b(?:IRE|TAE|TEE|API|OK)\b", outcome)) <= played[int(row)], row


def test_the_page_of_attacks_lists_every_attack_that_is_played() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanations" / "attacks.md").read_text("utf-8")
    beyond = {int(name.partition(" ")[0]) for name in EVIDENCE}

    assert sorted(map(int, re.findall(r"^\| (\d+) \|", page, re.MULTILINE))) == sorted({*ROWS, 58} | beyond)


# -- whatever comes ------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *("verified", "nonce", "request_nonce", "nonce_source", "model", "signing_address", "signing_public_key", "signing_key"),
    *("signing_algo", "tee_hardware", "tee_provider", "intel_quote", "quote", "event_log", "info", "vm_config"),
    *("nvidia_payload", "server_verification", "api_version", "attestation", "compose_manager_attestation"),
]


def _asked(reply: Callable[[dict[str, Any]], ScriptedReply]) -> tuple[BaseException | None, int]:
    """What a chat comes to whose enclave gives this reply, and how many chats were sent."""
    enclave = Enclave()
    enclave.attestation = reply

    async def ask() -> BaseException | None:
        async with client_of(enclave, tee=TeeOptions()) as client:
            try:
                await created(client, e2ee=True)
            except Exception as error:  # noqa: BLE001  # which one it is is what is looked at
                return error
        return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(ask()), len(enclave.chats)


@given(field=st.sampled_from(FIELDS), wrong=JSON)
def test_whatever_a_field_of_the_reply_holds_it_is_refused_or_harmless(field: str, wrong: Any) -> None:
    error, chats = _asked(lambda reply: answer({**reply, field: wrong}))

    assert error is None or isinstance(error, TeeAttestationError)
    assert chats == (error is None)


@given(body=st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
def test_whatever_the_reply_is_nothing_is_sent(body: bytes) -> None:
    error, chats = _asked(lambda _: ScriptedReply(body, status=200, headers={"content-type": "application/json"}))

    assert isinstance(error, TeeAttestationError)
    assert chats == 0


def test_a_quote_that_was_cut_for_the_record_is_no_quote() -> None:
    reply = shared("tee/attestation_gemma.json")
    case = Case(reply, reply["model"], bytes.fromhex(reply["nonce"]), 1_795_375_060.0)

    assert "quote_parse" in failed(case.judged())
