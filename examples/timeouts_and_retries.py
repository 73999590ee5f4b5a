"""Set how long to wait, and how often a request is sent again."""

import asyncio

from venice_ai import APITimeoutError, Timeout, UserMessage, VeniceClient

MESSAGES = [UserMessage(content="What is the acqua alta?")]

# Six time limits, in seconds.
TIMEOUT = Timeout(
    queue=60,  # until the limits of the account let a request pass
    connect=5,  # to connect
    first_chunk=120,  # until the first chunk of a stream
    idle=30,  # between two reads of bytes
    progress=60,  # between two pieces of content
    deadline=None,  # for the whole call, retries included; None is not a limit
)


async def main() -> None:
    # A server that is busy or cannot be reached is asked again, after the pause that it
    # asked for, or after growing pauses. A chat that ran out of time may have been
    # billed, so it is sent again only with `retry_timeouts=True`.
    async with VeniceClient(max_retries=4, timeout=TIMEOUT) as client:
        model = await client.models.resolve_chat()
        response = await client.chat.completions.create(model=model, messages=MESSAGES)
        meta = response.meta
        print(f"{meta.attempts} attempt(s), {meta.latency:.2f} s: {response.text}")

        # A number limits one whole call, its retries and pauses included.
        try:
            await client.chat.completions.create(
                model=model, messages=MESSAGES, timeout=0.001
            )
        except APITimeoutError as error:
            print(f"not within a millisecond: {error}")


if __name__ == "__main__":
    asyncio.run(main())
