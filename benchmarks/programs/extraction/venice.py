"""Extracts a nested object, and shows it while it grows."""

from pydantic import BaseModel
from venice_ai import SyncVeniceClient


class Stop(BaseModel):
    name: str
    minutes: int


class Walk(BaseModel):
    title: str
    stops: list[Stop]


QUESTION = "Extract the walk: 20 minutes at Zattere, then 40 more at the Dogana."

chat = SyncVeniceClient().chat.completions
stream = chat.stream_parse(model="venice-1", messages=QUESTION, response_format=Walk)
for walk in stream:
    print(walk)
print("done:", walk.title, len(walk.stops or []))
