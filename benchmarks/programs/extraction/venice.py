"""Extracts a nested object, and shows it while it grows."""

from pydantic import BaseModel
from venice_ai import SyncVeniceClient, UserMessage


class Stop(BaseModel):
    name: str
    minutes: int


class Walk(BaseModel):
    title: str
    stops: list[Stop]


LETTER = "We began at Zattere, stayed 20 minutes, and had 40 more at the Dogana."

with SyncVeniceClient() as client:
    stream = client.chat.completions.stream_parse(
        model="venice-1",
        messages=[UserMessage(content=f"Extract the walk: {LETTER}")],
        response_format=Walk,
    )
    with stream:
        for partial in stream:
            print(partial)
        walk = stream.collect().parsed
print("done:", walk.title, len(walk.stops))
