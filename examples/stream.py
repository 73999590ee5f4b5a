"""Print an answer while it is being written."""

import asyncio

from venice_ai import UserMessage, VeniceClient


async def main() -> None:
    messages = [UserMessage(content="Tell me a very short story about a gondola.")]
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        stream = await client.chat.completions.stream(model=model, messages=messages)
        # The connection is closed when the block is left: at the end of the stream,
        # and also after `break` or an error.
        async with stream:
            async for text in stream.text_deltas():
                print(text, end="", flush=True)
            # The whole response, assembled from the chunks. No second request is sent.
            response = await stream.collect()
    print(f"\n(finish reason: {response.finish_reason})")
    if response.usage:
        print(f"({response.usage.total_tokens} tokens)")


if __name__ == "__main__":
    asyncio.run(main())
