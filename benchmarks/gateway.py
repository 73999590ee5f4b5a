"""What a gateway costs: CPU a chunk of 500 streams at once, beside that of our client alone, which reads the same streams.

    python -m benchmarks.gateway

Every event is a packet of its own. The streams come from the loopback server of the other benchmarks; what reads behind the
gateway is a process of its own. Counted is the CPU time of the client's process, or of the gateway's, in rounds that take
turns; given is the median, and the ratio, which is to be 2.5 at most.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Final

from benchmarks.pinning import allow_many_sockets, pin_to_first_core, pin_to_last_core
from benchmarks.processes import Conversation, start_server
from venice_ai import VeniceClient, gateway

STREAMS: Final = 500
CHUNKS: Final = 100
MODEL: Final = f"packets-{CHUNKS}"
ROUNDS: Final = 5
AT_MOST: Final = 2.5
MESSAGES: Final = [{"role": "user", "content": "Hello"}]
_END: Final = b"0\r\n\r\n"


def client_of(base_url: str) -> VeniceClient:
    return VeniceClient(api_key="benchmark", base_url=base_url, limits=False, max_retries=0)


async def read_alone(client: VeniceClient) -> None:
    """One stream, read by our client."""
    async with await client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        async for _ in stream:
            pass


async def alone(base_url: str) -> None:
    """For each line of input, reads all streams; tells the CPU seconds."""
    async with client_of(base_url) as client:
        while await asyncio.to_thread(sys.stdin.readline):
            began = time.process_time()
            await asyncio.gather(*(read_alone(client) for _ in range(STREAMS)))
            print(time.process_time() - began, flush=True)


async def serve(base_url: str) -> None:
    """Serves a gateway; tells its port, and for each line of input the CPU seconds so far."""
    async with client_of(base_url) as client, gateway.serve(client) as running:
        print(running.port, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(time.process_time(), flush=True)


async def read_behind(port: int) -> int:
    """One stream behind the gateway, as bytes; how many events there were."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": MODEL, "messages": MESSAGES, "stream": True}).encode()
    lines = ("POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    head = "\r\n".join((*lines, f"Content-Length: {len(body)}"))
    writer.write(head.encode() + b"\r\n\r\n" + body)
    events, tail = 0, b""
    while not tail.endswith(_END):
        piece = await reader.read(65536)
        if not piece:
            raise ConnectionError("a stream broke off")
        events += piece.count(b"data: ")
        tail = (tail + piece)[-len(_END) :]
    writer.close()
    return events


async def behind(port: int) -> None:
    """For each line of input, reads all streams behind a gateway; tells how many events there were."""
    while await asyncio.to_thread(sys.stdin.readline):
        print(sum(await asyncio.gather(*(read_behind(port) for _ in range(STREAMS)))), flush=True)


def worker(role: str, argument: str) -> Conversation:
    return Conversation(sys.executable, "-m", "benchmarks.gateway", role, argument)


def ask(process: Conversation) -> float:
    process.say("go")
    return float(process.hear())


def main() -> None:
    allow_many_sockets()
    with start_server(sys.executable) as server:
        base_url = f"http://127.0.0.1:{int(server.hear())}"
        found: dict[str, list[float]] = {"client alone": [], "gateway": []}
        with ExitStack() as processes:
            client = processes.enter_context(worker("alone", base_url))
            served = processes.enter_context(worker("serve", base_url))
            readers = processes.enter_context(worker("behind", str(int(served.hear()))))
            for number in range(ROUNDS + 1):
                spent = ask(client)
                before = ask(served)
                events = ask(readers)
                through = ask(served) - before
                assert events >= STREAMS * CHUNKS
                if number:  # the first has warmed up
                    found["client alone"].append(spent)
                    found["gateway"].append(through)
    each = {name: 1e6 * statistics.median(seconds) / (STREAMS * CHUNKS) for name, seconds in found.items()}
    for name, micros in each.items():
        print(f"{name:14} {micros:6.1f} us a chunk, {STREAMS} streams at once, one event a packet")
    print(f"ratio          {each['gateway'] / each['client alone']:6.2f}, {AT_MOST} at most")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        allow_many_sockets()
        role, argument = sys.argv[1:]
        (pin_to_last_core if role == "behind" else pin_to_first_core)()
        asyncio.run({"alone": alone, "serve": serve}[role](argument) if role != "behind" else behind(int(argument)))
