"""`chat -a` and `chat --schema`."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import click
import pytest

from venice_ai.cli._input import MOST_BYTES, needs_of, part_of, response_format
from venice_ai.emulator import Emulator, text

from .shell import Here

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + b"IEND\xaeB`\x82"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        pytest.param(
            PNG, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}
        ),
        pytest.param(
            b"%PDF-1.7",
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0xLjc=", "filename": "given"}},
        ),
        pytest.param(b"fLaC", {"type": "input_audio", "input_audio": {"data": "ZkxhQw==", "format": "flac"}}),
        pytest.param("Città".encode(), {"type": "text", "text": "\n\ngiven:\n\nCittà"}),
    ],
    ids=["image", "pdf", "audio", "text"],
)
def test_a_file_is_what_its_first_bytes_say(tmp_path: Path, content: bytes, part: dict[str, Any]) -> None:
    (tmp_path / "given").write_bytes(content)
    assert part_of(str(tmp_path / "given")) == part


@pytest.mark.parametrize(
    ("url", "kind"),
    [("https://a.test/b.jpg?c=d", "image_url"), ("https://a.test/b.pdf", "file"), ("https://a.test/v.mp4", "video_url")],
)
def test_an_address_is_passed_on(url: str, kind: str) -> None:
    part = part_of(url)
    assert part["type"] == kind
    assert url in json.dumps(part)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(None, "cannot be attached", id="no such file"),
        pytest.param(b"", "between 1 and", id="empty"),
        pytest.param(b"\0\1\2", "neither an image", id="another kind"),
        pytest.param(b"a" * 5000 + b"\xff", "cannot be attached", id="no text after all"),
        pytest.param(PNG[:-4], "is cut off: the end of an image/png is missing", id="a part of an image"),
    ],
)
def test_what_cannot_be_attached_is_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "given").write_bytes(content)
    with pytest.raises(click.UsageError, match=why):
        part_of(str(tmp_path / "given"))


@pytest.mark.parametrize("url", ["ftp://a.test/b.png", "https://a.test/b.mp3"])
def test_an_address_that_venice_does_not_load_is_refused(url: str) -> None:
    with pytest.raises(click.UsageError, match=r"download it; addresses of http and https are passed on"):
        part_of(url)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param("x: foo", "'x: foo' is not a field of these types", id="no such type"),
        pytest.param("", "'' is not a field of these types", id="nothing"),
        pytest.param("a: str, a: int", "it names a field twice", id="a field twice"),
        pytest.param("list.json", "it holds no JSON object", id="a list"),
        pytest.param("none.json", "No such file", id="no such file"),
    ],
)
def test_a_schema_that_cannot_be_one_is_refused_with_the_reason(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, why: str
) -> None:
    (tmp_path / "list.json").write_text("[1, 2]", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    outcome = here("chat", "--schema", given, "hi")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"--schema {given!r} is neither MODULE:CLASS" in outcome.err
    assert why in outcome.err


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "given").open("wb") as file:
        file.truncate(1000 * MOST_BYTES)
    with pytest.raises(click.UsageError, match="between 1 and"):
        part_of(str(tmp_path / "given"))


def test_a_pipe_is_no_attachment(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "given")
    with pytest.raises(click.UsageError, match="is not a file"):
        part_of(str(tmp_path / "given"))


def test_audio_is_no_address() -> None:
    with pytest.raises(click.UsageError, match="download it"):
        part_of("https://a.test/b.mp3")


def test_what_a_model_must_be_able_to_do() -> None:
    image, audio = part_of("https://a.test/b.png"), {"type": "input_audio"}
    assert needs_of([image, audio]) == {"require_vision": True, "require_audio_input": True}
    assert needs_of([image, image])["require_multiple_images"]


def test_a_model_that_sees_is_taken_for_an_image(emulator: Emulator, here: Here) -> None:
    assert here("chat", "-a", "https://a.test/b.png", "What is this?").code == 0
    body = emulator.requests[-1].body
    assert body["model"] == "rialto-vision"
    assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url"]


def test_an_attachment_is_refused_before_anything_is_sent(emulator: Emulator, here: Here) -> None:
    assert here("chat", "-a", "nowhere.png", "What is this?").code == 2
    assert emulator.requests == []


def test_fields_are_a_schema_and_the_json_is_validated(emulator: Emulator, here: Here) -> None:
    emulator.script(text('{"name": "Ada", "age": 36}'), text('{"name": "Ada", "age": "old"}'))
    outcome = here("chat", "--schema", "name: str, age: int", "Who?")
    assert json.loads(outcome.out) == {"name": "Ada", "age": 36}
    assert emulator.requests[-1].body["response_format"]["json_schema"]["schema"]["required"] == ["name", "age"]
    outcome = here("chat", "--schema", "name: str, age: int", "Who?")
    assert (outcome.code, outcome.out) == (1, "")


def test_a_file_is_a_schema_and_the_json_is_validated(emulator: Emulator, here: Here, tmp_path: Path) -> None:
    file = tmp_path / "person.json"
    file.write_text('{"type": "object", "properties": {"age": {"type": "integer"}}}', encoding="utf-8")
    emulator.script(text('```json\n{"age": 36}\n```'), text('{"age": "old"}'))
    assert json.loads(here("chat", "--schema", str(file), "Who?").out) == {"age": 36}
    outcome = here("chat", "--schema", str(file), "Who?")
    assert (outcome.code, outcome.out) == (1, "")
    assert "does not fit the schema 'person'" in outcome.err


def test_a_class_is_a_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator, here: Here) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    source = "from dataclasses import dataclass\n@dataclass\nclass Person:\n    age: int\n"
    Path("people_of_a_test.py").write_text(source, encoding="utf-8")
    emulator.script(text('{"age": 36}'))
    assert json.loads(here("chat", "--schema", "people_of_a_test:Person", "Who?").out) == {"age": 36}


@pytest.mark.parametrize("given", ["name", "name: text", "nowhere:Class", "nowhere.json", ""])
def test_what_is_no_schema_is_refused(given: str) -> None:
    with pytest.raises(click.UsageError, match="--schema"):
        response_format(given)
