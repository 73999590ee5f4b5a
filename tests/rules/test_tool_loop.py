"""The tool loop without a network: answers in, calls out; results in, history out."""

from __future__ import annotations

import json
import pickle
import warnings
from dataclasses import dataclass, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from pydantic import BaseModel, Field
from pydantic_core import core_schema

from venice_ai import (
    AssistantMessage,
    ChatCompletionResponse,
    ChatUsage,
    FunctionTool,
    InvalidArgumentError,
    InvalidRequestError,
    MaxIterationsExceededError,
    NoChoicesError,
    NoToolCallsError,
    RateLimitError,
    Tool,
    ToolCall,
    ToolContext,
    ToolLoop,
    ToolLoopPausedError,
    ToolLoopState,
    ToolMessage,
    UnknownToolError,
    UserMessage,
    tool_from_function,
)
from venice_ai.tools import events
from venice_ai.tools.toolbox import Toolbox, call_arguments, result_text

HI = [{"role": "user", "content": "hi"}]


def add(a: int, b: int) -> int:
    return a + b


def now() -> str:
    return "noon"


def asked(name: str, arguments: Any = "{}", id: Any = "call_1", **more: Any) -> dict[str, Any]:  # noqa: A002
    """A tool call."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def turn(*calls: Any, content: str | None = None, reason: str = "tool_calls", **message: Any) -> ChatCompletionResponse:
    """An answer with calls."""
    return ChatCompletionResponse.model_validate(
        {
            "id": "chatcmpl-1",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": reason,
                    "message": {"role": "assistant", "content": content, "tool_calls": list(calls) or None, **message},
                }
            ],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 2,
                "total_tokens": 12,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
        }
    )


def said(content: str) -> ChatCompletionResponse:
    """A final answer."""
    return turn(content=content, reason="stop")


# -- the conversation ----------------------------------------------------------------------------------------------------


def test_a_loop_fed_by_hand_asks_runs_and_ends() -> None:
    answers = iter([turn(asked("add", '{"a": 1, "b": 2}')), turn(asked("now", id="call_2")), said("3 at noon")])
    loop = ToolLoop(HI, [add, now], max_iterations=5)
    seen: list[list[str]] = []
    while calls := loop.receive(next(answers)):
        seen.append([call.function.name for call in calls])
        loop.answer(calls, [3 if call.function.name == "add" else "noon" for call in calls])

    assert seen == [["add"], ["now"]]
    assert [(message["role"], message["content"]) for message in loop.history] == [
        ("user", "hi"),
        ("assistant", None),
        ("tool", "3"),
        ("assistant", None),
        ("tool", "noon"),
        ("assistant", "3 at noon"),
    ]
    assert loop.result.text == "3 at noon"
    assert loop.result.finish_reason == "stop"
    assert loop.result.iterations == 3
    assert loop.result.messages == loop.history
    assert loop.result.messages is not loop.history


def test_usage_is_of_the_last_round_and_total_usage_of_all() -> None:
    loop = ToolLoop(HI, [now])
    loop.answer(loop.receive(turn(asked("now"))), ["noon"])
    loop.receive(said("done"))

    assert loop.result.usage == loop.result.response.usage
    assert loop.result.total_usage is not None
    assert loop.result.total_usage.total_tokens == 24
    assert loop.result.total_usage.cached_tokens == 8


def test_usage_of_every_kind_is_added() -> None:
    loop = ToolLoop(HI, [now])
    counts: list[dict[str, Any]] = [
        {"prompt_tokens": 1, "completion_tokens": None, "of_tomorrow": {"a": 1, "b": "x"}},
        {"prompt_tokens": 2, "completion_tokens": 5, "of_tomorrow": None, "more": 1},
        {"prompt_tokens": 4, "completion_tokens": 6, "of_tomorrow": {"a": 2, "b": "y"}},
    ]
    for n, count in enumerate(counts):
        response = turn(asked("now", id=f"call_{n}"))
        vars(response)["usage"] = ChatUsage.model_validate(count)
        loop.answer(loop.receive(response), ["noon"])

    assert loop.usage == {"prompt_tokens": 7, "completion_tokens": 11, "of_tomorrow": {"a": 3, "b": "y"}, "more": 1}


def test_without_usage_in_the_answers_total_usage_is_none() -> None:
    loop = ToolLoop(HI, [now])
    response = said("done")
    del vars(response)["usage"]
    loop.receive(response)

    assert loop.result.total_usage is None


def test_the_callers_messages_are_copied_and_typed() -> None:
    mine = [{"role": "user", "content": "hi", "name": "ada"}]
    loop = ToolLoop(mine, [now])
    loop.answer(loop.receive(turn(asked("now"))), ["noon"])

    assert mine == [{"role": "user", "content": "hi", "name": "ada"}]
    assert loop.history[0] == UserMessage(content="hi", name="ada")
    assert [type(message) for message in loop.history] == [UserMessage, AssistantMessage, ToolMessage]


def test_the_assistants_turn_is_echoed_as_it_came() -> None:
    response = turn(
        asked("now", index=0, extra_of_the_call={"a": 1}),
        content="Let me see",
        reasoning_content="hm",
        reasoning_details=[{"type": "signature", "data": "abc"}],
        thought_signature="sig",
        something_new=[1, {"b": None}],
    )
    came = response.choices[0].message.model_dump()
    loop = ToolLoop(HI, [now])
    loop.receive(response)

    assert loop.history[-1] == came
    assert list(loop.history[-1]) == list(came), "in the same order, so that caches hit"
    vars(response.choices[0].message)["content"] = "changed later"
    assert loop.history[-1] == came


def test_results_follow_in_the_order_of_the_calls() -> None:
    loop = ToolLoop(HI, [now])
    first, second, third = loop.receive(turn(*(asked("now", id=f"call_{n}") for n in range(3))))
    loop.answer([third, first], ["3", "1"])

    assert [call.id for call in loop.open_calls] == ["call_1"]
    assert loop.history[-1]["role"] == "assistant"
    loop.answer([second], ["2"])
    assert loop.history[-3:] == [ToolMessage(content=str(n + 1), tool_call_id=f"call_{n}") for n in range(3)]


@pytest.mark.parametrize("reason", ["tool_calls", "stop", "length", None])
def test_calls_are_there_to_be_answered_whatever_the_finish_reason(reason: Any) -> None:
    assert len(ToolLoop(HI, [now]).receive(turn(asked("now"), reason=reason))) == 1


def test_an_answer_without_calls_is_the_last_whatever_the_finish_reason() -> None:
    loop = ToolLoop(HI, [now])

    assert loop.receive(turn(content="well", reason="tool_calls")) == []
    assert loop.result.text == "well"


@pytest.mark.parametrize(
    ("message", "reason", "came"),
    [
        pytest.param({"content": None, "tool_calls": None}, "tool_calls", "finish_reason='tool_calls'", id="no calls"),
        pytest.param({"content": "", "tool_calls": []}, "tool_calls", "tool_calls=[] and no text", id="an empty list"),
        pytest.param({"content": None}, "function_call", "finish_reason='function_call'", id="an old finish reason"),
        pytest.param({"content": None, "tool_calls": ["now"]}, "stop", "tool_calls=['now']", id="malformed calls"),
        pytest.param(
            {"content": "I look.", "function_call": {"name": "now", "arguments": "{}"}},
            "function_call",
            "function_call={'name': 'now', 'arguments': '{}'}",
            id="an old call beside words",
        ),
    ],
)
def test_a_turn_that_ends_with_calls_and_holds_none_is_no_answer(message: dict[str, Any], reason: str, came: str) -> None:
    loop = ToolLoop(HI, [now])
    response = ChatCompletionResponse.model_validate(
        {
            "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", **message}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }
    )
    with pytest.raises(NoToolCallsError) as caught:
        loop.receive(response)

    assert isinstance(caught.value, ValueError)
    assert came in str(caught.value)
    assert caught.value.last_response is response
    assert caught.value.state is not None
    again = ToolLoop(None, [now], resume=caught.value.state)
    assert (again.history, again.iterations) == (loop.history, 1)
    assert again.usage is not None
    assert again.usage.total_tokens == 3


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(asked("web_search", '{"documents": []}', id="web_search_call"), id="by its id"),
        pytest.param(asked("venice_web_search_documents", '{"documents": []}', id="call_7"), id="by its name"),
        pytest.param(asked("web_search", '{"documents": []}', id="call_7"), id="by its other name"),
    ],
)
def test_search_documents_are_no_call(call: dict[str, Any]) -> None:
    loop = ToolLoop(HI, [now])

    assert loop.receive(turn(call, content="found")) == []
    assert loop.result.text == "found"


def test_search_documents_beside_a_call_are_answered_for_the_model() -> None:
    loop = ToolLoop(HI, [now])
    calls = loop.receive(turn(asked("web_search", "{}", id="web_search_call"), asked("now")))

    assert [call.id for call in calls] == ["call_1"]
    loop.answer(calls, ["noon"])
    assert [message["tool_call_id"] for message in loop.history[-2:]] == ["web_search_call", "call_1"]


def test_a_tool_of_the_callers_own_may_be_called_web_search() -> None:
    def web_search(words: str) -> str:
        return words

    loop = ToolLoop(HI, [web_search])

    assert len(loop.receive(turn(asked("web_search", '{"words": "a"}')))) == 1
    loop.answer(loop.open_calls, ["found"])
    assert loop.receive(turn(asked("web_search", '{"documents": []}', id="web_search_call"))) == []


@pytest.mark.parametrize("ids", [[None, None], ["", ""], ["a", "a"], [7, 7]], ids=["null", "empty", "twice", "numbers"])
def test_calls_without_ids_of_their_own_get_them(ids: list[Any]) -> None:
    loop = ToolLoop(HI, [now])
    calls = loop.receive(turn(*(asked("now", id=identity) for identity in ids)))
    loop.answer(calls, ["1", "2"])
    turn_, first, second = loop.history[-3:]

    assert len({call.id for call in calls}) == 2
    assert all(isinstance(call.id, str) and call.id for call in calls)
    assert ("a" in {call.id for call in calls}) is ("a" in ids), "an id is kept where it is the first of its kind"
    assert [call["id"] for call in turn_["tool_calls"]] == [first["tool_call_id"], second["tool_call_id"]]
    assert (first["content"], second["content"]) == ("1", "2")


def test_ids_may_come_back_in_a_later_turn() -> None:
    loop = ToolLoop(HI, [now])
    for n in range(3):
        loop.answer(loop.receive(turn(asked("now", id="call_0"))), [str(n)])

    assert [message["content"] for message in loop.history if message["role"] == "tool"] == ["0", "1", "2"]


def test_odd_items_among_the_calls_are_passed_over() -> None:
    assert len(ToolLoop(HI, [now]).receive(turn(None, "call", asked("now")))) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"choices": []},
        {"id": "a"},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"index": 0}]},
        {"choices": [{"index": 0, "message": None}]},
    ],
    ids=json.dumps,
)
def test_an_answer_without_a_choice_is_an_error(body: Any) -> None:
    with pytest.raises(NoChoicesError) as caught:
        ToolLoop(HI, [now]).receive(ChatCompletionResponse.model_validate(body))
    assert isinstance(caught.value, ValueError)


# -- tools ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(asked("then"), id="another name"),
        pytest.param({"id": "call_1", "type": "custom", "custom": {"name": "now"}}, id="another type"),
        pytest.param(asked("now", type="retrieval"), id="another type with a function"),
        pytest.param(asked("now", type="custom"), id="another type with a function, too"),
        pytest.param({"id": "call_1", "type": "function"}, id="no function"),
        pytest.param({"id": "call_1", "type": "function", "function": {"name": None}}, id="no name"),
    ],
)
def test_a_call_of_an_unknown_tool_is_an_error_that_names_the_tools(call: dict[str, Any]) -> None:
    with pytest.raises(UnknownToolError, match="'now', 'add'") as caught:
        ToolLoop(HI, [now, add]).receive(turn(call))
    assert isinstance(caught.value, ValueError)


def test_a_call_of_an_unknown_tool_may_be_left_to_the_driver() -> None:
    assert len(ToolLoop(HI, [now], on_unknown_tool="report").receive(turn(asked("then")))) == 1


def test_a_call_without_a_type_is_of_a_function() -> None:
    call = {"id": "call_1", "type": None, "function": {"name": "now", "arguments": "{}"}}
    assert len(ToolLoop(HI, [now]).receive(turn(call))) == 1


def test_functions_and_definitions_can_be_mixed() -> None:
    definition = {"type": "function", "function": {"name": "other"}}
    tools = [now, tool_from_function(add), definition, {"type": "web_search"}, FunctionTool(lambda: 1, name="one")]
    box = Toolbox(tools)

    assert box.names == ["now", "add", "other", "one"]
    assert list(box.functions) == ["now", "one"], "a Tool is a definition alone"
    assert len(box.definitions) == 5


@pytest.mark.parametrize(
    "tools",
    [
        pytest.param([now, now], id="one function twice"),
        pytest.param([add, tool_from_function(add)], id="a function and a definition"),
        pytest.param([FunctionTool(add, name="now"), now], id="one name twice"),
        pytest.param(now, id="a function alone"),
        pytest.param("now", id="a text"),
        pytest.param(tool_from_function(now), id="a definition alone"),
        pytest.param([7], id="a number"),
        pytest.param(None, id="none"),
    ],
)
def test_tools_of_one_name_or_of_another_type_are_refused(tools: Any) -> None:
    with pytest.raises(InvalidRequestError):
        ToolLoop(HI, tools)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        pytest.param('{"a": 1}', {"a": 1}, id="object"),
        pytest.param("", {}, id="empty"),
        pytest.param(" \n", {}, id="blank"),
        pytest.param(None, {}, id="absent"),
        pytest.param("null", {}, id="null"),
        pytest.param({"a": 1}, {"a": 1}, id="an object without a text"),
        pytest.param('{"a": "two\nlines"}', {"a": "two\nlines"}, id="a line break"),
        pytest.param(json.dumps('{"a": 1}'), {"a": 1}, id="JSON text of JSON text"),
        pytest.param(json.dumps(json.dumps('{"a": "two\nlines"}')), {"a": "two\nlines"}, id="and of that"),
        pytest.param('""', {}, id="JSON text of nothing"),
    ],
)
def test_the_arguments_of_a_call_are_parsed_to_an_object(text: Any, arguments: dict[str, Any]) -> None:
    assert call_arguments(ToolCall.model_validate(asked("f", text))) == arguments


@pytest.mark.parametrize("text", ["{", "[1]", "7", '"a"', "[" * 100_000, "{'a': 1}"], ids=lambda text: text[:8])
def test_arguments_that_are_not_an_object_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="the arguments are"):
        call_arguments(ToolCall.model_validate(asked("f", text)))


# -- results -------------------------------------------------------------------------------------------------------------


class Colour(str, Enum):  # noqa: UP042
    RED = "red"


class Size(StrEnum):
    LARGE = "large"


class Plain(Enum):
    ONE = 1


class Town(BaseModel):
    name: str = Field(serialization_alias="townName")
    founded: date


@dataclass
class Point:
    x: int
    at: date


class Struct(msgspec.Struct):
    a: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("plain", "plain", id="text"),
        pytest.param("", "", id="empty text"),
        pytest.param(Colour.RED, "red", id="Enum of texts"),
        pytest.param(Size.LARGE, "large", id="StrEnum"),
        pytest.param(Plain.ONE, "1", id="Enum"),
        pytest.param(None, "null", id="nothing"),
        pytest.param(True, "true", id="bool"),
        pytest.param(1.5, "1.5", id="float"),
        pytest.param(float("nan"), '"NaN"', id="nan"),
        pytest.param({"a": [1, None]}, '{"a":[1,null]}', id="dict"),
        pytest.param([Point(1, date(2026, 1, 2))], '[{"x":1,"at":"2026-01-02"}]', id="dataclasses"),
        pytest.param(Town(name="Rome", founded=date(1, 1, 1)), '{"townName":"Rome","founded":"0001-01-01"}', id="BaseModel"),
        pytest.param(Decimal("1.10"), '"1.10"', id="Decimal"),
        pytest.param(UUID(int=1), '"00000000-0000-0000-0000-000000000001"', id="UUID"),
        pytest.param({1, 2}, "[1,2]", id="set"),
        pytest.param((1, "a"), '[1,"a"]', id="tuple"),
        pytest.param(b"abc", '"abc"', id="bytes"),
        pytest.param([b"\xff"], '["_w=="]', id="bytes that are not text"),
        pytest.param({"a": [b"\xff", float("nan")]}, '{"a":["_w==","NaN"]}', id="bytes that are not text inside"),
        pytest.param(map(int, ["1", "2"]), "[1,2]", id="iterator"),
        pytest.param(iter([b"a", b"\xff", b"c"]), '["YQ==","_w==","Yw=="]', id="iterator of bytes that are not text"),
        pytest.param({"a": (1, map(int, ["1"]))}, '{"a":[1,[1]]}', id="iterator inside"),
        pytest.param({"a": iter([b"\xff"]), "b": 1}, '{"a":["_w=="],"b":1}', id="iterator of bytes inside"),
        pytest.param("a\udcffb", "a\ufffdb", id="text with half a surrogate pair"),
        pytest.param(["Zü\udcffb"], '["Zü\ufffdb"]', id="half a surrogate pair inside"),
        pytest.param("Zürich", "Zürich", id="text beyond ASCII"),
        pytest.param({"a": "Zürich"}, '{"a":"Zürich"}', id="JSON beyond ASCII"),
        pytest.param(UserMessage(content="a"), '{"role":"user","content":"a"}', id="a view of this package"),
        pytest.param(Struct(1), '{"a":1}', id="msgspec"),
        pytest.param({"a": Struct(1)}, '{"a":{"a":1}}', id="msgspec inside"),
        pytest.param(ZoneInfo("UTC"), '"UTC"', id="what only a TypeAdapter knows"),
        pytest.param({object}, "[\"<class 'object'>\"]", id="what nobody knows inside"),
        pytest.param(object, "<class 'object'>", id="what nobody knows"),
        pytest.param(MappingProxyType({"a": len}), '{"a":"<built-in function len>"}', id="another mapping"),
        pytest.param(ValueError(), "ValueError()", id="an exception without words"),
    ],
)
def test_results_reach_the_model_as_json(value: Any, text: str) -> None:
    assert result_text(value) == text
    assert type(result_text(value)) is str


class Speechless:
    def __str__(self) -> str:
        raise ValueError("no words")


class Described(Speechless):
    def __repr__(self) -> str:
        return "described"


class Nameless(Speechless):
    def __repr__(self) -> str:
        raise ValueError("no words either")


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("value", "text"), [(Described(), "described"), (Nameless(), "<tests.rules.test_tool_loop.Nameless ob")]
)
def test_a_result_whose_str_fails_is_its_repr_and_at_last_the_name_of_its_class(value: Any, text: str, inside: bool) -> None:
    assert result_text({"a": value} if inside else value).removeprefix('{"a":"').startswith(text)


class Mistyped:
    """Is written as a text, though its schema says that it is written as a number."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        def written(_: object) -> str:
            return "text"

        how = core_schema.plain_serializer_function_ser_schema(written, return_schema=core_schema.int_schema())
        return core_schema.any_schema(serialization=how)


def test_a_result_that_its_class_writes_against_its_schema_is_written_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert result_text(Mistyped()) == '"text"'


class Endless:
    """An iterator of one iterator of one iterator, and so on."""

    def __init__(self) -> None:
        self._left = 1

    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> Endless:
        if not self._left:
            raise StopIteration
        self._left = 0
        return Endless()


ITSELF: list[Any] = []
ITSELF.append({"a": ITSELF})
OF_LISTS: list[Any] = []
OF_LISTS.append(OF_LISTS)
OF_DICTS: dict[str, Any] = {}
OF_DICTS["a"] = OF_DICTS


@pytest.mark.parametrize("value", [Endless(), (Endless(),), ITSELF, ITSELF[0], OF_LISTS, OF_DICTS], ids=range(6))
def test_a_result_that_holds_itself_or_has_no_end_is_a_text_all_the_same(value: Any) -> None:
    assert result_text(value)
    assert json.loads(result_text({"a": [iter([1]), {"b": iter((2,))}]})) == {"a": [[1], {"b": [2]}]}


def nested(kind: str, value: Any) -> Any:
    return {"iterators": iter([value]), "lists": [value], "tuples": (value,), "dicts": {"a": value}}[kind]


@pytest.mark.parametrize("kind", ["iterators", "lists", "tuples", "dicts"])
def test_an_iterator_a_hundred_levels_deep_is_read_once_though_the_result_is_written_twice(kind: str) -> None:
    """The first attempt ends at bytes that are not text, and has read the iterators until then."""
    value: Any = iter([7])
    for _ in range(99):
        value = nested(kind, value)

    assert "7" in result_text([value, b"\xff"])


@pytest.mark.parametrize("inside", [False, True])
def test_an_error_of_a_returned_iterator_is_raised_unchanged(inside: bool) -> None:
    rows = map(int, ["1", "x", "3"])
    with pytest.raises(ValueError, match="invalid literal"):
        result_text({"rows": rows} if inside else rows)


# -- the limit -----------------------------------------------------------------------------------------------------------


def test_the_limit_leaves_the_last_calls_pending() -> None:
    loop = ToolLoop(HI, [now], max_iterations=2)
    loop.answer(loop.receive(turn(asked("now"))), ["noon"])
    last = turn(asked("now", id="call_2"))
    with pytest.raises(MaxIterationsExceededError, match=r"now.*max_iterations") as caught:
        loop.receive(last)
    error = caught.value

    assert error.iterations == 2
    assert error.last_response is last
    assert [call.id for call in error.pending_calls] == ["call_2"]
    assert [message["role"] for message in error.messages] == ["user", "assistant", "tool", "assistant"]
    assert error.usage is not None
    assert error.usage.total_tokens == 24


def test_the_errors_of_a_loop_can_be_pickled() -> None:
    loop = ToolLoop(HI, [now], max_iterations=1)
    with pytest.raises(MaxIterationsExceededError) as caught:
        loop.receive(turn(asked("now")))
    exceeded = pickle.loads(pickle.dumps(caught.value))
    waits = pickle.loads(pickle.dumps(ToolLoopPausedError("waits", state=loop.state)))

    assert str(exceeded) == str(caught.value)
    assert exceeded.pending_calls == caught.value.pending_calls
    assert exceeded.state == caught.value.state
    assert (str(waits), waits.state) == ("waits", loop.state)


def test_a_user_can_make_the_errors_of_a_loop() -> None:
    assert MaxIterationsExceededError().messages == []
    error = MaxIterationsExceededError("too long", iterations=3, messages=HI)
    assert (str(error), error.iterations, error.messages, error.usage, error.pending_calls) == ("too long", 3, HI, None, [])
    assert pickle.loads(pickle.dumps(error)).iterations == 3
    assert pickle.loads(pickle.dumps(NoToolCallsError("no call"))).state is None


def test_an_error_takes_the_attributes_that_its_class_declares_and_no_others() -> None:
    limited = RateLimitError("slow down", status_code=429, kind="tokens")

    assert (limited.status_code, limited.counts_as, limited.kind, limited.request_id) == (429, 429, "tokens", None)
    with pytest.raises(TypeError, match="has no field 'status'"):
        RateLimitError("slow down", status=429)


def test_a_loop_that_met_its_limit_can_go_on() -> None:
    loop = ToolLoop(HI, [now], max_iterations=1)
    with pytest.raises(MaxIterationsExceededError) as caught:
        loop.receive(turn(asked("now")))
    further = ToolLoop(None, [now], max_iterations=5, resume=caught.value.state)

    assert [call.id for call in further.open_calls] == ["call_1"]
    further.answer(further.open_calls, ["noon"])
    further.receive(said("done"))
    assert further.result.iterations == 2


def test_an_answer_at_the_limit_is_an_answer() -> None:
    loop = ToolLoop(HI, [now], max_iterations=1)
    assert loop.receive(said("done")) == []


def test_at_the_limit_the_model_may_be_made_to_answer() -> None:
    loop = ToolLoop(HI, [now], max_iterations=1, on_limit="answer")
    calls = loop.receive(turn(asked("now")))
    loop.answer(calls, ["noon"])

    assert loop.offered == []
    assert loop.receive(said("noon")) == []
    assert loop.result.iterations == 2


def test_a_model_that_calls_what_it_was_not_offered_meets_the_limit() -> None:
    loop = ToolLoop(HI, [now], max_iterations=1, on_limit="answer")
    loop.answer(loop.receive(turn(asked("now"))), ["noon"])
    with pytest.raises(MaxIterationsExceededError) as caught:
        loop.receive(turn(asked("now", id="call_2")))
    assert caught.value.iterations == 2


@pytest.mark.parametrize(
    "wrong",
    [
        *({"max_iterations": 0}, {"max_iterations": True}, {"max_iterations": 2.0}, {"on_limit": "stop"}),
        *({"on_unknown_tool": "ignore"}, {"messages": []}, {"messages": None}, {"messages": ""}),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_right_are_refused(wrong: dict[str, Any]) -> None:
    messages = wrong.pop("messages", HI)
    with pytest.raises((InvalidArgumentError, InvalidRequestError)):
        ToolLoop(messages, [now], **wrong)


# -- out of order --------------------------------------------------------------------------------------------------------


def test_the_next_answer_is_refused_while_calls_are_open() -> None:
    loop = ToolLoop(HI, [now])
    loop.receive(turn(asked("now")))
    with pytest.raises(InvalidArgumentError, match="answer the calls"):
        loop.receive(said("done"))


def test_a_call_is_answered_once() -> None:
    loop = ToolLoop(HI, [now])
    calls = loop.receive(turn(asked("now"), asked("now", id="call_2")))
    loop.answer(calls[:1], ["noon"])
    with pytest.raises(InvalidArgumentError, match=r"'call_1'.*not open"):
        loop.answer(calls, ["again", "noon"])
    with pytest.raises(InvalidArgumentError, match="1 results for 2 calls"):
        loop.answer(calls, ["noon"])


def test_there_is_no_result_before_the_end() -> None:
    loop = ToolLoop(HI, [now])
    with pytest.raises(InvalidArgumentError, match="not ended"):
        _ = loop.result
    loop.receive(turn(asked("now")))
    with pytest.raises(InvalidArgumentError, match="not ended"):
        _ = loop.result


# -- as plain JSON -------------------------------------------------------------------------------------------------------


def test_a_loop_becomes_json_and_a_loop_again() -> None:
    loop = ToolLoop(HI, [now, add])
    first, second = loop.receive(turn(asked("now"), asked("add", '{"a": 1, "b": 2}', id="call_2"), thought_signature="sig"))
    loop.answer([first], ["noon"])
    loop.hold(second)
    written = loop.state.model_dump_json()
    again = ToolLoop(None, [now, add], resume=ToolLoopState.model_validate_json(written))

    assert json.loads(written)["results"] == {"call_1": "noon"}
    assert again.open_calls == [second]
    assert again.waiting == ["call_2"]
    assert (again.iterations, again.usage) == (1, loop.usage)
    assert again.state == loop.state
    assert [call.id for call in again.state.waiting_calls] == ["call_2"]
    again.answer([second], [3])
    assert again.waiting == []
    assert [message["content"] for message in again.history[-2:]] == ["noon", "3"]
    assert again.history[1]["thought_signature"] == "sig"
    again.receive(said("done"))
    assert again.result.iterations == 2


def test_the_state_between_two_turns_has_no_open_calls() -> None:
    loop = ToolLoop(HI, [now])
    loop.answer(loop.receive(turn(asked("now"))), ["noon"])
    again = ToolLoop(None, [now], resume=json.loads(loop.state.model_dump_json()))

    assert again.open_calls == []
    assert again.history == loop.history


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({}, id="empty"),
        pytest.param([], id="a list"),
        pytest.param("text", id="a text"),
        pytest.param({"version": 2, "messages": HI, "iterations": 1}, id="of another version"),
        pytest.param({"version": 1, "messages": HI, "iterations": "one"}, id="no count"),
        pytest.param({"version": 1, "messages": [{"role": "nobody"}], "iterations": 1}, id="no messages"),
        pytest.param({"version": 1, "messages": HI, "iterations": 10}, id="at the limit"),
        pytest.param({"version": 0, "messages": HI, "iterations": 1}, id="of an earlier version"),
        pytest.param({"version": 1, "messages": HI, "iterations": -1}, id="fewer than none"),
        pytest.param({"version": 1, "messages": HI, "iterations": 1, "results": 7}, id="no results"),
    ],
)
def test_a_malformed_state_is_refused(state: Any) -> None:
    with pytest.raises((InvalidArgumentError, InvalidRequestError)):  # the latter of its messages
        ToolLoop(None, [now], resume=state)


@pytest.mark.parametrize("iterations", [0, 9])
def test_a_state_below_the_limit_goes_on_with_its_count(iterations: int) -> None:
    loop = ToolLoop(None, [now], resume={"version": 1, "messages": HI, "iterations": iterations})

    assert (loop.iterations, loop.max_iterations, loop.sealed, loop.waiting, len(loop.offered)) == (
        iterations,
        10,
        False,
        [],
        1,
    )
    assert ToolLoop(None, [now], max_iterations=1, on_limit="answer", resume=loop.state).iterations == iterations


def test_a_state_without_open_calls_has_neither_waiting_nor_results() -> None:
    loop = ToolLoop(HI, [now])
    assert loop.state == {"version": 1, "messages": HI, "iterations": 0}
    (call,) = loop.receive(turn(asked("now")))
    for _ in range(2):
        loop.hold(call)
    assert (loop.state.waiting, loop.state.results) == (["call_1"], None)


def test_a_call_of_a_sealed_turn_that_is_called_like_the_search_is_a_call() -> None:
    assert len(ToolLoop(HI, [now]).receive(turn(asked("now", id="xyz"), asked("now", id="a")))) == 2
    for identity in ("sealed_r_0", "call_1"):
        loop = ToolLoop(HI, [now], on_unknown_tool="report")
        calls = loop.receive(turn(asked("web_search", id=identity), content="words"))
        assert [call.id for call in calls] == (["sealed_r_0"] if identity.startswith("sealed") else [])


def test_a_loop_takes_either_messages_or_a_state() -> None:
    with pytest.raises(InvalidArgumentError, match="either"):
        ToolLoop(HI, [now], resume={"version": 1, "messages": HI, "iterations": 1})


def test_tool_definitions_are_sent_as_they_are() -> None:
    mine = Tool(function={"name": "other", "parameters": {"type": "object"}}, id="x")

    assert ToolLoop(HI, [mine]).offered == [mine]


def test_a_call_that_finished_has_neither_failed_nor_was_denied_unless_that_is_said() -> None:
    finished = events.ToolCallFinished(ToolCall.model_validate(asked("now")), "noon", 1)

    assert (finished.error, finished.denied) == (None, False)


EVENTS = [kind for kind in vars(events).values() if isinstance(kind, type) and kind.__module__ == events.__name__]


@pytest.mark.parametrize("kind", [ToolContext, *(kind for kind in EVENTS if is_dataclass(kind))])
def test_results_events_and_states_of_a_loop_are_immutable(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)
