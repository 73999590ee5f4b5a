"""A tool loop for a user interface: each event as it happens."""

import asyncio

from venice_ai import (
    RoundFinished,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolLoopResult,
    UserMessage,
    VeniceClient,
)


def get_weather(city: str) -> str:
    """The weather in a city, now."""
    return f"clear skies over {city}"


async def main() -> None:
    async with VeniceClient() as client:
        events = await client.chat.completions.stream_with_tools(
            model=await client.models.resolve_chat(require_function_calling=True),
            messages=[UserMessage(content="How is the weather in Venice?")],
            tools=[get_weather],
            tool_timeout=10,
        )
        async with events:
            async for event in events:
                match event:
                    case TextDelta(text=text):
                        print(text, end="", flush=True)
                    case ToolCallStarted(call=call, arguments=arguments):
                        print(f"[{call.function.name} {dict(arguments)} ...")
                    case ToolCallFinished(content=content, error=error):
                        print(f" ... {'failed: ' if error else ''}{content}]")
                    case RoundFinished(iteration=iteration):
                        print(f"\n-- round {iteration}")
                    case ToolLoopResult(total_usage=usage):
                        print(f"{usage.total_tokens if usage else '?'} tokens")


if __name__ == "__main__":
    asyncio.run(main())
