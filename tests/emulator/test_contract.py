"""What Venice refuses, the emulator refuses, with Venice's status and shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai.emulator import Emulator, error, text

from .asking import CHAT, HELLO, JSON, KEY, Asker, hello, saying

OPEN: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "a", "strict": True, "schema": {"properties": {"a": {"type": "string"}}, "required": ["a"]}},
}
Path = list[str | int]


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": function}


def image(url: str) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        pytest.param(hello(foo=1), [], "unrecognized_keys", id="an unknown key"),
        pytest.param(hello(logit_bias={}), [], "unrecognized_keys", id="a key of OpenAI's"),
        pytest.param({"messages": HELLO["messages"]}, ["model"], "invalid_type", id="no model"),
        pytest.param({"model": "venice-1"}, ["messages"], "invalid_type", id="no messages"),
        pytest.param(hello(model=None), ["model"], "invalid_type", id="model null"),
        pytest.param(hello(model=5), ["model"], "invalid_type", id="model a number"),
        pytest.param(hello(messages=[]), ["messages"], "too_small", id="no message"),
        pytest.param(
            hello(messages=[{"role": "function", "content": "x"}]), ["messages", 0, "role"], "invalid_enum_value", id="role"
        ),
        pytest.param(hello(messages=[{"content": "x"}]), ["messages", 0], "invalid_type", id="no role"),
        pytest.param(hello(messages=["x"]), ["messages", 0], "invalid_type", id="not a message"),
        pytest.param(saying(None), ["messages", 0, "content"], "invalid_type", id="content null"),
        pytest.param(
            saying([{"type": "text", "text": ""}]), ["messages", 0, "content", 0, "text"], "too_small", id="an empty text part"
        ),
        pytest.param(saying(image("x")), ["messages", 0, "content", 0, "image_url", "url"], "invalid_string", id="no address"),
        pytest.param(
            hello(messages=[{"role": "system", "content": image("https://example.org/a.png")}]),
            ["messages", 0, "content", 0, "type"],
            "invalid_enum_value",
            id="an image from the system",
        ),
        pytest.param(
            hello(messages=[{"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "x"}]}]),
            ["messages", 0, "content"],
            "invalid_type",
            id="parts from a tool",
        ),
        pytest.param(hello(messages=[{"role": "tool", "content": "x"}]), ["messages", 0], "invalid_type", id="no tool_call_id"),
        pytest.param(
            hello(messages=[{"role": "assistant", "reasoning_details": None}]),
            ["messages", 0, "reasoning_details"],
            "invalid_type",
            id="reasoning_details null",
        ),
        pytest.param(
            hello(messages=[{"role": "assistant", "reasoning_details": [{}]}]),
            ["messages", 0, "reasoning_details", 0],
            "invalid_type",
            id="a reasoning detail without type",
        ),
        pytest.param(
            hello(messages=[{"role": "assistant", "reasoning_details": [{"type": "a", "text": {}}]}]),
            ["messages", 0, "reasoning_details", 0, "text"],
            "invalid_type",
            id="a reasoning detail of another kind",
        ),
        pytest.param(
            hello(messages=[{"role": "system", "content": [{"text": "x"}]}]),
            ["messages", 0, "content", 0, "type"],
            "invalid_type",
            id="a part without type",
        ),
        pytest.param(hello(stream=None), ["stream"], "invalid_type", id="stream null"),
        pytest.param(hello(stream="true"), ["stream"], "invalid_type", id="stream a text"),
        pytest.param(hello(seed=0), ["seed"], "too_small", id="seed 0"),
        pytest.param(hello(seed=1.5), ["seed"], "invalid_type", id="seed a fraction"),
        pytest.param(hello(seed=True), ["seed"], "invalid_type", id="seed a bool"),
        pytest.param(hello(temperature=2.1), ["temperature"], "too_big", id="temperature too high"),
        pytest.param(hello(temperature=None), ["temperature"], "invalid_type", id="temperature null"),
        pytest.param(hello(temperature="1"), ["temperature"], "invalid_type", id="temperature a text"),
        pytest.param(hello(top_p=-0.1), ["top_p"], "too_small", id="top_p too low"),
        pytest.param(hello(top_k=-1), ["top_k"], "too_small", id="top_k too low"),
        pytest.param(hello(frequency_penalty=-2.5), ["frequency_penalty"], "too_small", id="penalty too low"),
        pytest.param(hello(n=0), ["n"], "too_small", id="n 0"),
        pytest.param(hello(stop=["a"] * 5), ["stop"], "too_big", id="five stops"),
        pytest.param(hello(stop=[]), ["stop"], "too_small", id="no stops"),
        pytest.param(hello(stop=5), ["stop"], "invalid_type", id="stop a number"),
        pytest.param(hello(stop_token_ids=["a"]), ["stop_token_ids", 0], "invalid_type", id="a stop token that is a text"),
        pytest.param(hello(metadata={"a": 1}), ["metadata", "*"], "invalid_type", id="metadata a number"),
        pytest.param(hello(reasoning_effort="huge"), ["reasoning_effort"], "invalid_enum_value", id="effort"),
        pytest.param(hello(reasoning={"effort": None}), ["reasoning", "effort"], "invalid_type", id="effort null"),
        pytest.param(hello(verbosity="loud"), ["verbosity"], "invalid_enum_value", id="verbosity"),
        pytest.param(hello(prompt_cache_retention="1h"), ["prompt_cache_retention"], "invalid_enum_value", id="retention"),
        pytest.param(hello(fallbacks=[{"model": "a"}] * 11), ["fallbacks"], "too_big", id="eleven fallbacks"),
        pytest.param(
            hello(stream_options={"include_usage": 1}), ["stream_options", "include_usage"], "invalid_type", id="usage"
        ),
        pytest.param(
            hello(venice_parameters={"enable_web_search": True}),
            ["venice_parameters", "enable_web_search"],
            "invalid_type",
            id="a bool for web search",
        ),
        pytest.param(
            hello(venice_parameters={"disable_thinking": None}),
            ["venice_parameters", "disable_thinking"],
            "invalid_type",
            id="a switch null",
        ),
        pytest.param(
            hello(model="venice-1:disable_thinking=perhaps"),
            ["venice_parameters", "disable_thinking"],
            "invalid_type",
            id="a suffix that is not a bool",
        ),
        pytest.param(
            hello(tools=[{"type": "function", "name": "f"}]), ["tools", 0, "function"], "invalid_type", id="a flat tool"
        ),
        pytest.param(hello(tools=[tool()]), ["tools", 0, "function"], "invalid_type", id="a tool without name"),
        pytest.param(
            hello(tools=[tool(name="f", parameters=None)]), ["tools", 0, "function", "parameters"], "invalid_type", id="null"
        ),
        pytest.param(hello(tool_choice={"type": "function", "name": "f"}), ["tool_choice"], "invalid_type", id="a flat choice"),
        pytest.param(hello(tool_choice="perhaps"), ["tool_choice"], "invalid_enum_value", id="not a choice"),
        pytest.param(hello(response_format={"type": "xml"}), ["response_format", "type"], "invalid_enum_value", id="format"),
        pytest.param(
            hello(response_format={"type": "text", "a": 1}), ["response_format"], "unrecognized_keys", id="format with more"
        ),
        pytest.param(hello(anon_user_id="a||b"), ["anon_user_id"], "invalid_type", id="anon_user_id"),
    ],
)
async def test_a_request_against_the_contract_is_a_400_with_path_and_code(ask: Asker, body: Any, path: Path, code: str) -> None:
    got = await ask(body)
    assert got.status == 400
    assert got.json["error"] == "Invalid request parameters"
    assert [(issue["path"], issue["code"]) for issue in got.json["issues"]] == [(path, code)]
    node = got.json["details"]
    for step in path:
        node = node[str(step)]
    assert node["_errors"] == [got.json["issues"][0]["message"]]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"stop": None, "tools": None}, id="nulls where they are allowed"),
        pytest.param({"stop": "."}, id="one stop"),
        pytest.param({"venice_parameters": {"unknown": None}}, id="an unknown switch"),
        pytest.param({"temperature": 0, "seed": 3.0}, id="1.0 is 1"),
        pytest.param({"max_tokens": -5}, id="max_tokens that is ignored"),
        pytest.param({"tools": [{"type": "web_search"}]}, id="a tool of Venice's"),
        pytest.param({"stop_token_ids": [1, 2.5]}, id="stop tokens"),
        pytest.param({"top_logprobs": 2}, id="top_logprobs without logprobs"),
        pytest.param({"user": "u", "store": True, "include": ["a"], "metadata": {"a": "b"}}, id="what is dropped"),
        pytest.param({"messages": [{"role": "assistant", "tool_calls": [None, 5]}]}, id="malformed tool calls"),
        pytest.param(
            {"messages": [{"role": "user", "content": list[Any](), "mood": "calm"}]}, id="no parts, and a key of one's own"
        ),
    ],
)
async def test_what_the_contract_allows_is_answered(ask: Asker, members: dict[str, Any]) -> None:
    assert (await ask(hello(**members))).status == 200


async def test_every_reason_is_given_at_once(ask: Asker) -> None:
    got = await ask(hello(foo=1, seed=0, temperature=3))
    assert [issue["path"] for issue in got.json["issues"]] == [[], ["seed"], ["temperature"]]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(saying(image("https://example.org/a.png")), ["messages", 0, "content", 0], id="an image"),
        pytest.param(saying([{"type": "input_audio", "input_audio": {"data": ""}}]), ["messages", 0, "content", 0], id="audio"),
        pytest.param(
            saying([{"type": "video_url", "video_url": {"url": "https://example.org/v"}}]),
            ["messages", 0, "content", 0],
            id="video",
        ),
        pytest.param(hello(tools=[tool(name="f")]), ["tools"], id="tools"),
        pytest.param(hello(tool_choice="auto"), ["tool_choice"], id="tool_choice"),
        pytest.param(hello(parallel_tool_calls=True), ["parallel_tool_calls"], id="parallel calls"),
        pytest.param(hello(response_format={"type": "json_object"}), ["response_format"], id="a format"),
        pytest.param(hello(logprobs=True), ["logprobs"], id="logprobs"),
        pytest.param(hello(top_logprobs=0), ["top_logprobs"], id="top_logprobs"),
    ],
)
async def test_what_a_model_cannot_do_is_refused(ask: Asker, body: dict[str, Any], path: Path) -> None:
    got = await ask({**body, "model": "squero-plain"})
    assert got.status == 400
    assert [issue["path"] for issue in got.json["issues"]] == [path]
    assert "squero-plain" in got.json["issues"][0]["message"]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        pytest.param(hello(model="nope"), 404, "Specified model not found: nope", id="an unknown model"),
        pytest.param(hello(model="murano-image"), 404, "Specified model not found: murano-image", id="not a text model"),
        pytest.param(hello(model="acqua-alta"), 503, "offline", id="an offline model"),
        pytest.param(
            hello(venice_parameters={"character_slug": "No One"}), 404, "No character could be found", id="a character"
        ),
        pytest.param(
            hello(model="gondola-free", max_completion_tokens=4_097), 400, "max_completion_tokens is 4097", id="too long"
        ),
        pytest.param(hello(n=129), 400, "at most 128", id="too many choices"),
        pytest.param(hello(model="kimi-k2-5", reasoning_effort="max"), 400, "'max'", id="an effort the model lacks"),
        pytest.param(hello(tool_choice="required"), 400, "no tools", id="required without tools"),
        pytest.param(
            hello(tools=[tool(name="f")], tool_choice={"type": "function", "function": {"name": "g"}}),
            400,
            "'g'",
            id="a tool not there",
        ),
        pytest.param(
            hello(response_format={"type": "json_schema", "json_schema": {"schema": {"type": 5}}}),
            400,
            "Invalid schema",
            id="no schema",
        ),
    ],
)
async def test_a_request_that_its_model_cannot_serve_is_refused_with_the_reason(
    ask: Asker, body: dict[str, Any], status: int, reason: str
) -> None:
    got = await ask(body)
    assert got.status == status
    assert reason in got.json["error"]


async def test_an_open_schema_in_strict_mode_is_refused_only_where_the_entry_says_so(ask: Asker) -> None:
    got = await ask(hello(response_format=OPEN))
    assert got.status == 200
    assert json.loads(got.text).keys() >= {"a"}


@pytest.mark.parametrize(("headers", "status"), [(KEY, 200), ({}, 402), ({"Authorization": "Basic eA=="}, 401)], ids=str)
async def test_the_rate_limits_of_a_key_are_given_with_the_key_alone(
    ask_both: Asker, headers: dict[str, str], status: int
) -> None:
    got = await ask_both(method="GET", path="/api/v1/api_keys/rate_limits", headers=headers)
    assert got.status == status
    if status == 200:
        limits = got.json["data"]
        assert limits.keys() == {"accessPermitted", "apiTier", "balances", "keyExpiration", "nextEpochBegins", "rateLimits"}
        assert limits["accessPermitted"] is True
        assert limits["apiTier"] == {"id": "paid", "isCharged": True}
        assert limits["rateLimits"][0] == {
            "apiModelId": "llama-3.3-70b",
            "rateLimits": [{"amount": 500, "type": "RPM"}, {"amount": 1_000_000, "type": "TPM"}],
        }


async def test_a_prompt_longer_than_the_context_is_refused(ask: Asker) -> None:
    got = await ask({**saying("word " * 50_000), "model": "squero-plain"})
    assert got.status == 400
    assert got.json["error"]["code"] == "context_length_exceeded"
    assert got.json["error"]["param"] == "messages"


async def test_no_key_is_answered_as_venice_does(ask_both: Asker) -> None:
    got = await ask_both(HELLO, headers=JSON)
    assert got.status == 402
    assert got.json["x402Version"] == 2
    assert got.json["authOptions"]["apiKey"]["header"] == "Authorization: Bearer YOUR_API_KEY"
    assert got.headers["payment-required"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Authorization": "Bearer x"}, 200, id="any key"),
        pytest.param({"Authorization": "bearer x"}, 200, id="lower case"),
        pytest.param({"Authorization": "Bearer "}, 402, id="an empty key"),
        pytest.param({"Authorization": "Basic eDp5"}, 401, id="another scheme"),
        pytest.param({"SIGN-IN-WITH-X": "x"}, 200, id="a wallet"),
        pytest.param({"X-Sign-In-With-X": "x"}, 200, id="a wallet by its old name"),
    ],
)
async def test_each_kind_of_credentials_is_accepted_or_refused_as_by_venice(
    ask: Asker, headers: dict[str, str], status: int
) -> None:
    assert (await ask(HELLO, headers={**JSON, **headers})).status == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_content_type_is_refused_before_the_key_is_looked_at(ask: Asker, kind: str) -> None:
    got = await ask(HELLO, headers={"Content-Type": kind})
    assert (got.status, got.json) == (415, {"error": "Invalid request content-type"})


@pytest.mark.parametrize("body", [b"", b"{", b'{"model": "\xff"}', b"[" * 100_000, b'{"a": NaN}'])
async def test_a_body_that_is_not_json_is_refused(ask: Asker, body: bytes) -> None:
    got = await ask(body)
    assert got.status == 400
    assert "JSON" in got.json["error"]


@pytest.mark.parametrize("body", [b"[]", b"5", b"null", b'"x"'])
async def test_json_that_is_not_an_object_is_refused(ask: Asker, body: bytes) -> None:
    got = await ask(body)
    assert got.status == 400
    assert got.json["issues"][0]["message"].startswith("Expected object, received ")


async def test_a_body_over_35_mb_is_refused(ask_both: Asker) -> None:
    got = await ask_both(b'{"model": "' + b"x" * 35 * 1024 * 1024 + b'"}')
    assert got.status == 413
    assert got.json["code"] == "PAYLOAD_TOO_LARGE"


async def test_a_file_over_25_mb_is_refused(ask: Asker) -> None:
    file = {"file_data": "data:text/plain;base64," + "A" * 34 * 1024 * 1024}
    got = await ask(saying([{"type": "file", "file": file}]))
    assert (got.status, got.json["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", CHAT, 405, id="GET chat"),
        pytest.param("POST", "/api/v1/models", 405, id="POST models"),
        pytest.param("GET", "/api/v1/nothing", 404, id="nothing there"),
        pytest.param("GET", "/models", 404, id="without the prefix"),
        pytest.param("GET", "/_emulator/requests", 404, id="the admin's address"),
        pytest.param("GET", "/", 404, id="the root"),
    ],
)
async def test_an_unknown_address_is_a_404_and_a_wrong_method_a_405(
    ask_both: Asker, method: str, path: str, status: int
) -> None:
    got = await ask_both(method=method, path=path)
    assert got.status == status
    assert got.json["error"]
    assert ("allow" in got.headers) == (status == 405)


async def test_a_refused_request_takes_no_step_of_the_script(emulator: Emulator, ask: Asker) -> None:
    emulator.script(text("scripted"))
    assert (await ask(hello(foo=1))).status == 400
    assert (await ask(HELLO)).text == "scripted"


async def test_a_scripted_answer_needs_no_known_model(emulator: Emulator, ask: Asker) -> None:
    emulator.script(text("scripted"), error(500))
    assert (await ask(hello(model="m"))).json["model"] == "m"
    assert (await ask(hello(model="m"))).status == 500
    assert (await ask(hello(model="m"))).status == 404
