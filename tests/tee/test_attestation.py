"""The verification of an attestation: real captures reach their level, and every attack on the evidence is refused.

The numbers in ids are those of docs/explanations/attacks.md.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import random
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.shared import shared
from venice_ai.emulator.enclave.attestation import event
from venice_ai.exceptions import InvalidRequestError, TeeAttestationError
from venice_ai.tee import MeasurementPins, OsImage, TeeOptions
from venice_ai.tee.attestation import MAX_REPLY_BYTES, evidence, shown, subjects
from venice_ai.tee.checks import QUOTE, raise_for, with_custom
from venice_ai.tee.crypto import address, public_key_bytes
from venice_ai.tee.eventlog import RUNTIME_EVENT
from venice_ai.tee.types import INTEL_AND_NVIDIA
from venice_ai.tee.workload import known_images, read_compose
from venice_ai.types.attestation import AttestationReport

from .evidence import CAPTURES, Case, Log, by_another_key, capture, failed, logged, managed, resigned, synthetic, written
from .hierarchy import Intel

OTHER_KEY = (
    "0466588a9c8376b8c21bd87188f78a3080d2603051d764c4f572a8cc3362b0b4b7"
    "b06e53c30b0b2fae0ba588533799f213d0d3d63b52789537a33aa3a1f42562d3"
)
ADDRESS = address(public_key_bytes(OTHER_KEY))
GEMMA = capture("gemma_3_27b_p")
GLM = capture("glm_5_1")
LIVE = capture("live_evidence")


# -- what is genuine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_reaches_hardware_at_its_time(name: str) -> None:
    report = capture(name).judged()
    assert (report.level, failed(report), report.trust_root) == ("hardware", set(), "intel")
    assert report.tcb is not None
    assert (report.tcb.status, report.tcb.eval_number) == ("UpToDate", 19)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_reaches_quote_today_without_anything_else(name: str) -> None:
    report = capture(name, today=True).judged()
    assert (report.level, failed(report)) == ("quote", set())
    assert {check.id for check in report.skipped} == {"collateral", "revocation", "tcb_status", "tcb_eval"}


@pytest.mark.parametrize(("verification", "good"), [("server", True), ("quote", False), ("hardware", False)])
def test_a_reply_without_tls_is_good_only_where_the_server_is_trusted(verification: Any, good: bool) -> None:
    report = GEMMA.judged(private=False, options=TeeOptions(verification=verification))
    (check,) = (each for each in report.checks if each.id == "transport")

    assert (check.status, "came without TLS" in check.detail) == (("pass", False) if good else ("fail", True))


@pytest.mark.parametrize(("quote", "why"), [(None, "is gone that was there before"), (7, "cannot be read")])
def test_the_error_of_a_missing_quote_tells_it_from_one_that_cannot_be_read(quote: Any, why: str) -> None:
    report = BASELINE.bent(intel_quote=quote).judged(shown_before={"quote"})
    (check,) = (each for each in report.checks if each.id == "quote_parse")

    assert check.detail == f"the quote {why}"


@pytest.mark.parametrize("name", ["gemma_3_27b_p", "glm_5_1"])
def test_collateral_of_june_serves_every_capture_of_june(name: str) -> None:
    for other in ("gemma_3_27b_p", "glm_5_1"):
        shared_part = dict(capture(other).collateral or {})
        shared_part.pop("pck_certificate_chain")
        assert replace(capture(name), collateral=shared_part).judged().level == "hardware"


@pytest.mark.parametrize("name", CAPTURES)
def test_the_report_says_what_was_measured(name: str) -> None:
    known = shared("tee/measurements.json")["captures"][name]
    report = capture(name).judged()
    assert report.td is not None
    assert report.workload is not None
    assert report.signing_address == known["signing_address"].lower()
    for field in ("mrtd", "mrseam", "mr_config_id", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "xfam", "report_data"):
        assert getattr(report.td, field) == known[field]
    assert report.td.attributes == known["td_attributes"]
    assert report.workload.compose_hash == known["compose_hash"]


def test_values_that_no_signature_covers_are_not_reported_as_measured() -> None:
    def shown_parts(case: Case) -> tuple[bool, bool, bool, bool]:
        report = case.judged()
        images = report.workload.images if report.workload else ()
        warned = any("not pinned by their hash" in each or "its host" in each for each in report.warnings)
        return report.td is not None, report.workload is not None, bool(images), warned

    loose = json.dumps({"docker_compose_file": "image: nginx"})
    unsigned = GEMMA.quoted(written(GEMMA.quote, (636, b"\1" * 64)))
    unlogged = GEMMA.bent(event_log=json.dumps([]), info={**GEMMA.reply["info"], "tcb_info": {}})
    other_file = GEMMA.bent()
    other_file.reply["info"]["tcb_info"]["app_compose"] = loose

    assert shown_parts(GEMMA)[:3] == (True, True, True)
    assert shown_parts(unsigned) == (False, False, False, False)
    assert shown_parts(unlogged)[:3] == (True, False, False)
    assert shown_parts(other_file) == (True, True, False, False)


def test_the_three_shapes_of_replies_are_recognised() -> None:
    assert [case.judged().variant for case in (GEMMA, GLM, LIVE)] == ["dstack", "near", "aci"]
    assert BASELINE.judged().variant is None


def test_the_synthetic_capture_is_good_under_its_own_roots_alone() -> None:
    report = synthetic().judged()
    assert (report.level, report.trust_root) == ("hardware", "custom")
    assert "CUSTOM" in report.summary()


def test_a_quote_that_we_sign_is_valid_under_our_root() -> None:
    assert resigned().judged().level == "hardware"


def test_the_platform_is_read_from_the_quote() -> None:
    assert subjects(json.dumps(GEMMA.reply).encode()) == (("90C06F000000", "platform"), GEMMA.reply["nvidia_payload"])
    assert subjects(b"{}") == subjects(b"[]") == (None, None)
    assert subjects(b'{"intel_quote": "%s", "nvidia_payload": 1}' % (b"00" * 700)) == (None, 1)


def test_the_key_is_not_used_past_what_the_server_says() -> None:
    stale = LIVE.reply["attestation"]["freshness"]["stale_after"]
    late = replace(LIVE, now=stale - 10.0, options=TeeOptions(verification="quote"))
    assert late.judged().expires_at == stale
    assert LIVE.judged().expires_at == LIVE.now + 300
    assert LIVE.judged(options=TeeOptions(attestation_ttl=7)).expires_at == LIVE.now + 7
    for odd in (True, False, "0", None, [0]):
        case = LIVE.bent()
        case.reply["attestation"]["freshness"]["stale_after"] = odd
        assert case.judged().expires_at == LIVE.now + 300


def test_the_key_is_not_used_past_the_collateral_that_it_was_judged_by() -> None:
    found = GEMMA.judged().tcb
    assert found is not None
    assert found.collateral_expires is not None
    late = replace(GEMMA, now=found.collateral_expires - 10).judged()
    assert (late.level, late.expires_at) == ("hardware", found.collateral_expires)


@pytest.mark.parametrize("stale", ["1" + "0" * 400, "-1" + "0" * 400, "1e999", "-1e999"])
def test_a_time_that_no_clock_shows_is_only_a_limit(stale: str) -> None:
    path = ("attestation", "freshness", "stale_after")
    report = LIVE.judged(reply=_written(_marked(LIVE.reply, path), stale).encode())
    _told(report)
    assert report.expires_at == (0 if stale.startswith("-") else LIVE.now + 300)


# -- attacks on real captures --------------------------------------------------------------------------------------------

OFFSETS = [0, 2, 4, 48, 64, 112, 168, 171, 176, 184, 232, 376, 424, 472, 520, 568, 590, 600, 632, 636, 700, 770, 1160, 1500]


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.attack(1)
def test_a_quote_with_a_flipped_bit_is_refused(name: str, offset: int) -> None:
    case = capture(name, today=True)
    raw = bytearray(case.quote)
    raw[offset] ^= 1
    assert failed(case.quoted(bytes(raw)).judged()) & set(QUOTE)


@pytest.mark.parametrize("flips", [30, pytest.param(300, marks=pytest.mark.more)])
@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.attack(1)
def test_random_flips_in_the_signed_bytes_are_refused(name: str, flips: int) -> None:
    case, chance = capture(name, today=True), random.Random(name)
    options = TeeOptions(verification="quote", gpu="off")
    for _ in range(flips):
        raw = bytearray(case.quote)
        raw[chance.randrange(632)] ^= 1 << chance.randrange(8)
        assert failed(replace(case.quoted(bytes(raw)), options=options).judged())


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "trailing garbage": lambda raw: raw + b"\1",
    "truncated": lambda raw: raw[:700],
    "truncated a little": lambda raw: raw[:-100],
}


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.attack(2)
def test_a_truncated_quote_or_one_with_trailing_bytes_is_refused(name: str) -> None:
    assert failed(GEMMA.quoted(CUTS[name](GEMMA.quote)).judged())


@pytest.mark.attack(2)
def test_a_missing_quote_is_refused_where_a_quote_is_required() -> None:
    options = TeeOptions(verification="quote")
    with pytest.raises(TeeAttestationError):
        raise_for(replace(GEMMA.quoted(b""), options=options).judged(), options)


def _status(case: Case, name: str, **arguments: Any) -> str:
    check = case.judged(**arguments).check(name)
    assert check is not None
    return check.status


@pytest.mark.parametrize(
    ("field", "check", "where_server_is_asked_for"),
    [("model", "model", "warn"), ("signing_address", "key_address", "warn"), ("tee_hardware", "hardware", "fail")],
)
def test_a_field_missing_in_a_reply_fails_with_a_quote_and_warns_without_one(
    field: str, check: str, where_server_is_asked_for: str
) -> None:
    silent, without_quote = GEMMA.bent(**{field: None}), {"intel_quote": None, "quote": None}
    asking_little = TeeOptions(verification="server")

    assert _status(silent, check) == "fail"
    assert _status(silent.bent(**without_quote), check) == "warn"
    assert _status(silent, check, options=asking_little) == where_server_is_asked_for
    for other in ("other", "", "~"):
        assert _status(GEMMA.bent(**{field: other}), check, options=asking_little) == "fail"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        *(
            ({}, "pass"),
            ({"request_nonce": None}, "pass"),
            ({"nonce_source": None}, "pass"),
            ({"nonce_source": "client"}, "pass"),
        ),
        *(({"nonce": GEMMA.nonce.hex().upper()}, "pass"), ({"nonce": None}, "fail"), ({"nonce": 7}, "fail")),
        *(({"request_nonce": ""}, "fail"), ({"nonce_source": ""}, "fail")),
    ],
    ids=repr,
)
def test_the_echoed_nonce_must_be_the_one_that_was_sent(changes: dict[str, Any], status: str) -> None:
    assert _status(GEMMA.bent(**changes), "nonce_echo") == status


@pytest.mark.parametrize(("number", "status"), [(64, "pass"), (65, "fail")])
def test_a_gateway_may_have_64_keys_of_a_kind(number: int, status: str) -> None:
    case = LIVE.bent()
    keyset = case.reply["attestation"]["workload_keyset"]
    own = keyset["e2ee_public_keys"]
    keyset["e2ee_public_keys"] = [*({"public_key": OTHER_KEY} for _ in range(number - len(own))), *own]

    assert _status(case, "model_key") == status
    assert (f"has {number} entries" in case.judged().summary()) is (status == "fail")


@pytest.mark.parametrize("odd", [None, "04", {}, {"public_key": 7}, {"public_key": "zz"}, {"public_key": OTHER_KEY}], ids=repr)
def test_keys_of_a_gateway_before_the_one_of_its_address_are_passed_over(odd: Any) -> None:
    case = LIVE.bent()
    case.reply["attestation"]["workload_keyset"]["e2ee_public_keys"].insert(0, odd)

    assert _status(case, "model_key") == "pass"


@pytest.mark.parametrize(
    ("shown_gpus", "missing"),
    [(8, ""), (7, "evidence of 1 of its 8 GPUs"), (5, "evidence of 3 of its 8 GPUs"), (2, "evidence of 6 of its 8 GPUs")],
)
def test_evidence_of_fewer_gpus_than_promised_is_a_missing_part(shown_gpus: int, missing: str) -> None:
    payload = json.loads(GLM.reply["nvidia_payload"])
    payload["evidence_list"] = payload["evidence_list"][:shown_gpus]
    parts = GLM.bent(nvidia_payload=json.dumps(payload)).judged().check("parts")

    assert parts is not None
    assert (parts.status, missing in parts.detail) == ("skip" if missing else "pass", True)


@pytest.mark.parametrize(
    ("number", "changes", "missing"),
    [
        pytest.param(0, {}, None, id="none"),
        pytest.param(0, {"server_verification": {"nvidia": {}}}, None, id="nothing claimed"),
        pytest.param(0, {"server_verification": {"nvidia": {"valid": True}}}, "evidence of its GPUs", id="claimed by Venice"),
        pytest.param(2, {}, "evidence of its 2 GPUs", id="the machine's number"),
        pytest.param(-1, {}, "evidence of its -1 GPUs", id="a number that cannot be"),
        pytest.param(True, {}, "evidence of its GPUs", id="no number"),
        pytest.param(None, {}, "evidence of its GPUs", id="not said"),
    ],
)
def test_gpus_are_promised_by_the_machine_unless_it_says_that_it_has_none_or_by_venice(
    number: Any, changes: dict[str, Any], missing: str | None
) -> None:
    case = LIVE.bent(vm_config=json.dumps({"num_gpus": number, "memory": 1}), **changes)
    parts = case.judged().check("parts")
    strict = case.judged(options=TeeOptions(gpu="nras")).check("parts")
    without = case.judged(options=TeeOptions(gpu="off")).check("parts")

    assert parts is not None
    assert without is not None
    assert parts == strict
    assert (parts.status, parts.detail.partition("promises: ")[2]) == (("skip", missing) if missing else ("pass", ""))
    assert without.status == "pass"


def test_nvidia_s_service_must_have_been_asked_where_its_word_is_demanded_and_there_is_evidence() -> None:
    options = TeeOptions(gpu="nras")
    asked = GEMMA.judged(options=options).check("gpu_nras")

    assert asked is not None
    assert (asked.status, "it was not asked" in asked.detail) == ("fail", True)
    assert GEMMA.bent(nvidia_payload=None).judged(options=options).check("gpu_nras") is None
    assert GEMMA.judged().check("gpu_nras") is None


def _nonce_everywhere(case: Case, nonce: str) -> Case:
    """The same evidence, with another nonce in everything that is not signed."""
    payload = json.loads(case.reply["nvidia_payload"])
    return case.bent(nonce=nonce, request_nonce=nonce, nvidia_payload=json.dumps({**payload, "nonce": nonce}))


OTHER_NONCE = "ab" * 32
COMPRESSED = "02" + OTHER_KEY[2:66]
ATTACKS: list[Any] = [
    pytest.param(GEMMA.bent(signing_public_key=OTHER_KEY), "key_address", id="3 swapped key"),
    pytest.param(
        GEMMA.bent(signing_public_key=OTHER_KEY, signing_address=ADDRESS), "report_data_address", id="4 swapped key and address"
    ),
    pytest.param(GEMMA.bent(signing_key=OTHER_KEY), "model_key", id="5 two keys"),
    pytest.param(GEMMA.bent(signing_public_key="04" + "11" * 64), "model_key", id="6 off the curve"),
    pytest.param(GEMMA.bent(signing_public_key=COMPRESSED), "model_key", id="6 compressed"),
    pytest.param(GEMMA.bent(signing_public_key="00"), "model_key", id="6 infinity"),
    pytest.param(GEMMA.bent(nonce=OTHER_NONCE), "nonce_echo", id="7 stale nonce"),
    pytest.param(GEMMA.bent(request_nonce=OTHER_NONCE), "nonce_echo", id="7 stale nonce of the request"),
    pytest.param(
        replace(_nonce_everywhere(GEMMA, OTHER_NONCE), nonce=bytes.fromhex(OTHER_NONCE)),
        "report_data_nonce",
        id="8 old quote, forged echo",
    ),
    pytest.param(GEMMA.bent(nonce_source="server"), "nonce_echo", id="10 nonce of the server"),
    *(
        pytest.param(GEMMA.bent(verified=value), "server_verified", id=f"11 verified {value!r}")
        for value in (False, "true", 1, None)
    ),
    pytest.param(GEMMA.bent(model="e2ee-other"), "model", id="12 other model"),
    pytest.param(GEMMA.bent(model=None), "model", id="12 no model"),
    pytest.param(GEMMA.quoted(GLM.quote), "report_data_address", id="13 quote of another"),
    pytest.param(GEMMA.bent(server_verification={"tdx": {"valid": False}}), "server_claims", id="28 not valid"),
    pytest.param(GEMMA.bent(server_verification={"gpus": [{"valid": False}]}), "server_claims", id="28 not valid in a list"),
    pytest.param(GEMMA.bent(server_verification={"tdx": False}), "server_claims", id="28 bare false"),
    pytest.param(
        GEMMA.bent(server_verification={"tdx": {"measurements": {"mrtd": "00" * 48}}}), "server_claims", id="28 other mrtd"
    ),
    pytest.param(GEMMA.bent(info={**GEMMA.reply["info"], "os_image_hash": "00" * 32}), "info_match", id="27 forged image"),
    pytest.param(
        GEMMA.bent(info={**GEMMA.reply["info"], "key_provider_info": "{}"}), "info_match", id="27 forged provider of keys"
    ),
    *(
        pytest.param(
            case.bent(info={**case.reply["info"], "mr_aggregated": "00" * 32}), "info_match", id=f"27 forged sum of {name}"
        )
        for name, case in (("gemma", GEMMA), ("glm", GLM))
    ),
    pytest.param(replace(GEMMA, now=GEMMA.now - 10 * 365 * 86_400), "intel_chain", id="61 ten years back"),
    pytest.param(replace(GEMMA, now=GEMMA.now + 10 * 365 * 86_400), "intel_chain", id="61 ten years ahead"),
]


@pytest.mark.parametrize(("case", "check"), ATTACKS)
def test_an_attack_is_refused_by_its_check(case: Case, check: str) -> None:
    assert check in failed(case.judged())


@pytest.mark.parametrize("name", ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "os_image_hash", "compose_hash", "mr_aggregated"])
@pytest.mark.attack(27)
def test_a_forged_value_beside_the_event_log_is_refused(name: str) -> None:
    shown = GEMMA.reply["info"]["tcb_info"]
    for byte in ("00", "ff"):
        forged = GEMMA.bent(info={**GEMMA.reply["info"], "tcb_info": {**shown, name: byte * (len(shown[name]) // 2)}})
        assert failed(forged.judged()) == {"info_match"}


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.attack(4)
def test_an_attackers_attestation_key_below_a_genuine_platform_is_refused(name: str) -> None:
    case = capture(name, today=True)
    quote = by_another_key(written(case.quote, (568, bytes.fromhex(ADDRESS[2:]))))
    forged = case.quoted(quote).bent(
        signing_public_key=OTHER_KEY, signing_key=None, signing_address=ADDRESS, server_verification=None
    )
    assert failed(forged.judged()) == {"qe_report"}


def test_a_missing_address_is_refused_where_there_is_a_quote() -> None:
    case = GEMMA.bent(signing_address=None)
    assert failed(case.judged()) == {"key_address"}
    baseline = replace(case, options=TeeOptions(verification="server")).judged()
    assert (baseline.level, "does not say" in " ".join(baseline.warnings)) == ("server", True)


@pytest.mark.attack(9)
def test_a_nonce_is_used_once() -> None:
    assert failed(GEMMA.judged(used_nonce=True)) == {"nonce_unique"}


def _log(case: Case, change: Callable[[list[dict[str, Any]]], object]) -> Case:
    bent = case.bent()
    info = bent.reply["info"]
    change(info["tcb_info"]["event_log"])
    top = json.loads(bent.reply["event_log"])
    change(top)
    bent.reply["event_log"] = json.dumps(top)
    return bent


def _edit_payload(log: list[dict[str, Any]]) -> None:
    next(event for event in log if event["event"] == "app-id")["event_payload"] = "00" * 20


def _forge(log: list[dict[str, Any]]) -> None:
    _compose_hash(log).update(event_payload="00" * 32, digest="")


def _events(log: Any) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", json.loads(log) if isinstance(log, str) else log)


def _compose_hash(log: list[dict[str, Any]]) -> dict[str, Any]:
    return next(event for event in log if event["event"] == "compose-hash")


EDITS: dict[str, Callable[[Log], object]] = {
    "removed": lambda log: log.pop(-3),
    "reordered": lambda log: log.insert(-2, log.pop()),
    "payload edited": _edit_payload,
    "payload and digest edited": _forge,
    "duplicated": lambda log: log.append(dict(log[-1])),
    "extra compose-hash": lambda log: log.append({**_compose_hash(log), "event_payload": "00" * 32}),
    "empty": lambda log: log.clear(),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.attack(25)
def test_an_edited_event_log_is_refused(name: str) -> None:
    assert failed(_log(GEMMA, EDITS[name]).judged()) & {"rtmr_replay", "event_payload"}


@pytest.mark.attack(25)
def test_two_event_logs_that_differ_are_refused() -> None:
    case = GEMMA.bent()
    del case.reply["info"]["tcb_info"]["event_log"][-2]
    assert "rtmr_replay" in failed(case.judged())


@pytest.mark.attack(25)
def test_two_event_logs_with_other_names_for_the_same_digests_are_refused() -> None:
    case = GEMMA.bent()
    log = json.loads(case.reply["event_log"])
    event = next(event for event in log if event["event"] == "key-provider")
    head, _, tail = bytes.fromhex(event["event_payload"]).partition(b":")
    event.update(event=f"key-provider:{head.decode()}", event_payload=tail.hex())
    case.reply["event_log"] = json.dumps(log)
    assert failed(case.judged()) == {"event_payload"}


@pytest.mark.attack(25)
def test_a_reply_without_an_event_log_is_refused() -> None:
    case = GEMMA.bent(event_log=None)
    del case.reply["info"]["tcb_info"]["event_log"]
    assert failed(case.judged()) == {"rtmr_replay"}


@pytest.mark.attack(26)
def test_a_compose_file_edited_by_spaces_is_refused() -> None:
    for spaces in range(1, 7):
        case = GEMMA.bent()
        case.reply["info"]["tcb_info"]["app_compose"] += " " * spaces
        assert failed(case.judged()) == {"compose_hash"}


@pytest.mark.attack(29)
def test_a_reply_without_the_servers_claims_is_valid() -> None:
    assert GEMMA.bent(server_verification=None).judged().level == "hardware"


@pytest.mark.attack(31)
def test_missing_gpu_evidence_is_a_warning_or_a_failure_as_the_option_says() -> None:
    case = GEMMA.bent(nvidia_payload=None)
    assert case.judged().level == "quote"
    assert any("GPU" in warning for warning in case.judged().warnings)
    assert failed(replace(case, options=TeeOptions(gpu="require")).judged()) == {"gpu_evidence"}


@pytest.mark.parametrize("field", ["mrtd", "compose_hash", "rtmr1", "rtmr2", "rtmr3", "os_image_hash", "app_id"])
@pytest.mark.attack(32)
def test_a_pin_that_does_not_match_is_refused(field: str) -> None:
    good = _pins(GEMMA, field)
    pinned = TeeOptions(verification="pinned", pins=MeasurementPins.from_dict(good))
    assert replace(GEMMA, options=pinned).judged().level == "pinned"
    wrong = TeeOptions(pins=MeasurementPins.from_dict({**good, field: "00" * (len(good[field]) // 2)}))
    assert failed(replace(GEMMA, options=wrong).judged()) == {"pins"}


@pytest.mark.parametrize(
    ("provider", "good"),
    [
        pytest.param(b'{"name": "kms", "id": "30ab"}', True, id="the service"),
        pytest.param(b'{"name": "kms", "id": "30AB"}', True, id="in capitals"),
        pytest.param(b'{"name": "kms", "id": "30ac"}', False, id="another service"),
        pytest.param(b'{"name": "kms"}', False, id="no id"),
        pytest.param(b'{"name": "kms", "id": 30}', False, id="an id that is not text"),
        pytest.param(b"30ab", False, id="no JSON"),
    ],
)
@pytest.mark.attack(32)
def test_the_key_management_service_that_was_measured_can_be_pinned(provider: bytes, good: bool) -> None:
    def change(log: Log) -> None:
        (found,) = (each for each in log if each["event"] == "key-provider")
        found.update(event("key-provider", provider))

    case = logged(change)
    pins = MeasurementPins.from_dict({**_pins(case), "kms_root": "30ab"})

    assert failed(case.judged(options=case.options.replace(pins=pins))) == (set() if good else {"pins"})


@pytest.mark.parametrize(
    ("provider", "image", "described"),
    [
        pytest.param(b'{"name": "kms"}', "os", ('{"name": "kms"}', "os"), id="texts"),
        pytest.param(b"kms \xff", 7, ("kms \ufffd", None), id="bytes that are not text, and an image that is none"),
        pytest.param(None, None, (None, None), id="nothing"),
    ],
)
def test_a_report_describes_the_software_as_the_log_names_it(provider: bytes | None, image: Any, described: Any) -> None:
    def change(log: Log) -> None:
        (found,) = (each for each in log if each["event"] == "key-provider")
        log.remove(found) if provider is None else found.update(event("key-provider", provider))
        log.append(event("job", b"\7"))

    case = logged(change).bent(vm_config=json.dumps({"image": image, "num_gpus": 0}))
    names = {each["event"]: each["event_payload"] for each in json.loads(case.reply["event_log"])}
    found = case.judged().workload

    assert found is not None
    assert (found.key_provider, found.image_name) == described
    assert found.later_events == (("job", "07"),)
    assert (found.compose_hash, found.os_image_hash) == (names["compose-hash"], names["os-image-hash"])
    assert (found.app_id, found.instance_id) == (names["app-id"], names["instance-id"])


def _pins(case: Case, *more: str) -> dict[str, str]:
    """The least that is the software, and some fields more."""
    report = case.judged()
    assert report.td is not None
    found = {**{name: getattr(report.td, name) for name in ("mrtd", "rtmr1", "rtmr2", "rtmr3")}, **_workload(report)}
    return {name: found[name] for name in {"mrtd", "rtmr1", "rtmr2", "compose_hash", *more}}


@pytest.mark.parametrize(
    "left_out", [["mrtd"], ["rtmr1"], ["rtmr2"], ["compose_hash"], ["mrtd", "rtmr1", "rtmr2"]], ids=",".join
)
def test_pins_that_leave_the_software_open_are_refused_with_the_reason(left_out: list[str]) -> None:
    pins = {name: value for name, value in _pins(GEMMA, "os_image_hash", "app_id").items() if name not in left_out}

    with pytest.raises(InvalidRequestError, match=f"must also name {left_out[0]}.*the operating system"):
        MeasurementPins.from_dict(pins)


def test_the_register_of_the_application_can_be_pinned_in_place_of_its_compose_file() -> None:
    pins = {name: value for name, value in _pins(GEMMA, "rtmr3").items() if name != "compose_hash"}

    assert replace(GEMMA, options=TeeOptions(pins=MeasurementPins.from_dict(pins))).judged().level == "pinned"


# -- operating system images ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "name", "is_dev"), [
    pytest.param(GEMMA, "dstack-nvidia-dev-0.5.8", True, id="gemma"),
    pytest.param(GLM, "dstack-nvidia-0.5.5", False, id="glm"),
    pytest.param(LIVE, "dstack-dev-0.5.9", True, id="gateway"),
])  # fmt: skip
def test_the_images_of_the_captures_are_known(case: Case, name: str, is_dev: bool) -> None:
    report = case.judged()
    check = report.check("dev_image")

    assert check is not None
    assert (check.status, name in check.detail) == ("warn" if is_dev else "pass", True)
    strict = replace(case, options=TeeOptions(allow_dev_image=False)).judged()
    assert failed(strict) == ({"dev_image"} if is_dev else set())


def test_the_known_images_are_those_of_the_real_attestations() -> None:
    measured = shared("tee/measurements.json")["captures"].values()

    assert {(image.os_image_hash, image.mrtd, image.rtmr1, image.rtmr2) for image in known_images()} == {
        tuple(each[name] for name in ("os_image_hash", "mrtd", "rtmr1", "rtmr2")) for each in measured
    }


def test_an_unknown_image_is_a_warning_and_can_be_refused_or_made_known() -> None:
    case = synthetic()
    report = case.judged()
    assert report.td is not None
    assert report.workload is not None
    strict = case.options.replace(allow_dev_image=False)
    image = OsImage(report.workload.os_image_hash or "", report.td.mrtd, report.td.rtmr1, report.td.rtmr2, is_dev=False)

    assert any(f"image: {image.os_image_hash} is unknown" in warning for warning in report.warnings)
    assert failed(replace(case, options=strict).judged()) == {"dev_image"}
    assert failed(replace(case, options=strict.replace(os_images=[image])).judged()) == set()
    for changed in (replace(image, rtmr2="00" * 48), replace(image, is_dev=True)):
        assert failed(replace(case, options=strict.replace(os_images=(changed,))).judged()) == {"dev_image"}


@pytest.mark.parametrize(
    ("changes", "claim", "words"),
    [
        pytest.param({}, "dstack-0.5.5", "os image os 1 {}", id="known"),
        pytest.param({"is_dev": True}, "dstack-0.5.5", "image: os 1 is made for development", id="for development"),
        pytest.param({}, "dstack-dev-0.5", "image: os 1 is made for development", id="for development, by its own word"),
        *(
            pytest.param({name: byte * 48}, "dstack-0.5.5", "image: the log names os 1, and mrtd, ", id=f"{name} of {byte}")
            for name in ("mrtd", "rtmr1", "rtmr2")
            for byte in ("00", "ff")
        ),
        pytest.param({"mrtd": "00" * 48, "name": ""}, "dstack-0.5.5", "image: the log names {}, ", id="without a name"),
        pytest.param({"os_image_hash": "00" * 32}, "x-dev-y", "image: x-dev-y is made for", id="unknown, by its own word"),
        *(
            pytest.param({"os_image_hash": byte * 32}, "dstack-0.5.5", "image: {} is unknown", id=f"unknown: {byte}")
            for byte in ("00", "ff")
        ),
    ],
)
def test_what_is_said_of_an_image_names_it(changes: dict[str, Any], claim: str, words: str) -> None:
    case = synthetic().bent(vm_config=json.dumps({"image": claim}))
    report = case.judged()
    assert report.td is not None
    assert report.workload is not None
    measured = report.workload.os_image_hash or ""
    image = OsImage(measured, report.td.mrtd, report.td.rtmr1, report.td.rtmr2, is_dev=False, name="os 1")
    check = case.judged(options=case.options.replace(os_images=(replace(image, **changes),))).check("dev_image")

    assert check is not None
    assert check.status == ("pass" if words.startswith("os image") else "warn")
    assert words.format(measured) in check.detail


@pytest.mark.parametrize("wrong", [{"mrtd": "00"}, {"os_image_hash": "x" * 64}, {"is_dev": "no"}], ids=repr)
def test_an_image_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"os_image_hash": "0" * 64, "mrtd": "0" * 96, "rtmr1": "0" * 96, "rtmr2": "0" * 96, "is_dev": False}

    with pytest.raises(InvalidRequestError):
        OsImage(**{**good, **wrong})
    with pytest.raises(InvalidRequestError):
        TeeOptions(os_images=wrong)  # type: ignore[arg-type]  # what is refused


# -- what is left out ----------------------------------------------------------------------------------------------------


def _without_app_compose(reply: dict[str, Any]) -> None:
    del reply["info"]["tcb_info"]["app_compose"]


def _without_gpus(reply: dict[str, Any]) -> None:
    """GPUs, and every unsigned word about them: what was measured still tells of them."""
    for name in ("nvidia_payload", "server_verification"):
        del reply[name]
    for holder in (reply, reply["info"]):
        if "vm_config" in holder:
            holder["vm_config"] = json.dumps({"num_gpus": 0})


def _without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(reply: dict[str, Any]) -> None:
        *above, last = path
        for name in above:
            reply = reply[name]
        del reply[last]

    return change


@pytest.mark.parametrize(("case", "change", "named"), [
    pytest.param(GEMMA, _without_app_compose, "compose file", id="compose file"),
    pytest.param(GEMMA, _without_gpus, "GPUs", id="GPUs that the compose file and the image tell of"),
    pytest.param(GLM, _without_gpus, "GPUs", id="GPUs that the image tells of"),
    pytest.param(GLM, _without("compose_manager_attestation"), "manager", id="manager"),
    pytest.param(LIVE, _without("workload_keyset_digest"), "aci_keyset", id="digest"),
    pytest.param(LIVE, _without("workload_id"), "aci_workload", id="workload"),
    pytest.param(LIVE, _without("attestation", "keyset_endorsement"), "aci_endorsement", id="endorsement"),
    pytest.param(LIVE, _without("attestation", "evidence", "key_custody"), "aci_custody", id="custody"),
    pytest.param(LIVE, _without("attestation", "evidence", "vm_config"), "GPUs", id="machine"),
])  # fmt: skip
def test_a_promised_part_that_is_left_out_keeps_the_level_below_hardware(
    case: Case, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    case = case.bent()
    change(case.reply)
    report = case.judged()
    parts = report.check("parts")

    assert failed(report) == set()
    assert parts is not None
    assert (parts.status, named in parts.detail) == ("skip", True), parts.detail
    assert report.level == "quote"
    assert _raises(case, verification="hardware")


def test_a_gateway_without_its_version_is_recognised_by_its_key_set() -> None:
    report = LIVE.bent(api_version=None).judged()

    assert (report.level, report.variant) == ("hardware", "aci")
    assert any("gateway" in warning for warning in report.warnings)


@pytest.mark.parametrize("part", ["gpus", "compose_manager", "gateway"])
def test_a_part_that_a_model_showed_before_is_expected_again(part: str) -> None:
    """Of another shape, which by itself promises no such part."""
    case = {"gpus": LIVE, "compose_manager": GEMMA, "gateway": GEMMA}[part]

    assert case.judged().level == "hardware"
    assert case.judged(shown_before={part}).level == "quote"


def test_a_report_tells_what_a_model_is_to_show_from_then_on() -> None:
    assert [shown(case.judged()) for case in (GEMMA, GLM, LIVE)] == [
        {"quote", "gpus"},
        {"quote", "gpus", "compose_manager"},
        {"quote", "gateway"},
    ]


def _workload(report: Any) -> dict[str, str]:
    return {name: getattr(report.workload, name) for name in ("compose_hash", "os_image_hash", "app_id")}


@pytest.mark.attack(33)
def test_a_gateway_without_the_key_of_its_address_is_refused() -> None:
    case = LIVE.bent(signing_address=ADDRESS)
    assert "model_key" in failed(case.judged())


@pytest.mark.attack(34)
def test_a_test_root_is_trusted_only_when_it_is_given() -> None:
    assert {"intel_chain", "gpu_chain"} <= failed(replace(synthetic(), options=TeeOptions()).judged())


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(GEMMA.bent(intel_quote=base64.b64encode(GEMMA.quote).decode(), quote=None), id="base64"),
        pytest.param(GEMMA.bent(signing_address=GEMMA.reply["signing_address"].lower()), id="lower case"),
        pytest.param(GEMMA.bent(signing_address="0x" + GEMMA.reply["signing_address"][2:].upper()), id="upper case"),
        pytest.param(GEMMA.bent(intel_quote="0x" + GEMMA.quote.hex().upper()), id="upper-case hex"),
    ],
)
@pytest.mark.attack(35)
def test_a_quote_or_address_in_another_encoding_is_valid(case: Case) -> None:
    assert case.judged().level == "hardware"


@pytest.mark.attack(36)
def test_a_duplicate_json_key_is_refused() -> None:
    text = json.dumps(GEMMA.reply).replace('"verified": true', '"verified": false, "verified": true')
    assert "transport" in failed(GEMMA.judged(reply=text.encode()))


@pytest.mark.parametrize(
    "reply", [b"", b"[]", b"null", b"not json", b"[" * 100_000, b" " * (MAX_REPLY_BYTES + 1)], ids=lambda b: f"{b[:8]}"
)
def test_a_reply_that_is_not_a_json_object_is_refused(reply: bytes) -> None:
    assert "transport" in failed(GEMMA.judged(reply=reply))


def test_a_reply_is_good_up_to_its_greatest_length() -> None:
    text = json.dumps(GEMMA.reply).encode().ljust(4_194_304)  # 4 MiB
    assert GEMMA.judged(reply=text).level == "hardware"
    assert "transport" in failed(GEMMA.judged(reply=text + b" "))


# -- attacks that are signed correctly -----------------------------------------------------------------------------------

SHIFTED = "00" * 12 + "99683fd838937397c66f9e60a5f30fc7bdd26ae3"
SIGNED: list[Any] = [
    pytest.param(((588, b"\1"),), "report_data_padding", id="14 padding"),
    pytest.param(((568, bytes.fromhex(SHIFTED)),), "report_data_address", id="15 right-aligned"),
    pytest.param(((600, bytes(32)),), "report_data_nonce", id="15 zero nonce"),
    pytest.param(((568, b"\7" * 32),), "report_data_address", id="15 a hash in the first half"),
    pytest.param(((168, b"\1"),), "td_attributes", id="16 debug"),
    pytest.param(((171, b"\0"),), "td_attributes", id="17 no SEPT_VE_DISABLE"),
    pytest.param(((171, b"\x30"),), "td_attributes", id="17 migratable"),
    pytest.param(((171, b"\x50"),), "td_attributes", id="17 PKS"),
    pytest.param(((175, b"\x80"),), "td_attributes", id="17 PERFMON"),
    pytest.param(((112, b"\1"),), "td_attributes", id="18 another module's signer"),
    pytest.param(((160, b"\1"),), "td_attributes", id="18 module attributes"),
    pytest.param(((233, b"\7" * 32),), "mr_config_id", id="26 another compose file"),
    pytest.param(((233, b"\xff" * 32),), "mr_config_id", id="26 another compose file, of a greater hash"),
    pytest.param(((265, b"\1"),), "mr_config_id", id="26 something after the compose file"),
    *(
        pytest.param(((376 + 48 * number, byte * 48),), "rtmr_replay", id=f"25 another register {number}: {byte.hex()}")
        for number in range(4)
        for byte in (b"\0", b"\xff")
    ),
]


@pytest.mark.parametrize(("changes", "check"), SIGNED)
def test_a_signed_field_with_a_wrong_value_is_refused(changes: tuple[tuple[int, bytes], ...], check: str) -> None:
    assert check in failed(resigned(*changes).judged())


@pytest.mark.attack(16)
def test_the_error_of_a_debug_domain_says_debug() -> None:
    found = resigned((168, b"\1")).judged().check("td_attributes")
    assert found is not None
    assert "debug" in found.detail


def _other_kind(log: Log) -> None:
    """A boot's event, which nobody recomputes, in the register of the rest."""
    log.append({**log[0], "imr": 3})


def _other_register(log: Log) -> None:
    """A runtime event in a register of the boot."""
    (found,) = (event for event in log if event["event"] == "storage-fs")
    assert found["event_type"] == RUNTIME_EVENT
    found["imr"] = 0


def test_an_event_log_that_we_write_and_sign_is_valid() -> None:
    assert logged(lambda log: log.pop(-2)).judged().level == "hardware"


@pytest.mark.parametrize(
    "change", [pytest.param(_other_kind, id="25 of another kind"), pytest.param(_other_register, id="25 in another register")]
)
@pytest.mark.attack(25)
def test_an_event_in_a_place_where_it_may_not_be_is_refused(change: Callable[[Log], object]) -> None:
    assert failed(logged(change).judged()) == {"event_payload"}


@pytest.mark.attack(26)
def test_a_domain_whose_compose_file_was_never_measured_is_refused() -> None:
    case = logged(lambda log: log.remove(_compose_hash(log)), (232, bytes(48)))
    for holder in (case.reply["info"], case.reply["info"]["tcb_info"]):
        holder.pop("compose_hash", None)
        holder.pop("app_compose", None)
    assert failed(case.judged()) == {"compose_hash"}


@pytest.mark.attack(17)
def test_attributes_can_be_allowed_but_not_debug_mode() -> None:
    case = resigned((171, b"\x50"))
    allowed = case.options.replace(allowed_td_attributes_mask=1 << 30)
    assert "td_attributes" not in failed(replace(case, options=allowed).judged())
    for attributes in (b"\0", b"\x50"):  # the switch that every domain must have cannot be allowed away
        bent = resigned((171, attributes))
        options = bent.options.replace(allowed_td_attributes_mask=1 << 28)
        assert "td_attributes" in failed(replace(bent, options=options).judged())


@pytest.mark.parametrize(("offset", "value"), [(0, b"\5"), (4, b"\0")], ids=["quote v5", "SGX"])
@pytest.mark.attack(18)
def test_a_quote_of_another_version_or_type_is_refused(offset: int, value: bytes) -> None:
    case = resigned()
    raw = bytearray(case.quote)
    raw[offset : offset + len(value)] = value
    assert failed(case.quoted(bytes(raw)).judged()) == {"quote_parse"}


CHAIN_AT = 1218 + 2 + 32
STRUCTURE = {
    "the type of its attestation key": (2, 2, 1),
    "the type of its certification data": (764, 2, -1),
    "the type of its certificates": (CHAIN_AT, 2, 1),
    "one byte more of signature data": (632, 4, 1),
    "one byte less of signature data": (632, 4, -1),
    "one byte more of certification data": (766, 4, 1),
    "one byte less of certification data": (766, 4, -1),
    "one byte more of authentication data": (1218, 2, 1),
    "one byte less of authentication data": (1218, 2, -1),
    "one byte more of certificates": (CHAIN_AT + 2, 4, 1),
    "one byte less of certificates": (CHAIN_AT + 2, 4, -1),
}
"""Where a number stands, how wide it is, and what is added to it. But for the first, nobody signs them."""


@pytest.mark.parametrize("name", STRUCTURE)
@pytest.mark.attack(18)
def test_a_quote_of_another_structure_is_refused(name: str) -> None:
    offset, size, more = STRUCTURE[name]
    for case in (GEMMA, GLM, LIVE):
        number = int.from_bytes(case.quote[offset : offset + size], "little") + more
        bent = written(case.quote, (offset, number.to_bytes(size, "little")))
        assert failed(case.quoted(bent).judged()) == {"quote_parse"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(GEMMA.bent(quote=GLM.quote.hex()), id="of another machine"),
        pytest.param(GEMMA.bent(quote=written(GEMMA.quote, (5005, b"\1")).hex()), id="its padding"),
        pytest.param(LIVE.bent(quote=GLM.quote.hex()), id="of a gateway"),
        pytest.param(LIVE.bent(intel_quote=GLM.quote.hex()), id="of a gateway's evidence"),
    ],
)
def test_two_quotes_that_differ_are_refused(case: Case) -> None:
    assert failed(case.judged()) == {"quote_parse"}


def test_without_a_quote_evidence_of_gpus_is_judged_where_there_is_some() -> None:
    case = GEMMA.bent(intel_quote=None, quote=None)

    def judged_gpus(case: Case) -> set[str]:
        return {check.id for check in case.judged().checks if check.id.startswith("gpu_")}

    assert "gpu_signature" in judged_gpus(case)
    assert judged_gpus(case.bent(nvidia_payload=None)) == set()
    for policy in ("require", "nras"):  # or where it must be
        demanding = replace(BASELINE, options=TeeOptions(gpu=policy))
        assert failed(demanding.judged()) == {"gpu_evidence"}


@pytest.mark.parametrize(("named", "provider"), [("phala", "phala"), (7, None), (None, None)])
def test_a_report_names_the_provider_that_the_reply_names(named: object, provider: str | None) -> None:
    assert GEMMA.bent(tee_provider=named).judged().provider == provider


@pytest.mark.parametrize(("case", "number"), [(GEMMA, 13), (GLM, 12), (LIVE, 0)], ids=CAPTURES)
def test_the_values_that_a_reply_shows_are_counted(case: Case, number: int) -> None:
    check = case.judged().check("info_match")

    assert check is not None
    assert check.detail == f"{number} values shown are what was measured"


@pytest.mark.parametrize("forged", ["", "{}", "~", 7])
def test_a_provider_of_keys_that_was_not_measured_is_refused(forged: Any) -> None:
    assert failed(GEMMA.bent(info={**GEMMA.reply["info"], "key_provider_info": forged}).judged()) == {"info_match"}


def test_a_quote_may_end_in_zeros_and_in_nothing_else() -> None:
    assert GEMMA.quoted(GEMMA.quote + bytes(100)).judged().level == "hardware"
    assert GEMMA.quoted(GEMMA.quote[:4936]).judged().level == "hardware"
    assert GEMMA.quoted(GEMMA.quote[:4936] + bytes(4_096)).judged().level == "hardware"
    assert failed(GEMMA.quoted(GEMMA.quote[:4936] + bytes(4_097)).judged()) == {"quote_parse"}
    for at in (4936, -1):
        padded = bytearray(GEMMA.quote)
        padded[at] = 1
        assert failed(GEMMA.quoted(bytes(padded)).judged()) == {"quote_parse"}


@pytest.mark.attack(19)
def test_an_attackers_own_certificate_hierarchy_is_refused() -> None:
    report = resigned(intel=Intel("attacker"), trusted=Intel()).judged()
    assert "intel_chain" in failed(report)


# -- levels --------------------------------------------------------------------------------------------------------------


def _raises(case: Case, **options: Any) -> bool:
    chosen = case.options.replace(**options)
    report = replace(case, options=chosen).judged()
    if report.reaches("quote" if chosen.verification == "auto" else chosen.verification):
        raise_for(report, chosen)
        return False
    with pytest.raises(TeeAttestationError) as caught:
        raise_for(report, chosen)
    return caught.value.report is report


BASELINE = GEMMA.bent(intel_quote=None, quote=None, event_log=None, info=None, nvidia_payload=None, server_verification=None)


def test_a_reply_without_a_quote_is_the_baseline_at_most() -> None:
    assert BASELINE.judged().level == "server"
    assert BASELINE.bent(intel_quote="placeholder").judged().level == "server"
    assert not _raises(BASELINE, verification="server")
    assert _raises(BASELINE)
    assert _raises(BASELINE, verification="quote")
    assert _raises(BASELINE, verification="hardware")


@pytest.mark.attack(59)
def test_a_model_that_had_a_quote_before_must_have_one_again() -> None:
    assert "quote_parse" in failed(BASELINE.judged(shown_before={"quote"}))
    assert BASELINE.judged(shown_before=shown(BASELINE.judged())).level == "server"


@pytest.mark.attack(58)
def test_without_dcap_qvl_the_level_is_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "dcap_qvl", None)
        assert GEMMA.judged().level == "quote"
    assert not _raises(replace(GEMMA, collateral=None))
    assert _raises(replace(GEMMA, collateral=None), verification="hardware")


def test_the_level_server_runs_only_its_own_checks() -> None:
    report = replace(GEMMA, options=TeeOptions(verification="server")).judged()
    assert (report.level, len(report.checks)) == ("server", 9)


def test_pins_without_a_quote_are_refused() -> None:
    pins = MeasurementPins.from_dict(dict.fromkeys(("mrtd", "rtmr1", "rtmr2", "rtmr3"), "00" * 48))
    assert "pins" in failed(replace(BASELINE, options=TeeOptions(pins=pins)).judged())


def test_an_image_is_not_refused_by_leaving_out_what_names_it() -> None:
    assert failed(replace(BASELINE, options=TeeOptions(allow_dev_image=False)).judged()) == {"dev_image"}


def test_a_configuration_of_an_unknown_form_does_not_reach_the_level_it_is_part_of() -> None:
    case = resigned((232, b"\2"))
    report = case.judged()
    found = report.check("mr_config_id")
    assert found is not None
    assert (found.status, report.ok, report.level) == ("skip", True, "server")
    assert _raises(case, verification="quote")
    assert _raises(case, verification="hardware")


def test_an_image_for_development_can_be_refused() -> None:
    assert any("development" in warning for warning in GEMMA.judged().warnings)
    assert failed(replace(GEMMA, options=TeeOptions(allow_dev_image=False)).judged()) == {"dev_image"}


def test_a_manager_of_containers_is_verified_and_named() -> None:
    found = GLM.judged().check("compose_manager")
    assert found is not None
    assert found.status == "pass"
    bent = GLM.bent()
    bent.reply["compose_manager_attestation"]["actions"].pop()
    assert failed(bent.judged()) == {"compose_manager"}


def test_a_manager_that_signs_its_log_is_good() -> None:
    report = managed().judged()
    found = report.check("compose_manager")
    assert found is not None
    assert (report.level, found.status) == ("hardware", "pass")


MANAGERS = {
    "another domain's first measurement": managed((184, b"\7" * 48)),
    "another domain's first measurement, a greater one": managed((184, b"\xff" * 48)),
    "another domain's start": managed((520, b"\7" * 48)),
    "a debug domain": managed((168, b"\1")),
    "a domain that can be moved": managed((171, b"\x30")),
    "another module": managed((64, b"\7" * 48)),
    "another signer of the module": managed((112, b"\1")),
    "another app": managed((232, b"\7" * 48)),
    "another register": managed((472, b"\7" * 48)),
    "another log of actions": managed((568, b"\7" * 32)),
    "another nonce": managed((600, b"\7" * 32)),
    "another hierarchy": managed(intel=Intel("attacker")),
    "another attestation key": managed(bent=by_another_key),
    "another signature": managed(bent=lambda quote: written(quote, (636, b"\7" * 64))),
    "no signature": managed(bent=lambda quote: quote[:632]),
}


@pytest.mark.parametrize("name", MANAGERS)
def test_a_manager_whose_quote_is_not_the_domains_own_is_refused(name: str) -> None:
    assert failed(MANAGERS[name].judged()) == {"compose_manager"}


@pytest.mark.parametrize("answer", [None, 1, False, "yes", RuntimeError("no")], ids=repr)
@pytest.mark.attack(57)
def test_a_verifier_accepts_with_true_alone(answer: object) -> None:
    report = GEMMA.judged()
    assert failed(with_custom(report, answer)) == {"custom"}
    assert with_custom(report, True).level == "hardware"


def test_a_verifier_is_given_the_reply_and_the_nonce() -> None:
    seen = evidence(GEMMA.collected())
    assert (seen.sent_nonce, seen.signing_address) == (GEMMA.nonce.hex(), GEMMA.reply["signing_address"])
    assert seen.nothing_such is None


def test_every_check_says_what_it_stops() -> None:
    assert all(check.stops for check in GLM.judged().checks)


def test_the_default_roots_are_intels_and_nvidias() -> None:
    assert TeeOptions().trust is INTEL_AND_NVIDIA


# -- no reply breaks the verifier ----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, each in cast("dict[str, Any]", value).items():
            found += _paths(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(cast("list[Any]", value)[:2]):
            found += _paths(each, (*path, number))
    return found


PATHS = {id(case): _paths(case.reply) for case in (GEMMA, GLM, LIVE)}


@given(data=st.data(), wrong=JSON)
def test_any_value_in_any_field_gives_a_report(data: st.DataObject, wrong: Any) -> None:
    case = data.draw(st.sampled_from([GEMMA, GLM, LIVE]))
    path = data.draw(st.sampled_from(PATHS[id(case)]))
    reply = copy.deepcopy(case.reply)
    holder: Any = reply
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = wrong
    _told(replace(case, reply=reply, options=TeeOptions(gpu="off")).judged(now=case.now))


def _told(report: AttestationReport) -> None:
    """Whatever there is to a report can be had and written down."""
    failed(report)
    json.loads(report.to_json().encode(), parse_constant=pytest.fail)
    report.summary().encode()


MARK = "@here@"
ODD = {
    "nothing": "null",
    "true": "true",
    "a number": "-1.5",
    "a huge number": "1" + "0" * 400,
    "a huge negative number": "-1" + "0" * 400,
    "more digits than Python reads": "1" * 5000,
    "infinity": "1e999",
    "minus infinity": "-1e999",
    "NaN": "NaN",
    "half a character": '"\\ud800"',
    "a key of half a character": '{"\\udfff": 1}',
    "a text": '"text"',
    "hex": '"%s"' % ("00" * 700),
    "a list": "[[], {}, 1]",
    "an object": '{"a": {"value": "x"}}',
    "deep lists": "[" * 20_000 + "]" * 20_000,
    "deep objects": '{"a":' * 900 + "1" + "}" * 900,
}


def _marked(value: Any, path: tuple[Any, ...]) -> Any:
    """The value with a mark at a path, which may lead through a text that holds JSON."""
    if not path:
        return MARK
    if isinstance(value, str):
        return json.dumps(_marked(json.loads(value), path))
    bent = copy.copy(value)
    bent[path[0]] = _marked(value[path[0]], path[1:])
    return bent


def _inner_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path into a reply, also into the texts that hold JSON; of lists the first and the last element."""
    if path:
        yield path
    if isinstance(value, str) and value[:1] in {"{", "["}:
        with contextlib.suppress(ValueError):
            yield from (found for found in _inner_paths(json.loads(value), path) if found != path)
    elif isinstance(value, dict):
        for key, each in cast("dict[str, Any]", value).items():
            yield from _inner_paths(each, (*path, key))
    elif isinstance(value, list):
        for number in sorted({0, len(cast("list[Any]", value)) - 1} - {-1}):
            yield from _inner_paths(value[number], (*path, number))


@pytest.mark.parametrize("number", [30, pytest.param(300, marks=pytest.mark.more)])
@pytest.mark.parametrize("name", CAPTURES)
def test_any_value_anywhere_in_a_real_reply_gives_a_report(name: str, number: int) -> None:
    case, chance = capture(name), random.Random(name)
    places = [(path, odd) for path in _inner_paths(case.reply) for odd in ODD.values()]
    quick = replace(case, options=TeeOptions(gpu="off"))
    for path, odd in chance.sample(places, number):
        chosen = case if path[0] == "nvidia_payload" else quick
        _told(chosen.judged(reply=_written(_marked(case.reply, path), odd).encode()))


def _written(value: Any, odd: str) -> str:
    """The JSON of a value, with another JSON text where the mark is, also in a text that holds JSON."""
    text, mark = json.dumps(value), f'"{MARK}"'
    while mark not in text:
        mark, odd = json.dumps(mark)[1:-1], json.dumps(odd)[1:-1]
    return text.replace(mark, odd)


def test_an_event_with_half_of_a_surrogate_pair_is_refused() -> None:
    for log in (GEMMA.reply["info"]["tcb_info"]["event_log"], LIVE.reply["attestation"]["evidence"]["event_log"]):
        case = GEMMA.bent(event_log=json.dumps([{**_compose_hash(_events(log)), "event": "\ud800"}]))
        assert failed(case.judged()) >= {"rtmr_replay"}


def test_a_compose_file_nested_too_deeply_is_a_warning() -> None:
    assert "could not be read" in read_compose("[" * 20_000 + "]" * 20_000)[1][0]


def test_a_platform_is_not_read_from_malformed_certificates() -> None:
    raw = GEMMA.quote
    der = x509.load_pem_x509_certificate(raw[raw.index(b"-----BEGIN") :]).public_bytes(Encoding.DER)
    other = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)  # version 8
    pem = "-----BEGIN CERTIFICATE-----\n" + "\n".join(textwrap.wrap(base64.b64encode(other).decode(), 64))
    at = raw.index(b"-----BEGIN")
    bent = raw[:at] + pem.encode() + raw[at + len(pem) :]
    assert subjects(json.dumps(GEMMA.quoted(bent).reply).encode())[0] is None
    assert "intel_chain" in failed(GEMMA.quoted(bent).judged())
