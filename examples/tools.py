"""Let the model call functions: the client runs them and sends back the results."""

import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field
from venice_ai import ToolCall, ToolContext, UserMessage, VeniceClient

QUESTION = """How is the weather in Venice?
And please book a gondola for 2 guests on 2027-05-01."""

Guests = Annotated[int, Field(ge=1, le=5, description="How many people")]


@dataclass
class Account:
    """What the tools may use and the model does not see."""

    name: str


def get_weather(
    city: str, unit: Literal["celsius", "fahrenheit"] = "celsius"
) -> dict[str, object]:
    """The weather in a city, now.

    Args:
        city: Name of the city.
        unit: Unit of the temperature.
    """
    degrees = 21 if unit == "celsius" else 70
    return {"city": city, "sky": "clear", "degrees": degrees}


async def book_gondola(
    account: ToolContext[Account], day: date, guests: Guests = 2
) -> str:
    """Books a gondola."""
    return f"booked for {guests} on {day:%d %B %Y} by {account.deps.name}"


def show(call: ToolCall, value: Any) -> None:
    """Prints each call that was run."""
    print(f"{call.function.name}({call.function.arguments}) -> {value}")


async def main() -> None:
    async with VeniceClient() as client:
        result = await client.chat.completions.run_with_tools(
            model=await client.models.resolve_chat(require_function_calling=True),
            messages=[UserMessage(content=QUESTION)],
            tools=[get_weather, book_gondola],
            deps=Account("Ada"),
            parallel=True,
            max_iterations=5,
            on_limit="answer",
            on_tool_call=show,
        )
    print(result.text)
    if result.total_usage:
        print(f"({result.iterations} rounds, {result.total_usage.total_tokens} tokens)")


if __name__ == "__main__":
    asyncio.run(main())
