"""One tool call without the tool loop.

The model asks for the call, the program runs it, and the model answers with its result.
"""

import asyncio
import json

from venice_ai import Tool, ToolFunction, ToolMessage, UserMessage, VeniceClient
from venice_ai.types.api.chat import Message

WEATHER = Tool(
    function=ToolFunction(
        name="get_weather",
        description="The weather in a city, now.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"}
            },
            "required": ["city"],
        },
    )
)


def get_weather(city: str) -> str:
    return json.dumps({"city": city, "sky": "clear", "celsius": 21})


async def main() -> None:
    messages: list[Message] = [UserMessage(content="How is the weather in Venice?")]
    async with VeniceClient() as client:
        model = await client.models.resolve_chat(require_function_calling=True)
        response = await client.chat.completions.create(
            model=model, messages=messages, tools=[WEATHER]
        )
        messages.append(response.choices[0].message)
        for call in response.tool_calls:
            # The arguments may not fit the schema: a real program validates them here.
            arguments = call.function.arguments_dict
            print(f"the model calls {call.function.name}({arguments})")
            result = get_weather(**arguments)
            messages.append(ToolMessage(content=result, tool_call_id=call.id))
        if response.tool_calls:
            response = await client.chat.completions.create(
                model=model, messages=messages, tools=[WEATHER]
            )
    print(response.text)


if __name__ == "__main__":
    asyncio.run(main())
