"""The synchronous client's calls wait for the limits of the account, whether a thread blocks or the event loop works."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from venice_ai import APIConnectionError, RateLimitError, SyncVeniceClient, Timeout
from venice_ai.emulator import Emulator, busy, run_in_thread

MODEL = "llama-3.3-70b"
HI: Any = [{"role": "user", "content": "hi"}]


def test_a_refusal_holds_threads_that_block_and_streams_alike() -> None:
    emulator = Emulator()
    with run_in_thread(emulator) as server, SyncVeniceClient(api_key="k1", base_url=server.url, max_retries=0) as client:
        emulator.script(busy(retry_after=1))
        with pytest.raises(RateLimitError):
            client.chat.completions.create(model=MODEL, messages=HI)
        began = time.monotonic()
        with pytest.raises(RateLimitError):
            client.chat.completions.create(model=MODEL, messages=HI, timeout=Timeout(queue=0.2))
        assert time.monotonic() - began < 0.5
        with client.chat.completions.stream(model=MODEL, messages=HI) as stream:
            stream.collect()
        assert time.monotonic() - began >= 0.7
        assert client.chat.completions.create(model=MODEL, messages=HI).choices
        assert len(emulator.requests) == 3
        assert client.limits.snapshot().models[0].limits.in_flight == 0


def test_closing_a_client_ends_the_wait_of_a_thread() -> None:
    emulator = Emulator()
    with run_in_thread(emulator) as server:
        client = SyncVeniceClient(api_key="k2", base_url=server.url, max_retries=0)
        emulator.script(busy(retry_after=30))
        with pytest.raises(RateLimitError):
            client.chat.completions.create(model=MODEL, messages=HI)
        closer = threading.Timer(0.3, client.close)
        closer.start()
        began = time.monotonic()
        with pytest.raises(APIConnectionError, match="closed"):
            client.chat.completions.create(model=MODEL, messages=HI)
        closer.join()
        assert time.monotonic() - began < 5
