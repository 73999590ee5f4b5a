"""What type checkers make of answers that are objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import reveal_type

from pydantic import BaseModel

from venice_ai import SyncVeniceClient, UserMessage, VeniceClient

client = VeniceClient()
sync = SyncVeniceClient()


class Person(BaseModel):
    name: str


@dataclass
class Place:
    name: str


async def parsed() -> None:
    result = await client.chat.completions.parse(
        model="m", messages=[{"role": "user", "content": "hi"}], response_format=Person, temperature=0, max_reasks=1
    )
    reveal_type(result)  # ParsedChatCompletion[Person]
    reveal_type(result.parsed)  # Person
    reveal_type(result.usage)  # ChatUsage | None

    place = await client.chat.completions.parse(model="m", messages=[UserMessage(content="hi")], response_format=Place)
    reveal_type(place.parsed)  # Place
    people = await client.chat.completions.parse(model="m", messages=[UserMessage(content="hi")], response_format=list[Person])
    reveal_type(people.parsed)  # list[Person]


async def parsed_while_it_is_written() -> None:
    stream = await client.chat.completions.stream_parse(model="m", messages=[UserMessage(content="hi")], response_format=Person)
    async with stream:
        async for person in stream:
            reveal_type(person)  # Person
        reveal_type(await stream.collect())  # ParsedChatCompletion[Person]


def parsed_without_async() -> None:
    result = sync.chat.completions.parse(model="m", messages=[{"role": "user", "content": "hi"}], response_format=Person)
    reveal_type(result)  # ParsedChatCompletion[Person]
    with sync.chat.completions.stream_parse(model="m", messages=[UserMessage(content="hi")], response_format=Person) as stream:
        reveal_type(stream)  # SyncParsedChatStream[Person]
        for person in stream:
            reveal_type(person)  # Person
        reveal_type(stream.collect().parsed)  # Person
        reveal_type(stream.stream)  # SyncChatStream
