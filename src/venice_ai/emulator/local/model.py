"""`LocalModel`: llama.cpp in this process, as a backend of the emulator.

Each request gets one of a few threads, where the engine calls back for every chunk; they are handed to the event loop one by
one. A caller who leaves ends the generation, in the middle of the answer or of a long prompt. The engine also opens an HTTP
port on 127.0.0.1. Nothing here uses it, and it wants a key that nobody knows.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import uuid
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from venice_ai.emulator.backend import LocalModelError

from .translation import PLAIN_TEMPLATE, Reply, job
from .weights import Weights, gemma_weights, own_folder, own_weights

Chunk: TypeAlias = dict[str, Any]

PARALLEL = 2
# The engine looks up between batches of a prompt: with these, about once a second on one thread. Larger ones gain little.
_BATCH_TOKENS = 64


class Engine(Protocol):
    def handle_chat_completions(self, prompt: dict[str, Any], callback: Callable[[Chunk], bool], /) -> object:
        """Calls back for every chunk until the answer ends or the callback returns True."""
        ...


class LocalModel:
    """A real model on this machine. It answers chat requests, also several at once, and never leaves the machine."""

    def __init__(self, engine: Engine, *, model_id: str, context_tokens: int, plain: bool) -> None:
        self.model_id = model_id
        """The model's name: the file's, or that of the weights that come with the extra."""
        self.context_tokens = context_tokens
        """How many tokens prompt and answer may have together."""
        self._plain = plain
        self._engine = engine
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="venice-local")
        self._closed = False

    def __repr__(self) -> str:
        return f"<LocalModel {self.model_id!r}, {self.context_tokens} tokens>"

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The answer to a checked chat request in chunks; the last has the usage and no choices. Closing it stops the model.

        Raises:
            UnsupportedInput: the model cannot take something in the request; raised before the first chunk.
            LocalModelError: the engine failed, or was closed.
        """
        form, asked = job(body, plain=self._plain)
        reply = Reply(form, f"call_{uuid.uuid4().hex}", top_logprobs=body.get("top_logprobs", 0))
        async with aclosing(self._generated(asked)) as chunks:
            async for chunk in chunks:
                for answered in reply.feed(chunk):
                    yield answered

    async def aclose(self) -> None:
        """Stops every answer, refuses what waits, and frees the memory."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        # The last reference: the engine's threads end here, once no request uses them.
        del self._engine

    async def _generated(self, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
        """The engine's chunks for one request. Closing this early stops the engine."""
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

    def _require_open(self) -> None:
        if self._closed:
            raise LocalModelError("The local model was closed; open it again to go on.")


def load(weights: Weights, *, threads: int | None, context_tokens: int) -> Engine:
    """The engine with these weights, ready to answer; LocalModelError if it is not installed or refuses the file."""
    try:
        xllamacpp = import_module("xllamacpp")
        params = _params(xllamacpp, weights, threads or spare_cores(), context_tokens)
        # Ctrl-C within the engine's constructor never comes back, and it lands in the main thread only.
        with ThreadPoolExecutor(1, thread_name_prefix="venice-local-load") as aside:
            engine: Engine = aside.submit(xllamacpp.Server, params).result()
    except (ImportError, AttributeError) as error:
        missing = "The local model's engine is not installed"
        trouble = missing if isinstance(error, ImportError) else "The installed engine is of another version"
        raise LocalModelError(f"{trouble} ({error}); pip install 'venice-chat[local]'") from error
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


def _print_to_stderr(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  the default way to show the terms, which must be seen


def open_local_model(
    model_path: Path | None = None,
    *,
    threads: int | None = None,
    context_tokens: int = 4096,
    show: Callable[[str], None] = _print_to_stderr,
) -> LocalModel:
    """Loads a model; this takes seconds, and blocks.

    Args:
        model_path: A GGUF file; without it, the weights that come with the extra `local`.
        threads: How many threads compute; without it, one less than there are cores.
        context_tokens: How many tokens prompt and answer may have together.
        show: Takes the terms of those weights, on first use.

    Raises:
        LocalModelError: something is not installed, missing, damaged or not a model; the message says what to do.
    """
    weights = gemma_weights(own_folder(), show) if model_path is None else own_weights(model_path)
    engine = load(weights, threads=threads, context_tokens=context_tokens)
    return LocalModel(engine, model_id=weights.model_id, context_tokens=context_tokens, plain=not weights.has_template)
