from __future__ import annotations
import pytest
from .environments import PythonEnvironment, python_env
import json

@pytest.fixture(scope="module")
def openai() -> PythonEnvironment:
    return python_env("openai", ["openai==3.54.*"])
HI=[{"role":"user","content":"hi"}]
TOOL={"type":"function","function":{"name":"get_weather","description":"w","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}
def test_x(openai: PythonEnvironment, base_url: str) -> None:
    def a(do, **k):
        print(do, json.dumps(openai.ask("ask_openai.py", do=do, base_url=base_url, **k), indent=1)[:3000])
    a("create", model="venice-1", messages=HI, n=2, logprobs=True, top_logprobs=2, max_completion_tokens=5)
    a("stream", model="venice-1", messages=HI, stream_options={"include_usage":True}, max_completion_tokens=5)
    a("assembled", model="venice-1", messages=HI, max_completion_tokens=5)
    a("tool_round", model="venice-1", messages=[{"role":"user","content":"weather in Rome?"}], tools=[TOOL], result="sun")
    a("parse", model="venice-1", messages=HI)
    a("models")
    a("error", model="venice-1", messages=HI, key="")
    a("error", model="nope", messages=HI)
    a("error", model="venice-1", messages=HI, temperature=3)
    assert 0
