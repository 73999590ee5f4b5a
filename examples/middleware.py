"""A transport of your own around the default one: it logs and times every attempt."""

import asyncio
import time

from venice_ai import UserMessage, VeniceClient
from venice_ai.transport import Reply, Request, Transport, http_transport


class Timed:
    """Sends requests with another transport, and prints how long each took."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    async def send(self, request: Request) -> Reply:
        started = time.monotonic()
        reply = await self.inner.send(request)
        seconds = time.monotonic() - started
        path = request.url.partition("/api/v1")[2]
        print(f"{request.method} {path} -> {reply.status} in {seconds:.3f} s")
        return reply

    async def aclose(self) -> None:
        await self.inner.aclose()


async def main() -> None:
    async with VeniceClient(transport=Timed(http_transport())) as client:
        response = await client.chat.completions.create(
            model=await client.models.resolve_chat(),
            messages=[UserMessage(content="Name one island of Venice.")],
        )
        print(response.text)


if __name__ == "__main__":
    asyncio.run(main())
