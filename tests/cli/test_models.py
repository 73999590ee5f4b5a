"""`venice-chat models`."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from venice_ai.cli._output import aligned
from venice_ai.cli.models import _FLAGS
from venice_ai.emulator import Emulator, completion, error
from venice_ai.resources.model_choice import CAPABILITIES

from .shell import Here


def test_the_table_has_ids_prices_and_capabilities(here: Here) -> None:
    lines = here("models").out.splitlines()
    assert lines[0].split()[0] == "MODEL"
    (line,) = (line for line in lines if line.startswith("kimi-k2-5"))
    assert line.split()[:5] == ["kimi-k2-5", "262,144", "0.60", "3.00", "private"]
    assert "vision" in line


def test_the_table_notes_why_a_model_cannot_be_used(here: Here) -> None:
    notes = here("models").out
    for note in ("offline", "beta", "retires 2099-07-14", "default"):
        assert note in notes


@pytest.mark.parametrize("kind", ["all", "image", "code"])
def test_models_of_other_types_are_listed(here: Here, kind: str) -> None:
    assert len(here("models", "--type", kind).out.splitlines()) > 1


def test_every_listed_model_has_all_requested_capabilities(here: Here) -> None:
    rows = here("models", "--capability", "vision", "--capability", "reasoning").out.splitlines()[1:]
    assert {row.split()[0] for row in rows} == {"kimi-k2-5", "serenissima-frontier"}


def test_no_model_with_all_that_is_no_failure_and_says_so(here: Here) -> None:
    outcome = here("models", "--capability", "e2ee", "--capability", "vision")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err


def test_cheapest_first_and_models_without_prices_last(here: Here) -> None:
    ids = [entry["id"] for entry in json.loads(here("models", "--type", "all", "--cheapest", "--json").out)]
    assert ids[0] == "gondola-free"
    assert ids.index("serenissima-frontier") < ids.index("vivaldi-music")


def test_json_is_the_catalogue(here: Here) -> None:
    entries = json.loads(here("models", "--capability", "vision", "--json").out)
    assert all(entry["model_spec"]["capabilities"]["supportsVision"] for entry in entries)


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        pytest.param([], "llama-3.3-70b", id="default"),
        pytest.param(["--cheapest"], "gondola-free", id="cheapest"),
        pytest.param(["--capability", "vision"], "rialto-vision", id="capability"),
    ],
)
def test_resolve_prints_only_the_id(here: Here, arguments: list[str], model: str) -> None:
    assert here("models", "--resolve", *arguments).out == f"{model}\n"


def test_every_capability_can_be_resolved(here: Here) -> None:
    for name in CAPABILITIES:
        outcome = here("models", "--resolve", "--capability", name.removeprefix("require_").replace("_", "-"))
        assert outcome.code == 0 or "no chat model fits" in outcome.err


def test_resolve_is_for_text_models(here: Here) -> None:
    assert here("models", "--resolve", "--type", "image").code == 2


def test_an_odd_entry_does_not_hide_the_rest(emulator: Emulator, here: Here) -> None:
    odd = {"object": "list", "data": [None, {"id": "bare"}, {"id": "odd", "type": "text", "model_spec": {"pricing": 7}}]}
    emulator.script(completion(odd), path="/models")
    outcome = here("models")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["MODEL", "bare", "odd"]


@pytest.mark.parametrize("how", [[], ["--cheapest"], ["--json"]], ids=" ".join)
@pytest.mark.parametrize(
    "spec",
    [
        5,
        [],
        {"traits": 5},
        {"traits": [5, None]},
        {"traits": {"a": 1}},
        {"availableContextTokens": True},
        {"pricing": {"input": {"usd": True}, "output": {"usd": 10**400}}},
        {"deprecation": "soon"},
    ],
    ids=lambda spec: str(spec)[:40],
)
def test_an_odd_specification_does_not_hide_the_rest(emulator: Emulator, here: Here, spec: Any, how: list[str]) -> None:
    plain = {"id": "plain", "type": "text", "model_spec": {"traits": ["default"]}}
    odd = {"id": "odd", "type": "text", "model_spec": spec}
    emulator.script(completion({"object": "list", "data": [odd, plain]}), path="/models")
    outcome = here("models", *how)
    assert (outcome.code, outcome.err) == (0, "")
    assert "plain" in outcome.out


# `tee` joins them when resolve_chat knows require_tee.
@pytest.mark.parametrize("capability", sorted(_FLAGS.keys()))
def test_every_capability_is_resolved_or_no_model_has_it(here: Here, capability: str) -> None:
    assert here("models", "--resolve", "--capability", capability).code in {0, 4}


@pytest.mark.parametrize("price", ["nan", "-1"])
def test_a_price_that_cannot_be_one_is_refused(here: Here, price: str) -> None:
    outcome = here("models", "--max-price", price)
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not an amount of 0 or more US dollars" in outcome.err


def test_with_json_the_model_that_is_resolved_is_json(here: Here) -> None:
    assert json.loads(here("models", "--resolve", "--json").out) == {"id": "llama-3.3-70b"}


@pytest.mark.parametrize(
    "arguments",
    [["models", "show", "llama-3.3"], ["cost", "-m", "llama-3.3", "hi"], ["chat", "-m", "llama-3.3", "hi"]],
    ids=" ".join,
)
def test_a_model_that_is_not_there_is_answered_with_the_nearest(here: Here, arguments: list[str]) -> None:
    outcome = here(*arguments)
    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.err.endswith("; did you mean 'llama-3.3-70b'?\n")


@pytest.mark.parametrize("arguments", [["models"], ["models", "--resolve"], ["cost", "hi"], ["chat", "hi"]], ids=" ".join)
def test_an_address_without_a_catalogue_is_named(here: Here, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    root = os.environ["VENICE_BASE_URL"].removesuffix("/api/v1")
    monkeypatch.setenv("VENICE_BASE_URL", root)
    outcome = here(*arguments)
    assert outcome.code == 2
    assert f"{root} answers 404" in outcome.err
    assert "check --base-url" in outcome.err


def test_a_table_aligns_numbers_to_the_right() -> None:
    rows = [("MODEL", "CONTEXT", "NOTES"), ("m", "8,192", ""), ("longer", "1,000,000", "beta")]
    lines = aligned(rows).splitlines()
    assert lines == ["MODEL     CONTEXT  NOTES", "m           8,192", "longer  1,000,000  beta"]


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        pytest.param(["kimi"], {"kimi-k2-5"}, id="a text"),
        pytest.param(["KIMI", "k2"], {"kimi-k2-5"}, id="two texts"),
        pytest.param(["venice", "--max-price", "0.6"], {"venice-1"}, id="a price"),
    ],
)
def test_a_text_and_a_price_filter(here: Here, arguments: list[str], ids: set[str]) -> None:
    assert {entry["id"] for entry in json.loads(here("models", *arguments, "--json").out)} == ids


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(["show"], "'models show' takes the id of a model; 'models' alone lists all", id="show without an id"),
        pytest.param(["list"], "'models' alone lists all", id="list"),
        pytest.param(["--cheapest", "--sort", "name"], "--cheapest is --sort price, not --sort name", id="two orders"),
        pytest.param(["--capability", "vison"], "did you mean 'vision'?", id="a misspelt capability"),
    ],
)
def test_wrong_usage_is_refused_with_the_right_hint(emulator: Emulator, here: Here, arguments: list[str], why: str) -> None:
    outcome = here("models", *arguments)
    assert (outcome.code, outcome.out, emulator.requests) == (2, "", [])
    assert why in outcome.err
    assert here("models", "--cheapest", "--sort", "price").code == 0


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        pytest.param(["chat", "-m", "LLAMA-3.3-70B", "hi"], "; did you mean 'llama-3.3-70b'?\n", id="in capitals"),
        pytest.param(
            ["chat", "-m", "murano-image", "hi"], "; 'murano-image' is a model of type 'image', and no chat model\n", id="chat"
        ),
        pytest.param(
            ["cost", "-m", "murano-image", "hi"], "; 'murano-image' is a model of type 'image', and no chat model\n", id="cost"
        ),
    ],
)
def test_the_typed_name_is_never_suggested(here: Here, arguments: list[str], hint: str) -> None:
    outcome = here(*arguments)
    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.err.endswith(hint)


def test_a_refusal_of_an_existing_model_suggests_no_other(emulator: Emulator, here: Here) -> None:
    emulator.script(error(404, "no route"))
    outcome = here("chat", "-m", "llama-3.3-70b", "hi")
    assert outcome.code == 4
    assert "no route" in outcome.err
    assert "did you mean" not in outcome.err
    assert "character" not in outcome.err


def test_an_emulator_without_an_enclave_says_so(here: Here) -> None:
    outcome = here("chat", "--e2ee", "-m", "e2ee-ponte-chiuso-p", "hi")
    assert (outcome.code, outcome.out) == (4, "")
    assert "this emulator was started without an enclave (venice-chat serve --tee" in outcome.err
    assert "did you mean" not in outcome.err


def test_only_private_models_are_listed_with_private(here: Here) -> None:
    entries = json.loads(here("models", "--private", "--json").out)
    assert entries
    assert {entry["model_spec"]["privacy"] for entry in entries} == {"private"}
    assert here("models", "--resolve", "--private").code == 0


def test_the_order_can_be_chosen(here: Here) -> None:
    contexts = [
        e["model_spec"]["availableContextTokens"] for e in json.loads(here("models", "--sort", "context", "--json").out)
    ]
    assert contexts == sorted(contexts, reverse=True)
    ids = [entry["id"] for entry in json.loads(here("models", "--sort", "name", "--json").out)]
    assert ids == sorted(ids)


def test_show_has_every_capability_constraint_and_price(here: Here) -> None:
    out = here("models", "show", "campanile-1902").out
    assert out.startswith("!! DEPRECATED: campanile-1902 retires 2099-07-14\n")
    for what in ("capabilities.supportsVision", "pricing.input.usd", "deprecation.date", "constraints"):
        assert what in out
    assert json.loads(here("models", "show", "campanile-1902", "--json").out)["id"] == "campanile-1902"
    assert here("models", "show", "nowhere").code == 4
