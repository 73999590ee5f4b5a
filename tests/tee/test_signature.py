"""Signatures of answers. Numbers in ids are those of docs/explanations/attacks.md."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.shared import shared
from venice_ai.tee import signature
from venice_ai.tee.crypto import address, public_key_bytes
from venice_ai.tee.curve import recover, signed_by
from venice_ai.types.attestation import SignatureReport

VECTORS = shared("tee/e2ee_vectors.json")
KEY = public_key_bytes(VECTORS["model_public"])
ADDRESS: str = VECTORS["model_address"]
SIGNATURES = {vector["name"]: vector for vector in VECTORS["signatures"]}
PAIR = SIGNATURES["hash-pair"]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ID = "chatcmpl-1"


def reply(name: str = "hash-pair", **changes: Any) -> dict[str, Any]:
    vector = SIGNATURES[name]
    given = {
        "text": vector["text"],
        "signature": vector["signature"],
        "signing_address": vector["signing_address"],
        "signing_algo": "ecdsa",
        "requested_request_id": ID,
    }
    return {name: value for name, value in {**given, **changes}.items() if value is not ...}


def verify(given: dict[str, Any], **options: Any) -> SignatureReport:
    arguments: dict[str, Any] = {"public_key": KEY, "request_id": ID, **options}
    report = signature.verify(given, **arguments)
    assert report.valid == (report.status == "valid") == (not failed(report))
    assert not any("could not be examined" in check.detail for check in report.checks)
    return report


def failed(report: SignatureReport) -> list[str]:
    return [check.id for check in report.checks if check.status == "fail"]


def sign(secret: int, text: str) -> str:
    own = ec.derive_private_key(secret, ec.SECP256K1())
    r, s = utils.decode_dss_signature(own.sign(signature.digest(text), ec.ECDSA(utils.Prehashed(SHA256()))))
    return f"0x{r:064x}{s:064x}1b"


MODEL = int(VECTORS["model_private"], 16)
FACTOR = 5
POINT = ec.derive_private_key(FACTOR, ec.SECP256K1()).public_key().public_numbers()
R = POINT.x % ORDER
HALF = bytes([128]) + bytes(31)
"""A digest."""


# -- vectors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda vector: vector["name"])
def test_each_vector_has_its_digest(vector: dict[str, str]) -> None:
    digest = signature.digest(vector["text"])

    assert digest.hex() == vector["eip191_keccak"]
    assert signed_by(KEY, digest, bytes.fromhex(vector["signature"][2:]))
    assert address(KEY) == vector["signing_address"]


@pytest.mark.parametrize("name", ["hash-pair", "model-hash-pair"])
def test_a_signature_by_the_attested_key_is_valid(name: str) -> None:
    report = verify(reply(name))

    assert report.valid
    assert report.bound is None  # the id is not signed, so that it may be another answer's
    assert report.signer == ADDRESS
    assert report.text == SIGNATURES[name]["text"]
    assert report.receipt is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"{'a' * 64}:{'b' * 64}", ("a" * 64, "b" * 64)),
        (f"org/model:{'a' * 64}:{'b' * 64}", ("a" * 64, "b" * 64)),
        (f"a:b:c:{'a' * 64}:{'b' * 64}", ("a" * 64, "b" * 64)),
        (f"{'c' * 64}:{'a' * 64}:{'b' * 64}", ("a" * 64, "b" * 64)),
        (f"{'m' * 3_966}:{'a' * 64}:{'b' * 64}", ("a" * 64, "b" * 64)),
        (f"{'m' * 3_967}:{'a' * 64}:{'b' * 64}", None),
        (f"{'A' * 64}:{'b' * 64}", None),
        (f"{'a' * 63}:{'b' * 64}", None),
        (f"{'a' * 64}:{'b' * 64}\n", None),
        ("héllo", None),
        ("", None),
    ],
)
def test_the_text_is_split_from_the_right(text: str, parts: Any) -> None:
    assert signature.hashes(text) == parts


# -- what it proves ------------------------------------------------------------------------------------------------------


def test_a_valid_signature_is_never_presented_as_more_than_it_is() -> None:
    report = verify(reply())

    assert (report.request_hash_match, report.response_hash_match) == (None, None)
    hashes = next(check for check in report.checks if check.id == "signature_hashes")
    assert hashes.status == "warn"
    assert "Venice's own statement" in hashes.detail


def test_hashes_of_the_bytes_that_were_seen_count_if_they_ever_match() -> None:
    sent, received = b'{"messages":[]}', b"data: {}\n\n"
    text = f"{hashlib.sha256(sent).hexdigest()}:{hashlib.sha256(received).hexdigest()}"
    given = reply(text=text, signature=sign(MODEL, text))

    both = verify(given, sent=sent, received=received)
    one, *others = (verify(given, sent=sent, received=received + b"x" * more) for more in range(1, 9))
    none = verify(given, sent=sent)

    assert (both.request_hash_match, both.response_hash_match) == (True, True)
    assert {(each.request_hash_match, each.response_hash_match) for each in (one, *others)} == {(True, False)}
    assert (none.request_hash_match, none.response_hash_match) == (True, None)
    assert {report.status for report in (both, one, none)} == {"valid"}
    assert [report.bound for report in (both, one, none)] == [True, None, None]
    assert [report.checks[-1].status for report in (both, one, none)] == ["pass", "warn", "warn"]


def test_a_reply_that_names_no_answer_is_not_bound_to_one() -> None:
    report = verify(reply(requested_request_id=...))

    assert report.valid
    assert not report.bound
    assert [check.id for check in report.checks if check.status == "warn"] == ["signature_request", "signature_hashes"]
    assert [check.id for check in verify(reply()).checks if check.status == "warn"] == ["signature_hashes"]


@pytest.mark.parametrize("v", ["1b", "1c", "00", "01"])
def test_the_recovery_byte_is_one_of_four(v: str) -> None:
    assert verify(reply(signature=PAIR["signature"][:-2] + v)).valid


def test_both_values_of_s_are_accepted() -> None:
    raw = bytes.fromhex(PAIR["signature"][2:])
    other = ORDER - int.from_bytes(raw[32:64], "big")

    assert verify(reply(signature=f"0x{raw[:32].hex()}{other:064x}1b")).valid


@pytest.mark.parametrize(
    "value",
    [PAIR["signature"][2:], PAIR["signature"].upper().replace("0X", "0x"), {"algorithm": "ecdsa", "value": PAIR["signature"]}],
    ids=["without 0x", "upper case", "an object"],
)
def test_the_signature_may_be_written_in_several_ways(value: Any) -> None:
    assert verify(reply(signature=value)).valid


def test_the_address_may_be_written_in_any_case() -> None:
    assert verify(reply(signing_address="0x" + ADDRESS[2:].upper())).valid


def with_number(half: int, value: int) -> str:
    raw = bytearray.fromhex(PAIR["signature"][2:])
    raw[32 * half : 32 * half + 32] = value.to_bytes(32, "big")
    return "0x" + raw.hex()


EDITED = PAIR["text"][:-1] + ("0" if PAIR["text"][-1] != "0" else "1")


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        pytest.param({"signature": sign(7, PAIR["text"])}, ["signature"], id="60-another signer"),
        pytest.param({"signing_address": "0x" + "00" * 20}, ["signature_signer"], id="60-another address"),
        pytest.param({"signing_address": "0x" + "ff" * 20}, ["signature_signer"], id="60-another address, a greater one"),
        pytest.param({"signing_address": None}, ["signature_signer"], id="60-no address"),
        pytest.param({"text": EDITED}, ["signature"], id="60-an edited text"),
        pytest.param({"text": PAIR["text"] + " "}, ["signature"], id="60-a longer text"),
        pytest.param({"requested_request_id": "chatcmpl-2"}, ["signature_request"], id="60-the answer of another request"),
        pytest.param({"requested_request_id": "chatcmpl-0"}, ["signature_request"], id="60-the answer of an earlier request"),
        pytest.param({"requested_request_id": 7}, ["signature_request"], id="60-not an id"),
        pytest.param(
            {"receipt": {"chat_id": "chatcmpl-0"}}, ["signature_request", "signature_receipt"], id="60-by its receipt"
        ),
        pytest.param({"signature": with_number(0, 0)}, ["signature"], id="60-r is 0"),
        pytest.param({"signature": with_number(1, 0)}, ["signature"], id="60-s is 0"),
        pytest.param({"signature": with_number(0, ORDER)}, ["signature"], id="60-r is n"),
        pytest.param({"signature": with_number(1, ORDER)}, ["signature"], id="60-s is n"),
        pytest.param({"signature": with_number(0, 2**256 - 1)}, ["signature"], id="60-r is beyond n"),
        pytest.param({"signature": with_number(1, 2**256 - 1)}, ["signature"], id="60-s is beyond n"),
        pytest.param({"signature": PAIR["signature"][:-2] + "1d"}, ["signature"], id="another v"),
        pytest.param({"signature": PAIR["signature"][:-2]}, ["signature"], id="64 bytes"),
        pytest.param({"signature": PAIR["signature"] + "00"}, ["signature"], id="66 bytes"),
        pytest.param({"signature": "0xzz"}, ["signature"], id="no hex"),
        pytest.param({"signature": None}, ["signature"], id="no signature"),
        pytest.param({"signature": {"value": 7}}, ["signature"], id="an object without one"),
        pytest.param({"text": None}, ["signature"], id="no text"),
        pytest.param({"text": 7}, ["signature"], id="a number"),
        pytest.param({"text": "\ud800"}, ["signature"], id="half a character"),
        pytest.param({"signing_algo": "ed25519"}, ["signature_signer"], id="another algorithm"),
        pytest.param({"signing_algo": ""}, ["signature_signer"], id="an algorithm without a name"),
    ],
)
@pytest.mark.attack(60)
def test_a_signature_of_another_signer_or_text_is_invalid(changes: dict[str, Any], names: list[str]) -> None:
    report = verify(reply(**changes))

    assert failed(report) == names
    assert (report.signer, report.bound) == (None, False)


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        "0xzz",
        {"value": 7},
        "00" * 64,
        "00" * 66,
        *(PAIR["signature"][:-2] + v for v in ("02", "1a")),
        PAIR["signature"][:-2] + "1d",
    ],
)
def test_the_error_of_a_malformed_signature_says_so(value: Any) -> None:
    (check,) = (each for each in verify(reply(signature=value)).checks if each.id == "signature")

    assert check.detail == "the signature is not 65 bytes in hex that end in 27 or 28"


@pytest.mark.attack(60)
def test_a_signed_text_without_hashes_is_invalid() -> None:
    assert failed(verify(reply("utf8"))) == ["signature"]


@pytest.mark.attack(60)
def test_a_signature_by_a_key_that_was_not_attested_is_invalid() -> None:
    other = ec.derive_private_key(7, ec.SECP256K1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    assert failed(verify(reply(), public_key=other)) == ["signature", "signature_signer"]


@pytest.mark.parametrize("s", [R, ORDER - R], ids=["once the point", "its opposite"])
@pytest.mark.parametrize("v", [27, 28])
def test_the_key_is_found_where_the_point_is_multiplied_by_the_least_or_the_most(s: int, v: int) -> None:
    found = recover(HALF, R.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v]))

    assert found is not None
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), found)
    key.verify(utils.encode_dss_signature(R, s), HALF, ec.ECDSA(utils.Prehashed(SHA256())))


def test_a_signature_that_only_the_point_at_infinity_could_have_made_has_no_key() -> None:
    # R is FACTOR times the base point. With s * FACTOR as the digest, what is left of s * R is nothing.
    s, v = 7, 27 + POINT.y % 2

    assert recover((s * FACTOR).to_bytes(32, "big"), R.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])) is None


@pytest.mark.parametrize("given", [{}, {"receipt": 7}, {"api_version": "aci/1"}, {"error": "x"}], ids=repr)
def test_a_malformed_signature_reply_is_invalid(given: dict[str, Any]) -> None:
    report = verify(given)

    assert report.status == "invalid"
    assert report.text is None


def test_a_missing_signature_is_not_valid() -> None:
    assert (signature.UNAVAILABLE.status, signature.UNAVAILABLE.valid, signature.UNAVAILABLE.bound) == (
        "unavailable",
        False,
        None,
    )


# -- receipts ------------------------------------------------------------------------------------------------------------


def receipt(**changes: Any) -> dict[str, Any]:
    request, response = PAIR["text"].split(":")
    log = [
        {"seq": 0, "type": "request", "body_hash": f"sha256:{request}"},
        {"seq": 1, "type": "response", "body_hash": response},
    ]
    return {
        "receipt_id": "rcpt-1",
        "chat_id": ID,
        "event_log": log,
        "signature": {"algo": "ed25519", "key_id": "mine", "value": "00" * 64},
        **changes,
    }


def with_receipt(given: Any) -> dict[str, Any]:
    return reply(api_version="aci/1", receipt=given)


def test_a_receipt_about_the_same_text_is_valid() -> None:
    logged = receipt()["event_log"]
    for log in (logged, [*logged, {"seq": 2, "type": "end"}, {"body_hash": "00" * 32}], logged[::-1]):
        report = verify(with_receipt(receipt(event_log=log)))
        assert report.valid
        assert report.receipt == "rcpt-1"
    assert verify(with_receipt(receipt(receipt_id=7))).receipt is None


def test_a_receipt_is_reported_with_a_warning_that_its_signature_proves_nothing() -> None:
    report = verify(with_receipt(receipt()))

    check = next(each for each in report.checks if each.id == "signature_receipt_key")
    assert check.status == "warn"
    assert "no quote binds its key" in check.detail


@pytest.mark.parametrize(
    ("given", "names"),
    [
        pytest.param(receipt(chat_id="chatcmpl-2"), ["signature_request"], id="60-of another answer"),
        pytest.param(receipt(event_log=[]), ["signature_receipt"], id="without its log"),
        *(
            pytest.param(receipt(event_log=[event]), ["signature_receipt"], id=f"with one half of it: {event['type']}")
            for event in receipt()["event_log"]
        ),
        pytest.param(
            receipt(event_log=[{"body_hash": "00" * 32}, {"body_hash": 7}, 7]), ["signature_receipt"], id="of another text"
        ),
        pytest.param(receipt(event_log=None), ["signature_receipt"], id="with a malformed log"),
        pytest.param({}, ["signature_receipt"], id="empty"),
        pytest.param(7, ["signature_receipt"], id="none"),
    ],
)
def test_a_receipt_that_does_not_fit_makes_it_invalid(given: Any, names: list[str]) -> None:
    assert failed(verify(with_receipt(given))) == names


def test_of_two_answers_that_a_reply_wrongly_names_the_first_stands_in_the_error() -> None:
    given = reply(requested_request_id="chatcmpl-2", receipt=receipt(chat_id="chatcmpl-3"))
    (check,) = (each for each in verify(given).checks if each.id == "signature_request")

    assert check.detail == "it is about the answer 'chatcmpl-2', not 'chatcmpl-1'"


def test_an_aci_reply_must_have_its_receipt() -> None:
    assert failed(verify(reply(api_version="aci/1"))) == ["signature_receipt"]
