"""The checks of NVIDIA's evidence of GPUs. Numbers in ids are those of docs/explanations/attacks.md."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
from cryptography import x509

from tests.shared import shared
from venice_ai.emulator.enclave.hardware import Authority, Nvidia, pem
from venice_ai.tee import attestation, certificates, gpu
from venice_ai.tee.types import NVIDIA_ROOT_SHA256, CollectedEvidence, TeeOptions, TrustRoots
from venice_ai.types.attestation import AttestationReport, Check, Gpu

CAPTURES = ["gemma_3_27b_p", "glm_5_1"]
CHECKS = ["gpu_structure", "gpu_nonce", "gpu_chain", "gpu_signature", "gpu_firmware", "gpu_unique", "gpu_count"]
Change = Callable[[dict[str, Any]], Any]


def captured(name: str) -> tuple[dict[str, Any], bytes]:
    """The payload of a capture, decoded, and its nonce."""
    found = shared(f"tee/attestation_{name}.json")
    return json.loads(found["attestation"]["nvidia_payload"]), bytes.fromhex(found["_client_nonce"])


def eight() -> dict[str, Any]:
    return copy.deepcopy(captured("glm_5_1")[0])


NONCE = captured("glm_5_1")[1]


def judged(
    payload: Any, nonce: bytes = NONCE, *, root_sha256: str = NVIDIA_ROOT_SHA256, expected_count: int | None = None
) -> dict[str, Check]:
    options = TeeOptions(trust=TrustRoots(nvidia_root_sha256=root_sha256))
    checks, _ = gpu.check(payload, nonce, options, expected=expected_count)
    assert all(check.stops and check.detail for check in checks)
    assert not any("could not be examined" in check.detail for check in checks)
    return {check.id: check for check in checks}


def failed(checks: dict[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if check.status == "fail"]


def evidence(payload: dict[str, Any], number: int = 0) -> bytearray:
    return bytearray(base64.b64decode(payload["evidence_list"][number]["evidence"]))


def put(payload: dict[str, Any], field: str, value: bytes, number: int = 0) -> None:
    payload["evidence_list"][number][field] = base64.b64encode(value).decode()


def flipped(position: int, bit: int = 0) -> Change:
    def change(payload: dict[str, Any]) -> None:
        raw = evidence(payload)
        raw[position] ^= 1 << bit
        put(payload, "evidence", bytes(raw))

    return change


# -- the real thing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count", "vbios"), [("gemma_3_27b_p", 1, "96.00.D0.00.03"), ("glm_5_1", 8, "96.00.CF.00.02")])
@pytest.mark.parametrize("form", ["text", "object"])
def test_every_capture_verifies(name: str, count: int, vbios: str, form: str) -> None:
    payload, nonce = captured(name)
    given = json.dumps(payload) if form == "text" else payload
    checks, gpus = gpu.check(given, nonce, TeeOptions(), expected=count)

    assert [(check.id, check.status) for check in checks] == [(name, "pass") for name in CHECKS]
    assert ("1 GPU" if count == 1 else f"{count} GPUs") in {check.detail for check in checks}
    assert len(gpus) == count
    assert {(each.model, each.driver, each.vbios) for each in gpus} == {("GH100 A01", "570.172.08", vbios)}
    assert len({each.serial for each in gpus}) == count


def test_gpus_are_counted_in_the_words_of_a_check() -> None:
    payload = eight()
    for count, words in ((1, "1 GPU"), (2, "2 GPUs")):
        checks = judged({**payload, "evidence_list": payload["evidence_list"][:count]})
        assert {checks[name].detail for name in CHECKS[:-1]} == {words}


def test_the_report_names_the_gpu() -> None:
    _, gpus = gpu.check(*captured("gemma_3_27b_p"), TeeOptions())

    assert gpus == [Gpu(model="GH100 A01", driver="570.172.08", vbios="96.00.D0.00.03", serial="41F28C80535936DBFD")]


def test_the_synthetic_set_needs_its_own_root() -> None:
    given = shared("tee/synthetic_valid.json")
    payload, nonce = given["attestation"]["nvidia_payload"], bytes.fromhex(given["client_nonce"])

    assert failed(judged(payload, nonce, root_sha256=given["nvidia_test_root_sha256"])) == []
    assert failed(judged(payload, nonce)) == ["gpu_chain"]


@pytest.mark.parametrize(("expected", "status"), [(8, "pass"), (None, "pass"), (4, "warn"), (0, "warn")])
def test_the_number_of_gpus_is_the_machines_own_word(expected: int | None, status: str) -> None:
    checks = judged(eight(), expected_count=expected)

    assert checks["gpu_count"].status == status
    assert (f"8 of {expected} GPUs answered" if expected is not None else "8 answered") in checks["gpu_count"].detail
    assert failed(checks) == []


# -- attacks -------------------------------------------------------------------------------------------------------------


def payload_nonce(payload: dict[str, Any]) -> None:
    payload["nonce"] = "00" * 32


def item_nonce(payload: dict[str, Any]) -> None:
    payload["evidence_list"][3]["nonce"] = "00" * 32


def no_nonce(payload: dict[str, Any]) -> None:
    del payload["nonce"]


def request_nonce(payload: dict[str, Any]) -> None:
    raw = evidence(payload, 7)
    raw[4:36] = bytes(32)
    put(payload, "evidence", bytes(raw), 7)


def chain_of_another(payload: dict[str, Any]) -> None:
    payload["evidence_list"][0]["certificate"] = payload["evidence_list"][1]["certificate"]


def shorter_chain(payload: dict[str, Any]) -> None:
    put(payload, "certificate", b"".join(pems(payload)[1:]))


def longer_chain(payload: dict[str, Any]) -> None:
    put(payload, "certificate", b"".join([*pems(payload), pems(payload)[-1]]))


def disordered_chain(payload: dict[str, Any]) -> None:
    first, second, *rest = pems(payload)
    put(payload, "certificate", b"".join([second, first, *rest]))


def chain_of_two_gpus(payload: dict[str, Any]) -> None:
    put(payload, "certificate", b"".join([pems(payload, 0)[0], *pems(payload, 1)[1:]]))


def other_capture(payload: dict[str, Any]) -> None:
    payload["evidence_list"] = captured("gemma_3_27b_p")[0]["evidence_list"]


def duplicate(payload: dict[str, Any]) -> None:
    payload["evidence_list"][7] = payload["evidence_list"][0]


def emptied(payload: dict[str, Any]) -> None:
    payload["evidence_list"] = []


def no_list(payload: dict[str, Any]) -> None:
    del payload["evidence_list"]


def too_many(payload: dict[str, Any]) -> None:
    payload["evidence_list"] *= 9


def trailing(payload: dict[str, Any]) -> None:
    put(payload, "evidence", bytes(evidence(payload)) + b"\0")


def cut_off(payload: dict[str, Any]) -> None:
    put(payload, "evidence", bytes(evidence(payload))[:-1])


def nothing(payload: dict[str, Any]) -> None:
    put(payload, "evidence", b"")


def zero_signature(payload: dict[str, Any]) -> None:
    put(payload, "evidence", bytes(evidence(payload))[:-96] + bytes(96))


def no_base64(payload: dict[str, Any]) -> None:
    payload["evidence_list"][0]["evidence"] = "*"


def no_text(payload: dict[str, Any]) -> None:
    payload["evidence_list"][0]["certificate"] = 7


def no_object(payload: dict[str, Any]) -> None:
    payload["evidence_list"][0] = "x"


def no_certificates(payload: dict[str, Any]) -> None:
    put(payload, "certificate", b"hello")


def pems(payload: dict[str, Any], number: int = 0) -> list[bytes]:
    whole = base64.b64decode(payload["evidence_list"][number]["certificate"])
    return [each + b"\n" for each in re.findall(rb"-----BEGIN.*?-----END CERTIFICATE-----", whole, re.DOTALL)]


RECORD, BLOCKS = 37 + 8, 37 + 4


@pytest.mark.parametrize(
    ("change", "names"),
    [
        pytest.param(payload_nonce, ["gpu_nonce"], id="30-the nonce of the payload"),
        pytest.param(item_nonce, ["gpu_nonce"], id="30-the nonce of a GPU"),
        pytest.param(no_nonce, ["gpu_nonce"], id="30-no nonce"),
        pytest.param(request_nonce, ["gpu_nonce", "gpu_signature"], id="30-the nonce that was asked with"),
        pytest.param(chain_of_another, ["gpu_signature", "gpu_unique"], id="30-the chain of another GPU"),
        pytest.param(chain_of_two_gpus, ["gpu_chain"], id="30-a chain of two GPUs"),
        pytest.param(shorter_chain, ["gpu_chain"], id="30-a shorter chain"),
        pytest.param(longer_chain, ["gpu_chain"], id="30-a longer chain"),
        pytest.param(disordered_chain, ["gpu_chain"], id="30-a disordered chain"),
        pytest.param(flipped(RECORD + 60), ["gpu_signature"], id="30-a measurement"),
        pytest.param(flipped(-97), ["gpu_signature"], id="30-the last opaque byte"),
        pytest.param(flipped(-1), ["gpu_signature"], id="30-the signature"),
        pytest.param(zero_signature, ["gpu_signature"], id="30-r and s are zero"),
        pytest.param(duplicate, ["gpu_unique"], id="30-one GPU twice"),
        pytest.param(other_capture, ["gpu_nonce"], id="30-the GPUs of another capture"),
        pytest.param(emptied, ["gpu_evidence"], id="30-an empty list"),
        pytest.param(no_list, ["gpu_evidence"], id="30-no list"),
        pytest.param(too_many, ["gpu_evidence"], id="too many"),
        *(pytest.param(flipped(0, bit), ["gpu_structure"], id=f"another request {bit}") for bit in range(3)),
        *(pytest.param(flipped(38, bit), ["gpu_structure"], id=f"another answer {bit}") for bit in (0, 5)),
        pytest.param(flipped(BLOCKS), ["gpu_structure"], id="more measurements than are there"),
        pytest.param(flipped(BLOCKS, 6), ["gpu_structure"], id="fewer measurements than are there"),
        pytest.param(flipped(BLOCKS + 1), ["gpu_structure"], id="another length of the record"),
        pytest.param(trailing, ["gpu_structure"], id="a byte more"),
        pytest.param(cut_off, ["gpu_structure"], id="a byte less"),
        pytest.param(nothing, ["gpu_structure"], id="nothing"),
        pytest.param(no_base64, ["gpu_evidence"], id="no base64"),
        pytest.param(no_text, ["gpu_evidence"], id="no text"),
        pytest.param(no_object, ["gpu_evidence"], id="no object"),
        pytest.param(no_certificates, ["gpu_chain"], id="no certificates"),
    ],
)
@pytest.mark.attack(30)
def test_bad_gpu_evidence_is_refused_under_every_policy_but_off(change: Change, names: list[str]) -> None:
    payload = eight()
    change(payload)
    policies: tuple[Literal["verify-if-present", "require", "nras"], ...] = ("verify-if-present", "require", "nras")
    for policy in policies:
        checks, gpus = gpu.check(payload, NONCE, TeeOptions(gpu=policy))
        assert failed({check.id: check for check in checks}) == names
        assert gpus == []
    assert gpu.check(payload, NONCE, TeeOptions(gpu="off")) == ([], [])


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        pytest.param(7, "not a request for measurements and its answer", id="less than a head"),
        pytest.param(8, "the lengths in it do not add up", id="a head and nothing more"),
    ],
)
@pytest.mark.attack(30)
def test_evidence_that_ends_in_the_answer_is_refused_with_what_is_missing(size: int, problem: str) -> None:
    payload = eight()
    put(payload, "evidence", bytes(evidence(payload))[: 37 + size])

    assert problem in judged(payload)["gpu_structure"].detail


@pytest.mark.attack(30)
def test_gpu_evidence_of_another_nonce_is_refused() -> None:
    assert failed(judged(eight(), bytes(32))) == ["gpu_nonce"]


@pytest.mark.parametrize(("wrong", "more"), [(1, ""), (3, ""), (4, "; and 1 more"), (5, "; and 2 more")])
def test_the_first_three_gpus_of_which_something_is_wrong_are_named_and_the_others_counted(wrong: int, more: str) -> None:
    payload = eight()
    for item in payload["evidence_list"][:wrong]:
        item["nonce"] = "00" * 32
    detail = judged(payload)["gpu_nonce"].detail

    assert detail == "; ".join(f"GPU {number}: it names another nonce" for number in range(min(wrong, 3))) + more


@pytest.mark.parametrize(("count", "wrong"), [(1, []), (64, ["gpu_unique"]), (65, ["gpu_evidence"])])
def test_evidence_of_64_gpus_is_looked_at_and_of_more_is_not(count: int, wrong: list[str]) -> None:
    payload = eight()
    payload["evidence_list"] = (payload["evidence_list"] * 9)[:count]

    assert failed(judged(payload)) == wrong


@pytest.mark.attack(30)
@pytest.mark.parametrize("root_sha256", ["00" * 32, "ff" * 32])
def test_a_gpu_root_that_is_not_pinned_is_refused(root_sha256: str) -> None:
    assert failed(judged(eight(), root_sha256=root_sha256)) == ["gpu_chain"]
    assert failed(judged(eight(), root_sha256=NVIDIA_ROOT_SHA256.upper())) == []


def _without_authority(place: int | None) -> tuple[dict[str, Any], str]:
    """The evidence of a GPU whose issuer in one place of its chain is not an authority, and the root that it ends in."""
    maker, chain = Nvidia("tests/tee", gpus=1), list[Authority]()
    for number, each in reversed(list(enumerate(maker.chain(0)))):
        chain.insert(0, replace(each, issuer=chain[0] if chain else None, ca=each.ca and number != place))
    payload = maker.payload(NONCE)
    put(payload, "certificate", pem(*chain).encode())
    return payload, chain[-1].sha256


@pytest.mark.parametrize("place", [1, 2, 3, 4])
@pytest.mark.attack(30)
def test_an_issuer_that_is_not_an_authority_is_refused(place: int) -> None:
    for without, names in ((None, []), (place, ["gpu_chain"])):
        payload, root = _without_authority(without)
        assert failed(judged(payload, root_sha256=root)) == names


def test_two_keys_of_one_device_are_one_gpu() -> None:
    """A device certifies a key for each start of its firmware."""
    maker = Nvidia("tests/tee", gpus=1)
    payload = {**maker.payload(NONCE), "evidence_list": [maker.item(0, NONCE), maker.again(0, NONCE)]}

    assert failed(judged(payload, root_sha256=maker.root.sha256)) == ["gpu_unique"]


def _renamed(**names: str) -> tuple[dict[str, Any], str]:
    """A GPU whose certificates have other names, and the root that they end in."""
    maker, chain = Nvidia("tests/tee", gpus=1), list[Authority]()
    for number, each in reversed(list(enumerate(maker.chain(0)))):
        common = names.get(("leaf", "device", "provisioner", "identity", "root")[number], each.common)
        chain.insert(0, replace(each, issuer=chain[0] if chain else None, common=common))
    payload = maker.payload(NONCE)
    put(payload, "certificate", pem(*chain).encode())
    return payload, chain[-1].sha256


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        pytest.param({}, [], id="as they are"),
        pytest.param({"identity": "NVIDIA LS10 Identity", "provisioner": "NVIDIA LS10 Provisioner ICA 1",
                      "device": "LS10 A01 FSP BROM"}, ["gpu_chain"], id="a switch"),
        pytest.param({"identity": "NVIDIA LS10 Identity"}, ["gpu_chain"], id="a GPU below a switch"),
        pytest.param({"device": "GB100 A01 GSP BROM"}, ["gpu_chain"], id="another GPU"),
        pytest.param({"device": "GH1000 A01 GSP BROM"}, ["gpu_chain"], id="a longer name"),
        pytest.param({"provisioner": "NVIDIA GB100 Provisioner"}, ["gpu_chain"], id="a GPU below that of another kind"),
        pytest.param({"leaf": "its firmware", "root": "GB100 and all others"}, [], id="other names at both ends"),
        pytest.param({"identity": "NVIDIA GB100 Identity", "provisioner": "NVIDIA GB100 Provisioner ICA 00000",
                      "device": "GB100 A01 GSP BROM", "leaf": "GB100 A01 GSP FMC LF"}, [], id="Blackwell"),
    ],
)  # fmt: skip
def test_a_chain_must_be_that_of_a_gpu(names: dict[str, str], wrong: list[str]) -> None:
    payload, root = _renamed(**names)

    assert failed(judged(payload, root_sha256=root)) == wrong


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        pytest.param({"firmware": hashlib.sha384(b"another").digest()}, ["gpu_firmware"], id="another firmware"),
        pytest.param({"firmware": b"\xff" * 48}, ["gpu_firmware"], id="another firmware, of a greater hash"),
        pytest.param({"firmware": b""}, ["gpu_firmware"], id="no firmware"),
        pytest.param({"measurements": ()}, ["gpu_structure"], id="nothing was measured"),
        pytest.param({"measurements": (bytes(48), bytes(51))}, ["gpu_structure"], id="zeros were measured"),
        pytest.param({"measurements": (bytes(48), b"\1" * 48)}, [], id="some measurements are zero"),
        pytest.param({"measurements": (b"\1\1\1" + bytes(48),)}, ["gpu_structure"], id="the head of a measurement alone"),
        pytest.param({"measurements": (b"\0\0\0\1" + bytes(47),)}, [], id="the first byte of a measurement"),
    ],
)
def test_the_measurements_of_a_gpu_are_checked(changes: dict[str, Any], wrong: list[str]) -> None:
    maker = Nvidia("tests/tee", gpus=1)
    payload = {**maker.payload(NONCE), "evidence_list": [maker.item(0, NONCE, **changes)]}

    assert failed(judged(payload, root_sha256=maker.root.sha256)) == wrong


def record(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value


FIRMWARE = record(20, hashlib.sha384(b"firmware").digest())


OF_FIRMWARE = x509.ObjectIdentifier("2.23.133.5.4.1")


def shown(
    *opaque: bytes, made_for: bytes | None = None, of: x509.ObjectIdentifier = OF_FIRMWARE, measurement: bytes = b"\1" * 48
) -> tuple[dict[str, Check], list[Gpu]]:
    """The checks of a GPU that signs these fields beside its measurement, and what they say of it.

    `made_for`: what its certificate says of its firmware in place of the hash, in the extension `of`; if empty, nothing.
    """
    maker = Nvidia("tests/tee", gpus=1)
    chain, fields = maker.chain(0), b"".join(opaque)
    if made_for is not None:
        chain = replace(chain[0], further=(x509.UnrecognizedExtension(of, made_for),) if made_for else ()), *chain[1:]
    measured = record(0x0101, measurement)
    answer = bytes.fromhex("1160") + bytes(2) + b"\1" + len(measured).to_bytes(3, "little") + measured
    signed = bytes.fromhex("11e001ff") + NONCE + b"\0" + answer + bytes(32) + len(fields).to_bytes(2, "little") + fields
    payload = maker.payload(NONCE)
    put(payload, "evidence", signed + chain[0].sign(signed))
    put(payload, "certificate", pem(*chain).encode())
    options = TeeOptions(trust=TrustRoots(nvidia_root_sha256=maker.root.sha256))
    checks, gpus = gpu.check(payload, NONCE, options)
    return {check.id: check for check in checks}, gpus


@pytest.mark.parametrize(
    ("driver", "vbios", "named"),
    [
        pytest.param(b"570.1\0\0", bytes(range(1, 9)), ("570.1", "04.03.02.01.05"), id="as NVIDIA writes them"),
        pytest.param(b"57\xff", bytes(7), ("57\ufffd", None), id="a short VBIOS and a driver that is not text"),
        pytest.param(b"\0", bytes(9), (None, None), id="a long VBIOS and an empty driver"),
    ],
)
def test_a_gpu_s_driver_and_vbios_are_read_from_what_it_signed(driver: bytes, vbios: bytes, named: tuple[Any, Any]) -> None:
    _, (found,) = shown(record(3, driver), record(6, vbios), FIRMWARE)
    _, (without,) = shown(FIRMWARE)

    assert (found.driver, found.vbios) == named
    assert (without.driver, without.vbios) == (None, None)


def test_a_gpu_whose_certificate_cannot_be_read_to_the_end_names_no_firmware() -> None:
    checks, _ = shown(FIRMWARE, made_for=b"junk", of=x509.ExtendedKeyUsage.oid)

    assert [check.detail for check in checks.values() if check.status == "fail"] == [
        "GPU 0: its key is of another firmware than was measured"
    ]


@pytest.mark.parametrize("size", [1, 255, 256, 65_531, 65_532, 65_535])
def test_a_gpu_s_measurements_may_be_longer_than_two_bytes_can_say(size: int) -> None:
    checks, gpus = shown(FIRMWARE, measurement=b"\0\0\0" + b"\1" * (size - 3) if size > 3 else b"\0\0\0\1")

    assert ({check.status for check in checks.values()}, len(gpus)) == ({"pass"}, 1)


HEAD = bytes.fromhex("303d06096086480165030402020430")  # of a SHA-384 in a certificate


@pytest.mark.parametrize(
    ("made_for", "measured", "status"),
    [
        pytest.param(None, FIRMWARE, "pass", id="the same in both"),
        pytest.param(HEAD + FIRMWARE[4:], FIRMWARE, "pass", id="the same, and nothing before it"),
        pytest.param(None, b"", "fail", id="not measured"),
        pytest.param(b"", FIRMWARE, "fail", id="not in the certificate"),
        pytest.param(b"", b"", "warn", id="in neither"),
        pytest.param(b"?", FIRMWARE, "fail", id="another form in the certificate"),
        pytest.param(b"?", b"", "fail", id="another form, and not measured"),
        pytest.param(FIRMWARE[4:], FIRMWARE, "fail", id="a hash of no kind"),
        pytest.param(HEAD[:-1] + b"\x31" + FIRMWARE[4:], FIRMWARE, "fail", id="a hash of another length"),
        pytest.param(HEAD + FIRMWARE[4:] + b"\0", FIRMWARE, "fail", id="something after it"),
    ],
)
def test_the_firmware_of_a_certificate_is_the_one_that_was_measured(
    made_for: bytes | None, measured: bytes, status: str
) -> None:
    checks, gpus = shown(measured, made_for=made_for)

    assert checks["gpu_firmware"].status == status
    assert {name for name, check in checks.items() if check.status == "fail"} == (
        {"gpu_firmware"} if status == "fail" else set()
    )
    assert len(gpus) == (status != "fail")


@pytest.mark.parametrize(
    ("opaque", "why"),
    [
        pytest.param((record(3, b"1"), record(3, b"1"), FIRMWARE), "it has the field 3 twice", id="twice"),
        pytest.param((FIRMWARE, record(3, b"570.1")[:-1]), "its last field is cut off", id="a byte less"),
        pytest.param((FIRMWARE, b"\3"), "its last field is cut off", id="the first byte of a field"),
        pytest.param((FIRMWARE, b"\3\0\0"), "its last field is cut off", id="a field without its length"),
    ],
)
def test_fields_of_a_gpu_that_can_be_read_in_two_ways_are_refused(opaque: tuple[bytes, ...], why: str) -> None:
    checks, gpus = shown(*opaque)

    assert (checks["gpu_structure"].detail, gpus) == (f"GPU 0: {why}", [])


def test_a_gpu_whose_firmware_nothing_names_is_a_warning() -> None:
    given = shared("tee/synthetic_valid.json")
    payload, nonce = given["attestation"]["nvidia_payload"], bytes.fromhex(given["client_nonce"])

    assert judged(payload, nonce, root_sha256=given["nvidia_test_root_sha256"])["gpu_firmware"].status == "warn"


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        pytest.param("verify-if-present", "warn", id="31-verify-if-present"),
        pytest.param("require", "fail", id="31-require"),
        pytest.param("nras", "fail", id="31-nras"),
    ],
)
@pytest.mark.attack(31)
def test_removed_gpu_evidence_is_skipped_or_fails_as_the_policy_says(policy: Any, status: str) -> None:
    checks, gpus = gpu.check(None, NONCE, TeeOptions(gpu=policy))

    assert [(check.id, check.status) for check in checks] == [("gpu_evidence", status)]
    assert gpus == []


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "x",
        "[]",
        "7",
        "null",
        '{"nonce":"a","nonce":"a"}',
        "NaN",
        "[" * 100_000,
        7,
        True,
        [],
        {},
        b"\xff",
        {"evidence_list": {}},
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_malformed_payload_is_refused(payload: Any) -> None:
    assert failed(judged(payload)) == ["gpu_evidence"]


@pytest.mark.parametrize("name", CAPTURES)
def test_no_random_change_of_evidence_is_accepted(name: str) -> None:
    chance = random.Random(f"evidence {name}")
    whole, nonce = captured(name)
    for _ in range(150):
        payload = {**whole, "evidence_list": [dict(whole["evidence_list"][0])]}
        raw = evidence(payload)
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        put(payload, "evidence", bytes(raw))
        assert failed(judged(payload, nonce)), bytes(raw).hex()


@pytest.mark.parametrize("place", range(5))
def test_no_random_change_of_a_certificate_is_accepted(place: int) -> None:
    chance = random.Random(f"certificate {place}")
    whole, nonce = captured("gemma_3_27b_p")
    texts = pems(whole)
    der = base64.b64decode(b"".join(texts[place].splitlines()[1:-1]))
    for _ in range(40):
        changed = bytearray(der)
        changed[chance.randrange(len(der))] ^= 1 << chance.randrange(8)
        body = base64.encodebytes(bytes(changed))
        text = b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"
        payload = copy.deepcopy(whole)
        put(payload, "certificate", b"".join([*texts[:place], text, *texts[place + 1 :]]))
        assert failed(judged(payload, nonce)), bytes(changed).hex()


def test_no_random_truncation_is_accepted() -> None:
    chance = random.Random("truncation")
    whole, nonce = captured("gemma_3_27b_p")
    for _ in range(100):
        payload = copy.deepcopy(whole)
        put(payload, "evidence", bytes(evidence(payload))[: chance.randrange(4118)])
        assert failed(judged(payload, nonce))


def test_the_links_that_gpus_share_are_verified_once() -> None:
    certificates.issued.cache_clear()
    payload = eight()
    judged(payload)
    # Two links of each GPU's own, and two that all share.
    assert certificates.issued.cache_info().misses == 8 * 2 + 2
    judged(payload)
    assert certificates.issued.cache_info().misses == 8 * 2 + 2


# -- with the rest of an attestation -------------------------------------------------------------------------------------


def whole(change: Change, **options: Any) -> AttestationReport:
    found = shared("tee/attestation_glm_5_1.json")
    change(found["attestation"])
    collected = CollectedEvidence(
        model="e2ee-glm-5-1",
        nonce=bytes.fromhex(found["_client_nonce"]),
        reply=json.dumps(found["attestation"]).encode(),
        now=1780598249,
        collateral=shared("tee/collateral_glm_5_1.json"),
    )
    return attestation.verify(collected, TeeOptions(**options))


def removed(reply: dict[str, Any]) -> None:
    del reply["nvidia_payload"]


def of_another_capture(reply: dict[str, Any]) -> None:
    reply["nvidia_payload"] = shared("tee/attestation_gemma_3_27b_p.json")["attestation"]["nvidia_payload"]


@pytest.mark.attack(30)
def test_an_attestation_with_bad_gpu_evidence_is_refused() -> None:
    report = whole(of_another_capture)

    assert {check.id for check in report.failures} == {"gpu_nonce"}
    assert report.gpus == ()


@pytest.mark.attack(31)
def test_removed_gpu_evidence_is_a_warning_or_a_refusal() -> None:
    assert len(whole(lambda _: None).gpus) == 8
    tolerant, strict = whole(removed), whole(removed, gpu="require")

    assert (tolerant.ok, tolerant.level) == (True, "quote")
    assert any("no evidence of a GPU" in warning for warning in tolerant.warnings)
    assert [check.id for check in strict.failures] == ["gpu_evidence"]
