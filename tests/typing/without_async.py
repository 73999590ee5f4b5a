"""What type checkers make of the synchronous client."""

from __future__ import annotations

from typing import reveal_type

from venice_ai import SyncVeniceClient, UserMessage


def each_kind_of_stream(late: bool) -> None:
    with SyncVeniceClient(api_key="k", timeout=3) as client:
        reveal_type(client)  # SyncVeniceClient
        plain = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], temperature=1)
        reveal_type(plain)  # ChatCompletionResponse

        streamed = client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], stream=True)
        reveal_type(streamed)  # SyncChatStream
        for chunk in streamed:
            reveal_type(chunk)  # ChatCompletionChunk

        either = client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], stream=late)
        reveal_type(either)  # ChatCompletionResponse | SyncChatStream

        create, messages, new = client.chat.completions.create, [UserMessage(content="hi")], {"tomorrow": 1}
        reveal_type(create(model="m", messages=messages, extra_body=new))  # ChatCompletionResponse
        reveal_type(create(model="m", messages=messages, extra_body=new, stream=True))  # SyncChatStream
        either = create(model="m", messages=messages, extra_body=new, stream=late)
        reveal_type(either)  # ChatCompletionResponse | SyncChatStream
        reveal_type(create(model="m", messages=messages, extra_body=new, stream=True, stream_cls=dict))  # Any
        reveal_type(client.chat.completions.stream(model="m", messages=messages, extra_body=new))  # SyncChatStream


def streams() -> None:
    client = SyncVeniceClient()
    with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}], top_k=3) as stream:
        reveal_type(stream)  # SyncChatStream
        reveal_type(next(stream))  # ChatCompletionChunk
        for text in stream.text_deltas():
            reveal_type(text)  # str
        reveal_type(stream.collect())  # ChatCompletionResponse
        reveal_type(stream.usage)  # ChatUsage | None
        reveal_type(stream.partial)  # ChatCompletionResponse
        reveal_type(stream.meta)  # ResponseMeta


def everything_else() -> None:
    client = SyncVeniceClient()
    reveal_type(client.models.list())  # ModelsListResponse
    reveal_type(client.models.resolve_chat())  # str
    reveal_type(client.models.traits())  # ModelMapResponse
    reveal_type(client.chat.completions.estimate_cost(model="m", messages=[UserMessage(content="hi")]))  # ChatCostEstimate
    results = client.chat.completions.batch([{"model": "m", "messages": [{"role": "user", "content": "hi"}]}])
    reveal_type(results)  # list[ChatCompletionResponse | BaseException]
    reveal_type(client.tee.attest("e2ee-m"))  # AttestationReport
