"""Keep a cap on what many requests cost: what does not fit under it is not sent."""

import asyncio
from decimal import Decimal

from venice_ai import (
    Budget,
    BudgetExceededError,
    ChatCompletionResponse,
    ChatRequest,
    UserMessage,
    VeniceClient,
)


async def main() -> None:
    budget = Budget(usd=Decimal("0.02"))
    async with VeniceClient(budget=budget) as client:
        model = await client.models.resolve_chat()
        # The shorter an answer may be, the less is reserved for it.
        question = UserMessage(content="What is a gondola?")
        request: ChatRequest = {
            "model": model,
            "messages": [question],
            "max_completion_tokens": 500,
        }
        results = await client.chat.completions.batch([request] * 50)

    answered = sum(isinstance(each, ChatCompletionResponse) for each in results)
    refused = sum(isinstance(each, BudgetExceededError) for each in results)
    print(f"{answered} answered, {refused} not sent")
    for row in budget.spent():
        print(f"{row.model}: {row.calls} calls")
    total = sum(row.usd for row in budget.spent())
    print(f"spent ${total} of ${budget.cap}, ${budget.remaining} are left")


if __name__ == "__main__":
    asyncio.run(main())
