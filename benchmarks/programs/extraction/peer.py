"""Extracts a nested object, and shows it while it grows."""

import instructor
from pydantic import BaseModel


class Stop(BaseModel):
    name: str
    minutes: int


class Walk(BaseModel):
    title: str
    stops: list[Stop]


QUESTION = "Extract the walk: 20 minutes at Zattere, then 40 more at the Dogana."

client = instructor.from_provider("openai/venice-1", mode=instructor.Mode.JSON_SCHEMA)
messages = [{"role": "user", "content": QUESTION}]
for walk in client.create_partial(response_model=Walk, messages=messages):
    print(walk)
print("done:", walk.title, len(walk.stops))
