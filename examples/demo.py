"""What `make demo` runs: the emulator on 127.0.0.1, and the client that talks to it.

It needs no key and no network. With the packages of the extra `local`, a small language
model answers; without them, the emulator answers with a fixed text.
"""

import asyncio
from time import monotonic

from venice_ai import UserMessage, VeniceClient
from venice_ai.emulator import Emulator, serve
from venice_ai.emulator.local import LocalModelError, open_local_model

QUESTION = "Name the days of the week."
MOST_TOKENS = 60


def start_emulator() -> Emulator:
    """An emulator with a language model behind it, if its packages are installed."""
    try:
        return Emulator(backend=open_local_model(show=print))
    except LocalModelError as error:
        print(f"No language model here, so the emulator answers by itself: {error}")
        return Emulator()


async def converse(client: VeniceClient) -> None:
    messages = [UserMessage(content=QUESTION)]
    model = await client.models.resolve_chat()
    print("1. choose a model     ", model)

    estimate = await client.chat.completions.estimate_cost(
        model=model, messages=messages, expected_completion_tokens=MOST_TOKENS
    )
    low, high = estimate.low, estimate.high
    print(f"2. estimate the cost   ${low:.6f} to ${high:.6f}")

    print("3. ask, and stream    ", QUESTION)
    print("                       ", end="")
    stream = await client.chat.completions.stream(
        model=model, messages=messages, temperature=0, max_completion_tokens=MOST_TOKENS
    )
    pieces = 0
    async with stream:
        async for text in stream.text_deltas():
            pieces += 1
            print(text.replace("\n", " "), end="", flush=True)
        response = await stream.collect()
    print()

    length, reason = len(response.text or ""), response.finish_reason
    print(f"4. collect the answer  {length} characters, {pieces} pieces, {reason!r}")
    if usage := response.usage:
        counts = f"{usage.prompt_tokens} + {usage.completion_tokens}"
        print(f"5. usage               {counts} tokens")
    status = stream.meta.status_code
    wait = (stream.meta.time_to_first_chunk or 0) * 1000
    print(f"6. the HTTP response   status {status}, first chunk after {wait:.0f} ms")


async def main(emulator: Emulator) -> None:
    async with serve(emulator) as server:
        print(f"The emulator listens on {server.url}")
        # trust_env=False: the environment's proxy is not used for this machine.
        async with VeniceClient(
            api_key="any", base_url=server.url, trust_env=False
        ) as client:
            await converse(client)
    await emulator.aclose()


if __name__ == "__main__":
    started = monotonic()
    asyncio.run(main(start_emulator()))
    print(f"Done in {monotonic() - started:.1f} s.")
    print("Next: examples/, or `venice-chat serve` and `venice-chat chat`.")
