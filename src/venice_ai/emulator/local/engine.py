"""Opens llama.cpp in this process.

The engine works in its own threads, and calls back for every chunk on the thread that asked; the callback's answer stops it.
It also opens an HTTP port on 127.0.0.1. Nothing here uses it, and it wants a key that nobody knows.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from venice_ai.emulator.backend import LocalModelError

from .request import PLAIN_TEMPLATE
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
