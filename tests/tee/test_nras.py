"""What NVIDIA's attestation service says: tokens of our own making, and a service behind the transport port."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes import ScriptedReply, ScriptedTransport
from venice_ai.emulator.enclave.hardware import Authority
from venice_ai.exceptions import APIConnectionError
from venice_ai.resources.tee_evidence import ask_nras
from venice_ai.tee import nras
from venice_ai.tee.types import Documents

NOW = 1_795_000_000
NONCE = bytes(range(32))
KEY = ec.derive_private_key(12345, ec.SECP384R1())
OTHER = ec.derive_private_key(54321, ec.SECP384R1())
Change = Callable[["Answer"], Any]


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(key: ec.EllipticCurvePrivateKey, kid: str) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    x, y = (encoded(number.to_bytes(48, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-384", "kid": kid, "x": x, "y": y, "use": "sig", "alg": "ES384"}


class Answer:
    """An answer of the service about some GPUs, to be changed before it is signed."""

    def __init__(self, gpus: int = 2, *, nonce: str = NONCE.hex(), now: int = NOW) -> None:
        times = {"iss": "https://nras.attestation.nvidia.com", "iat": now, "nbf": now - 120, "exp": now + 3600}
        self.header: dict[str, Any] = {"alg": "ES384", "kid": "nv", "typ": "JWT"}
        self.overall: dict[str, Any] = {**times, "eat_nonce": nonce, "x-nvidia-overall-att-result": True}
        healthy = {"measres": "success", "secboot": True, "dbgstat": "disabled", "hwmodel": "GH100 A01 GSP BROM"}
        self.gpus: dict[str, dict[str, Any]] = {
            f"GPU-{number}": {**times, "eat_nonce": nonce, **healthy} for number in range(gpus)
        }
        self.submods: dict[str, Any] = {}
        self.drop: list[str] = []
        self.signer = KEY

    def token(self, claims: dict[str, Any]) -> str:
        signed = f"{encoded(json.dumps(self.header).encode())}.{encoded(json.dumps(claims).encode())}"
        r, s = utils.decode_dss_signature(self.signer.sign(signed.encode(), ec.ECDSA(SHA384())))
        return f"{signed}.{encoded(r.to_bytes(48, 'big') + s.to_bytes(48, 'big'))}"

    @property
    def parts(self) -> list[Any]:
        tokens = {name: self.token(claims) for name, claims in self.gpus.items()}
        digests = {name: ["DIGEST", ["SHA-256", hashlib.sha256(each.encode()).hexdigest()]] for name, each in tokens.items()}
        submods = {name: each for name, each in {**digests, **self.submods}.items() if each is not ...}
        overall = self.token({**self.overall, "submods": submods})
        return [["JWT", overall], {name: each for name, each in tokens.items() if name not in self.drop}]

    def __bytes__(self) -> bytes:
        return json.dumps(self.parts).encode()


KEYS = json.dumps({"keys": [{"kty": "RSA", "kid": "old"}, jwk(OTHER, "other"), jwk(KEY, "nv")]}).encode()


def payload_of(gpus: int) -> dict[str, Any]:
    return {"nonce": NONCE.hex(), "evidence_list": [{}] * gpus}


def judged(
    answer: bytes, keys: bytes = KEYS, *, now: float = NOW, gpus: int = 2, root_sha256: str | None = None
) -> tuple[str, str]:
    documents = Documents(answer, keys, root_sha256)
    check = nras.check(documents, payload=payload_of(gpus), nonce=NONCE, now=now)
    assert check.id == "gpu_nras"
    assert check.stops
    assert "could not be examined" not in check.detail
    return check.status, check.detail


@pytest.mark.parametrize("gpus", [1, 2, 8])
def test_gpus_that_nvidia_attests_pass(gpus: int) -> None:
    assert judged(bytes(Answer(gpus)), gpus=gpus) == ("pass", f"NVIDIA attests {gpus} GPU{'s' if gpus > 1 else ''}")


def case(change: Change, *, name: str) -> Any:
    return pytest.param(change, id=name)


@pytest.mark.parametrize(
    "change",
    [
        case(lambda it: it.overall.update({"x-nvidia-overall-att-result": False}), name="not attested"),
        case(lambda it: it.overall.update({"x-nvidia-overall-att-result": "true"}), name="a text for true"),
        case(lambda it: it.overall.update(eat_nonce="00" * 32), name="another nonce"),
        case(lambda it: it.overall.pop("eat_nonce"), name="no nonce"),
        case(lambda it: it.gpus["GPU-1"].update(eat_nonce="00" * 32), name="another nonce of a GPU"),
        case(lambda it: it.overall.update(iss="https://nras.example"), name="another issuer"),
        case(lambda it: it.overall.update(iss=""), name="an issuer without a name"),
        case(lambda it: it.overall.update(exp=NOW), name="expired"),
        case(lambda it: it.overall.update(exp="soon"), name="an expiry that is not a number"),
        case(lambda it: it.overall.pop("exp"), name="no end"),
        case(lambda it: it.overall.update(nbf=NOW + 61), name="not yet valid"),
        case(lambda it: it.gpus["GPU-0"].update(exp=NOW - 1), name="the token of a GPU has expired"),
        case(lambda it: it.gpus["GPU-0"].update(measres="fail"), name="other measurements"),
        case(lambda it: it.gpus["GPU-0"].update(measres="unknown"), name="measurements that nobody knows"),
        case(lambda it: it.gpus["GPU-0"].pop("measres"), name="no measurements"),
        case(lambda it: it.gpus["GPU-0"].update(secboot=False), name="no secure boot"),
        case(lambda it: it.gpus["GPU-0"].update(secboot="true"), name="a text for secure boot"),
        case(lambda it: it.gpus["GPU-0"].update(dbgstat="enabled"), name="debugging"),
        case(lambda it: it.gpus["GPU-0"].update(dbgstat=""), name="debugging of which nothing is said"),
        case(lambda it: it.gpus["GPU-0"].update(hwmodel="LS10 A01 FSP BROM"), name="a switch"),
        case(lambda it: it.gpus["GPU-0"].update(hwmodel="like a GH100"), name="a chip in the middle"),
        case(lambda it: it.gpus["GPU-0"].update(hwmodel="A GH100"), name="a chip that comes second"),
        case(lambda it: it.gpus["GPU-0"].update(hwmodel="GH1000"), name="a chip with a longer name"),
        case(lambda it: it.submods.update({"GPU-0": ["DIGEST", ["SHA-256", "00" * 32]]}), name="another token of a GPU"),
        case(lambda it: it.submods.update({"GPU-9": ["DIGEST", ["SHA-256", "00" * 32]]}), name="a GPU more"),
        case(lambda it: it.submods.update({"GPU-0": None}), name="no digest"),
        case(lambda it: it.submods.update({"GPU-1": ...}), name="a GPU that the whole answer does not name"),
        case(lambda it: it.drop.append("GPU-1"), name="a GPU less"),
        case(lambda it: it.gpus.clear(), name="no GPU"),
        case(lambda it: it.header.update(alg="none"), name="no algorithm"),
        case(lambda it: it.header.update(alg="HS384"), name="another algorithm"),
        case(lambda it: it.header.update(kid="other"), name="signed by another key"),
        case(lambda it: it.header.update(kid="unknown"), name="an unknown key"),
        case(lambda it: it.header.pop("kid"), name="no key"),
        case(lambda it: it.header.update(crit=["exp"]), name="an extension"),
        case(lambda it: setattr(it, "signer", ec.derive_private_key(7, ec.SECP384R1())), name="an attacker's key"),
    ],
)
def test_gpus_that_nvidia_does_not_attest_are_refused(change: Change) -> None:
    answer = Answer()
    change(answer)

    assert judged(bytes(answer))[0] == "fail"


def test_a_token_is_only_good_for_its_time() -> None:
    answer = bytes(Answer())

    assert [judged(answer, now=now)[0] for now in (NOW - 181, NOW - 180, NOW + 3599, NOW + 3600)] == [
        *("fail", "pass", "pass", "fail")
    ]


def test_an_edited_token_is_refused() -> None:
    for place in range(3):
        parts = Answer().parts
        pieces = parts[0][1].split(".")
        pieces[place] = ("A" if pieces[place][5] != "A" else "B").join([pieces[place][:5], pieces[place][6:]])
        parts[0][1] = ".".join(pieces)
        assert judged(json.dumps(parts).encode())[0] == "fail"


def bent(change: Callable[[str, bytes], str], *, name: str) -> Any:
    return pytest.param(change, id=name)


def _signed(header: bytes, claims: bytes) -> str:
    signed = f"{encoded(header)}.{encoded(claims)}"
    r, s = utils.decode_dss_signature(KEY.sign(signed.encode(), ec.ECDSA(SHA384())))
    return f"{signed}.{encoded(r.to_bytes(48, 'big') + s.to_bytes(48, 'big'))}"


@pytest.mark.parametrize(
    "bend",
    [
        bent(lambda token, _: token + "=", name="padding"),
        bent(lambda token, _: token[:-8] + "!" + token[-8:], name="a sign that is not base64"),
        bent(lambda token, _: token.replace(".", ".\n", 1), name="a line break"),
        bent(lambda token, _: f"{token}.e30", name="a fourth part"),
        bent(lambda token, _: token.rpartition(".")[0] + ".", name="no signature"),
        bent(lambda token, _: token[:-4], name="a short signature"),
        bent(lambda _, claims: _signed(b'{"alg":"none","alg":"ES384","kid":"nv"}', claims), name="two algorithms"),
        bent(lambda _, claims: _signed(b'{"alg":"ES384","kid":"other","kid":"nv"}', claims), name="two keys"),
        bent(lambda _, claims: _signed(b'{"alg":"ES384","kid":"nv","b64":false}', claims), name="claims that are not encoded"),
        bent(lambda _, claims: _signed(b'{"alg":"ES384","kid":"nv"}', b'{"iss":"x",' + claims[1:]), name="two issuers"),
        bent(lambda _, claims: _signed(b'["ES384"]', claims), name="a header that is a list"),
        bent(
            lambda _, claims: _signed(b'{"alg":"ES384","kid":"nv","x":[' + b"0," * 50_000 + b"0]}", claims),
            name="a long header",
        ),
    ],
)
def test_a_token_that_can_be_read_in_two_ways_is_refused(bend: Callable[[str, bytes], str]) -> None:
    parts = Answer().parts
    claims = base64.urlsafe_b64decode(parts[0][1].split(".")[1] + "==")
    assert judged(json.dumps([["JWT", _signed(b'{"alg":"ES384","kid":"nv"}', claims)], parts[1]]).encode())[0] == "pass"

    parts[0][1] = bend(parts[0][1], claims)

    assert judged(json.dumps(parts).encode())[0] == "fail"


def test_a_private_key_in_a_key_set_is_skipped() -> None:
    secret = encoded((12345).to_bytes(48, "big"))

    assert judged(bytes(Answer()), json.dumps({"keys": [jwk(KEY, "nv") | {"d": secret}]}).encode())[0] == "fail"


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"{}", b"[]", b"null", b'[["JWT","a.b.c"]]', b'[["JWT","a.b"],{}]', b'[["JWT",7],{}]', b'[["JWT","a.b.c"],[]]'),
        *(b'[["EAT","a.b.c"],{}]', b'[["JWT","!.!.!"],{}]', b'[["JWT","e30.e30."],{}]', b'[["JWT","W10.W10.AA"],{}]', b"\xff"),
        *(b'[["JWT","\\u00e9.\\u00e9.\\u00e9"],{}]', b"[" * 100_000),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_malformed_answer_of_nvidia_is_refused(answer: bytes) -> None:
    assert judged(answer)[0] == "fail"


@pytest.mark.parametrize(
    "keys",
    [
        *(b"", b"{}", b"[]", b'{"keys":[]}', b'{"keys":[7]}', b'{"keys":[null,{}]}', b'{"keys":7}'),
        *(
            json.dumps({"keys": [jwk(KEY, "nv") | each]}).encode()
            for each in ({"x": "AA"}, {"x": 7}, {"crv": "P-256"}, {"kid": 7})
        ),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_malformed_key_set_is_refused(keys: bytes) -> None:
    assert judged(bytes(Answer()), keys)[0] == "fail"


# -- asking --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [1, 3])
def test_an_answer_about_another_number_of_gpus_than_there_is_evidence_of_is_refused(there: int) -> None:
    status, detail = judged(bytes(Answer(2)), gpus=there)

    assert (status, f"evidence of {there}" in detail) == ("fail", True)


@pytest.mark.parametrize("model", ["GH100 A01 GSP BROM", "GB100 A01 GSP BROM", "GB202 A01 GSP BROM", "GB20X"])
def test_hopper_and_blackwell_are_accepted(model: str) -> None:
    answer = Answer()
    for claims in answer.gpus.values():
        claims.update(hwmodel=model)

    assert judged(bytes(answer))[0] == "pass"


NAMELESS = {name: value for name, value in jwk(OTHER, "x").items() if name != "kid"}


@pytest.mark.parametrize(
    "odd",
    [
        *(None, 7, "text", [], {}, NAMELESS),
        *(
            {**jwk(OTHER, "x"), **changes}
            for changes in ({"x": "!"}, {"x": 7}, {"x": jwk(OTHER, "x")["y"]}, {"kid": 7}, {"kty": 7})
        ),
    ],
    ids=lambda odd: repr(odd)[-60:],
)
def test_an_odd_entry_of_a_key_set_is_skipped(odd: Any) -> None:
    assert judged(bytes(Answer()), json.dumps({"keys": [odd, jwk(KEY, "nv")]}).encode())[0] == "pass"


def _certified(key: ec.EllipticCurvePrivateKey, *chain: Authority) -> bytes:
    entry = {**jwk(key, "nv"), "x5c": [base64.b64encode(each.der).decode() for each in chain]}
    return json.dumps({"keys": [entry]}).encode()


def test_keys_of_a_file_are_a_warning_unless_they_chain_to_the_pinned_root() -> None:
    p384 = ec.SECP384R1()
    root = Authority("tests/nras/root", "Root", curve=p384)
    signer = Authority("tests/nras/signer", "Attestation Service", root, p384, ca=False)
    gpu = Authority("tests/nras/gpu", "GH100 A01 GSP FMC LF", root, p384, ca=False)
    answer, files_own = Answer(), "the keys are the file's own"
    for authority, trusted in ((signer, True), (gpu, False)):
        answer.signer = authority.key
        keys = _certified(authority.key, authority, root)
        status, detail = judged(bytes(answer), keys, root_sha256=root.sha256)
        assert (status, files_own in detail) == (("pass", False) if trusted else ("warn", True))
    answer.signer = KEY

    for keys in (KEYS, _certified(KEY, signer, root), _certified(KEY)):
        status, detail = judged(bytes(answer), keys, root_sha256=root.sha256)
        assert (status, files_own in detail) == ("warn", True)
    whole = json.loads(_certified(signer.key, signer, root))
    answer.signer = signer.key
    for certificates in ([], 7, ["!", *whole["keys"][0]["x5c"]], [each + "!" for each in whole["keys"][0]["x5c"]]):
        keys = json.dumps({"keys": [{**whole["keys"][0], "x5c": certificates}]}).encode()
        assert judged(bytes(answer), keys, root_sha256=root.sha256)[0] == "warn"
    other = _certified(signer.key, signer, root)
    answer.signer = signer.key
    assert judged(bytes(answer), other, root_sha256="00" * 32)[0] == "warn"


@pytest.mark.parametrize(("seconds", "valid"), [(-1, False), (0, True), (100, True), (101, False)])
def test_certificates_of_a_key_are_good_from_their_first_second_to_their_last(seconds: int, valid: bool) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Root")])
    begin = datetime.fromtimestamp(NOW, UTC)
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 7, begin, begin + timedelta(seconds=100))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    der = builder.sign(KEY, SHA384()).public_bytes(Encoding.DER)
    keys = json.dumps({"keys": [{**jwk(KEY, "nv"), "x5c": [base64.b64encode(der).decode()]}]}).encode()
    root = hashlib.sha256(der).hexdigest()

    assert judged(bytes(Answer()), keys, now=NOW + seconds, root_sha256=root)[0] == ("pass" if valid else "warn")


@pytest.mark.parametrize("payload", [json.dumps(payload_of(2)), payload_of(2)], ids=["text", "object"])
async def test_the_evidence_is_sent_without_a_key(payload: Any) -> None:
    answer = bytes(Answer())
    transport = ScriptedTransport(ScriptedReply(answer), ScriptedReply(KEYS))

    documents = await ask_nras(transport, payload)

    assert documents == (answer, KEYS, None)
    asked, keys = transport.requests
    assert (asked.method, asked.url) == ("POST", "https://nras.attestation.nvidia.com/v3/attest/gpu")
    assert json.loads(asked.body or b"") == payload_of(2)
    assert (keys.method, keys.url) == ("GET", "https://nras.attestation.nvidia.com/.well-known/jwks.json")
    assert {request.secret for request in transport.requests} == {b""}


@pytest.mark.parametrize(
    "reply",
    [
        ScriptedReply(b"", status=503),
        ScriptedReply(b"", status=302, headers={"location": "https://elsewhere.example"}),
        APIConnectionError("cannot connect"),
    ],
    ids=["busy", "a redirect", "no connection"],
)
async def test_a_service_that_does_not_answer_is_a_failed_check(reply: Any) -> None:
    transport = ScriptedTransport(reply, ScriptedReply(KEYS))

    reason = await ask_nras(transport, "{}")

    assert isinstance(reason, str)
    check = nras.check(reason, payload={}, nonce=NONCE, now=NOW)
    assert (check.id, check.status) == ("gpu_nras", "fail")


@pytest.mark.parametrize("payload", [None, "", 7, []])
async def test_without_gpu_evidence_nvidia_is_not_asked(payload: Any) -> None:
    transport = ScriptedTransport()

    assert isinstance(await ask_nras(transport, payload), str)
    assert transport.requests == []
