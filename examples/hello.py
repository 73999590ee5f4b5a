"""One question, one answer.

The examples read VENICE_API_KEY, and VENICE_BASE_URL if it is set. Without a key, start a Venice of your own with
`venice-chat serve`; it prints the two lines to paste.
"""

import asyncio

from venice_ai import UserMessage, VeniceClient


async def main() -> None:
    async with VeniceClient() as client:
        reply = await client.chat.completions.create(
            # The catalogue changes; this asks it for a model that can chat, instead of naming one.
            model=await client.models.resolve_chat(),
            messages=[UserMessage(content="Why is Venice built on water? Answer in one sentence.")],
        )
    print(reply.text)
    # Every field of the reply is an attribute and an item: reply["choices"][0]["message"]["content"] is the same text.
    if reply.usage:
        print(f"({reply.usage.total_tokens} tokens)")


if __name__ == "__main__":
    asyncio.run(main())
