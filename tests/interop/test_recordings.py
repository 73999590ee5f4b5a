"""OpenAI's own package is recorded and replayed, unchanged."""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path

import pytest

from venice_ai.emulator import Emulator, busy, run_in_thread, text, usual
from venice_ai.testing import Cassette, Recorder, Replay, ScriptMismatchError

from .environments import Script, python_env

pytestmark = pytest.mark.interop

HI = {"model": "venice-1", "messages": [{"role": "user", "content": "hi"}]}
WEATHER = {"model": "venice-1", "messages": [{"role": "user", "content": "How is the weather in Chioggia?"}]}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a town.",
            "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
        },
    }
]
KEY = "sk-canary-0123456789abcdef"


@pytest.fixture(scope="module")
def script() -> Generator[Script]:
    with python_env("openai", ["openai==3.54.*"]).running("ask_openai.py") as script:
        yield script


def test_what_openai_asks_is_recorded_and_replayed(script: Script, emulator: Emulator, base_url: str, tmp_path: Path) -> None:
    emulator.script(text("one two", deltas=["one ", "two"], chunk_delay=0.1), usual(), busy(retry_after=1), usual())

    def ask(url: str) -> list[object]:
        return [
            script.ask("stream", base_url=url, **HI),
            script.ask("create", base_url=url, **HI, temperature=0.5, extra_headers={"X-API-Key": KEY}),
            script.ask("create", base_url=url, retries=1, **HI, seed=4),
            script.ask("tool_round", base_url=url, **WEATHER, tools=TOOLS, result="Fog until noon."),
            script.ask("models", base_url=url),
        ]

    with Recorder(tmp_path / "c.json", upstream=base_url) as recorder, run_in_thread(recorder) as proxy:
        first = ask(proxy.url)

    assert KEY not in (tmp_path / "c.json").read_text("utf-8")
    with Replay(tmp_path / "c.json", speed=math.inf) as replay, run_in_thread(replay) as server:
        second = ask(server.url)
    with Replay(tmp_path / "c.json", speed=math.inf) as replay, run_in_thread(replay) as server:
        assert ask(server.url) == second
    assert len(second) == len(first)
    assert [delta(chunk) for chunk in second[0]] == [delta(chunk) for chunk in first[0]]  # type: ignore[attr-defined]


def delta(chunk: dict[str, list[dict[str, object]]]) -> object:
    return chunk["choices"][0]["delta"] if chunk["choices"] else None


def test_openai_sees_a_stream_that_was_cut_by_hand(script: Script, base_url: str, tmp_path: Path) -> None:
    with Recorder(tmp_path / "c.json", upstream=base_url) as recorder, run_in_thread(recorder) as proxy:
        script.ask("stream", base_url=proxy.url, **HI)
    cassette = Cassette.read(tmp_path / "c.json")
    cassette.exchanges[0].cut(0, at=200)

    with Replay(cassette) as replay, run_in_thread(replay) as server:
        seen = script.ask("error", base_url=server.url, **HI, stream=True)

    assert seen["kind"] in {"APIConnectionError", "RemoteProtocolError", "ReadError"}


def test_openai_is_refused_at_once_what_is_not_recorded(script: Script) -> None:
    with pytest.raises(ScriptMismatchError) as caught, Replay(Cassette()) as replay, run_in_thread(replay) as server:
        seen = script.ask("error", base_url=server.url, **HI)
        assert (seen["kind"], seen["status"]) == ("InternalServerError", 501)

    assert str(caught.value).count("+ POST /api/v1/chat/completions") == 1
