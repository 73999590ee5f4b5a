"""One question, one answer.

The examples read the key from VENICE_API_KEY, and the address of the server from
VENICE_BASE_URL if it is set. Without a key, start the emulator: `venice-chat serve`
prints the command that sets both variables.
"""

import asyncio

from venice_ai import UserMessage, VeniceClient


async def main() -> None:
    async with VeniceClient() as client:
        # Models come and go, so this asks the catalogue for a chat model.
        model = await client.models.resolve_chat()
        question = "Why is Venice built on water? Answer in one sentence."
        response = await client.chat.completions.create(
            model=model, messages=[UserMessage(content=question)]
        )
    # The same text as response["choices"][0]["message"]["content"].
    print(response.text)
    if response.usage:
        print(f"({response.usage.total_tokens} tokens)")


if __name__ == "__main__":
    asyncio.run(main())
