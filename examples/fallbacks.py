"""Asks another model where the first cannot answer, and checks requests beforehand."""

import asyncio

from venice_ai import InvalidRequestError, UserMessage, VeniceClient

MESSAGES = [UserMessage(content="Why is Venice built on water?")]


async def main() -> None:
    async with VeniceClient(fallback_models=["venice-1"], max_retries=0) as client:
        reply = await client.chat.completions.create(
            model="llama-3.3-70b", messages=MESSAGES
        )
        print("asked:", reply.meta.models_tried)

        for refusal in await client.models.check(
            {
                "model": "llama-3.3-70b",
                "messages": MESSAGES,
                "max_completion_tokens": 10**9,
            }
        ):
            print(f"{refusal.parameter}: {refusal.reason}")

    async with VeniceClient(preflight=True) as client:
        try:
            await client.chat.completions.create(
                model="llama-3.3-70b", messages=MESSAGES, max_completion_tokens=10**9
            )
        except InvalidRequestError as error:
            print(error.message)


if __name__ == "__main__":
    asyncio.run(main())
