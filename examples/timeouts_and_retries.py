"""How long to wait, and what is tried again."""

import asyncio

from venice_ai import APITimeoutError, Timeout, UserMessage, VeniceClient

MESSAGES = [UserMessage(content="What is the acqua alta?")]


async def main() -> None:
    client = VeniceClient(
        # Busy and unreachable servers are asked again, as they direct or with growing pauses. An answer that ran out of
        # time may have been billed, so a chat is not sent again for that, unless retry_timeouts=True.
        max_retries=4,
        # The five clocks, in seconds: to connect; to a stream's first chunk; between its bytes; between its words; and
        # for everything together, which is off unless it is set.
        timeout=Timeout(connect=5, first_chunk=120, idle=30, progress=60, deadline=None),
    )
    async with client:
        model = await client.models.resolve_chat()
        reply = await client.chat.completions.create(model=model, messages=MESSAGES)
        print(f"{reply.meta.attempts} attempt(s), {reply.meta.latency:.2f} s: {reply.text}")

        # Per call, a number is enough: the deadline of this call, its retries and waits included.
        try:
            await client.chat.completions.create(model=model, messages=MESSAGES, timeout=0.001)
        except APITimeoutError as error:
            print(f"not within a millisecond: {error}")


if __name__ == "__main__":
    asyncio.run(main())
