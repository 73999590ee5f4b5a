"""The keys of a gateway of the shape aci/1, and the canonical JSON that they are hashed and signed as."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from tests.shared import shared
from venice_ai.tee import aci, attestation
from venice_ai.tee.canonical import canonical, from_hex, members_of, parse, shaped
from venice_ai.tee.crypto import address
from venice_ai.tee.curve import ORDER, OpenSslKey, compressed, recover
from venice_ai.tee.keccak import keccak256
from venice_ai.tee.types import CollectedEvidence
from venice_ai.types.attestation import AttestationReport, Check

from .evidence import Case, resigned

NAMES = ["aci_keyset", "aci_workload", "aci_endorsement", "aci_custody"]
OTHER_KEY: str = shared("tee/e2ee_vectors.json")["model_public"]
Change = Callable[[dict[str, Any]], Any]


def recorded() -> dict[str, Any]:
    return dict(shared("tee/attestation_live_evidence.json")["attestation"])


def judged(change: Change | None = None) -> dict[str, Check]:
    reply = recorded()
    if change is not None:
        change(reply)
    checks = aci.check(reply)
    assert all(check.stops and check.detail for check in checks)
    assert not any("could not be examined" in check.detail for check in checks)
    return {check.id: check for check in checks}


def found(checks: dict[str, Check], status: str) -> list[str]:
    return [name for name, check in checks.items() if check.status == status]


def keyset(reply: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = reply["attestation"]["workload_keyset"]
    return inner


def custody(reply: dict[str, Any]) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = reply["attestation"]["evidence"]["key_custody"]["keys"]
    return keys


def test_the_capture_agrees_with_itself() -> None:
    checks = judged()

    assert list(checks) == found(checks, "pass") == NAMES
    assert checks["aci_keyset"].detail == recorded()["workload_keyset_digest"]
    assert checks["aci_workload"].detail == recorded()["workload_id"]
    assert checks["aci_custody"].detail == (
        "3 keys of secp256k1 are of the application fdb7a14e5a6675f752e2cb69c9067a98ca402918, issued by 0334c76e0c3f52ec..."
    )


def test_of_keys_that_nobody_vouches_for_the_first_is_named() -> None:
    def change(reply: dict[str, Any]) -> None:
        del custody(reply)[1:]

    first = keyset(recorded())["receipt_signing_keys"][0]["key_id"]
    assert judged(change)["aci_custody"].detail == f"the key management service gave no key {first}"


@pytest.mark.parametrize("name", ["gemma_3_27b_p", "glm_5_1"])
def test_other_shapes_have_no_such_checks(name: str) -> None:
    assert aci.check(shared(f"tee/attestation_{name}.json")["attestation"]) == []


@pytest.mark.parametrize(
    ("reply", "is_gateway"),
    [
        *(({"api_version": "aci/1"}, True), ({"api_version": "aci/2.1"}, True), ({"workload_id": None}, True)),
        *(({"attestation": {"keyset_endorsement": 7}}, True), ({"attestation": {"evidence": {"key_custody": {}}}}, True)),
        *(({}, False), ({"api_version": "1"}, False), ({"attestation": {"other": {"key_custody": {}}}}, False)),
    ],
    ids=repr,
)
def test_a_gateway_is_recognised_by_its_version_or_by_any_of_its_members(reply: dict[str, Any], is_gateway: bool) -> None:
    assert aci.is_aci(reply) is is_gateway


def rehashed(reply: dict[str, Any]) -> None:
    reply["workload_keyset_digest"] = aci.keyset_digest(keyset(reply))


def slipped_in(reply: dict[str, Any]) -> None:
    keyset(reply)["e2ee_public_keys"].append({"key_id": "mine", "algo": "ecdsa", "public_key": OTHER_KEY[2:]})


def swapped(reply: dict[str, Any]) -> None:
    for entry in keyset(reply)["e2ee_public_keys"]:
        if "secp256k1" in entry["algo"] or entry["algo"] == "ecdsa":
            entry["public_key"] = OTHER_KEY


def swapped_everywhere(reply: dict[str, Any]) -> None:
    swapped(reply)
    rehashed(reply)
    custody(reply)[3]["public_key"] = OTHER_KEY


def slipped_in_and_rehashed(reply: dict[str, Any]) -> None:
    slipped_in(reply)
    rehashed(reply)


def other_identity(reply: dict[str, Any]) -> None:
    keyset(reply)["workload_identity"]["public_key"]["public_key"] = OTHER_KEY
    rehashed(reply)


def other_application(start: str) -> Change:
    def change(reply: dict[str, Any]) -> None:
        evidence: dict[str, str] = reply["attestation"]["evidence"]
        evidence["event_log"] = evidence["event_log"].replace("fdb7a14e", f"{start}b7a14e")

    return change


def replaced(name: str, value: str) -> Change:
    return lambda reply: reply.update({name: value})


def other_purpose(at: int) -> Change:
    return lambda reply: custody(reply)[at].update(purpose="x")


def case(change: Change, names: list[str], *, name: str) -> Any:
    return pytest.param(change, names, id=name)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        case(slipped_in, NAMES[:1] + NAMES[2:], name="33-a key slipped in"),
        case(slipped_in_and_rehashed, NAMES[2:], name="33-a key slipped in, digest made anew"),
        case(swapped, NAMES[:1] + NAMES[2:], name="33-another E2EE key"),
        case(swapped_everywhere, NAMES[2:], name="33-another E2EE key, everywhere"),
        case(other_identity, NAMES[1:], name="another identity"),
        *(
            case(replaced(name, digest), [check], name=f"{name} of {digest}")
            for name, check in (("workload_id", "aci_workload"), ("workload_keyset_digest", "aci_keyset"))
            for digest in ("sha256:00", "sha256:ff")
        ),
        case(
            lambda reply: keyset(reply)["keyset_epoch"].update(not_after=2**40),
            ["aci_keyset", "aci_endorsement"],
            name="a longer life",
        ),
        case(
            lambda reply: reply["attestation"]["keyset_endorsement"].update(value="00" * 64),
            ["aci_endorsement"],
            name="no endorsement",
        ),
        case(lambda reply: reply["attestation"]["keyset_endorsement"].update(value="zz"), ["aci_endorsement"], name="no hex"),
        case(
            lambda reply: reply["attestation"]["keyset_endorsement"].update(algo="none"),
            ["aci_endorsement"],
            name="no algorithm",
        ),
        case(
            lambda reply: reply["attestation"]["keyset_endorsement"].update(algo=""), NAMES[2:3], name="an algorithm of no name"
        ),
        case(
            lambda reply: custody(reply)[0]["signature_chain"].reverse(), ["aci_custody"], name="signatures the other way round"
        ),
        case(lambda reply: custody(reply)[0].update(signature_chain=[]), ["aci_custody"], name="no signatures"),
        case(lambda reply: custody(reply)[0].update(signature_chain=[7, None]), ["aci_custody"], name="no texts"),
        *(case(other_purpose(at), ["aci_custody"], name=f"another purpose of {at}") for at in (0, 2, 3)),
        case(
            lambda reply: custody(reply)[3]["signature_chain"].__setitem__(1, custody(reply)[3]["signature_chain"][0]),
            ["aci_custody"],
            name="two signatures of the service",
        ),
        case(lambda reply: custody(reply).pop(3), ["aci_custody"], name="a key that nobody vouches for"),
    ],
)
def test_a_key_set_that_contradicts_itself_is_refused(change: Change, names: list[str]) -> None:
    assert found(judged(change), "fail") == names


@pytest.mark.parametrize(
    ("change", "names"),
    [
        case(lambda reply: reply.pop("attestation"), NAMES, name="nothing"),
        case(lambda reply: reply.pop("workload_id"), ["aci_workload"], name="no workload"),
        case(lambda reply: reply.pop("workload_keyset_digest"), ["aci_keyset"], name="no digest"),
        case(lambda reply: reply["attestation"].pop("keyset_endorsement"), ["aci_endorsement"], name="no endorsement"),
        case(lambda reply: reply["attestation"]["evidence"].pop("key_custody"), ["aci_custody"], name="no custody"),
        case(lambda reply: reply["attestation"]["evidence"].pop("event_log"), ["aci_custody"], name="no event log"),
    ],
)
def test_checks_of_missing_members_are_skipped(change: Change, names: list[str]) -> None:
    checks = judged(change)

    assert found(checks, "skip") == names
    assert found(checks, "fail") == []


@pytest.mark.parametrize(("more", "status"), [("", "pass"), ("00", "pass"), ("0000", "fail")])
def test_an_endorsement_has_64_bytes_and_perhaps_one_that_is_not_looked_at(more: str, status: str) -> None:
    def change(reply: dict[str, Any]) -> None:
        endorsement = reply["attestation"]["keyset_endorsement"]
        endorsement["value"] = endorsement["value"][:128] + more

    assert judged(change)["aci_endorsement"].status == status


@pytest.mark.parametrize(("length", "status"), [(130, "pass"), (128, "pass"), (129, "fail"), (126, "fail")])
def test_a_key_in_custody_has_130_digits_or_the_128_after_04(length: int, status: str) -> None:
    def change(reply: dict[str, Any]) -> None:
        identity = keyset(reply)["workload_identity"]["public_key"]
        identity["public_key"] = f"04{identity['public_key'][-128:]}"[-length:]

    assert judged(change)["aci_custody"].status == status


@pytest.mark.parametrize("size", [32, 64, 66])
def test_a_key_of_another_curve_has_no_chain_that_is_looked_at(size: int) -> None:
    def change(reply: dict[str, Any]) -> None:
        custody(reply).append({"public_key": "04" * size, "purpose": "aci.tls.v1", "signature_chain": "none"})

    assert judged(change)["aci_custody"] == judged()["aci_custody"]


@pytest.mark.parametrize(("number", "words"), [(64, "is not the digest"), (65, "e2ee_public_keys has 65 entries")])
def test_more_than_64_keys_are_not_looked_at(number: int, words: str) -> None:
    def change(reply: dict[str, Any]) -> None:
        keyset(reply)["e2ee_public_keys"] = [{"key_id": "k", "public_key": OTHER_KEY}] * number

    checks = judged(change)
    assert words in checks["aci_keyset"].detail
    assert found(checks, "skip") == ([] if number == 64 else NAMES[1:])


@pytest.mark.parametrize("start", ["00", "03"])  # of which other keys follow: a greater and a smaller one
def test_an_unknown_key_management_service_is_a_warning(start: str) -> None:
    checks = judged(other_application(start))

    assert found(checks, "warn") == ["aci_custody"]
    assert found(checks, "fail") == []


ODD: list[Any] = [None, True, 7, -1.5, "", "zz", "00" * 65, [], {}, [[]], {"a": {}}, "\ud800"]


def spoil(node: Any, chance: random.Random) -> None:
    """Puts something odd somewhere."""
    keys: list[Any] = [*node] if isinstance(node, dict) else [*range(len(node))]
    key = chance.choice(keys)
    if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.85:
        spoil(node[key], chance)
    else:
        node[key] = chance.choice(ODD)


def test_any_value_in_the_key_set_is_an_error_or_a_check() -> None:
    chance = random.Random("aci")
    for _ in range(600):
        reply = recorded()
        spoil(reply, chance)
        assert {check.status for check in aci.check(reply)} <= {"pass", "warn", "skip", "fail"}


# -- canonical JSON ------------------------------------------------------------------------------------------------------


def test_a_value_of_another_shape_is_an_error_that_names_it() -> None:
    assert shaped(["a"], list[str], "the list") == ["a"]
    with pytest.raises(ValueError, match=r"^the list does not have the shape that it must have: "):
        shaped([1], list[str], "the list")


@pytest.mark.parametrize("text", ["zz", "0", "é"])
def test_what_is_not_hex_is_an_error_that_names_it(text: str) -> None:
    assert from_hex("00fF", "a digest") == b"\0\xff"
    with pytest.raises(ValueError, match=r"^a digest is not hex$"):
        from_hex(text, "a digest")


@pytest.mark.parametrize("text", ['{"b": 1, "a": 2, "a": 3}', '{"a": 1, "b": 2, "a": 3, "c": 4}', '[{"a": 1, "a": 1, "a": 1}]'])
def test_the_error_of_a_key_that_is_there_twice_names_it(text: str) -> None:
    with pytest.raises(ValueError, match="an object has the key 'a' twice"):
        parse(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"b": 1, "a": [True, False, None]}, '{"a":[true,false,null],"b":1}', id="order"),
        pytest.param({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}, (
            '{"\\r":2,"1":4,"\x80":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'
        ), id="the order of RFC 8785, 3.2.3"),
        pytest.param("\u20ac$\x0f\nA'B\"\\\"/", '"\u20ac$\\u000f\\nA\'B\\"\\\\\\"/"', id="the text of RFC 8785, 3.2.2"),
        pytest.param("\b\f\t\x1f\x7f\u2028", '"\\b\\f\\t\\u001f\x7f\u2028"', id="controls"),
        pytest.param([0, -1, 2**53 - 1, 1 - 2**53], "[0,-1,9007199254740991,-9007199254740991]", id="numbers"),
        pytest.param({}, "{}", id="nothing"),
    ],
)  # fmt: skip
def test_canonical_json_sorts_keys_and_has_one_form_for_each_value(value: Any, text: str) -> None:
    assert canonical(value) == text.encode()


def endless() -> Any:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [1.5, 1.0, 2**53, -(2**53), "\ud800", {1: 2}, {"a": b""}, {"\ud800": 1}, pytest.param(object(), id="an object")],
    ids=ascii,
)
def test_a_value_without_a_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical(value)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="too deeply"):
        canonical(endless())
    with pytest.raises(ValueError, match="too deeply"):
        parse("[" * 40_000)
    with pytest.raises(ValueError, match="more than"):
        parse("[" * 100_000)


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '[{"a":{"b":1,"b":1}}]', "NaN", "[Infinity]", "", "{", b"\xff"])
def test_ambiguous_or_malformed_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize(
    ("values", "escapes", "good"), [(50_000, 0, True), (50_001, 0, False), (3, 499_979, True), (3, 499_980, False)]
)
def test_json_of_up_to_fifty_thousand_values_is_read_and_ten_escapes_count_as_one(
    values: int, escapes: int, good: bool
) -> None:
    text = '["' + "\\n" * escapes + '"' + ",0" * (values - 1) + "]"
    if good:
        assert len(parse(text)) == values
    else:
        with pytest.raises(ValueError, match="more than 50000 values"):
            parse(text)


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\uD800"', '{"\\udfff": 1}'])
def test_half_a_surrogate_pair_is_refused_and_a_pair_is_a_character(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        parse(text)
    assert parse('"\\ud83d\\uDE00"') == "\U0001f600"
    assert parse(b'\xef\xbb\xbf"a mark at the beginning"') == "a mark at the beginning"


def test_the_members_of_an_object_are_given_as_they_stand() -> None:
    text = ' { "a" : {"b": 1.0} ,"c":"\\u00e9", "d" :[ ]\n} '

    assert members_of(text) == {"a": '{"b": 1.0}', "c": '"\\u00e9"', "d": "[ ]"}
    assert members_of("{}") == members_of(" { } ") == {}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1 "b":2}', '{"a":1,"a":1}', "{1:2}", "{} x", '{"a":' + "[" * 100_000],
)
def test_members_of_json_that_is_not_an_object_are_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        members_of(text)


def test_texts_and_bytes_of_json_are_parsed_alike() -> None:
    assert parse('{"a": [1, 2.5, null, "\\u00e9"]}') == parse(b'{"a":[1,2.5,null,"\xc3\xa9"]}') == {"a": [1, 2.5, None, "é"]}


# -- who signed ----------------------------------------------------------------------------------------------------------

VECTORS = shared("tee/e2ee_vectors.json")["signatures"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_signer_of_each_vector_is_found(vector: dict[str, str]) -> None:
    key = recover(bytes.fromhex(vector["eip191_keccak"]), bytes.fromhex(vector["signature"][2:]))

    assert key is not None
    assert address(key) == vector["signing_address"]
    assert len(compressed(key)) == 33
    assert compressed(key)[0] in {2, 3}


def test_the_other_recovery_byte_recovers_another_key() -> None:
    digest, signature = bytes.fromhex(VECTORS[0]["eip191_keccak"]), bytearray.fromhex(VECTORS[0]["signature"][2:])
    right = recover(digest, bytes(signature))
    signature[64] ^= 27 ^ 28
    wrong = recover(digest, bytes(signature))

    assert wrong != right


@pytest.mark.parametrize("secret", [1, 2, 3, 7, 2**255 + 12345])
def test_the_key_of_every_signature_is_recovered(secret: int) -> None:
    own, expected = ec.derive_private_key(secret, ec.SECP256K1()), public(secret)
    for number in range(5):
        digest = keccak256(bytes([number]))
        r, s = utils.decode_dss_signature(own.sign(digest, ec.ECDSA(utils.Prehashed(SHA256()))))
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert expected in {recover(digest, raw + bytes([v])) for v in (27, 28)}
        assert [recover(digest, raw + bytes([v])) for v in (0, 1)] == [recover(digest, raw + bytes([v])) for v in (27, 28)]


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(bytes(65), id="r and s are zero"),
        pytest.param(b"\xff" * 64 + b"\x1b", id="r and s are too large"),
        pytest.param(b"\x01" * 64, id="64 bytes"),
        pytest.param(b"\x01" * 64 + b"\x05", id="another v"),
        pytest.param(bytes(31) + b"\x05" + b"\x01" * 32 + b"\x1b", id="an r that is not a coordinate"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_no_key_is_recovered_from_a_malformed_signature(signature: bytes) -> None:
    assert recover(bytes(32), signature) is None


NUMBERS = {"0": 0, "1": 1, "the order less 1": ORDER - 1, "the order": ORDER, "2**256 - 1": 2**256 - 1}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_a_genuine_signature_with_another_number_has_a_key_only_where_the_number_is_below_the_order(number: int) -> None:
    digest, genuine = bytes.fromhex(VECTORS[0]["eip191_keccak"]), bytes.fromhex(VECTORS[0]["signature"][2:])
    changed = number.to_bytes(32, "big")

    assert (recover(digest, genuine[:32] + changed + genuine[64:]) is None) is not (0 < number < ORDER)
    if not 0 < number < ORDER:
        assert recover(digest, changed + genuine[32:]) is None


def test_a_signature_of_65_bytes_for_32_has_a_key_by_each_of_four_last_bytes() -> None:
    digest, genuine = bytes.fromhex(VECTORS[0]["eip191_keccak"]), bytes.fromhex(VECTORS[0]["signature"][2:])

    assert [v for v in range(256) if recover(digest, genuine[:64] + bytes([v]))] == [0, 1, 27, 28]
    for length in (31, 33):
        assert recover((digest * 2)[:length], genuine) is None
    for length in (64, 66):
        assert recover(digest, (genuine + genuine[64:])[:length]) is None


# -- with the rest of an attestation -------------------------------------------------------------------------------------


def whole(change: Change) -> AttestationReport:
    found = shared("tee/attestation_live_evidence.json")
    change(found["attestation"])
    collected = CollectedEvidence(
        model="e2ee-venice-uncensored-24b-p",
        nonce=bytes.fromhex(found["_client_nonce"]),
        reply=json.dumps(found["attestation"]).encode(),
        now=1784573023,
        collateral=shared("tee/collateral_live_evidence.json"),
    )
    return attestation.verify(collected)


@pytest.mark.attack(33)
def test_an_attestation_without_a_key_of_its_address_is_refused() -> None:
    assert whole(lambda _: None).level == "hardware"
    report = whole(swapped)

    assert {"model_key", "aci_keyset"} <= {check.id for check in report.failures}
    assert (report.level, report.model_public_key) == (None, None)


def test_a_key_set_that_contradicts_itself_is_refused_with_the_attestation() -> None:
    assert [check.id for check in whole(slipped_in_and_rehashed).failures] == ["aci_endorsement", "aci_custody"]


# -- a gateway of our own ------------------------------------------------------------------------------------------------

SERVICE, APPLICATION, IDENTITY, RECEIPTS = 11, 12, 13, 14
"""Private keys: of the key management service, of the application, and two that the application signed."""


def public(secret: int) -> bytes:
    return OpenSslKey(secret.to_bytes(32, "big")).public_key


def signed(secret: int, digest: bytes) -> bytes:
    """r, s and the v by which the signer's key is recovered."""
    own = ec.derive_private_key(secret, ec.SECP256K1())
    numbers = utils.decode_dss_signature(own.sign(digest, ec.ECDSA(utils.Prehashed(SHA256()))))
    raw = b"".join(number.to_bytes(32, "big") for number in numbers)
    return next(raw + bytes([v]) for v in (27, 28) if recover(digest, raw + bytes([v])) == public(secret))


def gateway() -> Case:
    """The synthetic attestation, as a gateway whose keys another key management service issued would give it."""
    case = resigned()
    (app,) = (event for event in json.loads(case.reply["event_log"]) if event["event"] == "app-id")
    issued = b"dstack-kms-issued:" + bytes.fromhex(app["event_payload"]) + compressed(public(APPLICATION))
    by_service = signed(SERVICE, keccak256(issued)).hex()
    keys = [
        {
            "public_key": public(secret).hex(),
            "purpose": purpose,
            "signature_chain": [
                signed(APPLICATION, keccak256(f"{purpose}:{compressed(public(secret)).hex()}".encode())).hex(),
                by_service,
            ],
        }
        for purpose, secret in (("aci.identity.v1", IDENTITY), ("aci.receipt.v1", RECEIPTS))
    ]
    own = {"algo": "ecdsa-secp256k1", "public_key": public(IDENTITY).hex()}
    receipts = {"key_id": "receipts", "algo": "ecdsa-secp256k1", "public_key": public(RECEIPTS).hex()}
    keyset = {"workload_identity": {"public_key": own}, "receipt_signing_keys": [receipts], "e2ee_public_keys": []}
    digest = aci.keyset_digest(keyset)
    endorsed = canonical({"purpose": "aci.keyset.endorsement.v1", "workload_keyset_digest": digest})
    by_identity = signed(IDENTITY, hashlib.sha256(endorsed).digest()).hex()
    return case.bent(
        workload_keyset_digest=digest,
        workload_id=aci.keyset_digest(own),
        attestation={
            "workload_keyset": keyset,
            "keyset_endorsement": {"algo": "ecdsa-secp256k1", "value": by_identity},
            "evidence": {"key_custody": {"keys": keys}, "event_log": case.reply["event_log"]},
        },
    )


def test_a_gateway_of_another_key_management_service_reaches_hardware_with_a_warning_that_names_its_root() -> None:
    report = gateway().judged()

    assert report.level == "hardware"
    assert {check.id: check.status for check in report.checks if check.id in NAMES} == {
        **dict.fromkeys(NAMES, "pass"),
        "aci_custody": "warn",
    }
    assert any(compressed(public(SERVICE)).hex() in warning for warning in report.warnings)


@pytest.mark.parametrize("part", ["keyset_endorsement", "workload_id"])
def test_a_gateway_that_leaves_a_statement_out_stays_below_hardware(part: str) -> None:
    case = gateway()
    (case.reply if part == "workload_id" else case.reply["attestation"]).pop(part)
    report = case.judged()

    assert (report.level, report.failures) == ("quote", ())
    assert any("aci_" in warning and "custody" not in warning for warning in report.warnings)
