"""One round with a tool, by hand: the model asks for a call, we make it, the model answers with the result."""

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
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
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
        reply = await client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
        messages.append(reply.choices[0].message)
        for call in reply.tool_calls:
            # What a model writes need not fit the schema; a program that matters checks it here.
            arguments = call.function.arguments_dict
            print(f"the model calls {call.function.name}({arguments})")
            messages.append(ToolMessage(content=get_weather(**arguments), tool_call_id=call.id))
        if reply.tool_calls:
            reply = await client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    print(reply.text)


if __name__ == "__main__":
    asyncio.run(main())
