"""Send many requests, a few of them at the same time.

A request that fails gives its exception in its place; the others go on.
"""

import asyncio

from venice_ai import ChatCompletionResponse, ChatRequest, UserMessage, VeniceClient

QUESTIONS = ["What is a gondola?", "What is a vaporetto?", "What is acqua alta?"]


async def main() -> None:
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        requests: list[ChatRequest] = [
            {"model": model, "messages": [UserMessage(content=question)]}
            for question in QUESTIONS
        ]
        results = await client.chat.completions.batch(requests, max_concurrency=2)
        for question, result in zip(QUESTIONS, results, strict=True):
            if isinstance(result, ChatCompletionResponse):
                print(f"{question} -> {result.text}")
            else:
                print(f"{question} failed: {result}")


if __name__ == "__main__":
    asyncio.run(main())
