"""Intel's chain above a quote: who may issue what, and what the quoting enclave must be."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from venice_ai.emulator.enclave.hardware import Authority
from venice_ai.tee.certificates import load
from venice_ai.tee.quote import check_chain, check_qe_report, parse

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


def test_a_platform_below_an_authority_below_the_root_is_good() -> None:
    check(chain())


@pytest.mark.parametrize("name", ["platform", "ca", "root"])
def test_an_authority_issues_and_a_platform_does_not(name: str) -> None:
    with pytest.raises(ValueError, match="CA"):
        check(chain(name))


@pytest.mark.parametrize(("offset", "same"), [(47, True), (48, False), (567, False), (568, True)])
def test_two_quotes_are_of_one_domain_if_all_between_their_head_and_their_report_data_is_the_same(
    offset: int, same: bool
) -> None:
    raw = synthetic().quote
    changed = written(raw, (offset, bytes([raw[offset] ^ 1])))

    assert (replace(parse(raw), raw=changed).domain == parse(raw).domain) is same


# -- the quoting enclave -------------------------------------------------------------------------------------------------

ENCLAVES: dict[str, Change] = {
    "another attestation key": (320, b"\7" * 32),
    "something behind the key": (352, b"\1"),
    "something at the end": (383, b"\1"),
    "another signer": (128, hashlib.sha256(b"another").digest()),
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
    for name in ENCLAVES.keys() - {"another signer"}:
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
def test_what_the_platform_did_not_sign_is_refused(change: Change, trouble: str) -> None:
    with pytest.raises(ValueError, match=trouble):
        check_enclave(written(with_enclave(), change))
