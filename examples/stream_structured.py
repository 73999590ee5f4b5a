"""Show an object while the model writes it."""

import asyncio

from pydantic import BaseModel
from venice_ai import UserMessage, VeniceClient


class Recipe(BaseModel):
    title: str
    ingredients: list[str]
    minutes: int


async def main() -> None:
    async with VeniceClient() as client:
        stream = await client.chat.completions.stream_parse(
            model=await client.models.resolve_chat(require_response_schema=True),
            messages=[UserMessage(content="How do I make risi e bisi?")],
            response_format=Recipe,
        )
        async with stream:
            async for recipe in stream:
                # A field that has not arrived yet is None.
                title, count = recipe.title or "...", len(recipe.ingredients or [])
                print(f"\r{title}: {count} ingredients so far", end="")
            result = await stream.collect()  # complete and validated
    print(f"\ndone: {result.parsed.title}, {result.parsed.minutes} minutes")


if __name__ == "__main__":
    asyncio.run(main())
