"""Extracts a nested object, and shows it while it grows."""

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput


class Stop(BaseModel):
    name: str
    minutes: int


class Walk(BaseModel):
    title: str
    stops: list[Stop]


QUESTION = "Extract the walk: 20 minutes at Zattere, then 40 more at the Dogana."

agent = Agent("openai-chat:venice-1", output_type=NativeOutput(Walk))
result = agent.run_stream_sync(QUESTION)
for partial in result.stream_output(debounce_by=None):
    print(partial)
walk = result.get_output()
print("done:", walk.title, len(walk.stops))
