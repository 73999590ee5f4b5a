"""The models that the emulator serves."""

from __future__ import annotations

from typing import Any

import pytest

from venice_ai.emulator import Emulator, default_models, other_model, text_model
from venice_ai.emulator.catalogue import TYPES, Catalogue, split_suffix

from .asking import HELLO, Asker, hello, in_process
from .openapi import component, problems, response_schema


async def models(ask: Asker, query: str = "", headers: dict[str, str] | None = None) -> Any:
    return (await ask(method="GET", path=f"/api/v1/models{query}", headers=headers)).json


@pytest.mark.parametrize("entry", Catalogue(default_models()).listed("all"), ids=lambda entry: entry["id"])
def test_an_entry_is_what_the_document_says(entry: dict[str, Any]) -> None:
    assert problems(component("ModelResponse"), entry) == []


@pytest.mark.parametrize("path", ["/models", "/models/traits", "/models/compatibility_mapping"])
async def test_a_list_is_what_the_document_says(ask_both: Asker, path: str) -> None:
    got = await ask_both(method="GET", path=f"/api/v1{path}")
    assert problems(response_schema(path, "get"), got.json) == []


@pytest.mark.parametrize("kind", TYPES)
async def test_the_parameter_type_filters_the_catalogue(ask: Asker, kind: str) -> None:
    listed = await models(ask, f"?type={kind}")
    assert listed["type"] == kind
    assert {model["type"] for model in listed["data"]} == {kind}


async def test_without_a_type_text_models_are_listed_and_all_lists_every_model(ask: Asker) -> None:
    assert {model["type"] for model in (await models(ask))["data"]} == {"text"}
    assert {model["type"] for model in (await models(ask, "?type=all"))["data"]} == set(TYPES)


async def test_code_is_text_models_for_code(ask: Asker) -> None:
    listed = await models(ask, "?type=code")
    assert [model["id"] for model in listed["data"]] == ["arsenale-coder"]
    assert listed["type"] == "code"


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/models", "sculpture"), ("/models", ""), ("/models/traits", "all"), ("/models/compatibility_mapping", "code")],
)
async def test_an_unknown_type_is_refused(ask: Asker, path: str, kind: str) -> None:
    got = await ask(method="GET", path=f"/api/v1{path}?type={kind}")
    assert got.status == 400
    assert got.json["issues"][0]["path"] == ["type"]


async def test_no_key_is_needed(ask_both: Asker) -> None:
    assert (await models(ask_both, headers={}))["data"]


async def test_traits_are_those_of_the_models(ask: Asker) -> None:
    traits = (await ask(method="GET", path="/api/v1/models/traits")).json["data"]
    assert traits["default"] == traits["function_calling_default"] == "llama-3.3-70b"
    listed = (await models(ask))["data"]
    assert traits == {trait: model["id"] for model in listed for trait in model["model_spec"]["traits"]}
    images = (await ask(method="GET", path="/api/v1/models/traits?type=image")).json["data"]
    assert images == {"default": "murano-image", "fastest": "murano-image"}


async def test_other_names_lead_to_models(ask: Asker) -> None:
    names = (await ask(method="GET", path="/api/v1/models/compatibility_mapping")).json["data"]
    assert names["gpt-4o"] == "llama-3.3-70b"
    assert (await ask(method="GET", path="/api/v1/models/compatibility_mapping?type=video")).json["data"] == {}


@pytest.mark.parametrize(
    "entry", [model for model in default_models() if model["type"] == "text"], ids=lambda entry: entry["id"]
)
async def test_every_text_model_answers_unless_it_is_offline(ask: Asker, entry: dict[str, Any]) -> None:
    got = await ask(hello(model=entry["id"]))
    assert got.status == (503 if entry["model_spec"]["offline"] else 200)


async def test_there_is_one_of_every_kind(ask: Asker) -> None:
    specs = {model["id"]: model["model_spec"] for model in (await models(ask))["data"]}
    assert {"llama-3.3-70b", "venice-1", "kimi-k2-5"} <= specs.keys()
    assert any(spec["pricing"]["input"]["usd"] == 0 for spec in specs.values())
    assert any("extended" in spec["pricing"] for spec in specs.values())
    assert any("deprecation" in spec for spec in specs.values())
    assert any(spec["betaModel"] for spec in specs.values())
    for capability in ("supportsReasoning", "supportsVision", "supportsE2EE", "supportsTeeAttestation", "supportsVideoInput"):
        assert any(spec["capabilities"][capability] for spec in specs.values())


async def test_a_catalogue_of_ones_own() -> None:
    own = [text_model("own", "My Own", supports=["Vision"], input=1, output=2), other_model("own-tts", "tts", "Voice")]
    async with in_process(Emulator(models=own)) as ask:
        assert [model["id"] for model in (await models(ask, "?type=all"))["data"]] == ["own", "own-tts"]
        assert (await ask(hello(model="own"))).json["model"] == "own"
        assert (await ask(HELLO)).status == 404
        assert (await ask(method="GET", path="/api/v1/models/compatibility_mapping")).json["data"] == {}
    assert problems(component("ModelResponse"), own[0]) == []


async def test_an_entry_that_says_little_is_believed_to_be_able() -> None:
    little = {"id": "little", "type": "text", "model_spec": {"privacy": "private"}}
    async with in_process(Emulator(models=[little])) as ask:
        got = await ask(hello(model="little", logprobs=True, response_format={"type": "json_object"}))
        assert got.status == 200
        assert got.json["cost"] == {"usd": 0, "diem": 0}


@pytest.mark.parametrize(
    ("model", "name", "switches"),
    [
        pytest.param("m", "m", {}, id="none"),
        pytest.param("m:enable_web_search=on", "m", {"enable_web_search": "on"}, id="a text"),
        pytest.param(
            "m:disable_thinking=true&strip_thinking_response=false",
            "m",
            {"disable_thinking": True, "strip_thinking_response": False},
            id="two",
        ),
        pytest.param("m:character_slug=a%20b", "m", {"character_slug": "a b"}, id="encoded"),
        pytest.param("m:web", "m", {}, id="unknown"),
        pytest.param("m:enable_e2ee=false&enable_x_search=true", "m", {}, id="not for suffixes"),
        pytest.param("m:", "m", {}, id="empty"),
    ],
)
def test_the_suffix_of_a_model_name_gives_its_switches(model: str, name: str, switches: dict[str, Any]) -> None:
    assert split_suffix(model) == (name, switches)
