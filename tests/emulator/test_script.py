"""Scripts as JSON, the admin addresses that set them, and the recorded requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from venice_ai.emulator import (
    Emulator,
    Step,
    busy,
    completion,
    echo,
    error,
    events,
    overloaded,
    pieces,
    raw,
    refused,
    steps_from_json,
    steps_to_json,
    text,
    tool_call,
    tool_calls,
    usual,
)
from venice_ai.exceptions import InvalidRequestError

from .asking import HELLO, JSON, Asker, hello, in_process

STEPS: list[Step] = [
    usual(cut_at=4),
    echo(piece_bytes=1),
    text("abc", reasoning="hm", deltas=["a", "bc"], in_band_error={"message": "m"}),
    tool_call("f", {"a": 1}, id="x"),
    tool_calls(("f", "{"), ("g", {}), call_index="none"),
    completion({"a": 1}),
    error(404),
    error(500, {"a": [1]}),
    busy(2),
    overloaded(delay=0.5),
    raw(200, b"\x00\xff", headers={"a": "b"}),
    events({"a": 1}, usage="never"),
    pieces(b"\xff", b""),
    refused(),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_step_survives_json(step: Step) -> None:
    written = json.loads(json.dumps(steps_to_json([step])))
    assert steps_from_json(written) == [step]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([{"answer": "sing"}], id="no such answer"),
        pytest.param([{"answer": "text"}], id="a member is missing"),
        pytest.param([{"answer": "echo", "text": "a"}], id="a member too many"),
        pytest.param([{"answer": "echo", "how": {"cut_off": 5}}], id="no such fault"),
        pytest.param([{"answer": "echo", "how": {"cut_at": "5"}}], id="a fault's value"),
        pytest.param([{"answer": "echo", "how": {"cut_at": -1}}], id="a place before the beginning"),
        pytest.param([{"answer": "echo", "how": {"chunk_delay": -5}}], id="a time that is over"),
        pytest.param({"answer": "echo"}, id="no list"),
        pytest.param(5, id="a number"),
    ],
)
def test_json_that_is_not_a_script_is_refused(steps: Any) -> None:
    with pytest.raises(InvalidRequestError, match="not a list of steps"):
        steps_from_json(steps)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        pytest.param(lambda: usual(cut_at=cast("Any", "a")), "how.cut_at", id="a position that is not a number"),
        pytest.param(lambda: usual(delay=cast("Any", "soon")), "how.delay", id="not a time"),
        pytest.param(lambda: usual(call_index=cast("Any", "odd")), "how.call_index", id="no such choice"),
        pytest.param(lambda: usual(chunk_delay=-1), "how.chunk_delay", id="a time that is over"),
        pytest.param(lambda: usual(piece_bytes=0), "how.piece_bytes", id="packets without bytes"),
        pytest.param(lambda: usual(headers={"a\nb": "c"}), "a.*is not the name", id="not a header"),
        pytest.param(lambda: usual(headers={"a": "b\nc"}), "value of the header", id="not a header's value"),
        pytest.param(lambda: text(cast("Any", 5)), "text", id="not a text"),
        pytest.param(lambda: error(cast("Any", "x")), "status", id="not a status"),
        pytest.param(lambda: error(99_999), "status", id="a status beyond HTTP"),
        pytest.param(lambda: raw(42), "status", id="a status below HTTP"),
        pytest.param(lambda: text("hello", deltas=["he", "llo!"]), "do not join", id="deltas of another text"),
        pytest.param(lambda: tool_call("f", cast("Any", "{}"), id=cast("Any", 5)), "id", id="not an id"),
    ],
)
def test_a_step_that_cannot_be_sent_is_refused_when_it_is_scripted(make: Callable[[], Step], what: str) -> None:
    with pytest.raises((InvalidRequestError, ValueError), match=what):
        make()


@pytest.mark.parametrize(
    "step",
    [
        {"answer": "usual", "how": {"cut_at": "a"}},
        {"answer": "usual", "how": {"headers": {"a\nb": "c"}}},
        {"answer": "error", "status": 99_999},
        {"answer": "text", "text": "hello", "deltas": ["hell"]},
    ],
    ids=str,
)
def test_a_step_that_cannot_be_sent_is_refused_by_the_admin_address(step: Any) -> None:
    with pytest.raises(InvalidRequestError):
        steps_from_json([step])


async def test_a_script_can_be_posted_to_the_admin_address() -> None:
    async with in_process(Emulator(admin=True)) as ask:
        order = {"steps": steps_to_json([text("one"), busy(1)])}
        assert (await ask(order, path="/_emulator/script", headers=JSON)).json == {"ok": True, "steps": 2}
        assert (await ask(HELLO)).text == "one"
        assert (await ask(HELLO)).status == 429
        assert (await ask(HELLO)).status == 200


async def test_the_last_of_several_steps_is_always_answered_after_the_others() -> None:
    async with in_process(Emulator(admin=True)) as ask:
        order = {"steps": steps_to_json([text("one"), text("two"), text("three")]), "always": True}
        assert (await ask(order, path="/_emulator/script", headers=JSON)).json == {"ok": True, "steps": 3}
        assert [(await ask(HELLO)).text for _ in range(4)] == ["one", "two", "three", "three"]


async def test_always_and_other_paths_can_be_set_by_the_admin_address() -> None:
    async with in_process(Emulator(admin=True)) as ask:
        always = {"steps": [{"answer": "error", "status": 500}], "always": True, "path": "/models"}
        await ask(always, path="/_emulator/script")
        assert [(await ask(method="GET", path="/api/v1/models")).status for _ in range(2)] == [500, 500]
        await ask(method="DELETE", path="/_emulator/script")
        assert (await ask(method="GET", path="/api/v1/models")).status == 200


@pytest.mark.parametrize("body", [{"steps": 5}, {"steps": [], "step": 1}, [], b"{"])
async def test_a_malformed_admin_request_is_a_400(body: Any) -> None:
    async with in_process(Emulator(admin=True)) as ask:
        assert (await ask(body, path="/_emulator/script")).status == 400


async def test_the_admin_address_lists_the_requests_so_far() -> None:
    emulator = Emulator(admin=True)
    async with in_process(emulator) as ask:
        await ask(HELLO)
        await ask(method="GET", path="/api/v1/models")
        listed = (await ask(method="GET", path="/_emulator/requests")).json["data"]
        assert [(request["method"], request["path"]) for request in listed] == [
            ("POST", "/api/v1/chat/completions"),
            ("GET", "/api/v1/models"),
        ]
        assert listed[0]["body"] == HELLO
        assert (await ask(method="DELETE", path="/_emulator/requests")).json == {"ok": True}
        assert emulator.requests == []
        assert (await ask(method="PUT", path="/_emulator/requests")).status == 404


async def test_a_request_is_recorded_without_its_key(emulator: Emulator, ask: Asker) -> None:
    await ask(hello(seed=7), headers={**JSON, "Authorization": "Bearer secret", "Cookie": "secret", "X-Own": "kept"})
    (recorded,) = emulator.requests
    assert recorded.body["seed"] == 7
    assert recorded.content == json.dumps(hello(seed=7)).encode()
    assert recorded.headers == {"content-type": "application/json", "authorization": "***", "cookie": "***", "x-own": "kept"}
    assert "secret" not in repr(emulator.requests)


async def test_refused_requests_are_recorded_too(emulator: Emulator, ask: Asker) -> None:
    await ask(b"not JSON")
    assert emulator.requests[0].body == b"not JSON"


async def test_the_latest_thousand_requests_are_kept(emulator: Emulator, ask: Asker) -> None:
    for number in range(1_005):
        await ask(method="GET", path=f"/{number}")
    assert [emulator.requests[0].path, len(emulator.requests)] == ["/5", 1_000]
