"""Runs llama.cpp in this process, and hands what its threads produce to an event loop.

The engine works in its own threads and calls back for every chunk, on the thread that asked. So each request gets one of a
few threads, and its chunks are handed to the event loop one by one. The callback's answer stops the engine: that is how a
caller who leaves ends the generation, in the middle of the answer or of a long prompt.

The engine also opens an HTTP port on 127.0.0.1. Nothing here uses it, and it wants a key that nobody knows.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from venice_ai.emulator.backend import LocalModelError

from .prompt import PLAIN_TEMPLATE
from .weights import Weights

Chunk: TypeAlias = dict[str, Any]

PARALLEL = 2
# The engine looks up between batches of a prompt: with these, about once a second on one thread. Larger ones gain little.
_BATCH_TOKENS = 64


class Engine(Protocol):
    def handle_chat_completions(self, prompt: dict[str, Any], callback: Callable[[Chunk], bool], /) -> object:
        """Calls back for every chunk until the answer ends or the callback returns True."""
        ...


def load(weights: Weights, *, threads: int | None, context_tokens: int) -> Engine:
    """The engine with these weights, ready to answer; LocalModelError if it is not installed or refuses the file."""
    try:
        xllamacpp = import_module("xllamacpp")
    except ImportError as error:
        raise LocalModelError(
            f"The local model's engine is not installed ({error}); pip install 'venice-chat[local]'"
        ) from error
    try:
        params = _params(xllamacpp, weights, threads or spare_cores(), context_tokens)
        # Ctrl-C within the engine's constructor never comes back, and it lands in the main thread only.
        with ThreadPoolExecutor(1, thread_name_prefix="venice-local-load") as aside:
            engine: Engine = aside.submit(xllamacpp.Server, params).result()
    except AttributeError as error:
        raise LocalModelError(
            f"The installed engine is of another version ({error}); pip install 'venice-chat[local]'"
        ) from error
    except (RuntimeError, ValueError) as error:
        raise LocalModelError(
            f"The engine cannot load {str(weights.path)!r}. The file may be cut off, of a kind that llama.cpp does not "
            "know, or too large for this machine's memory; get it again, or give another one."
        ) from error
    return engine


def spare_cores() -> int:
    """The number of threads: one less than cores. The engine's threads spin to wait for each other: one busy core stops all."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


def _params(xllamacpp: ModuleType, weights: Weights, threads: int, context_tokens: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(weights.path)
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_parallel = PARALLEL
    params.n_ctx = context_tokens * PARALLEL
    params.n_batch = _BATCH_TOKENS
    if not weights.has_template:
        params.chat_template = PLAIN_TEMPLATE
    params.verbosity = -1  # silent
    # Otherwise the file is read twice at the start, and up to 8 GiB of memory keep old prompts.
    params.fit_params = False
    params.warmup = False
    params.cache_ram_mib = 0
    params.api_keys = [secrets.token_urlsafe()]
    params.endpoint_slots = False
    params.offline = True
    params.ui = False
    return params


class Generations:
    """Runs requests on the engine, a few at once; more wait for their turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="venice-local")
        self._closed = False

    async def chunks(self, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
        """The engine's chunks for one request; LocalModelError if the model is closed. Closing this early stops the engine."""
        self._require_open()
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Chunk | None] = asyncio.Queue()
        left = False

        def put(chunk: Chunk | None) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(arrived.put_nowait, chunk)

        def on_chunk(chunk: Chunk) -> bool:
            put(chunk)
            return left or self._closed

        running: Future[object] = self._threads.submit(self._engine.handle_chat_completions, body, on_chunk)
        running.add_done_callback(lambda _: put(None))
        try:
            while (chunk := await arrived.get()) is not None:
                yield chunk
            self._require_open()
            running.result()
        finally:
            left = True
            running.cancel()

    async def aclose(self) -> None:
        """Stops what runs, refuses what waits, and frees the engine."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        # The last reference: the engine's threads end here, once no request uses them.
        del self._engine

    def _require_open(self) -> None:
        if self._closed:
            raise LocalModelError("The local model was closed; open it again to go on.")
