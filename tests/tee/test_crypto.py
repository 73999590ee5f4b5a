"""Envelopes, keys, addresses and signatures, against the published vectors. Numbers: docs/explanations/attacks.md."""

from __future__ import annotations

import copy
import pickle
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai.tee import curve
from venice_ai.tee.crypto import (
    MIN_ENVELOPE_DIGITS,
    EnvelopeError,
    Opener,
    Sealer,
    address,
    is_envelope,
    public_key_bytes,
    seal,
)
from venice_ai.tee.curve import ORDER, OpenSslKey, PrivateKey, signed_by
from venice_ai.tee.keccak import keccak256

from ..shared import named, shared

VECTORS: dict[str, Any] = shared("tee/e2ee_vectors.json")
OTHERS: dict[str, Any] = shared("e2ee-vectors.json")
MODEL = public_key_bytes(VECTORS["model_public"])
KNOWN = [case for case in VECTORS["vectors"] if case["plaintext_utf8"] is not None]
LIBRARIES = [pytest.param(kind, id=kind.__name__) for kind in curve.KINDS]
every_library = pytest.mark.parametrize("kind", LIBRARIES)


def key(digits: str, kind: Any = OpenSslKey) -> PrivateKey:
    made: PrivateKey = kind(bytes.fromhex(digits))
    return made


def model_opener() -> Opener:
    return Opener(key(VECTORS["model_private"]))


def test_the_fastest_installed_library_makes_the_keys() -> None:
    assert curve.Key.__name__ == ("CoincurveKey" if find_spec("coincurve") else "OpenSslKey")


# -- known answers -------------------------------------------------------------------------------------------------------


@every_library
@pytest.mark.parametrize("case", named(KNOWN))
def test_a_text_is_sealed_as_published(case: dict[str, Any], kind: Any) -> None:
    to_model = case["recipient"] == "model"
    recipient = MODEL if to_model else public_key_bytes(VECTORS["client_session_public"])
    private = key(VECTORS["model_private" if to_model else "client_session_private"], kind)

    sealer = Sealer(recipient, ephemeral=key(case["ephemeral_private"], kind))
    envelope = sealer.seal(case["plaintext_utf8"].encode(), nonce=bytes.fromhex(case["gcm_nonce"]))

    assert envelope == case["ciphertext_hex"]
    assert Opener(private).open(envelope).decode() == case["plaintext_utf8"]


@every_library
@pytest.mark.parametrize("case", VECTORS["vectors"], ids=lambda case: str(case["name"]))
def test_the_shared_secret_is_as_published(case: dict[str, Any], kind: Any) -> None:
    recipient = MODEL if case["recipient"] == "model" else public_key_bytes(VECTORS["client_session_public"])

    assert key(case["ephemeral_private"], kind).public_key.hex() == case["ephemeral_public"]
    assert key(case["ephemeral_private"], kind).shared_x(recipient, single_use=False).hex() == case["shared_x"]


@every_library
@pytest.mark.parametrize("direction", ["request", "response"])
def test_the_other_published_vectors_agree(direction: str, kind: Any) -> None:
    recipient = OTHERS["model" if direction == "request" else "client"]
    private, public = key(recipient["private_key_hex"], kind), public_key_bytes(recipient["public_key_hex"])
    ours = "ephemeral_private_key_hex" if direction == "request" else "server_ephemeral_private_key_hex"

    assert private.public_key == public
    for case in OTHERS[f"{direction}_direction"]:
        sealed = Sealer(public, ephemeral=key(case[ours], kind)).seal(
            case["plaintext"].encode(), nonce=bytes.fromhex(case["nonce_hex"])
        )
        assert sealed == case["envelope_hex"]
        assert Opener(private).open(sealed).decode() == case["plaintext"]


def test_an_empty_text_is_the_shortest_envelope() -> None:
    assert len(seal(MODEL, b"")) == MIN_ENVELOPE_DIGITS == 186


@given(st.binary(max_size=400))
def test_a_sealed_text_can_be_opened(text: bytes) -> None:
    opener = Opener()

    assert opener.open(seal(opener.public_key, text)) == text


@pytest.mark.attack(55)
def test_a_hundred_envelopes_share_no_key_and_no_nonce() -> None:
    envelopes = [seal(MODEL, b"the same") for _ in range(100)]

    assert len({envelope[:130] for envelope in envelopes}) == 100
    assert len({envelope[130:154] for envelope in envelopes}) == 100
    assert len({Opener().public_key for _ in range(100)}) == 100


# -- what cannot be opened -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [pytest.param(case, id=f"attack 43: {case['name']}") for case in VECTORS["negative"]])
def test_a_bad_envelope_is_not_opened(case: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeError):
        model_opener().open(case["hex"])


@pytest.mark.parametrize("case", OTHERS["negative"], ids=lambda case: str(case["name"]))
def test_a_bad_envelope_of_the_other_vectors_is_not_opened(case: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeError):
        Opener(key(OTHERS["client"]["private_key_hex"])).open(case["envelope_hex"])


@pytest.mark.parametrize("position", [*range(12), 70, 129, 130, 153, 154, -33, -32, -1])
@pytest.mark.attack(43)
def test_an_envelope_with_a_changed_digit_is_not_opened(position: int) -> None:
    envelope = seal(MODEL, b"a text")
    digits = list(envelope)
    digits[position] = format(int(digits[position], 16) ^ 1, "x")

    with pytest.raises(EnvelopeError):
        model_opener().open("".join(digits))


@pytest.mark.attack(43)
def test_an_envelope_for_another_key_is_not_opened() -> None:
    with pytest.raises(EnvelopeError, match="another key"):
        Opener().open(seal(MODEL, b"a text"))


@pytest.mark.parametrize("blank", [" ", "\n", "\t"])
def test_an_envelope_has_no_blanks(blank: str) -> None:
    envelope = seal(MODEL, b"a text")

    with pytest.raises(EnvelopeError):
        model_opener().open(envelope[:130] + blank + envelope[130:])


@pytest.mark.parametrize("size", [0, 1, 64, 65, 66, 76, 77, 78, 92])
def test_a_text_shorter_than_the_shortest_envelope_is_not_opened(size: int) -> None:
    with pytest.raises(EnvelopeError, match="not an envelope"):
        model_opener().open(seal(MODEL, b"a text")[: 2 * size])


@pytest.mark.attack(44)
def test_an_envelope_in_capital_hex_is_opened() -> None:
    assert model_opener().open(seal(MODEL, b"a text").upper()) == b"a text"


@pytest.mark.attack(45)
def test_an_envelope_is_opened_once() -> None:
    opener, envelope = model_opener(), seal(MODEL, b"a text")

    opener.open(envelope)

    for again in (envelope, envelope.upper()):
        with pytest.raises(EnvelopeError, match="repeated"):
            opener.open(again)


def test_a_key_that_is_used_again_is_never_used_like_one_that_does_nothing_else() -> None:
    uses: list[bool] = []

    class Watched(OpenSslKey):
        def shared_x(self, point: bytes, *, single_use: bool) -> bytes:
            uses.append(single_use)
            return super().shared_x(point, single_use=single_use)

    opener = Opener(Watched(bytes.fromhex(VECTORS["model_private"])))
    sealer = Sealer(MODEL, ephemeral=Watched())

    assert opener.open(sealer.seal(b"a text")) == b"a text"
    assert uses == [False, False]


def test_one_sender_may_seal_many_texts_and_many_senders_one_each() -> None:
    opener = model_opener()
    sealer = Sealer(MODEL)

    assert [opener.open(sealer.seal(b"%d" % number)) for number in range(30)] == [b"%d" % number for number in range(30)]
    assert [opener.open(seal(MODEL, b"%d" % number)) for number in range(30)] == [b"%d" % number for number in range(30)]
    assert opener.open(sealer.seal(b"once more")) == b"once more"


def test_no_error_of_an_envelope_shows_it() -> None:
    envelope = seal(MODEL, b"a text")
    changed = envelope[:-1] + ("1" if envelope[-1] == "0" else "0")

    for bad in (envelope[:-1], envelope[:-2] + "zz", "in clear", changed):
        with pytest.raises(EnvelopeError) as caught:
            model_opener().open(bad)
        assert bad[:16] not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(seal(MODEL, b""), True, id="the shortest"),
        pytest.param(seal(MODEL, b"").upper(), True, id="in capitals"),
        *(pytest.param(seal(MODEL, b"x" * size), True, id=f"of {size}") for size in (1, 2, 3)),
        *(pytest.param(seal(MODEL, b"x" * size)[:-1], False, id=f"of {size}, cut in a byte") for size in (1, 2, 3)),
        pytest.param(seal(MODEL, b"")[:-2], False, id="too short"),
        pytest.param(seal(MODEL, b"") + "0", False, id="half a byte"),
        pytest.param("02" + seal(MODEL, b"")[2:], False, id="a compressed key"),
        pytest.param("06" + seal(MODEL, b"")[2:], False, id="a hybrid key"),
        pytest.param("04" + "g" * 200, False, id="not hex"),
        pytest.param("a word", False, id="a word"),
    ],
)
def test_an_envelope_is_recognised_by_its_shape(text: str, expected: bool) -> None:
    assert is_envelope(text) is expected


# -- keys ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [VECTORS["model_public"], VECTORS["model_public"][2:], VECTORS["model_public"].upper()])
def test_a_public_key_is_130_digits_or_the_128_after_04(text: str) -> None:
    assert public_key_bytes(text) == MODEL


X = VECTORS["model_public"][2:66]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("02" + X, id="compressed"),
        pytest.param("03" + X, id="compressed, odd"),
        pytest.param("00" * 65, id="infinity"),
        pytest.param("04" + "00" * 64, id="zero"),
        pytest.param("06" + VECTORS["model_public"][2:], id="hybrid"),
        pytest.param("07" + VECTORS["model_public"][2:], id="hybrid, odd"),
        pytest.param("05" + VECTORS["model_public"][2:], id="another form"),
        pytest.param(VECTORS["model_public"][:-1] + "4", id="off the curve"),
        pytest.param(VECTORS["model_public"][:-1], id="odd length"),
        pytest.param("0x" + VECTORS["model_public"][2:], id="with 0x"),
        pytest.param(VECTORS["model_public"][:-2] + "zz", id="not hex"),
        pytest.param(VECTORS["model_public"][:-1] + "\n", id="a line break at the end"),
        pytest.param(VECTORS["model_public"][:-2] + " 3", id="a blank"),
        pytest.param(VECTORS["model_public"][:4] + " " + VECTORS["model_public"][4:], id="a blank more"),
        pytest.param(VECTORS["model_public"][2:6] + " " + VECTORS["model_public"][6:], id="a blank more, without 04"),
        pytest.param(VECTORS["model_public"] + "00", id="a byte more"),
        pytest.param("04" + "ff" * 64, id="beyond the field"),
        pytest.param(None, id="None"),
        pytest.param([0] * 130, id="no text"),
    ],
)
@pytest.mark.attack(6)
def test_a_malformed_public_key_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="a public key is a point of secp256k1 in 130 hex digits"):
        public_key_bytes(text)


@every_library
@pytest.mark.parametrize("point", [b"\x04" + bytes(64), b"\x02" + MODEL[1:33], MODEL[:-1], b"\x06" + MODEL[1:], bytes(65)])
def test_no_secret_is_shared_with_a_point_off_the_curve(point: bytes, kind: Any) -> None:
    with pytest.raises(ValueError, match=r".*"):
        kind().shared_x(point, single_use=True)


@every_library
def test_the_x_of_a_shared_secret_keeps_its_leading_zeros(kind: Any) -> None:
    (case,) = [case for case in VECTORS["vectors"] if case["shared_x"].startswith("00")]

    assert key(case["ephemeral_private"], kind).shared_x(MODEL, single_use=True).hex() == case["shared_x"]


@every_library
def test_both_libraries_share_the_same_secret(kind: Any) -> None:
    for _ in range(20):
        ours, theirs = kind(), OpenSslKey()
        shared_secrets = {ours.shared_x(theirs.public_key, single_use=single_use) for single_use in (True, False)}
        assert shared_secrets == {theirs.shared_x(ours.public_key, single_use=True)}


@every_library
def test_the_repr_of_a_key_does_not_show_it(kind: Any) -> None:
    private = key(VECTORS["model_private"], kind)

    assert VECTORS["model_private"] not in repr(private)
    assert str(int(VECTORS["model_private"], 16)) not in repr(private)


@every_library
def test_a_private_key_is_neither_pickled_nor_copied(kind: Any) -> None:
    for holder in (kind(), Opener(kind())):
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="private key"):
                copied(holder)


def test_an_address_is_the_end_of_the_keys_hash() -> None:
    assert address(MODEL) == VECTORS["model_address"]
    assert address(public_key_bytes(OTHERS["model"]["public_key_hex"])) == OTHERS["model"]["signing_address"]


# -- signatures ----------------------------------------------------------------------------------------------------------


def digest(text: str) -> bytes:
    raw = text.encode()
    return keccak256(b"\x19Ethereum Signed Message:\n%d" % len(raw) + raw)


def raw_signature(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["signature"].removeprefix("0x"))


every_signature = pytest.mark.parametrize("case", named(VECTORS["signatures"]))


@every_signature
def test_a_published_signature_is_valid(case: dict[str, Any]) -> None:
    assert digest(case["text"]).hex() == case["eip191_keccak"]
    assert signed_by(MODEL, digest(case["text"]), raw_signature(case))


@every_signature
@pytest.mark.attack(60)
def test_a_signature_is_valid_only_for_its_text_and_its_key(case: dict[str, Any]) -> None:
    assert not signed_by(MODEL, digest(case["text"] + " "), raw_signature(case))
    assert not signed_by(OpenSslKey().public_key, digest(case["text"]), raw_signature(case))


@every_signature
def test_a_signature_with_the_other_s_is_valid(case: dict[str, Any]) -> None:
    signature = raw_signature(case)
    other = (ORDER - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")

    assert signed_by(MODEL, digest(case["text"]), signature[:32] + other + signature[64:])


@pytest.mark.parametrize("size", [0, 31, 33, 64])
@pytest.mark.attack(60)
def test_a_signature_is_invalid_for_a_digest_that_has_not_32_bytes(size: int) -> None:
    case = VECTORS["signatures"][0]

    assert not signed_by(MODEL, (digest(case["text"]) * 2)[:size], raw_signature(case))


@pytest.mark.parametrize("value", [0, ORDER, ORDER + 1, 2**256 - 1])
@pytest.mark.parametrize("part", ["r", "s"])
@pytest.mark.attack(60)
def test_a_signature_with_r_or_s_out_of_range_is_invalid(part: str, value: int) -> None:
    signature = raw_signature(VECTORS["signatures"][0])
    number = value.to_bytes(32, "big")
    forged = number + signature[32:] if part == "r" else signature[:32] + number + signature[64:]

    assert not signed_by(MODEL, digest(VECTORS["signatures"][0]["text"]), forged)


@pytest.mark.parametrize("length", [0, 64, 66])
def test_a_signature_has_65_bytes(length: int) -> None:
    case = VECTORS["signatures"][0]
    genuine = raw_signature(case)

    assert not signed_by(MODEL, digest(case["text"]), (genuine + genuine[64:])[:length])
