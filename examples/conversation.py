"""Several turns. The model remembers nothing: each request carries all that was said."""

import asyncio

from venice_ai import SystemMessage, UserMessage, VeniceClient
from venice_ai.types.api.chat import Message

QUESTIONS = ["My name is Marco. What is the Rialto?", "How old is it?", "And what is my name?"]


async def main() -> None:
    history: list[Message] = [SystemMessage(content="You are a guide to Venice. Answer in one sentence.")]
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        for question in QUESTIONS:
            history.append(UserMessage(content=question))
            reply = await client.chat.completions.create(model=model, messages=history)
            # The answer goes back as it came. With a stream, it is (await stream.collect()).choices[0].message.
            history.append(reply.choices[0].message)
            print(f"> {question}\n{reply.text}\n")


if __name__ == "__main__":
    asyncio.run(main())
