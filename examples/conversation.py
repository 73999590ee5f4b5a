"""A conversation of several turns.

The model remembers nothing between requests, so each request carries the whole history.
"""

import asyncio

from venice_ai import SystemMessage, UserMessage, VeniceClient
from venice_ai.types.api.chat import Message

INSTRUCTIONS = "You are a guide to Venice. Answer in one sentence."
QUESTIONS = [
    "My name is Marco. What is the Rialto?",
    "How old is it?",
    "And what is my name?",
]


async def main() -> None:
    history: list[Message] = [SystemMessage(content=INSTRUCTIONS)]
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        for question in QUESTIONS:
            history.append(UserMessage(content=question))
            response = await client.chat.completions.create(
                model=model, messages=history
            )
            # The model's message is sent back as it came. With a stream, the response
            # is `await stream.collect()`.
            history.append(response.choices[0].message)
            print(f"> {question}\n{response.text}\n")


if __name__ == "__main__":
    asyncio.run(main())
