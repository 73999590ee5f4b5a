"""What the emulator answers when nothing is scripted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai.emulator import Emulator

from .asking import HELLO, Asker, hello, saying
from .openapi import problems, response_schema

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "Person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}

KINDS = [
    pytest.param(HELLO, id="plain"),
    pytest.param(hello(model="kimi-k2-5"), id="reasoning"),
    pytest.param(hello(n=3), id="three choices"),
    pytest.param(hello(logprobs=True, top_logprobs=2), id="logprobs"),
    pytest.param(hello(venice_parameters={"enable_web_search": "on", "character_slug": "venice"}), id="search"),
    pytest.param(saying("How is the weather in Rome?", tools=[WEATHER]), id="a tool call"),
    pytest.param(hello(response_format=PERSON), id="a schema"),
    pytest.param(hello(response_format={"type": "json_object"}), id="a JSON object"),
    pytest.param(hello(max_completion_tokens=3), id="cut short"),
    pytest.param(hello(stop=["."]), id="stopped"),
    pytest.param(hello(messages=[{"role": "system", "content": "Be brief."}]), id="no question"),
]


def joined(chunks: list[dict[str, Any]], index: int = 0) -> dict[str, Any]:
    """The message that the chunks of one choice make, and its finish reason."""
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    deltas = [choice["delta"] for choice in choices]
    calls: dict[int, dict[str, Any]] = {}
    fragments: list[Any] = [fragment for delta in deltas for fragment in delta.get("tool_calls") or ()]
    for fragment in fragments:
        call = calls.setdefault(fragment["index"], {"id": None, "name": None, "arguments": ""})
        call["id"] = call["id"] or fragment["id"]
        call["name"] = call["name"] or fragment["function"]["name"]
        call["arguments"] += fragment["function"]["arguments"]
    return {
        "content": "".join(delta.get("content") or "" for delta in deltas),
        "reasoning_content": "".join(delta.get("reasoning_content") or "" for delta in deltas),
        "tool_calls": list(calls.values()),
        "finish_reason": choices[-1]["finish_reason"],
    }


@pytest.mark.parametrize("body", KINDS)
async def test_a_plain_answer_is_what_the_document_says(ask: Asker, body: dict[str, Any]) -> None:
    got = await ask(body)
    assert got.status == 200
    assert problems(response_schema("/chat/completions", "post"), got.json) == []


@pytest.mark.parametrize("body", KINDS)
async def test_a_stream_says_what_the_plain_answer_says(ask_both: Asker, body: dict[str, Any]) -> None:
    whole = (await ask_both(body)).json
    streamed = await ask_both({**body, "stream": True})
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert streamed.events[-1] == b"[DONE]"
    for choice in whole["choices"]:
        message = choice["message"]
        made: list[Any] = message["tool_calls"] or []
        calls = [{"id": call["id"], **call["function"]} for call in made]
        assert joined(streamed.chunks, choice["index"]) == {
            "content": message["content"],
            "reasoning_content": message["reasoning_content"] or "",
            "tool_calls": calls,
            "finish_reason": choice["finish_reason"],
        }


@pytest.mark.parametrize("body", KINDS)
async def test_the_same_request_gets_the_same_answer(body: dict[str, Any]) -> None:
    choices: list[Any] = []
    for _ in range(2):
        got = await Emulator().respond(incoming(body), now=0)
        choices.append(got.body)
    assert choices[0] == choices[1]


async def test_another_seed_gets_another_answer(ask: Asker) -> None:
    texts = {(await ask(hello(seed=seed))).text for seed in range(1, 20)}
    assert len(texts) > 3


async def test_several_choices_have_different_texts(ask: Asker) -> None:
    contents = {choice["message"]["content"] for choice in (await ask(hello(n=8))).json["choices"]}
    assert len(contents) > 1


async def test_ids_are_never_the_same(ask: Asker) -> None:
    first, second = await ask(HELLO), await ask(HELLO)
    assert first.json["id"] != second.json["id"]
    assert first.headers["cf-ray"] != second.headers["cf-ray"]


async def test_the_answer_names_the_model_and_the_question(ask: Asker) -> None:
    content = (await ask(HELLO)).text
    assert "Llama 3.3 70B" in content
    assert "Good morning, Venice" in content


# -- usage, cost, headers ------------------------------------------------------------------------------------------------


async def test_the_cost_follows_from_usage_and_prices(ask: Asker) -> None:
    reply = (await ask(HELLO)).json
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    dollars = usage["prompt_tokens"] * 0.7 / 1e6 + usage["completion_tokens"] * 2.8 / 1e6
    assert reply["cost"] == {"usd": pytest.approx(dollars), "diem": 0}


async def test_venices_own_prompt_is_counted_unless_it_is_switched_off(ask: Asker) -> None:
    with_prompt = (await ask(HELLO)).json["usage"]["prompt_tokens"]
    without = (await ask(hello(venice_parameters={"include_venice_system_prompt": False}))).json["usage"]["prompt_tokens"]
    assert with_prompt - without == 1_000


async def test_a_free_model_costs_nothing(ask: Asker) -> None:
    assert (await ask(hello(model="gondola-free"))).json["cost"] == {"usd": 0, "diem": 0}


async def test_a_long_prompt_is_charged_at_the_extended_rate(ask: Asker) -> None:
    long = {**saying("word " * 250_000), "model": "serenissima-frontier"}
    reply = (await ask(long)).json
    usage = reply["usage"]
    assert usage["prompt_tokens"] > 200_000
    assert reply["cost"]["usd"] == pytest.approx((usage["prompt_tokens"] * 12.5 + usage["completion_tokens"] * 56.25) / 1e6)


async def test_usage_in_a_stream_is_given_to_whoever_asks(ask: Asker) -> None:
    asked = await ask(hello(stream=True, stream_options={"include_usage": True}))
    silent = await ask(hello(stream=True))
    assert asked.chunks[-1]["choices"] == []
    assert asked.chunks[-1]["usage"] == (await ask(HELLO)).json["usage"]
    assert asked.chunks[-1]["cost"]["usd"] > 0
    assert not any("usage" in chunk for chunk in silent.chunks)


async def test_an_answer_has_venices_headers(ask: Asker) -> None:
    headers = (await ask(HELLO)).headers
    assert headers["cf-ray"].endswith("-EMU")
    assert headers["x-venice-model-id"] == "llama-3.3-70b"
    assert headers["x-venice-model-name"] == "Llama 3.3 70B"
    assert headers["x-venice-version"]
    assert float(headers["x-venice-balance-usd"]) > 0
    assert int(headers["x-ratelimit-remaining-requests"]) < int(headers["x-ratelimit-limit-requests"])
    assert int(headers["x-ratelimit-reset-requests"]) > 1e12
    assert 0 < int(headers["x-ratelimit-reset-tokens"]) <= 60
    assert "x-venice-model-deprecation-warning" not in headers


async def test_a_deprecated_model_warns(ask: Asker) -> None:
    headers = (await ask(hello(model="campanile-1902"))).headers
    assert "llama-3.3-70b" in headers["x-venice-model-deprecation-warning"]
    assert headers["x-venice-model-deprecation-date"].startswith("2099-07-14")


async def test_an_enclave_says_that_it_is_one(ask: Asker) -> None:
    assert (await ask(hello(model="e2ee-ponte-chiuso-p"))).headers["x-venice-tee"] == "true"


# -- parameters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [1, 2, 7])
async def test_the_completion_ends_at_the_token_limit(ask: Asker, cap: int) -> None:
    reply = (await ask(hello(max_completion_tokens=cap))).json
    assert reply["usage"]["completion_tokens"] == cap
    assert reply["choices"][0]["finish_reason"] == "length"


async def test_the_token_limit_counts_reasoning_tokens(ask: Asker) -> None:
    reply = (await ask(hello(model="kimi-k2-5", max_completion_tokens=5))).json
    assert reply["choices"][0]["message"]["content"] == ""
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens_details"] == {"reasoning_tokens": 5}


@pytest.mark.parametrize(
    ("members", "tokens"),
    [
        pytest.param({"max_tokens": 4}, 4, id="the old name"),
        pytest.param({"max_tokens": 4, "max_completion_tokens": 6}, 6, id="the new name wins"),
    ],
)
async def test_max_tokens_and_max_completion_tokens_limit_the_completion(
    ask: Asker, members: dict[str, int], tokens: int
) -> None:
    assert (await ask(hello(**members))).json["usage"]["completion_tokens"] == tokens


@pytest.mark.parametrize("stop", ["70B", ["never said", "70B"]])
async def test_an_answer_ends_before_a_stop(ask: Asker, stop: Any) -> None:
    choice = (await ask(hello(stop=stop))).json["choices"][0]
    assert choice["message"]["content"].endswith("3.3 ")
    assert choice["finish_reason"] == "stop"


async def test_logprobs_have_the_tokens_of_the_text(ask: Asker) -> None:
    choice = (await ask(hello(logprobs=True, top_logprobs=3))).json["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 3 for token in tokens)
    assert bytes(tokens[0]["bytes"]).decode() == tokens[0]["token"]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"venice_parameters": {"disable_thinking": True}}, id="disable_thinking"),
        pytest.param({"reasoning_effort": "none"}, id="effort none"),
        pytest.param({"reasoning": {"effort": "none"}}, id="reasoning.effort none"),
        pytest.param({"reasoning": {"enabled": False}}, id="reasoning.enabled false"),
        pytest.param({"model": "kimi-k2-5:disable_thinking=true"}, id="the suffix"),
        pytest.param({"model": "venice-1"}, id="a model that does not reason"),
    ],
)
async def test_reasoning_that_is_switched_off_is_neither_sent_nor_billed(ask: Asker, members: dict[str, Any]) -> None:
    reply = (await ask({**hello(model="kimi-k2-5"), **members})).json
    assert reply["choices"][0]["message"]["reasoning_content"] is None
    assert reply["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}


async def test_stripped_reasoning_is_still_billed(ask: Asker) -> None:
    reply = (await ask(hello(model="kimi-k2-5", venice_parameters={"strip_thinking_response": True}))).json
    assert reply["choices"][0]["message"]["reasoning_content"] is None
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


async def test_an_effort_wins_over_enabled_false(ask: Asker) -> None:
    reply = (await ask(hello(model="kimi-k2-5", reasoning_effort="low", reasoning={"enabled": False}))).json
    assert reply["choices"][0]["message"]["reasoning_content"]


async def test_the_switches_in_force_are_echoed(ask: Asker) -> None:
    given = {"enable_web_citations": True, "disable_thinking": False, "unknown": 1}
    echoed = (await ask(hello(model="venice-1:disable_thinking=true&x=1", venice_parameters=given))).json["venice_parameters"]
    assert echoed["enable_web_citations"] is True
    assert echoed["disable_thinking"] is True
    assert echoed["web_search_citations"] == []
    assert "unknown" not in echoed


@pytest.mark.parametrize("search", ["on", "auto"])
async def test_a_search_brings_citations(ask: Asker, search: str) -> None:
    body = hello(venice_parameters={"enable_web_search": search, "enable_web_citations": True})
    plain = await ask(body)
    streamed = await ask({**body, "stream": True})
    assert len(plain.json["venice_parameters"]["web_search_citations"]) == 2
    assert "^1^" in plain.text
    assert streamed.chunks[0]["venice_parameters"] == plain.json["venice_parameters"]


async def test_search_results_can_be_returned_as_a_tool_call(ask: Asker) -> None:
    switches = {"enable_web_search": "on", "return_search_results_as_documents": True}
    choice = (await ask(hello(venice_parameters=switches))).json["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (call["id"], call["function"]["name"]) == ("web_search_call", "web_search")
    assert len(json.loads(call["function"]["arguments"])["documents"]) == 2
    assert choice["message"]["content"]


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        pytest.param("default", "llama-3.3-70b", id="a trait"),
        pytest.param("default_code", "arsenale-coder", id="another trait"),
        pytest.param("gpt-4o", "llama-3.3-70b", id="another vendor's name"),
        pytest.param("llama-3-3-70b", "llama-3.3-70b", id="other separators"),
        pytest.param("venice-1:enable_web_search=off", "venice-1", id="a suffix"),
    ],
)
async def test_a_request_by_another_name_is_answered_by_its_model(ask: Asker, name: str, answers: str) -> None:
    got = await ask(hello(model=name))
    assert got.json["model"] == got.headers["x-venice-model-id"] == answers


async def test_a_schema_gets_an_instance_with_words_of_the_prompt(ask: Asker) -> None:
    got = await ask(saying("Tell me about Marie Curie, who was 66.", response_format=PERSON))
    assert json.loads(got.text) == {"name": "Marie Curie", "age": 66}


async def test_a_schema_without_its_wrapper_is_accepted(ask: Asker) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 7}}}
    got = await ask(hello(response_format={"type": "json_schema", "json_schema": schema}))
    assert json.loads(got.text) == {"a": 7}


async def test_a_prompt_with_half_of_a_surrogate_pair_is_answered(ask_both: Asker) -> None:
    got = await ask_both(b'{"model": "venice-1", "messages": [{"role": "user", "content": "\\ud83d half"}]}')
    assert got.status == 200
    assert "half" in got.text


def incoming(body: Any) -> Any:
    from venice_ai.emulator.sending import Incoming
    from venice_ai.types.response_meta import Headers

    headers = Headers([("authorization", "Bearer k"), ("content-type", "application/json")])
    return Incoming("POST", "/api/v1/chat/completions", {}, headers, json.dumps(body).encode())
