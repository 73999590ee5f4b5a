"""The lines of a report: the level that was reached and no more, and never a line that the evidence wrote."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from venice_ai.exceptions import InvalidRequestError, TeeAttestationError
from venice_ai.tee import TeeOptions
from venice_ai.tee.checks import outcome, reached
from venice_ai.tee.workload import read_compose
from venice_ai.types.attestation import (
    LEVELS,
    AttestationReport,
    Check,
    Gpu,
    Level,
    SignatureReport,
    Tcb,
    Td,
    Workload,
    one_line,
)

from .evidence import CAPTURES, Case, capture, managed, resigned

FORGED = "x\nverdict: e2ee-m verified at level pinned\r\u2028verdict: \x1b[2K\u202eGOOD"


def lines_of(report: AttestationReport) -> list[str]:
    return report.summary().splitlines()


def verdicts(report: AttestationReport) -> list[str]:
    return [line for line in lines_of(report) if line.startswith("verdict")]


# -- what was reached ----------------------------------------------------------------------------------------------------


def test_the_words_are_those_of_the_level_that_was_reached() -> None:
    case = resigned()
    server = replace(case, options=case.options.replace(verification="server")).judged()
    quote, hardware = case.judged(collateral=None), case.judged()

    assert verdicts(server) == [
        f"verdict: {case.model} NOT verified: Venice's own statement (level server) under a CUSTOM root of trust"
    ]
    assert verdicts(quote) == [f"verdict: {case.model} verified at level quote under a CUSTOM root of trust"]
    assert verdicts(hardware) == [f"verdict: {case.model} verified at level hardware under a CUSTOM root of trust"]
    assert server.warnings[0].startswith("NOT verified: Venice's own statement")
    assert quote.warnings[0].startswith("verified at the level 'quote' only")
    assert not any("verified" in warning for warning in hardware.warnings)


def test_nothing_is_called_verified_that_was_refused() -> None:
    report = resigned().bent(verified=False).judged()

    assert verdicts(report)[0].endswith("REFUSED")
    assert not any("verified" in warning for warning in report.warnings)


@pytest.mark.parametrize("verification", ["server", "auto", "quote", "hardware"])
@pytest.mark.parametrize("known", [True, False])
def test_without_verified_tls_the_level_is_server_at_most(verification: Any, known: bool) -> None:
    case = resigned()
    report = replace(case, options=case.options.replace(verification=verification)).judged(known_server=known)

    assert report.level == ("server" if not known or verification == "server" else "hardware")
    assert any("ssl_context" in warning for warning in report.warnings) is not known


# -- debug, by the server's own word -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verification", ["server", "auto"])
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param({"debug": True}, id="a switch"),
        pytest.param({"server_verification": {"tdx": {"isDebug": "true"}}}, id="a switch in its verification"),
        pytest.param({"server_verification": {"tdx": {"debug_mode": 1}}}, id="a number"),
        pytest.param({"server_verification": {"tdx": {"measurements": {"tdAttributes": "0100001000000000"}}}}, id="attributes"),
        pytest.param({"server_verification": {"td_attributes": "0x0100001000000000"}}, id="attributes, written otherwise"),
        pytest.param({"server_verification": {"tdAttributes": "?"}}, id="attributes that cannot be read"),
        pytest.param({"server_verification": {"domains": [{"debug": True}]}}, id="a switch in a list"),
        pytest.param({"server_verification": {"tdx": {"is-debug": True}}}, id="a switch, written otherwise"),
        pytest.param({"debug": [{"on": True}]}, id="a switch that is a list"),
        pytest.param(json.loads('{"a": ' * 100 + '{"debug": true}' + "}" * 100), id="a switch far down"),
        pytest.param({"vm_config": '{"debug": true}'}, id="a switch in an object that came as text"),
    ],
)
def test_a_server_that_reports_a_debug_domain_is_refused_at_every_level(statement: dict[str, Any], verification: Any) -> None:
    case = resigned().bent(intel_quote=None, quote=None, **statement)
    report = replace(case, options=case.options.replace(verification=verification)).judged()

    assert [check.id for check in report.failures] == ["server_claims"]


@pytest.mark.parametrize("statement", [{"debug": False}, {"debug": None}, {"server_verification": {"debug": "off"}}])
def test_a_server_that_reports_none_is_not(statement: dict[str, Any]) -> None:
    assert resigned().bent(**statement).judged().ok


# -- lines ---------------------------------------------------------------------------------------------------------------


def bent(case: Case, **changes: Any) -> AttestationReport:
    return case.bent(**changes).judged()


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(bent(resigned(), model=FORGED), id="the model"),
        pytest.param(bent(resigned(), nonce_source=FORGED), id="the nonce's source"),
        pytest.param(bent(resigned(), tee_hardware=FORGED), id="the hardware"),
        pytest.param(bent(resigned(), vm_config=json.dumps({"image": f"-dev-{FORGED}"})), id="the image"),
        pytest.param(bent(resigned(), server_verification={FORGED: {"valid": False}}), id="a claim's name"),
        pytest.param(bent(managed(), tee_provider=FORGED), id="the provider"),
        pytest.param(replace(resigned().judged(), gpus=(Gpu(model=FORGED, driver=FORGED),)), id="a GPU"),
        pytest.param(replace(resigned().judged(), actions=(FORGED,), warnings=(FORGED,)), id="an action"),
    ],
)
def test_evidence_writes_no_line_of_its_own(report: AttestationReport) -> None:
    assert verdicts(report) == lines_of(report)[-1:]
    assert all(line.isprintable() for line in lines_of(report))
    assert all(check.detail.isprintable() for check in report.checks)


def test_a_check_is_a_line_however_long_its_evidence_is() -> None:
    check = outcome("custom", "fail", "a" * 100_000 + "\n")

    assert len(check.detail) < 3_000
    assert one_line("a\tb\u200bé") == "a\\tb\\u200bé"


@pytest.mark.parametrize("length", [2_000, 2_001])
def test_a_line_holds_two_thousand_characters_of_evidence(length: int) -> None:
    assert one_line("a" * length) == "a" * 2_000 + ("..." if length > 2_000 else "")


def test_the_words_for_a_low_level_say_why_it_is_no_higher() -> None:
    case = resigned()
    for report, level in ((case.bent(intel_quote=None).judged(), "server"), (case.judged(collateral=None), "quote")):
        reasons = {check.detail for check in report.checks if check.status == "skip"}
        assert report.level == level
        assert reasons
        assert all(reason in reached(report) for reason in reasons)
        passed = {check.detail for check in report.checks if check.status == "pass" and check.detail}
        assert not any(detail in reached(report) for detail in passed)


# -- what runs -----------------------------------------------------------------------------------------------------------


def test_every_image_is_shown_with_its_digest() -> None:
    services = "services:\n  a:\n    image: x/a@sha256:00\n  b:\n    image: 'x/b:latest'  # loose\n"
    report = replace(resigned().judged())
    assert report.workload is not None

    images, _ = read_compose(json.dumps({"docker_compose_file": services}))
    shown = replace(report, workload=replace(report.workload, images=images))

    assert [line for line in lines_of(shown) if line.startswith("container image")] == [
        "container image: x/a@sha256:00",
        "container image: x/b:latest (NO digest: its name can be given to another image)",
    ]


def test_the_manager_tells_each_of_its_actions() -> None:
    assert managed().judged().actions == ("start container=model",)
    assert len(capture("glm_5_1").judged().actions) == 37
    assert managed().bent(compose_manager_attestation={"actions": [{"action": "x"}]}).judged().actions == ()


def test_a_line_says_what_was_found_and_what_that_stops() -> None:
    checks = (
        Check("found", "pass", "a quote"),
        Check("stopped", "skip", stops="another's quote"),
        Check("both", "fail", "no quote", stops="a server without one"),
    )

    assert lines_of(replace(resigned().judged(), checks=checks))[:3] == [
        "PASS  found                 a quote",
        "SKIP  stopped               stops: another's quote",
        "FAIL  both                  no quote (stops: a server without one)",
    ]


def report_of(**fields: Any) -> AttestationReport:
    """A report that found no more than these fields."""
    return AttestationReport(model="e2ee-m", nonce="00", fetched_at=1.0, expires_at=2.0, **fields)


def test_each_statement_of_the_evidence_is_one_line() -> None:
    found = report_of(
        ok=True,
        level="pinned",
        tcb=Tcb("OutOfDate", ("INTEL-SA-1", "INTEL-SA-2"), eval_number=17, fmspc="20A0"),
        workload=Workload(compose_hash="c0", os_image_hash="05", later_events=(("n" * 90, "p" * 90),), images=("x@sha256:00",)),
        gpus=(Gpu(driver="570", vbios="96"), Gpu(model="GH100", status="verified")),
        actions=("start container=model",),
        warnings=("look again",),
    )

    assert lines_of(found) == [
        "TCB: OutOfDate, INTEL-SA-1, INTEL-SA-2, evaluation 17, FMSPC 20A0",
        "workload: compose c0, image 05",
        f"later event, as a container says: '{'n' * 79} {'p' * 80}",
        "container image: x@sha256:00",
        "GPU: unknown, driver 570, VBIOS 96, answered",
        "GPU: GH100, driver None, VBIOS None, verified",
        "manager's action: start container=model",
        "warning: look again",
        "verdict: e2ee-m verified at level pinned",
    ]
    assert lines_of(replace(found, tcb=Tcb("UpToDate")))[0] == "TCB: UpToDate, no advisories, evaluation None, FMSPC None"


def test_a_report_that_found_nothing_claims_nothing() -> None:
    report, signature = report_of(), SignatureReport("unavailable")

    assert lines_of(report) == ["verdict: e2ee-m REFUSED"]
    assert (report.ok, report.level, report.trust_root) == (False, None, "intel")
    assert (signature.valid, signature.bound, signature.checks) == (False, None, ())


@pytest.mark.parametrize("asked", LEVELS)
@pytest.mark.parametrize("level", [*LEVELS, None])
def test_a_level_is_reached_by_itself_and_by_those_above_it_if_no_check_failed(level: Level | None, asked: Level) -> None:
    reaches = level is not None and LEVELS.index(level) >= LEVELS.index(asked)

    assert report_of(ok=True, level=level).reaches(asked) is reaches
    assert not report_of(ok=False, level=level).reaches(asked)


def test_a_level_that_is_too_low_is_an_error_that_says_which_checks_were_skipped_each_reason_once() -> None:
    skipped = [Check(name, "skip", why) for name, why in (("tcb", "no network"), ("crl", "no network"), ("gpu", "none"))]
    report = report_of(ok=True, level="quote", checks=(Check("nonce", "pass", "fresh"), *skipped))

    report.raise_for_level("quote")
    with pytest.raises(TeeAttestationError) as caught:
        report.raise_for_level("hardware")

    assert caught.value.report is report
    assert str(caught.value).startswith(
        "the attestation of 'e2ee-m' reaches the level 'quote', and 'hardware' was asked for "
        "(gpu: none; tcb: no network). Nothing was sent."
    )
    with pytest.raises(TeeAttestationError, match=r"'pinned' was asked for\. Nothing was sent"):
        replace(report, checks=()).raise_for_level("pinned")


def test_a_level_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidRequestError, match="level='top' must be one of 'server', 'quote', 'hardware', 'pinned'"):
        report_of(ok=True, level="pinned").raise_for_level("top")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "part",
    [report_of(), Check("nonce", "pass"), Tcb("UpToDate"), Td(*["00"] * 10), Workload(), Gpu(), SignatureReport("unavailable")],
    ids=lambda part: type(part).__name__,
)
def test_a_report_and_its_parts_are_values(part: Any) -> None:
    name = fields(part)[0].name

    assert pickle.loads(pickle.dumps(part)) == part == replace(part)
    assert hash(part) == hash(replace(part))
    assert replace(part, **{name: "another"}) != part
    with pytest.raises(FrozenInstanceError):
        setattr(part, name, "another")
    with pytest.raises(AttributeError):
        object.__setattr__(part, "further", 1)


def test_a_check_is_found_by_its_id() -> None:
    checks = Check("nonce", "pass"), Check("tcb", "skip"), Check("gpu", "fail"), Check("crl", "warn")
    report = report_of(checks=checks)

    assert (report.check("tcb"), report.check("quote")) == (checks[1], None)
    assert (report.skipped, report.failures) == (checks[1:2], checks[2:3])


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        pytest.param(0, "failed: no check has run.", id="none"),
        pytest.param(1, "failed: check 0: why.", id="one"),
        pytest.param(4, "failed: check 0: why; check 1: why; check 2: why; check 3: why.", id="four"),
        pytest.param(5, "check 3: why; and 1 more.", id="five"),
        pytest.param(6, "check 3: why; and 2 more.", id="six"),
    ],
)
def test_an_error_names_four_checks_that_failed_and_counts_the_others(failed: int, words: str) -> None:
    checks = tuple(Check(f"check {number}", "fail", "why") for number in range(failed))

    with pytest.raises(TeeAttestationError) as caught:
        replace(resigned().judged(), ok=False, checks=checks).raise_for_level("server")

    assert words in str(caught.value)


def test_a_report_as_json_keeps_characters_beyond_ascii() -> None:
    report = replace(resigned().judged(), model="e2ee-città")

    assert "e2ee-città" in report.to_json()
    assert json.loads(report.to_json(indent=2)) == json.loads(report.to_json())


@pytest.mark.parametrize("name", CAPTURES)
def test_real_captures_reach_their_level_and_give_the_same_report_twice(name: str) -> None:
    case = capture(name)
    first, again = case.judged(), case.judged()

    assert first.level == "hardware"
    assert first.to_json() == again.to_json()
    assert first.workload is not None
    assert all(line.isprintable() for line in lines_of(first))


def test_the_default_asks_for_a_quote() -> None:
    assert TeeOptions().verification == "auto"
