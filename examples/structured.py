"""Get an answer as an object of a pydantic class."""

import asyncio
from typing import Literal

from pydantic import BaseModel, Field
from venice_ai import UserMessage, VeniceClient


class Sight(BaseModel):
    name: str = Field(description="What the sight is called")
    kind: Literal["church", "bridge", "palace", "square"]
    built: int | None = Field(description="The year in which it was finished, if known")


class Walk(BaseModel):
    title: str
    sights: list[Sight]


async def main() -> None:
    async with VeniceClient() as client:
        model = await client.models.resolve_chat(require_response_schema=True)
        # If the second answer does not fit the class either, OutputInvalidError is
        # raised: a pydantic.ValidationError that holds the answer.
        result = await client.chat.completions.parse(
            model=model,
            messages=[UserMessage(content="Plan a walk through Venice.")],
            response_format=Walk,  # sent as a strict JSON schema
            max_reasks=1,
        )
    walk = result.parsed
    print(walk.title)
    for sight in walk.sights:
        print(f"- {sight.name}, a {sight.kind} ({sight.built or 'year unknown'})")


if __name__ == "__main__":
    asyncio.run(main())
