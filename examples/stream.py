"""The answer as it is written."""

import asyncio

from venice_ai import UserMessage, VeniceClient


async def main() -> None:
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        messages = [UserMessage(content="Tell me a very short story about a gondola.")]
        # Leaving the block closes the connection, also after `break` or an error.
        async with await client.chat.completions.stream(model=model, messages=messages) as stream:
            async for text in stream.text_deltas():
                print(text, end="", flush=True)
            # The stream was put together on the way; nothing is asked for twice.
            reply = await stream.collect()
    print(f"\n({reply.finish_reason}, {stream.usage.total_tokens if stream.usage else '?'} tokens)")


if __name__ == "__main__":
    asyncio.run(main())
