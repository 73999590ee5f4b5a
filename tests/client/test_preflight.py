"""`preflight`: by the catalogue, requests that a model would refuse are not sent; none is refused that the server accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from venice_ai import InvalidRequestError, SyncVeniceClient, VeniceClient
from venice_ai.emulator import Emulator, text_model
from venice_ai.resources.model_check import Refusal, refusals
from venice_ai.types.api.models import ModelResponse

from ..shared import shared

HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}}}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def part(kind: str, **held: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, {"type": kind, kind: held}]}]


def requests() -> dict[str, dict[str, Any]]:
    """Requests that use each parameter which some models refuse, with every value that makes a difference; some together."""
    single: dict[str, dict[str, Any]] = {
        "plain": {},
        "image": {"messages": part("image_url", url="https://example.com/a.png")},
        "image data": {"messages": part("image_url", url="data:image/png;base64,aGk=")},
        "audio": {"messages": part("input_audio", data="aGk=", format="wav")},
        "video": {"messages": part("video_url", url="https://example.com/a.mp4")},
        "file": {"messages": part("file", file_data="data:text/plain;base64,aGk=", filename="a.txt")},
        "tools": {"tools": [TOOL]},
        "no tools": {"tools": []},
        "tool choice": {"tools": [TOOL], "tool_choice": "required"},
        "tool choice none": {"tool_choice": "none"},
        "parallel": {"parallel_tool_calls": True},
        "not parallel": {"parallel_tool_calls": False},
        "schema": {"response_format": SCHEMA},
        "json": {"response_format": {"type": "json_object"}},
        "text": {"response_format": {"type": "text"}},
        "logprobs": {"logprobs": True},
        "no logprobs": {"logprobs": False},
        "top logprobs": {"top_logprobs": 0},
        "thinking off": {"reasoning": {"enabled": False}},
        "search": {"venice_parameters": {"enable_web_search": "on"}},
        **{f"effort {effort}": {"reasoning_effort": effort} for effort in EFFORTS},
        **{f"nested effort {effort}": {"reasoning": {"effort": effort}} for effort in EFFORTS},
        "two efforts": {"reasoning_effort": "low", "reasoning": {"effort": "max"}},
        **{f"at most {count}": {"max_completion_tokens": count} for count in (1, 8_192, 16_385, 1_000_000)},
        **{
            f"{count} words": {"messages": [{"role": "user", "content": "word " * count}]} for count in (5_000, 20_000, 300_000)
        },
        "a long text": {"messages": [{"role": "user", "content": "a " * 120_000}]},
        "chinese": {"messages": [{"role": "user", "content": "你好世界" * 40_000}]},
    }
    names = ("image", "tools", "schema", "logprobs", "effort high", "at most 8192")
    pairs = {f"{one} + {other}": single[one] | single[other] for one in names for other in names if one < other}
    return single | pairs


def catalogue() -> list[dict[str, Any]]:
    made = [
        text_model("small", context=4_096, longest=1_024, supports=()),
        text_model("thinker", supports=("Reasoning", "ReasoningEffort"), capabilities={"reasoningEffortOptions": ["low"]}),
    ]
    return [*shared("models.json")["data"], *made]


FLAGS = ("Vision", "AudioInput", "VideoInput", "FunctionCalling", "ResponseSchema", "LogProbs", "Reasoning", "ReasoningEffort")


def one_of_each_kind() -> list[dict[str, Any]]:
    """The models with the shortest context of all those that have the same capabilities."""

    def kind(entry: dict[str, Any]) -> str:
        has: dict[str, Any] = entry["model_spec"].get("capabilities") or {}
        return str([*(has.get(f"supports{flag}") for flag in FLAGS), has.get("reasoningEffortOptions")])

    ordered = sorted(catalogue(), key=lambda entry: -(entry["model_spec"].get("availableContextTokens") or 0))
    return list({kind(entry): entry for entry in ordered}.values())


@pytest.mark.filterwarnings("ignore:the prompt leaves in clear")  # that of the e2ee models
@pytest.mark.parametrize("models", [one_of_each_kind, pytest.param(catalogue, marks=pytest.mark.more)])
async def test_nothing_is_refused_that_the_server_takes(models: Callable[[], list[dict[str, Any]]]) -> None:
    """Each of many models, with each request of the matrix: whatever is refused here is sent, and refused by the server too."""
    emulator = Emulator(models=catalogue())
    client = VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock, max_retries=0)
    taken: list[str] = []
    refused = met = 0
    for entry in map(ModelResponse.model_validate, models()):
        for name, fields in requests().items():
            met += 1
            body: dict[str, Any] = {"model": entry.id, "messages": HI, **fields}
            if not (found := refusals(entry, body)):
                continue
            refused += 1
            try:
                await client.chat.completions.create(**body)
            except InvalidRequestError as error:
                assert error.status_code == 400  # noqa: PT017  # the server's own
            else:
                taken.append(f"{entry.id} takes {name}, but {found}")
    assert taken == []
    assert met >= len(models()) * 50
    assert refused > met / 6


def test_each_parameter_that_will_be_refused_is_named() -> None:
    entry = ModelResponse.model_validate(text_model("m", supports=(), longest=100, context=1_000))
    body = {
        "model": "m",
        "messages": [*part("image_url", url="https://example.com/a.png"), {"role": "user", "content": "word " * 2_000}],
        "tools": [TOOL],
        "response_format": SCHEMA,
        "top_logprobs": 2,
        "max_completion_tokens": 101,
    }
    found = refusals(entry, body)
    assert [each.parameter for each in found] == [
        "messages[0].content[1]",
        "tools",
        "response_format",
        "top_logprobs",
        "max_completion_tokens",
        "messages",
    ]
    assert str(found[1]) == "tools: model 'm' does not support it (supportsFunctionCalling)"


@pytest.mark.parametrize(("effort", "refused"), [("low", False), ("high", True), ("none", False), (None, False)])
def test_an_effort_that_the_model_does_not_list_is_refused(effort: str | None, refused: bool) -> None:
    entry = ModelResponse.model_validate(text_model("m", capabilities={"reasoningEffortOptions": ["low", "medium"]}))
    assert bool(refusals(entry, {"messages": HI, "reasoning_effort": effort})) is refused


def test_a_model_without_capabilities_is_refused_nothing() -> None:
    bare = ModelResponse.model_validate({"id": "m", "type": "text", "model_spec": {}})
    like_openai = ModelResponse.model_validate({"id": "m", "object": "model"})
    for entry in (bare, like_openai):
        assert [name for name, fields in requests().items() if refusals(entry, {"model": "m", "messages": HI, **fields})] == []


async def test_check_takes_the_keywords_of_create() -> None:
    emulator = Emulator(models=[text_model("m", supports=())])
    client = VeniceClient(transport=emulator.transport())
    all_is_well: dict[str, Any] = {"model": "m", "messages": HI, "temperature": 1, "stream": True, "timeout": 3}
    assert await client.models.check(all_is_well) == []
    (refusal,) = await client.models.check({"model": "m:enable_web_search=on", "messages": HI, "tools": [TOOL]})
    assert isinstance(refusal, Refusal)
    assert refusal.parameter == "tools"
    assert await client.models.check({"model": "not in the catalogue", "messages": HI, "tools": [TOOL]}) == []
    with pytest.raises(InvalidRequestError, match="temperature"):
        await client.models.check({"model": "m", "messages": HI, "temperature": 5})
    assert {each.method for each in emulator.requests} == {"GET"}


async def test_preflight_refuses_before_anything_is_sent_and_lets_the_rest_pass() -> None:
    emulator = Emulator(models=[text_model("m", supports=(), longest=100)])
    completions = VeniceClient(api_key="any", transport=emulator.transport(), preflight=True).chat.completions
    with pytest.raises(InvalidRequestError, match=r"not sent.*tools: model 'm'.*; max_completion_tokens: 200 is above the 100"):
        await completions.create(model="m", messages=HI, tools=[TOOL], max_completion_tokens=200)
    with pytest.raises(InvalidRequestError, match="response_format"):
        await completions.stream(model="m", messages=HI, response_format=SCHEMA)
    assert {each.method for each in emulator.requests} == {"GET"}
    assert (await completions.create(model="m", messages=HI)).text


def test_the_synchronous_client_checks_too() -> None:
    emulator = Emulator(models=[text_model("m", supports=())])
    with SyncVeniceClient(api_key="any", transport=emulator.transport(), preflight=True) as client:
        assert [each.parameter for each in client.models.check({"model": "m", "messages": HI, "tools": [TOOL]})] == ["tools"]
        with pytest.raises(InvalidRequestError, match="tools"):
            client.chat.completions.create(model="m", messages=HI, tools=[TOOL])


def test_preflight_must_be_a_boolean() -> None:
    with pytest.raises(InvalidRequestError, match="preflight='yes' must be True or False"):
        VeniceClient(preflight="yes")  # type: ignore[arg-type]  # what the test is about
