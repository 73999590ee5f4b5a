"""Functions as tools: the model calls them, we only write them."""

import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from venice_ai import ToolContext, UserMessage, VeniceClient


@dataclass
class Account:
    """What the tools know, and the model does not."""

    name: str


def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict[str, object]:
    """The weather in a city, now.

    Args:
        city: Name of the city.
        unit: Unit of the temperature.
    """
    return {"city": city, "sky": "clear", "degrees": 21 if unit == "celsius" else 70}


async def book_gondola(
    account: ToolContext[Account], day: date, guests: Annotated[int, Field(ge=1, le=5, description="How many people")] = 2
) -> str:
    """Books a gondola."""
    return f"booked for {guests} on {day:%d %B %Y} by {account.deps.name}"


async def main() -> None:
    question = "How is the weather in Venice? And please book a gondola for 2 guests on 2027-05-01."
    async with VeniceClient() as client:
        result = await client.chat.completions.run_with_tools(
            model=await client.models.resolve_chat(require_function_calling=True),
            messages=[UserMessage(content=question)],
            tools=[get_weather, book_gondola],
            deps=Account("Ada"),
            parallel=True,
            max_iterations=5,
            on_limit="answer",
            on_tool_call=lambda call, value: print(f"{call.function.name}({call.function.arguments}) -> {value}"),
        )
    print(result.text)
    if result.total_usage:
        print(f"({result.iterations} round trips, {result.total_usage.total_tokens} tokens)")


if __name__ == "__main__":
    asyncio.run(main())
