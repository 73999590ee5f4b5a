"""`max_reasks`: when an answer does not fit, the model is asked again, with that answer and what is wrong with it."""

from __future__ import annotations

import pickle
from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel, Field

from venice_ai import (
    APIError,
    ChatCompletionResponse,
    InvalidArgumentError,
    Message,
    OutputInvalidError,
    OutputRefusedError,
    OutputTruncatedError,
    ToolCallInsteadError,
    UserMessage,
    VeniceClient,
)
from venice_ai.emulator import Emulator, Step, completion, error, text, tool_call
from venice_ai.exceptions import TeeEncryptionError
from venice_ai.resources.chat import ChatCompletions
from venice_ai.resources.chat.parsed import Conversation, ask_until_valid


class Person(BaseModel):
    name: str
    age: Annotated[int, Field(ge=0)]


HI: list[Message] = [{"role": "system", "content": "Be exact."}, UserMessage(content="Tell me about Marie Curie.")]
PLAIN = [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "Tell me about Marie Curie."}]
MARIE = '{"name": "Marie", "age": 66}'
OLD = '{"name": "Marie", "age": "old"}'
YOUNG = '{"name": "Marie", "age": -1}'


def asking(*steps: Step) -> tuple[VeniceClient, Emulator]:
    emulator = Emulator()
    emulator.script(*steps)
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock), emulator


def messages_of(emulator: Emulator) -> list[list[dict[str, Any]]]:
    return [request.body["messages"] for request in emulator.requests]


async def parse(client: VeniceClient, **kwargs: Any) -> Any:
    return await client.chat.completions.parse(model="default", messages=HI, response_format=Person, **kwargs)


async def test_by_default_nothing_is_asked_again() -> None:
    client, emulator = asking(text(OLD), text(MARIE))

    with pytest.raises(OutputInvalidError):
        await parse(client)

    assert len(emulator.requests) == 1


async def test_an_answer_that_does_not_fit_is_sent_back_with_what_is_wrong() -> None:
    client, emulator = asking(text(OLD), text(MARIE))

    result = await parse(client, max_reasks=1, temperature=0)

    assert result.parsed == Person(name="Marie", age=66)
    first, second = messages_of(emulator)
    assert first == PLAIN
    assert second[:3] == [*PLAIN, {"role": "assistant", "content": OLD}]
    assert second[3:] == [
        {
            "role": "user",
            "content": "That answer does not fit the schema:\n"
            "- age: Input should be a valid integer, unable to parse string as an integer\n"
            "Answer again with the whole JSON, corrected, and nothing else.",
        }
    ]
    assert emulator.requests[1].body["response_format"] == emulator.requests[0].body["response_format"]
    assert emulator.requests[1].body["temperature"] == 0


async def test_only_the_last_answer_is_sent_back() -> None:
    client, emulator = asking(text(OLD), text(YOUNG), text("{}"), text(MARIE))

    result = await parse(client, max_reasks=3)

    assert [len(messages) for messages in messages_of(emulator)] == [2, 4, 4, 4]
    assert [messages[2]["content"] for messages in messages_of(emulator)[1:]] == [OLD, YOUNG, "{}"]
    assert [attempt.text for attempt in result.attempts] == [OLD, YOUNG, "{}", MARIE]
    assert result.response is result.attempts[-1]


async def test_total_usage_adds_the_usage_of_all_attempts() -> None:
    client, _ = asking(text(OLD), text(YOUNG), text(MARIE))

    result = await parse(client, max_reasks=5)

    usages = [attempt.usage for attempt in result.attempts]
    assert result.usage == usages[-1]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert result.total_usage[name] == sum(usage[name] for usage in usages)


async def test_when_no_attempt_fits_the_last_error_has_them_all() -> None:
    client, emulator = asking(text(OLD), text(YOUNG), text(MARIE))

    with pytest.raises(OutputInvalidError) as caught:
        await parse(client, max_reasks=1)

    assert len(emulator.requests) == 2
    assert caught.value.raw_text == YOUNG
    assert [attempt.text for attempt in caught.value.attempts] == [OLD, YOUNG]
    assert caught.value.total_usage is not None
    assert caught.value.usage is not None
    assert caught.value.total_usage.total_tokens > caught.value.usage.total_tokens


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        pytest.param(text('{"name', finish_reason="length"), OutputTruncatedError, id="cut off"),
        pytest.param(text("no", finish_reason="content_filter"), OutputRefusedError, id="refused"),
        pytest.param(tool_call("look"), ToolCallInsteadError, id="tool call"),
    ],
)
async def test_tool_calls_refusals_and_truncated_answers_are_not_asked_again(step: Step, kind: type[Exception]) -> None:
    client, emulator = asking(text(OLD), step, text(MARIE))

    with pytest.raises(kind) as caught:
        await parse(client, max_reasks=5)

    assert len(emulator.requests) == 2
    assert len(caught.value.attempts) == 2  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]


async def test_when_asking_again_fails_the_paid_answer_is_in_the_error() -> None:
    client, _ = asking(text(OLD), error(402))

    with pytest.raises(APIError) as caught:
        await parse(client, max_reasks=1)

    assert caught.value.status_code == 402
    assert caught.value.partial is not None
    assert caught.value.partial.text == OLD


async def test_when_a_later_call_fails_all_paid_answers_are_in_the_error() -> None:
    client, _ = asking(text(OLD), text(YOUNG), error(402))
    with pytest.raises(APIError) as caught:
        await parse(client, max_reasks=5)

    again = pickle.loads(pickle.dumps(caught.value))  # our own
    assert [answer.text for answer in caught.value.attempts] == [OLD, YOUNG]
    assert again.attempts == caught.value.attempts


async def test_when_the_enclave_fails_all_paid_answers_are_in_the_error() -> None:
    class Failing(ChatCompletions):
        async def create(self, **kwargs: Any) -> Any:
            if len(kwargs["messages"]) > len(HI):
                raise TeeEncryptionError("sealed with another key")
            return cast("Any", await super().create(**kwargs))

    client, _ = asking(text(OLD))
    with pytest.raises(TeeEncryptionError) as caught:
        await Failing(client).parse(model="default", messages=HI, response_format=Person, max_reasks=1)

    assert [answer.text for answer in caught.value.attempts] == [OLD]


async def test_the_model_is_given_the_path_of_an_error_as_in_its_schema() -> None:
    client, emulator = asking(text(f'{{"value": [{OLD}]}}'), text(f'{{"value": [{MARIE}]}}'))

    await client.chat.completions.parse(model="default", messages=HI, response_format=list[Person], max_reasks=1)

    assert "\n- value.0.age: Input should be a valid integer" in messages_of(emulator)[1][-1]["content"]


async def test_an_answer_with_half_of_a_surrogate_pair_can_be_sent_back() -> None:
    asked: list[Any] = []

    async def ask(messages: Any) -> object:
        asked.append(messages)
        message = {"role": "assistant", "content": '{"name": "\ud83d", "age": 1}' if len(asked) == 1 else MARIE}
        return ChatCompletionResponse.model_validate({"id": "x", "created": 1, "model": "m", "choices": [{"message": message}]})

    await ask_until_valid(Person, Conversation(HI), ask, wrapped=False, max_reasks=1)

    assert asked[1][-2]["content"] == '{"name": "\N{REPLACEMENT CHARACTER}", "age": 1}'


async def test_an_answer_without_text_is_asked_again() -> None:
    nothing = completion({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []})
    client, emulator = asking(nothing, text(MARIE))

    assert (await parse(client, max_reasks=1)).parsed.age == 66

    assert messages_of(emulator)[1][:-1] == PLAIN
    assert messages_of(emulator)[1][-1]["content"].startswith("There was no answer:")


class Wide(BaseModel):
    numbers: list[int]


async def test_the_model_is_given_at_most_ten_errors() -> None:
    many = '{"numbers": [' + ", ".join(['"' + "long words " * 50 + '"'] * 40) + "]}"
    client, emulator = asking(text(many), text('{"numbers": []}'))

    await client.chat.completions.parse(model="default", messages=HI, response_format=Wide, max_reasks=1)

    request = messages_of(emulator)[1][-1]["content"]
    assert request.count("\n- numbers.") == 10
    assert "- and 30 more\n" in request
    assert len(request) < 1500


async def test_messages_may_be_an_iterator_and_are_not_changed() -> None:
    client, emulator = asking(text(OLD), text(YOUNG), text(MARIE))
    given = list(HI)

    await client.chat.completions.parse(model="default", messages=iter(given), response_format=Person, max_reasks=2)

    assert given == HI
    assert [messages[:2] for messages in messages_of(emulator)] == [PLAIN] * 3


@pytest.mark.parametrize("number", [-1, 1.5, True, "1", None])
async def test_the_number_is_a_whole_one_from_zero(number: Any) -> None:
    client, emulator = asking()

    with pytest.raises(InvalidArgumentError, match="max_reasks="):
        await parse(client, max_reasks=number)

    assert emulator.requests == []
