"""`LocalModel`: a language model on this machine as a backend of the emulator."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from . import request
from .engine import Engine, Generations, load
from .reply import Reply
from .weights import gemma_weights, own_folder, own_weights


class LocalModel:
    """A real model on this machine. It answers chat requests, also several at once, and never leaves the machine."""

    def __init__(self, engine: Engine, *, model_id: str, context_tokens: int, plain: bool) -> None:
        self.model_id = model_id
        """The model's name: the file's, or that of the weights that come with the extra."""
        self.context_tokens = context_tokens
        """How many tokens prompt and answer may have together."""
        self._plain = plain
        self._generations = Generations(engine)

    def __repr__(self) -> str:
        return f"<LocalModel {self.model_id!r}, {self.context_tokens} tokens>"

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The answer to a checked chat request in chunks; the last has the usage and no choices. Closing it stops the model.

        Raises:
            UnsupportedInput: the model cannot take something in the request; raised before the first chunk.
            LocalModelError: the engine failed, or was closed.
        """
        job = request.job(body, plain=self._plain)
        reply = Reply(job.form, f"call_{uuid.uuid4().hex}", top_logprobs=body.get("top_logprobs", 0))
        async with aclosing(self._generations.chunks(job.body)) as chunks:
            async for chunk in chunks:
                for answered in reply.feed(chunk):
                    yield answered

    async def aclose(self) -> None:
        """Stops every answer and frees the memory."""
        await self._generations.aclose()


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
