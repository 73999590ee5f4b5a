"""Intel's chain above a quote: who may issue what, and what the quoting enclave must be."""

from __future__ import annotations

import base64
import random
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from venice_ai.emulator.enclave.hardware import Authority
from venice_ai.tee.certificates import common_name, is_signed, load
from venice_ai.tee.quote import Quote, check_chain, check_qe_report, check_signature, decode, parse

from .evidence import Change, synthetic, with_enclave, written
from .hierarchy import NOW, Intel

INTEL = Intel()


# -- certificates --------------------------------------------------------------------------------------------------------


def chain(*names: str) -> list[Authority]:
    """The platform's chain, in which these say the opposite of what they are: an authority, or none."""
    root = replace(INTEL.root, ca="root" not in names)
    ca = replace(INTEL.ca, issuer=root, ca="ca" not in names)
    return [replace(INTEL.platform, issuer=ca, ca="platform" in names), ca, root]


def check(authorities: list[Authority]) -> None:
    check_chain([each.certificate for each in authorities], NOW, authorities[-1].der)


@pytest.mark.parametrize(
    ("first", "seconds", "good"), [(True, -1, False), (True, 0, True), (False, 0, True), (False, 1, False)]
)
def test_certificates_are_valid_from_their_first_second_to_their_last(first: bool, seconds: int, good: bool) -> None:
    certificates = [each.certificate for each in chain()]
    begins = max(each.not_valid_before_utc for each in certificates)
    ends = min(each.not_valid_after_utc for each in certificates)
    now, root = (begins if first else ends).timestamp() + seconds, certificates[-1].public_bytes(Encoding.DER)
    if good:
        check_chain(certificates, now, root)
    else:
        with pytest.raises(ValueError, match="is not valid at "):
            check_chain(certificates, now, root)


MALFORMED = x509.UnrecognizedExtension(x509.BasicConstraints.oid, b"no constraints")


@pytest.mark.parametrize("extension", [None, MALFORMED], ids=["without it", "malformed"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_certificate_that_does_not_say_whether_it_is_an_authority_is_refused(position: int, extension: Any) -> None:
    authorities = chain()
    certificates = [each.certificate for each in authorities]
    of, issuer = authorities[position], authorities[position].issuer or authorities[position]
    builder = x509.CertificateBuilder(issuer.name, of.name, of.key.public_key(), 7)
    own = certificates[position]
    builder = builder.not_valid_before(own.not_valid_before_utc).not_valid_after(own.not_valid_after_utc)
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    certificates[position] = builder.sign(issuer.key, SHA256())
    words = "does not say whether it is a CA" if position == 0 else "was not issued by the next one, or that is not a CA"
    with pytest.raises(ValueError, match=words):
        check_chain(certificates, NOW, certificates[-1].public_bytes(Encoding.DER))


def test_the_errors_of_certificates_that_cannot_be_read_and_of_another_number_say_so() -> None:
    pem = b"".join(each.certificate.public_bytes(Encoding.PEM) for each in chain()[:2])

    assert len(load(pem + bytes(3), 2)) == 2
    for text, length, words in (
        (b"junk", 1, "its certificates cannot be read"),
        (pem[:400], 1, "its certificates cannot be read"),
        (pem, 1, "it has 2 certificates, not 1"),
        (pem, 3, "it has 2 certificates, not 3"),
    ):
        with pytest.raises(ValueError, match=words):
            load(text, length)


def test_a_platform_below_an_authority_below_the_root_is_good() -> None:
    check(chain())


@pytest.mark.parametrize("name", ["platform", "ca", "root"])
def test_an_authority_issues_and_a_platform_does_not(name: str) -> None:
    with pytest.raises(ValueError, match="CA"):
        check(chain(name))


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        pytest.param(ec.SECP256R1(), True, id="the curve"),
        pytest.param(ec.SECP384R1(), False, id="another curve"),
        pytest.param(ec.SECP256K1(), False, id="another curve of this size"),
    ],
)
def test_a_valid_signature_is_good_only_by_a_key_of_the_expected_curve(kind: ec.EllipticCurve, good: bool) -> None:
    key, size = ec.derive_private_key(12345, kind), (kind.key_size + 7) // 8
    parts = decode_dss_signature(key.sign(b"data", ec.ECDSA(SHA256())))
    signature = b"".join(part.to_bytes(size, "big") for part in parts)

    assert is_signed(b"data", signature, key.public_key(), ec.SECP256R1, SHA256()) is good


def test_what_is_no_signature_by_a_key_is_not_good() -> None:
    key, digest = INTEL.platform.key, Prehashed(SHA256())
    signature = INTEL.platform.sign(b"data")

    assert is_signed(b"data", signature, INTEL.platform.certificate, ec.SECP256R1, SHA256())
    for signer in (
        INTEL.ca.certificate,
        INTEL.root.key.public_key(),
        rsa.generate_private_key(65_537, 2_048).public_key(),
        None,
    ):
        assert not is_signed(b"data", signature, signer, ec.SECP256R1, SHA256())
    for other in (b"", bytes(64), b"\xff" * 64, signature[:-1], signature + b"\0", signature[32:] + signature[:32]):
        assert not is_signed(b"data", other, key.public_key(), ec.SECP256R1, SHA256())
    assert not is_signed(b"a digest of another length", signature, key.public_key(), ec.SECP256R1, digest)


def test_a_certificate_whose_name_cannot_be_read_has_none() -> None:
    name = b"Intel SGX TCB Signing"
    der, at = INTEL.signer.der, INTEL.signer.der.rindex(name)
    bent = x509.load_der_x509_certificate(written(der, (at, b"\xff" * len(name))))

    assert common_name(INTEL.signer.certificate) == name.decode()
    assert common_name(bent) == ""


@pytest.mark.parametrize(("offset", "same"), [(47, True), (48, False), (567, False), (568, True)])
def test_two_quotes_are_of_one_domain_if_all_between_their_head_and_their_report_data_is_the_same(
    offset: int, same: bool
) -> None:
    raw = synthetic().quote
    changed = written(raw, (offset, bytes([raw[offset] ^ 1])))

    assert (parse(raw)._replace(raw=changed).domain == parse(raw).domain) is same


def limited(authority: Authority, path_length: int) -> x509.Certificate:
    """The certificate of an authority that may have so many authorities below it."""
    own, issuer = authority.certificate, authority.issuer or authority
    builder = x509.CertificateBuilder(issuer.name, authority.name, authority.key.public_key(), own.serial_number)
    builder = builder.not_valid_before(own.not_valid_before_utc).not_valid_after(own.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.sign(issuer.key, SHA256())


@pytest.mark.parametrize(("position", "path_length", "good"), [(1, 0, True), (2, 0, False), (2, 1, True), (2, 2, True)])
def test_an_authority_has_no_more_authorities_below_it_than_it_may(position: int, path_length: int, good: bool) -> None:
    authorities = chain()
    certificates = [each.certificate for each in authorities]
    certificates[position] = limited(authorities[position], path_length)
    root = certificates[-1].public_bytes(Encoding.DER)
    if good:
        check_chain(certificates, NOW, root)
    else:
        with pytest.raises(ValueError, match="CA"):
            check_chain(certificates, NOW, root)


# The fields of a quote with their sizes, by Intel's document; those without a name are read by their offset, or not at all.
FIELDS = [
    *(("", 48), ("", 16), ("mrseam", 48), ("mrsignerseam", 48), ("seam_attributes", 8), ("attributes", 8), ("xfam", 8)),
    *(("mrtd", 48), ("mr_config_id", 48), ("mr_owner", 48), ("mr_owner_config", 48)),
    *(("rtmr0", 48), ("rtmr1", 48), ("rtmr2", 48), ("rtmr3", 48), ("report_data", 64)),
    *(("", 4), ("signature", 64), ("attestation_key", 64), ("", 2), ("", 4), ("qe_report", 384), ("qe_signature", 64)),
]


def test_the_fields_of_a_quote_follow_one_another() -> None:
    raw, at = random.Random(1).randbytes(2_000), 0
    quote = Quote(raw, b"", b"")
    for name, size in FIELDS:
        if name:
            assert getattr(quote, name) == raw[at : at + size], name
        at += size
    assert quote.signed == raw[: 48 + 584]
    assert quote.rtmrs == (quote.rtmr0, quote.rtmr1, quote.rtmr2, quote.rtmr3)
    assert not hasattr(quote, "rtmr4")


def test_after_its_fields_a_quote_has_the_enclaves_data_and_the_certificates() -> None:
    raw = synthetic().quote
    quote = parse(raw)
    size = int.from_bytes(raw[1218:1220], "little")

    assert (quote.raw, quote.qe_auth) == (raw, raw[1220 : 1220 + size])
    assert quote.chain == raw[1226 + size :]
    assert quote.chain.startswith(b"-----BEGIN CERTIFICATE-----")


CHAIN_AT = 1220 + len(parse(synthetic().quote).qe_auth)
# Where a number that must be right stands, and how many bytes it has.
NUMBERS = [(0, 2), (2, 2), (4, 4), (632, 4), (764, 2), (766, 4), (1218, 2), (CHAIN_AT, 2), (CHAIN_AT + 2, 4)]
NUMBER_BYTES = [offset + shift for offset, size in NUMBERS for shift in range(size)]


@pytest.mark.parametrize("offset", NUMBER_BYTES)
@pytest.mark.parametrize("bit", [1, 0x80])
def test_a_quote_with_another_number_in_its_structure_is_refused(offset: int, bit: int) -> None:
    raw = synthetic().quote
    with pytest.raises(ValueError):
        parse(written(raw, (offset, bytes([raw[offset] ^ bit]))))


def test_nothing_else_in_a_quote_is_part_of_its_structure() -> None:
    raw = synthetic().quote
    others = set(range(len(raw))) - set(NUMBER_BYTES)
    bent = bytes(each ^ 0xFF if at in others else each for at, each in enumerate(raw))

    assert parse(bent).raw == bent


@pytest.mark.parametrize("length", [0, 1, 1_219, 1_220, 1_300])
def test_a_truncated_quote_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"a quote of {length} bytes is too short" if length < 1_220 else "length"):
        parse(synthetic().quote[:length])


@pytest.mark.parametrize("size", [0, 1, 47, 48, 49])
def test_a_few_bytes_are_not_a_quote(size: int) -> None:
    raw = bytes([0xFB] * size)
    for text in (raw.hex(), f"0x{raw.hex()}", raw.hex().upper(), base64.b64encode(raw).decode()):
        assert decode(text) == (raw if size >= 48 else None)


@pytest.mark.parametrize(("text", "is_word"), [("none", True), ("é" * 95, True), ("é" * 96, False), (" " * 300, False)])
def test_a_short_text_that_is_no_quote_is_a_word_and_a_long_one_is_refused(text: str, is_word: bool) -> None:
    if is_word:
        assert decode(text) is None
    else:
        with pytest.raises(ValueError, match="neither hex nor base64"):
            decode(text)


# -- the quoting enclave -------------------------------------------------------------------------------------------------

ENCLAVES: dict[str, Change] = {
    "another attestation key": (320, b"\7" * 32),
    "another attestation key, of a greater hash": (320, b"\xff" * 32),
    "something behind the key": (352, b"\1"),
    "something at the end": (383, b"\1"),
    "another signer": (128, b"\xff" * 32),
    "no signer": (128, bytes(32)),
    "another product": (256, b"\1"),
    "another product, by its second byte": (257, b"\1"),
    "debug mode": (48, b"\x13"),
}


def check_enclave(raw: bytes, *, intel: bool = True) -> None:
    quote = parse(raw)
    check_qe_report(quote, load(quote.chain, 3)[0], intel=intel)


def test_intels_quoting_enclave_is_good() -> None:
    check_enclave(with_enclave())


@pytest.mark.parametrize("name", ENCLAVES)
def test_a_quoting_enclave_that_its_platform_signed_is_intels_all_the_same(name: str) -> None:
    with pytest.raises(ValueError, match="quoting enclave"):
        check_enclave(with_enclave(ENCLAVES[name]))


def test_below_another_root_the_enclaves_signer_alone_may_be_another() -> None:
    check_enclave(with_enclave(ENCLAVES["another signer"]), intel=False)
    for name in ENCLAVES.keys() - {"another signer", "no signer"}:
        with pytest.raises(ValueError, match="quoting enclave"):
            check_enclave(with_enclave(ENCLAVES[name]), intel=False)


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        pytest.param((1154, b"\7" * 64), "did not sign", id="another signature"),
        pytest.param((770, b"\7"), "did not sign", id="another report"),
        pytest.param((1220, b"\7"), "another attestation key", id="other authentication data"),
    ],
)
def test_a_report_that_the_platform_did_not_sign_is_refused(change: Change, trouble: str) -> None:
    with pytest.raises(ValueError, match=trouble):
        check_enclave(written(with_enclave(), change))


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        pytest.param((700, b"\7" * 64), "the attestation key is not a point of its curve", id="no key"),
        pytest.param((636, b"\7" * 64), "the attestation key did not sign this quote", id="another signature"),
        pytest.param((184, b"\7"), "the attestation key did not sign this quote", id="another quote"),
    ],
)
def test_a_quote_that_its_attestation_key_did_not_sign_is_refused_with_the_reason(change: Change, trouble: str) -> None:
    check_signature(parse(with_enclave()))
    with pytest.raises(ValueError, match=f"^{trouble}$"):
        check_signature(parse(written(with_enclave(), change)))
