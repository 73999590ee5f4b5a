"""What `make demo` runs: a Venice of our own on 127.0.0.1, a real model behind it if there is one, and the client in front.

It needs no key and no network. Without the packages of the extra `local`, the emulator answers in its own words.
"""

import asyncio
from time import monotonic

from venice_ai import UserMessage, VeniceClient
from venice_ai.emulator import Emulator, serve
from venice_ai.emulator.local import LocalModelError, open_local_model

QUESTION = [UserMessage(content="Name the days of the week.")]
LONGEST = 60


def embedded() -> Emulator:
    """A Venice with a real language model behind it; without one, if it cannot be had."""
    try:
        return Emulator(backend=open_local_model(show=print))
    except LocalModelError as error:
        print(f"No real model here, so the emulator answers in its own words: {error}")
        return Emulator()


async def converse(client: VeniceClient) -> None:
    model = await client.models.resolve_chat()
    print(f"1. resolve a model        {model}")

    estimate = await client.chat.completions.estimate_cost(model=model, messages=QUESTION, expected_completion_tokens=LONGEST)
    tokens = f"{estimate.prompt_tokens} + {estimate.expected_completion_tokens} tokens"
    print(f"2. estimate the cost      ${estimate.total_cost_usd:.6f} for {tokens}, at most ${estimate.high:.6f}")

    print(f"3. ask, and stream        {QUESTION[0].content}")
    print("                          ", end="")
    async with await client.chat.completions.stream(
        model=model, messages=QUESTION, temperature=0, max_completion_tokens=LONGEST
    ) as stream:
        pieces = 0
        async for text in stream.text_deltas():
            pieces += 1
            print(text.replace("\n", " "), end="", flush=True)
        reply = await stream.collect()
    print()

    print(f"4. collect the whole      {len(reply.text or '')} characters in {pieces} pieces, {reply.finish_reason!r}")
    if reply.usage:
        print(f"5. usage                  {reply.usage.prompt_tokens} + {reply.usage.completion_tokens} tokens")
    first = stream.meta.time_to_first_chunk or 0
    print(f"6. what the wire told     status {stream.meta.status_code}, first piece after {first * 1000:.0f} ms")


async def main(emulator: Emulator) -> None:
    async with serve(emulator) as server:
        print(f"The embedded Venice listens on {server.url}")
        # A proxy of the environment is not asked for a server in this very process.
        async with VeniceClient(api_key="any", base_url=server.url, trust_env=False) as client:
            await converse(client)
    await emulator.aclose()


if __name__ == "__main__":
    started = monotonic()
    asyncio.run(main(embedded()))
    print(f"Done in {monotonic() - started:.1f} s. Next: examples/, or `venice-chat serve` and `venice-chat chat`.")
