"""List the models, choose one, and estimate what a request would cost.

None of this needs a key, and no prompt is sent.
"""

import asyncio

from venice_ai import NoMatchingModelError, UserMessage, VeniceClient

MESSAGES = [UserMessage(content="Summarise the history of Venice.")]


async def main() -> None:
    async with VeniceClient() as client:
        for entry in (await client.models.list()).data[:5]:
            pricing = entry.model_spec.pricing
            price = pricing.input.usd if pricing and pricing.input else None
            context = entry.model_spec.availableContextTokens
            print(f"{entry.id}: {context} tokens of context")
            print(f"  ${price} for a million prompt tokens")

        model = await client.models.resolve_chat()
        print("default:", model)
        cheapest = await client.models.resolve_chat(
            require_function_calling=True, prefer="cheapest"
        )
        print("cheapest with tools:", cheapest)
        try:
            await client.models.resolve_chat(min_context_tokens=10**9)
        except NoMatchingModelError as error:
            print(error)

        estimate = await client.chat.completions.estimate_cost(
            model=model, messages=MESSAGES, expected_completion_tokens=1500
        )
        # Amounts are decimals, so that they add up exactly. `likely` has Venice's own
        # system prompt; the true cost is expected to lie between `low` and `high`.
        print(
            f"likely ${estimate.likely}, between ${estimate.low} and ${estimate.high}"
        )
        print(f"by the words of the messages alone ${estimate.total_cost_usd}")


if __name__ == "__main__":
    asyncio.run(main())
