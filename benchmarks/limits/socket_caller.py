"""One process of the socket run: makes calls with one client, and prints how many failed. It runs in that client's environment.

Arguments: the client, the URL, how many calls, how many at a time, the path of a `RateShare` or nothing, when to begin (Unix).
"""

import asyncio
import sys
import time
from importlib import import_module
from typing import Any

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]
MODEL = "llama-3.3-70b"


def make(client: str, url: str, share: str) -> Any:
    """A function that makes one call, with the client's own settings."""
    if client == "venice-chat":
        from venice_ai import RateShare, VeniceClient

        ours = VeniceClient(api_key="k", base_url=url, rate_share=RateShare(share) if share else None)
        return lambda: ours.chat.completions.create(model=MODEL, messages=MESSAGES)
    if client == "openai":
        theirs: Any = import_module("openai").AsyncOpenAI(api_key="k", base_url=url)
        return lambda: theirs.chat.completions.create(model=MODEL, messages=MESSAGES)
    litellm: Any = import_module("litellm")
    return lambda: litellm.acompletion(model=f"openai/{MODEL}", messages=MESSAGES, api_base=url, api_key="k")


async def main(client: str, url: str, count: str, at_once: str, share: str, begin: str) -> None:
    call = make(client, url, share)
    numbers = iter(range(int(count)))
    failed = 0

    async def caller() -> None:
        nonlocal failed
        for _ in numbers:
            try:
                await call()
            except Exception as error:  # noqa: BLE001  # of three clients; it is counted, and the first one shown
                failed += 1
                if failed == 1:
                    print(f"{client}: {type(error).__name__}: {error}"[:300], file=sys.stderr)

    await asyncio.sleep(max(float(begin) - time.time(), 0))
    await asyncio.gather(*[caller() for _ in range(int(at_once))])
    print(failed, time.time(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
