"""A new process up to its first finished `create`; prints the CPU seconds since the process began, and the text's length.

python -m benchmarks.coldstart CLIENT BASE_URL MODEL
"""

import asyncio
import sys
import time
from importlib import import_module


async def first_create(client_name: str, base_url: str, model: str) -> None:
    client = await import_module(f"benchmarks.clients.{client_name}").connect(base_url)
    length = await client.create(model)
    print(time.process_time(), length)
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(first_create(*sys.argv[1:]))
