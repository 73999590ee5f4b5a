"""How a rule becomes a check, and which level checks reach."""

from __future__ import annotations

from typing import Any

import pytest

from venice_ai.tee.checks import (
    COLLATERAL,
    QUOTE,
    SERVER,
    CheckSkipped,
    CheckWarning,
    attained,
    fail_if,
    level_of,
    outcome,
    run,
    skipped,
    with_custom,
)
from venice_ai.types.attestation import AttestationReport, Check

HARDWARE = (*COLLATERAL, "parts")


def checks(*names: str, **others: Any) -> list[Check]:
    """Checks that passed, but for those that are named with another outcome."""
    return [outcome(name, others.get(name, "pass"), f"about {name}") for name in names]


def raising(error: Exception) -> Any:
    def rule() -> str:
        raise error

    return rule


@pytest.mark.parametrize(
    ("rule", "status", "detail"),
    [
        pytest.param(lambda: "it is good", "pass", "it is good", id="a text"),
        pytest.param(raising(CheckWarning("who knows")), "warn", "who knows", id="a warning"),
        pytest.param(raising(CheckSkipped("another form")), "skip", "another form", id="a skip"),
        pytest.param(raising(ValueError("it is bad")), "fail", "it is bad", id="what is wrong"),
        pytest.param(raising(ImportError("no jwt")), "fail", "no jwt", id="a package that is missing"),
        pytest.param(raising(KeyError("secret")), "fail", "it could not be examined (KeyError)", id="anything else"),
    ],
)
def test_a_rule_becomes_a_check_whatever_it_raises(rule: Any, status: str, detail: str) -> None:
    assert run("pins", rule) == Check("pins", status, detail, "genuine hardware that runs the wrong software")  # type: ignore[arg-type]


def test_a_rule_fails_if_something_is_wrong() -> None:
    fail_if(False, "never")
    fail_if([], "never")
    with pytest.raises(ValueError, match=r"^bad$"):
        fail_if([0], "bad")


def test_of_checks_that_are_skipped_the_one_that_failed_is_itself() -> None:
    failed = outcome("revocation", "fail", "revoked")

    assert [each.status for each in skipped(COLLATERAL, failed=failed)] == ["skip", "fail", "skip", "skip"]
    assert skipped(COLLATERAL, failed=failed)[1] is failed
    assert {each.detail for each in skipped(COLLATERAL)} == {"not reached, because of the check that failed"}
    assert [each.detail for each in skipped(["pins"], "no quote")] == ["no quote"]


@pytest.mark.parametrize(
    ("names", "level", "below"),
    [
        pytest.param((*SERVER,), "server", None, id="server"),
        pytest.param((*SERVER, *QUOTE), "quote", "server", id="quote"),
        pytest.param((*SERVER, *QUOTE, *HARDWARE), "hardware", "quote", id="hardware"),
        pytest.param((*SERVER, *QUOTE, *HARDWARE, "pins"), "pinned", "hardware", id="pinned"),
    ],
)
def test_a_level_needs_all_of_its_checks_and_a_failed_check_allows_no_level(
    names: tuple[str, ...], level: str, below: Any
) -> None:
    last = {"server": tuple(SERVER), "quote": tuple(QUOTE), "hardware": HARDWARE, "pinned": ("pins",)}[level]

    assert level_of(checks(*names)) == level
    for name in last:
        assert level_of(checks(*(each for each in names if each != name))) == below, name
        assert level_of(checks(*names, **{name: "skip"})) == below, name
        assert level_of(checks(*names, **{name: "fail"})) is None, name
        warned = level if name != "transport" else "server"
        assert level_of(checks(*names, **{name: "warn"})) == warned, name
    assert level_of(checks(*names, "gpu_count", gpu_count="fail")) is None
    assert level_of(checks(*names, "gpu_count", gpu_count="warn")) == level


def test_no_checks_reach_no_level_and_an_unknown_server_reaches_the_lowest() -> None:
    everything = (*SERVER, *QUOTE, *HARDWARE, "pins")

    assert level_of([]) is None
    assert level_of(checks(*QUOTE, *HARDWARE)) is None
    assert level_of(checks(*everything, transport="warn")) == "server"


def test_the_words_for_a_level_name_what_lowers_it_once() -> None:
    lowered = [*checks("transport", transport="warn"), *skipped(COLLATERAL, "no collateral"), *checks("pins", pins="warn")]

    assert attained("server", lowered).startswith(
        "NOT verified: Venice's own statement (level 'server'): about transport; no col"
    )
    assert attained("server", lowered).count("no collateral") == 1
    assert "no evidence was looked at" in attained("server", checks("transport"))
    assert attained("quote", lowered[1:]) == "verified at the level 'quote' only: no collateral."
    assert attained("hardware", lowered[1:]) == "verified at the level 'hardware'."


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (True, "accepts it"),
        (False, "gave bool, not True"),
        (1, "gave int, not True"),
        (None, "gave NoneType, not True"),
        (ValueError("secret"), "raised ValueError"),
    ],
    ids=repr,
)
def test_a_custom_verifier_accepts_with_true_alone(answer: object, detail: str) -> None:
    report = AttestationReport(model="m", nonce="00", fetched_at=0, expires_at=1, ok=True, level="quote", model_public_key="04")
    judged = with_custom(report, answer)

    assert judged.checks[-1].detail == f"the verifier given in TeeOptions {detail}"
    assert (judged.ok, judged.level, judged.model_public_key) == (
        (True, "quote", "04") if answer is True else (False, None, None)
    )
    assert judged.checks[-1].status == ("pass" if answer is True else "fail")
