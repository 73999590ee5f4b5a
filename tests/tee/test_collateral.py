"""The checks of a quote by Intel's collateral. Numbers in ids are those of docs/explanations/attacks.md."""

from __future__ import annotations

import datetime as dt
import json
import random
import subprocess
import sys
from collections.abc import Collection
from typing import Any

import pytest

from tests.shared import shared
from venice_ai.emulator.enclave.hardware import DAY, pem
from venice_ai.exceptions import InvalidRequestError, TeeAttestationError
from venice_ai.tee import attestation, collateral
from venice_ai.tee.checks import raise_for
from venice_ai.tee.types import TCB_STATUSES, CollectedEvidence, Seen, TeeOptions, TrustRoots
from venice_ai.types.attestation import AttestationReport, Check, Tcb

from .hierarchy import NOW, Intel

INTEL = Intel()
JUNE = 1780598249
TODAY = 1795375060
CAPTURES = [("gemma_3_27b_p", JUNE), ("glm_5_1", JUNE), ("live_evidence", 1784573023)]
NAMES = ("collateral", "revocation", "tcb_status", "tcb_eval")
OPEN_STATUSES = [
    "OutOfDate",
    "ConfigurationNeeded",
    "SWHardeningNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDateConfigurationNeeded",
]


def quote(name: str) -> bytes:
    return bytes.fromhex(shared(f"tee/attestation_{name}.json")["attestation"]["intel_quote"])


def stored(name: str, *, chain: bool = True) -> dict[str, str]:
    found: dict[str, str] = shared(f"tee/collateral_{name}.json")
    return {field: value for field, value in found.items() if chain or field != "pck_certificate_chain"}


def check(
    raw: bytes,
    given: dict[str, Any] | None,
    *,
    now: float,
    root_der: bytes | None = None,
    min_eval: int = 0,
    statuses: Collection[str] = ("UpToDate",),
) -> tuple[list[Check], Tcb | None]:
    """What a quote and collateral come to."""
    options = TeeOptions(trust=TrustRoots(root_der), tcb_statuses=frozenset(statuses), min_tcb_eval=min_eval)
    found = collateral.check(raw, CollectedEvidence(model="", nonce=b"", reply=b"", now=now, collateral=given), options)
    assert not any("could not be examined" in check.detail for check in found[0])
    return found


def judged(intel: Intel = INTEL, given: dict[str, Any] | None = None, **options: Any) -> tuple[dict[str, Check], Tcb | None]:
    """The checks of a quote of our own Intel, by name."""
    options = {"now": NOW, "root_der": INTEL.root_der, "min_eval": 19, **options}
    checks, tcb = check(intel.quote, INTEL.collateral() if given is None else given, **options)
    assert tuple(check.id for check in checks) == NAMES
    assert all(check.stops and check.detail for check in checks)
    return {check.id: check for check in checks}, tcb


def failed(checks: dict[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if check.status == "fail"]


# -- the real thing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "now"), CAPTURES)
def test_each_capture_verifies_at_its_time_with_its_collateral(name: str, now: int) -> None:
    checks, tcb = check(quote(name), stored(name), now=now, min_eval=19)

    assert [check.status for check in checks] == ["pass"] * 4
    assert tcb is not None
    assert (tcb.status, tcb.advisories, tcb.eval_number) == ("UpToDate", (), 19)
    assert tcb.fmspc == ("20A06F000000" if name == "live_evidence" else "90C06F000000")
    assert tcb.tcb_date == "2025-05-14T00:00:00Z"
    _, ends = collateral.window(stored(name))
    assert tcb.collateral_expires == ends
    until = dt.datetime.fromtimestamp(ends, dt.UTC)
    assert checks[0].detail == f"for FMSPC {tcb.fmspc}, valid until {until:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("of", ["gemma_3_27b_p", "glm_5_1"])
@pytest.mark.parametrize("by", ["gemma_3_27b_p", "glm_5_1"])
def test_collateral_without_a_machines_chain_serves_every_machine_of_its_kind(of: str, by: str) -> None:
    for given in (stored(by), stored(by, chain=False)):
        checks, _ = check(quote(of), given, now=JUNE)
        assert [check.status for check in checks] == ["pass"] * 4


@pytest.mark.parametrize("name", [name for name, _ in CAPTURES])
def test_today_all_captures_fail_for_their_collateral_has_expired(name: str) -> None:
    checks, tcb = check(quote(name), stored(name), now=TODAY)

    assert [check.status for check in checks] == ["fail", "skip", "skip", "skip"]
    assert "TCBInfo expired" in checks[0].detail
    assert "it is valid from 2026-0" in checks[0].detail
    assert tcb is None


@pytest.mark.parametrize(("name", "begins", "last"), [
    ("gemma_3_27b_p", 1780533714, 1783124237),
    ("glm_5_1", 1780533714, 1783124237),
    ("live_evidence", 1784508302, 1786794217),
])  # fmt: skip
def test_the_window_of_each_capture_is_exact_to_the_second(name: str, begins: int, last: int) -> None:
    def status(now: float) -> str:
        return check(quote(name), stored(name), now=now)[0][0].status

    assert collateral.window(stored(name)) == (begins, last + 1)
    assert [status(begins - 1), status(begins), status(last + 0.9), status(last + 1)] == ["fail", "pass", "pass", "fail"]


def test_collateral_of_the_other_platform_is_refused() -> None:
    checks, _ = check(quote("glm_5_1"), stored("live_evidence"), now=1784573023)

    assert checks[0].status == "fail"
    assert "Fmspc mismatch" in checks[0].detail


def test_the_synthetic_set_needs_its_own_root() -> None:
    given = shared("tee/synthetic_valid.json")
    raw, root = bytes.fromhex(given["attestation"]["intel_quote"]), bytes.fromhex(given["intel_test_root_der_hex"])

    with_it, _ = check(raw, given["collateral"], now=given["now"], root_der=root, min_eval=19)
    without_it, _ = check(raw, given["collateral"], now=given["now"], min_eval=19)

    assert [check.status for check in with_it] == ["pass"] * 4
    assert [check.status for check in without_it] == ["fail", "skip", "skip", "skip"]


# -- attacks -------------------------------------------------------------------------------------------------------------


def edited(field: str, old: str, new: str) -> dict[str, str]:
    given = INTEL.collateral()
    assert old in given[field]
    return given | {field: given[field].replace(old, new)}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        pytest.param(Intel("attacker").collateral(), "collateral", id="20-an attacker's collateral for a genuine quote"),
        pytest.param(edited("tcb_info", '"UpToDate"', '"OutOfDate"'), "collateral", id="20-an edited TCB status"),
        pytest.param(edited("tcb_info", '"pcesvn":13', '"pcesvn":12'), "collateral", id="20-an edited TCB level"),
        pytest.param(edited("tcb_info", ":19", ":20"), "collateral", id="20-an edited evaluation number"),
        pytest.param(edited("qe_identity", '"isvsvn":4', '"isvsvn":3'), "collateral", id="20-an edited enclave identity"),
        pytest.param(INTEL.collateral(fmspc="112233445566"), "collateral", id="20-another FMSPC"),
        pytest.param(INTEL.collateral(signed_by="platform"), "collateral", id="signed by a platform's key"),
        pytest.param(INTEL.collateral(signed_by="ca"), "collateral", id="signed by the authority of platforms"),
        pytest.param(INTEL.collateral(signed_by="root"), "collateral", id="signed by the root itself"),
        pytest.param(INTEL.collateral(pce_id="0001"), "collateral", id="of another pceId"),
        pytest.param(INTEL.collateral(pce_id="000"), "collateral", id="of a pceId that is too short"),
        pytest.param(INTEL.collateral(tcb_type=1), "collateral", id="of another tcbType"),
        pytest.param(INTEL.collateral(tcb_type=False), "collateral", id="of a tcbType that is not a number"),
        pytest.param(INTEL.collateral(qe_status="SWHardeningNeeded"), "tcb_status", id="the quoting enclave needs hardening"),
        pytest.param(INTEL.collateral(qe_status="ConfigurationNeeded"), "tcb_status", id="the enclave needs configuration"),
        pytest.param(INTEL.collateral(issued=NOW - 40 * DAY, expires=NOW), "collateral", id="21-expired"),
        pytest.param(INTEL.collateral(issued=NOW + 1), "collateral", id="21-not yet valid"),
        pytest.param(INTEL.collateral(crl_expires=NOW), "collateral", id="21-revocation lists expired"),
        pytest.param(INTEL.collateral(crl_issued=NOW + 1), "collateral", id="21-revocation lists not yet valid"),
        pytest.param(INTEL.collateral(revoked=("pck",)), "revocation", id="22-the platform's key is revoked"),
        pytest.param(INTEL.collateral(revoked=("ca",)), "revocation", id="22-the platform's authority is revoked"),
        pytest.param(INTEL.collateral(revoked=("signer",)), "revocation", id="22-Intel's signer is revoked"),
        pytest.param(INTEL.collateral(status="Revoked"), "tcb_status", id="22-the status is Revoked"),
        pytest.param(INTEL.collateral(module_status="Revoked"), "tcb_status", id="22-the module's status is Revoked"),
        pytest.param(INTEL.collateral(qe_status="Revoked"), "tcb_status", id="22-the quoting enclave's status is Revoked"),
        *(pytest.param(INTEL.collateral(status=each), "tcb_status", id=f"23-{each}") for each in OPEN_STATUSES),
        pytest.param(INTEL.collateral(module_status="OutOfDate"), "tcb_status", id="23-the module is OutOfDate"),
        pytest.param(INTEL.collateral(qe_status="OutOfDate"), "tcb_status", id="23-the quoting enclave is OutOfDate"),
        pytest.param(INTEL.collateral(status="TDRelaunchAdvised"), "tcb_status", id="23-TDRelaunchAdvised"),
        pytest.param(INTEL.collateral(status="Splendid"), "tcb_status", id="23-an unknown status"),
        pytest.param(INTEL.collateral(level_svn=6), "tcb_status", id="23-older than every level"),
        pytest.param(INTEL.collateral(evaluation=18), "tcb_eval", id="24-an older evaluation"),
        pytest.param(INTEL.collateral(qe_evaluation=18), "tcb_eval", id="24-an older evaluation of the quoting enclave"),
    ],
)
def test_bad_collateral_is_refused(given: dict[str, str], name: str) -> None:
    checks, _ = judged(given=given)

    assert failed(checks) == [name]


@pytest.mark.parametrize(
    ("signer", "named"),
    [
        ("platform", "it has 3 certificates"),
        ("ca", "'Intel SGX PCK Platform CA' may not sign"),
        ("root", "it has 1 certificates"),
    ],
)
def test_the_error_of_collateral_by_another_signer_names_it(signer: str, named: str) -> None:
    checks, _ = judged(given=INTEL.collateral(signed_by=signer))

    assert "the tcb_info_issuer_chain is not Intel SGX TCB Signing" in checks["collateral"].detail
    assert named in checks["collateral"].detail


@pytest.mark.parametrize(
    ("given", "now", "named"),
    [
        pytest.param(INTEL.collateral(fmspc="112233445566"), NOW, False, id="wrong within its time"),
        pytest.param(INTEL.collateral(fmspc="112233445566", issued=NOW), NOW, False, id="wrong at its beginning"),
        pytest.param(INTEL.collateral(issued=NOW, expires=NOW + 10), NOW + 10, True, id="at its end"),
        pytest.param(INTEL.collateral(issued=NOW + 1), NOW, True, id="before its beginning"),
    ],
)
def test_the_error_names_the_validity_of_collateral_where_it_is_the_reason(
    given: dict[str, str], now: float, named: bool
) -> None:
    checks, _ = judged(given=given, now=now)

    assert failed(checks) == ["collateral"]
    assert ("it is valid from " in checks["collateral"].detail) is named


@pytest.mark.attack(20)
def test_an_attackers_own_collateral_does_not_make_his_quote_valid() -> None:
    attacker = Intel("attacker")

    checks, _ = judged(attacker, attacker.collateral())
    assert failed(checks) == ["collateral"]


@pytest.mark.attack(23)
def test_a_quoting_enclave_that_is_too_old_is_refused() -> None:
    checks, _ = judged(Intel(qe_isvsvn=3))

    assert failed(checks) == ["tcb_status"]


@pytest.mark.parametrize(
    ("part", "status"),
    [*(("status", each) for each in OPEN_STATUSES), ("module_status", "OutOfDate"), ("qe_status", "OutOfDate")],
)
@pytest.mark.attack(23)
def test_a_tcb_status_can_be_accepted_by_name(part: str, status: str) -> None:
    given = INTEL.collateral(**{part: status})
    refused, tcb = judged(given=given)
    accepted, same = judged(given=given, statuses={"UpToDate", status})

    assert failed(refused) == ["tcb_status"]
    assert failed(accepted) == []
    assert tcb == same
    assert tcb is not None
    assert tcb.status == status


def test_the_refusal_of_a_status_names_it_the_advisories_and_the_way_to_accept_it() -> None:
    given = INTEL.collateral(status="OutOfDate", advisories=("INTEL-SA-01036", "INTEL-SA-01099"))
    checks, tcb = judged(given=given)

    detail = checks["tcb_status"].detail
    assert "OutOfDate (INTEL-SA-01036, INTEL-SA-01099)" in detail
    assert "TeeOptions(tcb_statuses={'OutOfDate', 'UpToDate'})" in detail
    assert "--allow-status OutOfDate" in detail
    assert tcb is not None
    assert tcb.advisories == ("INTEL-SA-01036", "INTEL-SA-01099")


def test_the_status_revoked_cannot_be_accepted() -> None:
    with pytest.raises(InvalidRequestError, match="tcb_statuses"):
        TeeOptions(tcb_statuses=frozenset({"UpToDate", "Revoked"}))
    checks, tcb = judged(given=INTEL.collateral(status="Revoked"), statuses=TCB_STATUSES)

    assert failed(checks) == ["tcb_status"]
    assert "nothing can allow it" in checks["tcb_status"].detail
    assert tcb == Tcb("Revoked")


@pytest.mark.parametrize(
    ("minimum", "number", "status"), [(19, 19, "pass"), (20, 19, "fail"), (20, 20, "pass"), (0, 3, "pass")]
)
@pytest.mark.attack(24)
def test_an_evaluation_number_below_the_highest_seen_is_a_rollback(minimum: int, number: int, status: str) -> None:
    checks, _ = judged(given=INTEL.collateral(evaluation=number), min_eval=minimum)

    assert checks["tcb_eval"].status == status


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(NOW - 10 * 365 * DAY, id="61-ten years back"),
        pytest.param(NOW + 10 * 365 * DAY, id="61-ten years ahead"),
        pytest.param(0, id="61-the epoch"),
        pytest.param(-1.5, id="before the epoch"),
        pytest.param(float("nan"), id="no number"),
        pytest.param(float("inf"), id="no end"),
        pytest.param(2.0**70, id="beyond every clock"),
    ],
)
def test_a_wrong_clock_is_outside_the_window(now: float) -> None:
    checks, _ = judged(now=now)

    assert failed(checks) == ["collateral"]


# dcap-qvl takes the issuer of the platform's revocation list from the quote: any text will do for the field about it.
NONE: list[Any] = [None, 7, "", "zz", [], {}]
NO_COLLATERAL: list[tuple[str, Any]] = [
    (field, value)
    for field in collateral.FIELDS
    for value in NONE
    if field != "pck_crl_issuer_chain" or not isinstance(value, str)
]


@pytest.mark.parametrize(("field", "value"), NO_COLLATERAL)
def test_malformed_collateral_is_refused(field: str, value: Any) -> None:
    checks, _ = judged(given=INTEL.collateral() | {field: value})

    assert failed(checks) == ["collateral"]


def test_binaries_may_be_hex_base64_or_bytes() -> None:
    import base64

    given = INTEL.collateral()
    lists = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")
    as_bytes = {field: bytes.fromhex(given[field]) for field in lists}
    as_base64 = {field: base64.b64encode(value).decode() for field, value in as_bytes.items()}

    for form in (as_bytes, as_base64):
        checks, _ = judged(given={**given, **form})
        assert failed(checks) == []
    for field, value in as_base64.items():
        checks, _ = judged(given={**given, field: f"{value[:8]}!{value[8:]}"})
        assert f"has no {field}, or it is neither hex nor base64" in checks["collateral"].detail


SIGNED = ("tcb_info", "qe_identity", "root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")


@pytest.mark.parametrize("changes", [40, pytest.param(400, marks=pytest.mark.more)])
@pytest.mark.parametrize("field", SIGNED)
def test_no_random_change_of_what_is_signed_is_accepted(field: str, changes: int) -> None:
    chance = random.Random(f"collateral {field}")
    given = INTEL.collateral()
    binary = field not in {"tcb_info", "qe_identity"}
    whole = bytes.fromhex(given[field]) if binary else given[field].encode()
    for _ in range(changes):
        changed = bytearray(whole)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(7)
        value = bytes(changed).hex() if binary else changed.decode()
        checks, _tcb = judged(given=given | {field: value})
        assert len(failed(checks)) == 1, (field, value)


def test_no_random_change_of_a_signers_certificate_is_accepted() -> None:
    import base64

    chance = random.Random("certificates")
    der, given = INTEL.signer.der, INTEL.collateral()
    for field in ("tcb_info_issuer_chain", "qe_identity_issuer_chain"):
        for _ in range(100):
            changed = bytearray(der)
            changed[chance.randrange(len(der))] ^= 1 << chance.randrange(8)
            body = base64.encodebytes(bytes(changed)).decode()
            chain = f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n{pem(INTEL.root)}"
            checks, _tcb = judged(given=given | {field: chain})
            assert failed(checks), bytes(changed).hex()


# -- what is missing -----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_dcap_qvl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dcap_qvl", None)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        pytest.param("collateral", "there is no collateral", id="58-no collateral"),
        pytest.param("dcap-qvl", "venice-chat[e2ee]", id="58-no dcap-qvl"),
    ],
)
def test_a_check_that_cannot_run_is_skipped_with_the_reason(request: pytest.FixtureRequest, missing: str, words: str) -> None:
    if missing == "dcap-qvl":
        request.getfixturevalue("no_dcap_qvl")
    checks, tcb = check(INTEL.quote, None if missing == "collateral" else INTEL.collateral(), now=NOW)

    assert [(check.id, check.status) for check in checks] == [(name, "skip") for name in NAMES]
    assert all(words in check.detail for check in checks)
    assert tcb is None


@pytest.mark.attack(58)
def test_without_dcap_qvl_the_checks_of_collateral_are_skipped() -> None:
    code = (
        "import sys; sys.modules['dcap_qvl'] = None\n"
        "from venice_ai.tee import TeeOptions, collateral\n"
        "from venice_ai.tee.types import CollectedEvidence\n"
        "given = CollectedEvidence(model='', nonce=b'', reply=b'', now=0, collateral={})\n"
        "checks, tcb = collateral.check(b'', given, TeeOptions())\n"
        "print(tcb, *(check.status for check in checks))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["None", *["skip"] * 4]


def test_dcap_qvl_is_imported_when_it_is_needed() -> None:
    code = "import sys, venice_ai.tee.collateral; print(sorted({'dcap_qvl', 'cryptography'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("raw", [b"", b"\0", bytes(5000)], ids=["nothing", "a byte", "zeros"])
def test_bytes_that_are_not_a_quote_are_refused(raw: bytes) -> None:
    checks, tcb = check(raw, INTEL.collateral(), now=NOW, root_der=INTEL.root_der)

    assert checks[0].status == "fail"
    assert tcb is None


# -- with the rest of an attestation -------------------------------------------------------------------------------------


def whole(**arguments: Any) -> AttestationReport:
    found = shared("tee/attestation_glm_5_1.json")
    reply, nonce = json.dumps(found["attestation"]).encode(), bytes.fromhex(found["_client_nonce"])
    given: dict[str, Any] = {"now": JUNE, "collateral": stored("glm_5_1"), **arguments}
    options = given.pop("options", None)
    return attestation.verify(CollectedEvidence(model="e2ee-glm-5-1", nonce=nonce, reply=reply, **given), options)


@pytest.mark.attack(24)
def test_the_numbers_seen_before_are_the_lowest_that_are_accepted() -> None:
    assert whole(seen=Seen(19, {"root": 1, "platform": 1, "processor": 7})).level == "hardware"
    report = whole(seen=Seen(20, where="/the/file"))

    assert (report.ok, report.level) == (False, None)
    assert [check.id for check in report.failures] == ["tcb_eval"]
    assert "/the/file" in report.failures[0].detail
    for minimum, why in ((19, "/the/file"), (20, "min_tcb_eval"), (21, "min_tcb_eval")):
        report = whole(seen=Seen(20, where="/the/file"), options=TeeOptions(min_tcb_eval=minimum))
        assert [why in check.detail for check in report.failures] == [True], minimum


@pytest.mark.parametrize("issuer", ["root", "platform"])
def test_a_revocation_list_with_a_lower_number_than_was_seen_before_is_refused(issuer: str) -> None:
    report = whole(seen=Seen(revocation_lists={issuer: 2}))

    assert [check.id for check in report.failures] == ["revocation"]


@pytest.mark.parametrize(
    "missing", [pytest.param("dcap-qvl", id="58-no dcap-qvl"), pytest.param("collateral", id="58-no collateral")]
)
@pytest.mark.attack(58)
def test_skipped_checks_of_collateral_lower_the_level_and_hardware_refuses(
    request: pytest.FixtureRequest, missing: str
) -> None:
    if missing == "dcap-qvl":
        request.getfixturevalue("no_dcap_qvl")
    report = whole(**({"collateral": None} if missing == "collateral" else {}))

    assert (report.ok, report.level, report.tcb) == (True, "quote", None)
    raise_for(report, TeeOptions())
    with pytest.raises(TeeAttestationError, match="hardware"):
        raise_for(report, TeeOptions(verification="hardware"))


@pytest.mark.parametrize("now", [pytest.param(int(TODAY), id="21-expired"), pytest.param(1780533713, id="21-not yet valid")])
@pytest.mark.attack(21)
def test_collateral_outside_its_validity_is_refused(now: int) -> None:
    report = whole(now=now)

    assert [check.id for check in report.failures] == ["collateral"]
    with pytest.raises(TeeAttestationError, match="TCBInfo"):
        raise_for(report, TeeOptions(verification="hardware"))
