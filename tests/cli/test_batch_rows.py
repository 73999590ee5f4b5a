"""How a row of a table becomes a request, and its answer becomes columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import InvalidArgumentError, InvalidRequestError, OutputError, RateLimitError
from venice_ai._structured.columns import AnswerColumns, fault_of
from venice_ai.batches.items import BatchItem, BatchProgress
from venice_ai.cli._batch_rows import OpenAIBatch, Prompts, filled, named_in, progress_text
from venice_ai.types.api.chat import ChatCompletionResponse


@dataclass
class Label:
    label: Literal["good", "bad"]
    why: str | None


def response(text: str | None, finish_reason: str = "stop") -> ChatCompletionResponse:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return ChatCompletionResponse.model_validate({"id": "c1", "model": "m", "choices": [choice]})


def prompts(prompt: str, answers: Any = None, **params: Any) -> Prompts:
    return Prompts({"model": "m", **params}, {"user": prompt}, AnswerColumns(answers))


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("choices", "fault", "with_tools"),
    [
        pytest.param([], "the answer has no choices", "the answer has no choices", id="no choice"),
        pytest.param([("stop", "hi")], None, None, id="text"),
        pytest.param([(None, "hi")], None, None, id="no finish reason"),
        pytest.param([("stop", None)], "the answer is empty", "the answer is empty", id="no text"),
        pytest.param([("stop", " \n")], "the answer is empty", "the answer is empty", id="blanks"),
        pytest.param([("length", "hi")], "the answer ended with 'length'", "the answer ended with 'length'", id="cut off"),
        pytest.param(
            [("stop", "a"), ("x", "b"), ("y", "c")], "the answer ended with 'x'", "the answer ended with 'x'", id="two"
        ),
        pytest.param([("tool_calls", None)], "the answer ended with 'tool_calls'", None, id="a call"),
        pytest.param([("stop", None, CALL)], "the answer is empty", None, id="a call that is told as a stop"),
    ],
)
def test_an_answer_is_whole_if_each_choice_stopped_and_it_says_something(
    choices: list[Any], fault: str | None, with_tools: str | None
) -> None:
    given = [
        {
            "index": index,
            "finish_reason": reason,
            "message": {"content": text, "tool_calls": calls or [CALL][: reason == "tool_calls"]},
        }
        for index, (reason, text, *calls) in enumerate(choices)
    ]
    answer = ChatCompletionResponse.model_validate({"id": "c1", "model": "m", "choices": given})

    assert (fault_of(answer), fault_of(answer, with_tools=True)) == (fault, with_tools)


# -- prompts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text"),
    [
        pytest.param("Classify: {text}", "Classify: a {b} }}{{ c", id="a column, whose braces are safe"),
        pytest.param("{n} {first name}", "7 Ada", id="a number, and a name with a blank"),
        pytest.param('{{"text": {text}}}', '{"text": a {b} }}{{ c}', id="braces written twice"),
        pytest.param("} stays, and { too", "} stays, and { too", id="lone braces"),
        pytest.param("{nothing}", "", id="null"),
    ],
)
def test_a_template_is_filled_with_the_columns_of_a_row(template: str, text: str) -> None:
    assert filled(template, {"text": "a {b} }}{{ c", "n": 7, "first name": "Ada", "nothing": None}) == text


@given(value=st.text(), before=st.text(st.characters(exclude_characters="{}")))
def test_a_value_stands_in_the_prompt_as_it_is(value: str, before: str) -> None:
    assert filled(before + "{x}", {"x": value}) == before + value
    assert named_in(before + "{x}{y}") == {"x", "y"}


def test_a_row_becomes_a_request() -> None:
    task = Prompts({"model": "m", "seed": 7}, {"system": "Be {mood}.", "user": "Hi {name}"}, AnswerColumns())
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi Ada"}]
    assert task.request({"mood": "kind", "name": "Ada"}) == {"model": "m", "seed": 7, "messages": messages}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param({"id": 1, "txt": "x"}, "there is no column 'text' among 'id', 'txt'", id="a missing column"),
        pytest.param({"text": "x", "error": ""}, "would overwrite the column 'error'", id="a column of the answer's"),
    ],
)
def test_a_row_that_the_template_cannot_use_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prompts("{text}").request(row)


def values(columns: AnswerColumns, answered: BatchItem[Any]) -> dict[str, Any]:
    return columns.of(answered.response, answered.parsed, answered.error)


# -- answers -------------------------------------------------------------------------------------------------------------


def item(**outcome: Any) -> BatchItem[Any]:
    return BatchItem(0, "request-1", **outcome)


@pytest.mark.parametrize(
    ("answered", "columns"),
    [
        pytest.param(item(response=response("yes")), {"answer": "yes", "error": None}, id="an answer"),
        pytest.param(item(response=response(None)), {"answer": "", "error": "the answer is empty"}, id="no text"),
        pytest.param(
            item(response=response("ye", "length")),
            {"answer": "ye", "error": "the answer ended with 'length'"},
            id="an answer that was cut off",
        ),
        pytest.param(
            item(error=InvalidRequestError("no")), {"answer": None, "error": "InvalidRequestError: no"}, id="an error"
        ),
    ],
)
def test_a_plain_answer_has_one_column(answered: BatchItem[Any], columns: dict[str, Any]) -> None:
    assert values(AnswerColumns(), answered) == columns


def test_the_fields_of_a_class_are_columns() -> None:
    columns = AnswerColumns(Label)
    assert columns.names == ["label", "why", "error", "raw_answer"]
    assert values(columns, item(response=response("..."), parsed=Label("good", None))) == {
        "label": "good",
        "why": None,
        "error": None,
        "raw_answer": None,
    }
    failed = {"label": None, "why": None, "error": "ValueError: x", "raw_answer": None}
    assert values(columns, item(error=ValueError("x"))) == failed


def test_a_class_that_is_not_an_object_has_one_column() -> None:
    columns = AnswerColumns(list[str])
    assert columns.names == ["value", "error", "raw_answer"]
    found = values(columns, item(response=response("..."), parsed=["a"]))
    assert found == {"value": ["a"], "error": None, "raw_answer": None}


def test_the_properties_of_a_json_schema_are_columns() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}
    columns = AnswerColumns({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    found = values(columns, item(response=response("..."), parsed={"s": "a", "n": 1}))
    assert found == {"n": 1, "s": "a", "error": None, "raw_answer": None}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(
            response('{"label":\n"ugly"}'),
            "OutputInvalidError: the answer does not fit Label; it is in raw_answer. "
            "label: Input should be 'good' or 'bad'; why: Field required",
            id="it does not fit",
        ),
        pytest.param(
            response('{"label": "go', "length"),
            "OutputTruncatedError: the answer was cut off after 13 characters (finish_reason 'length'), so there is no whole "
            "Label. Raise max_completion_tokens, which also counts reasoning; what had come is in raw_answer. the answer: "
            "Invalid JSON: EOF while parsing a string at line 1 column 13",
            id="it was cut off",
        ),
    ],
)
def test_an_answer_that_does_not_fit_has_a_one_line_error_and_its_raw_text(answer: ChatCompletionResponse, error: str) -> None:
    with pytest.raises(OutputError) as caught:
        answer.parse_as(Label)
    found = values(AnswerColumns(Label), item(error=caught.value))
    assert found == {"label": None, "why": None, "error": error, "raw_answer": answer.text}


@pytest.mark.parametrize("taken", ["error", "raw_answer"])
def test_a_schema_with_a_field_of_our_columns_is_refused(taken: str) -> None:
    schema = {"type": "object", "properties": {taken: {"type": "string"}}}
    with pytest.raises(InvalidArgumentError, match=f"{taken}.*rename the schema's field"):
        AnswerColumns({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})


# -- OpenAI's format -----------------------------------------------------------------------------------------------------

LINE: dict[str, Any] = {
    "custom_id": "request-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "logit_bias": {"1": 2}},
}


def test_a_body_is_sent_as_it_is() -> None:
    asked = OpenAIBatch({}).request(LINE)
    sent = {"custom_id": "request-1", "model": "m", "messages": LINE["body"]["messages"], "logit_bias": {"1": 2}}
    assert asked == {**sent, "extra_body": {"max_tokens": 9}}
    assert OpenAIBatch({"model": "other"}).request(LINE)["model"] == "other"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param({"text": "x"}, "for a table, give --prompt", id="a table"),
        pytest.param({**LINE, "custom_id": 7}, "no 'custom_id'", id="an id that is not text"),
        pytest.param({**LINE, "body": [1]}, "no 'custom_id' and 'body'", id="a body that is not an object"),
        pytest.param({**LINE, "url": "/v1/embeddings"}, "it is for POST /v1/embeddings", id="another address"),
        pytest.param({**LINE, "body": {"messages": []}}, "its body has no 'model'", id="no model"),
    ],
)
def test_lines_that_cannot_be_sent_are_refused(line: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OpenAIBatch({}).request(line)


def test_results_are_lines_of_openais_format() -> None:
    task, answer = OpenAIBatch({}), response("hi")
    line = task.result(item(response=answer, replayed=True))
    replied = {"status_code": 200, "request_id": None, "body": answer.model_dump()}
    assert line == {"id": line["id"], "custom_id": "request-1", "response": replied, "error": None}
    assert line["id"].startswith("batch_req_")

    refused = RateLimitError("busy", status_code=429, request_id="r", code="busy")
    line = task.result(item(error=refused))
    error_members = {"message": "busy", "type": "RateLimitError", "code": "busy"}
    assert line["response"] == {"status_code": 429, "request_id": "r", "body": {"error": error_members}}
    assert line["error"] is None

    line = task.result(item(error=InvalidRequestError("no")))
    assert line["response"] is None
    assert line["error"] == {"code": "InvalidRequestError", "message": "no"}


# -- progress ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        pytest.param((0, 0, 0, 3, None, 0.0, 0.0, 8), "0/2,000  0 failed", id="the beginning"),
        pytest.param((500, 0, 500, 3, None, 0.0, 0.1, 8), "500/2,000  0 failed", id="from the journal"),
        pytest.param(
            (1000, 3, 500, 8, None, 0.25, 50.0, 8),
            "1,000/2,000  3 failed  10.0/s  $0.2500  $0.5000 and 0:01:40 to go",
            id="half way",
        ),
    ],
)
def test_the_progress_is_written_as_a_text(progress: tuple[Any, ...], text: str) -> None:
    assert progress_text(BatchProgress(*progress), 2_000) == text
