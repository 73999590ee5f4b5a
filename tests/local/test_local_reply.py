"""The engine's chunks become Venice's, wherever the text is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai.emulator.local import LocalModelError, UnsupportedInput
from venice_ai.emulator.local.translation import EngineAnswer, Form

CALL = '{"name":"add","arguments":{"a":1,"b":"}"}}'


def engine_chunks(pieces: list[str], finish_reason: str = "stop") -> list[dict[str, Any]]:
    """As the engine sends them, with what is its own business."""
    own: dict[str, Any] = {"system_fingerprint": "b0-unknown", "timings": {"prompt_n": 3}}
    first: dict[str, Any] = {"choices": [{"index": 0, "finish_reason": None, "delta": {"role": "assistant", "content": None}}]}
    texts: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "finish_reason": None, "delta": {"content": piece}}]} for piece in pieces
    ]
    last: dict[str, Any] = {"choices": [{"index": 0, "finish_reason": finish_reason, "delta": {}}]}
    usage: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    return [{**chunk, **own} for chunk in (first, {**first, "prompt_progress": {"total": 3}}, *texts, last, usage)]


def reply(form: Form) -> EngineAnswer:
    return EngineAnswer(form, "call_1", top_logprobs=1)


def read(form: Form, pieces: list[str], finish_reason: str = "stop") -> list[dict[str, Any]]:
    reply_ = reply(form)
    return [chunk for given in engine_chunks(pieces, finish_reason) for chunk in reply_.feed(given)]


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


def words(chunks: list[dict[str, Any]]) -> str:
    return "".join(delta.get("content", "") for delta in deltas(chunks))


def call(chunks: list[dict[str, Any]]) -> tuple[str, str]:
    fragments = [delta["tool_calls"][0] for delta in deltas(chunks) if "tool_calls" in delta]
    assert [fragment["id"] for fragment in fragments if "id" in fragment] == ["call_1"]
    return fragments[0]["function"]["name"], "".join(fragment["function"]["arguments"] for fragment in fragments)


def finish(chunks: list[dict[str, Any]]) -> str:
    return str(chunks[-2]["choices"][0]["finish_reason"])


def halves(text: str) -> list[list[str]]:
    return [[text[:cut], text[cut:]] for cut in range(len(text) + 1)]


def test_chunks_have_choices_and_usage_and_nothing_else() -> None:
    chunks = read("words", [" Pa", "ris"])

    assert all(chunk.keys() <= {"choices", "usage"} for chunk in chunks)
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"content": "Pa"}, {"content": "ris"}, {}]
    assert finish(chunks) == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 5


@pytest.mark.parametrize("pieces", [*halves("\n It rains. \n"), list("\n It rains. \n")], ids=repr)
def test_blanks_around_words_are_left_out(pieces: list[str]) -> None:
    assert words(read("words", pieces)) == "It rains."


def test_blanks_between_words_stay() -> None:
    assert words(read("words", ["a ", "\n", "b"])) == "a \nb"


def test_an_answer_of_blanks_is_an_empty_answer() -> None:
    chunks = read("words", [" ", "\n"])

    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {}]
    assert finish(chunks) == "stop"


def test_thoughts_are_passed_on() -> None:
    thought = {"choices": [{"index": 0, "finish_reason": None, "delta": {"reasoning_content": "Hm."}}]}

    assert deltas(list(reply("words").feed(thought)))[1] == {"reasoning_content": "Hm."}


def test_log_probabilities_stay_without_the_engines_ids() -> None:
    token = {"id": 7, "token": " a", "logprob": -1.0, "bytes": [32, 97], "top_logprobs": [{"id": 8, "token": "b"}]}
    given = {"index": 0, "finish_reason": None, "delta": {"content": " "}, "logprobs": {"content": [token]}}

    chunks = list(reply("words").feed({"choices": [given]}))

    without = {"token": " a", "logprob": -1.0, "bytes": [32, 97], "top_logprobs": [{"token": "b"}]}
    assert chunks[-1]["choices"][0]["logprobs"] == {"content": [without]}


@pytest.mark.parametrize("pieces", [*halves(CALL), list(CALL)], ids=repr)
def test_a_call_is_read_however_it_is_cut(pieces: list[str]) -> None:
    chunks = read("call", pieces)

    name, arguments = call(chunks)
    assert name == "add"
    assert json.loads(arguments) == {"a": 1, "b": "}"}
    assert words(chunks) == ""
    assert finish(chunks) == "tool_calls"


@pytest.mark.parametrize("length", range(len('{"name":"add","arguments":'), len(CALL)))
def test_a_call_cut_off_gives_what_came_of_its_arguments(length: int) -> None:
    chunks = read("call", list(CALL[:length]), "length")

    assert call(chunks) == ("add", CALL[len('{"name":"add","arguments":') : length])
    assert finish(chunks) == "length"


def test_a_call_cut_off_before_its_arguments_is_no_call() -> None:
    chunks = read("call", ['{"name":"a'], "length")

    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {}]
    assert finish(chunks) == "length"


@pytest.mark.parametrize("form", ["json", "call"])
def test_words_where_json_must_be_mean_that_the_grammar_was_dropped(form: Form) -> None:
    with pytest.raises(UnsupportedInput, match="cannot enforce"):
        read(form, ["\nWell,"])


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        pytest.param(
            {"type": "exceed_context_size_error", "n_prompt_tokens": 5007, "n_ctx": 4096, "message": "..."},
            UnsupportedInput,
            "This prompt has 5007 tokens, and the local model reads 4096.",
            id="too-long",
        ),
        pytest.param(
            {"type": "invalid_request_error", "message": "penalty must be finite"},
            UnsupportedInput,
            "penalty must be finite",
            id="refused",
        ),
        pytest.param({"type": "server_error", "message": "oops"}, LocalModelError, "engine failed: oops", id="failed"),
    ],
)
def test_an_error_of_the_engine_is_raised(error: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        list(reply("words").feed({"error": error}))
