"""Which models there are, which one to take, and what it would cost. Needs no key and sends no prompt."""

import asyncio

from venice_ai import NoMatchingModelError, UserMessage, VeniceClient


async def main() -> None:
    async with VeniceClient() as client:
        for entry in (await client.models.list()).data[:5]:
            pricing = entry.model_spec.pricing
            price = pricing.input.usd if pricing and pricing.input else None
            print(f"{entry.id}: {entry.model_spec.availableContextTokens} tokens of context, ${price} for 1M prompt tokens")

        model = await client.models.resolve_chat()
        print("default:", model)
        cheapest = await client.models.resolve_chat(require_function_calling=True, prefer="cheapest")
        print("cheapest with tools:", cheapest)
        try:
            await client.models.resolve_chat(min_context_tokens=10**9)
        except NoMatchingModelError as error:
            print("not to be had:", error)

        estimate = await client.chat.completions.estimate_cost(
            model=model, messages=[UserMessage(content="Summarise the history of Venice.")], expected_completion_tokens=1500
        )
        # Decimals, so that cents add up. `low` and `high` say how far off the estimate may be.
        print(f"about ${estimate.total_cost_usd} (${estimate.low} to ${estimate.high})")


if __name__ == "__main__":
    asyncio.run(main())
