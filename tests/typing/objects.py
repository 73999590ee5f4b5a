"""What type checkers make of answers that are objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import reveal_type

from pydantic import BaseModel
from typing_extensions import TypedDict

from venice_ai import Partial, SyncVeniceClient, UserMessage, VeniceClient

client = VeniceClient()
sync = SyncVeniceClient()


class Person(BaseModel):
    name: str


@dataclass
class Place:
    name: str


class Boat(TypedDict):
    name: str


HI = [UserMessage(content="hi")]


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


async def probabilities() -> None:
    response = await client.chat.completions.create(model="m", messages=HI, logprobs=True)
    for token in (response.choices[0].logprobs or {}).get("content") or ():
        reveal_type(token["token"])  # str
        reveal_type(token["logprob"])  # float


async def parsed_while_it_is_written() -> None:
    stream = await client.chat.completions.stream_parse(model="m", messages=[UserMessage(content="hi")], response_format=Person)
    async with stream:
        async for person in stream:
            reveal_type(person)  # Partial[Person]
            reveal_type(person.name)  # Any | None
            if person.name is not None:
                print(person.name.upper())
            if person == Person(name="Ada") or stream.partial is None:
                continue
            show(person)
        reveal_type(stream.partial)  # Partial[Person] | None
        reveal_type(await stream.collect())  # ParsedChatCompletion[Person]


def show(person: Partial[Person]) -> None:
    print(person.name, len(person.name or ""))


def every_kind_of_class_while_it_is_written() -> None:
    for place in sync.chat.completions.stream_parse(model="m", messages=HI, response_format=Place):
        reveal_type(place.name)  # Any | None
    for boat in sync.chat.completions.stream_parse(model="m", messages=HI, response_format=Boat):
        reveal_type(boat.get("name"))  # Any | None
    for people in sync.chat.completions.stream_parse(model="m", messages=HI, response_format=list[Person]):
        for person in people:
            reveal_type(person)  # Partial[Person]
        print(len(people))
    for names in sync.chat.completions.stream_parse(model="m", messages=HI, response_format=list[str]):
        for name in names:
            reveal_type(name)  # str


def parsed_without_async() -> None:
    result = sync.chat.completions.parse(model="m", messages=[{"role": "user", "content": "hi"}], response_format=Person)
    reveal_type(result)  # ParsedChatCompletion[Person]
    with sync.chat.completions.stream_parse(model="m", messages=[UserMessage(content="hi")], response_format=Person) as stream:
        reveal_type(stream)  # SyncParsedChatStream[Person]
        for person in stream:
            reveal_type(person)  # Partial[Person]
        reveal_type(stream.collect().parsed)  # Person
        reveal_type(stream.stream)  # SyncChatStream
