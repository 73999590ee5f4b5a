"""`venice-chat cost`."""

from __future__ import annotations

import json

import pytest

from venice_ai.emulator import Emulator

from .shell import Here


def test_the_estimate_is_printed_as_text(here: Here) -> None:
    outcome = here("cost", "--model", "llama-3.3-70b", "--expected", "1000", "ten", "words", stdin=b"")
    assert outcome.code == 0
    assert outcome.out.startswith("llama-3.3-70b: likely $0.003501 (from $")
    assert "by the words alone, without Venice's own system prompt: $0.002801\n" in outcome.out
    assert "1,000 tokens" in outcome.out


def test_the_first_estimated_number_is_close_to_the_bill(here: Here) -> None:
    printed = here("cost", "-m", "llama-3.3-70b", "--expected", "40", "What is a lagoon?").out
    billed = here("chat", "-m", "llama-3.3-70b", "--usage", "--no-log", "What is a lagoon?").err
    likely, charged = (float(said.partition("$")[2].split()[0]) for said in (printed, billed))
    assert abs(likely / charged - 1) < 0.1


def test_json_has_the_estimate_as_numbers(here: Here) -> None:
    estimate = json.loads(here("cost", "--json", "-m", "llama-3.3-70b", stdin=b"one two three four").out)
    assert estimate["total_cost_usd"] == estimate["prompt_cost_usd"] + estimate["completion_cost_usd"]
    assert estimate["prompt_tokens"] == 5
    assert estimate["low"] <= estimate["total_cost_usd"] <= estimate["high"]


def test_no_prompt_is_sent_and_no_key_is_needed(emulator: Emulator, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY")
    assert here("cost", "my secret plan").code == 0
    assert {request.method for request in emulator.requests} == {"GET"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--model", "no-such-model", "hi"], 4, id="no such model"),
        pytest.param(["--expected", "-1", "hi"], 2, id="a negative number"),
        pytest.param([], 2, id="no prompt"),
    ],
)
def test_a_model_or_prompt_that_cannot_be_estimated_exits_with_its_code(here: Here, arguments: list[str], code: int) -> None:
    assert here("cost", *arguments).code == code
