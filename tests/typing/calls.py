"""What type checkers make of calls. Nothing here runs: `tests/package/test_typing.py` compares it with the comments."""

from __future__ import annotations

from typing import Any, reveal_type

from venice_ai import (
    AssistantMessage,
    BatchRequest,
    ChatCompletionResponse,
    ChatRequest,
    Message,
    SystemMessage,
    TextContent,
    UserMessage,
    VeniceClient,
    attachment,
)

client = VeniceClient()


async def each_kind_of_stream(late: bool) -> None:
    plain = await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")])
    reveal_type(plain)  # ChatCompletionResponse
    reveal_type(plain.text)  # str | None
    reveal_type(plain.choices[0].message)  # ChatMessage
    reveal_type(plain.meta)  # ResponseMeta

    whole = await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], stream=False, temperature=1)
    reveal_type(whole)  # ChatCompletionResponse

    streamed = await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], stream=True, top_p=0.5)
    reveal_type(streamed)  # ChatStream
    async for chunk in streamed:
        reveal_type(chunk)  # ChatCompletionChunk
        reveal_type(chunk.text)  # str

    either = await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], stream=late)
    reveal_type(either)  # ChatCompletionResponse | ChatStream

    async with await client.chat.completions.stream(model="m", messages=[UserMessage(content="hi")]) as stream:
        reveal_type(stream)  # ChatStream
        async for text in stream.text_deltas():
            reveal_type(text)  # str
        reveal_type(await stream.collect())  # ChatCompletionResponse
        reveal_type(stream.usage)  # ChatUsage | None


async def a_file_is_a_part() -> None:
    part = attachment("photo.jpg")
    reveal_type(part)  # TextContent | ImageContent | AudioContent | VideoContent | FileContent
    message = UserMessage(content=[TextContent(text="Where is this?"), part, attachment(b"...", name="note.txt")])
    await client.chat.completions.create(model="m", messages=[message])


async def a_stream_of_one_s_own() -> None:
    own = await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], stream=True, stream_cls=dict)
    reveal_type(own)  # Any


async def plain_mappings_are_messages(earlier: dict[str, Any]) -> None:
    """As everybody writes them, and as they come out of a file."""
    completions = client.chat.completions
    await completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    await completions.create(
        model="m",
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://x"}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "2"},
        ],
    )
    await completions.create(model="m", messages=[SystemMessage(content="Be brief."), {"role": "user", "content": "hi"}])

    conversation = [{"role": "user", "content": "hi"}]
    await completions.create(model="m", messages=conversation)
    await completions.stream(model="m", messages=[earlier])
    reply = await completions.create(model="m", messages=(message for message in conversation))
    await completions.create(model="m", messages=[*conversation, reply.choices[0].message, UserMessage(content="and?")])


async def a_text_is_one_message(late: bool) -> None:
    completions = client.chat.completions
    reveal_type(await completions.create(model="m", messages="hi"))  # ChatCompletionResponse
    reveal_type(await completions.create(model="m", messages="hi", stream=late))  # ChatCompletionResponse | ChatStream
    reveal_type(await completions.stream(model="m", messages="hi"))  # ChatStream
    reveal_type(await completions.estimate_cost(model="m", messages="hi"))  # ChatCostEstimate
    await completions.batch([{"model": "m", "messages": "hi"}])
    request: ChatRequest = {"model": "m", "messages": "hi"}
    await client.models.check(request)


async def lists_of_unlike_messages() -> None:
    """mypy takes the first for a list of what their classes have in common."""
    earlier = await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")])
    conversation = [SystemMessage(content="Be brief."), UserMessage(content="hi"), AssistantMessage.from_response(earlier)]
    await client.chat.completions.create(model="m", messages=conversation)
    await client.chat.completions.create(model="m", messages=[*conversation, earlier.choices[0].message])
    typed: list[Message] = [SystemMessage(content="Be brief."), {"role": "user", "content": "hi"}]
    await client.chat.completions.create(model="m", messages=typed)


async def every_parameter(read_from_a_file: dict[str, Any]) -> None:
    await client.chat.completions.create(
        model="m",
        messages=[UserMessage(content="hi")],
        temperature=0.5,
        stop=["\n"],
        reasoning_effort="low",
        reasoning={"effort": "low", "enabled": True},
        response_format={"type": "json_object"},
        venice_parameters={"enable_web_search": "on"},
        tools=[{"type": "function", "function": {"name": "f"}}],
        timeout=3,
        extra_headers={"X-Trace": "1"},
        extra_body={"a_field_of_tomorrow": 1},
        e2ee=False,
    )
    await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], reasoning=read_from_a_file)
    await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], **read_from_a_file)


async def extra_fields_leave_the_answer_its_type(late: bool) -> None:
    create, messages, new = client.chat.completions.create, [UserMessage(content="hi")], {"tomorrow": 1}
    reveal_type(await create(model="m", messages=messages, extra_body=new))  # ChatCompletionResponse
    reveal_type(await create(model="m", messages=messages, extra_body=new, stream=False))  # ChatCompletionResponse
    reveal_type(await create(model="m", messages=messages, extra_body=new, stream=True))  # ChatStream
    reveal_type(await create(model="m", messages=messages, extra_body=new, stream=late))  # ChatCompletionResponse | ChatStream
    reveal_type(await create(model="m", messages=messages, extra_body=new, stream=True, stream_cls=dict))  # Any
    reveal_type(await client.chat.completions.stream(model="m", messages=messages, extra_body=new))  # ChatStream


async def fields_of_an_answer(reply: ChatCompletionResponse) -> None:
    reveal_type(reply.usage.total_tokens if reply.usage else 0)  # int
    reveal_type(reply["not_declared"])  # Any
    reveal_type(reply.get("not_declared"))  # Any | None


async def the_catalogue_and_costs() -> None:
    reveal_type(await client.models.list())  # ModelsListResponse
    reveal_type(await client.models.retrieve("m"))  # ModelResponse
    reveal_type(await client.models.resolve_chat(require_vision=True))  # str
    estimate = await client.chat.completions.estimate_cost(model="m", messages=[UserMessage(content="hi")])
    reveal_type(estimate)  # ChatCostEstimate


async def many_calls(read_from_a_file: list[dict[str, Any]], questions: list[str]) -> None:
    await client.chat.completions.batch(read_from_a_file)
    await client.chat.completions.batch(
        [{"model": "m", "messages": [UserMessage(content=question)], "temperature": 0} for question in questions]
    )
    requests: list[ChatRequest] = [{"model": "m", "messages": [UserMessage(content=question)]} for question in questions]
    await client.chat.completions.batch(requests)
    named: list[BatchRequest] = [
        {"model": "m", "messages": [UserMessage(content=each)], "custom_id": each} for each in questions
    ]
    async for item in client.chat.completions.batch_iter(named):
        reveal_type(item.custom_id)  # str | None
    results = await client.chat.completions.batch([{"model": "m", "messages": [{"role": "user", "content": "hi"}]}])
    reveal_type(results)  # list[ChatCompletionResponse | BaseException]
    for result in results:
        if isinstance(result, BaseException):
            continue
        reveal_type(result)  # ChatCompletionResponse
