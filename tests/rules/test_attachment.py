"""A file, an address or bytes as a part of a message."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from venice_ai import InvalidArgumentError, TextContent, UserMessage, VeniceClient, attachment
from venice_ai.emulator import Emulator
from venice_ai.helpers import MOST_BYTES

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
def test_the_type_of_a_file_follows_from_its_first_bytes(tmp_path: Path, content: bytes, part: dict[str, Any]) -> None:
    (tmp_path / "given").write_bytes(content)
    assert attachment(tmp_path / "given").model_dump() == part
    assert attachment(str(tmp_path / "given")).model_dump() == part
    assert attachment(content, name="given").model_dump() == part


@pytest.mark.parametrize(
    ("url", "kind"),
    [("https://a.test/b.jpg?c=d", "image_url"), ("https://a.test/b.pdf", "file"), ("https://a.test/v.mp4", "video_url")],
)
def test_an_address_is_passed_on(url: str, kind: str) -> None:
    part = attachment(url)
    assert part.type == kind
    assert url in str(part.model_dump())


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
def test_a_file_that_cannot_be_attached_is_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "given").write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=why):
        attachment(tmp_path / "given")


@pytest.mark.parametrize("url", ["ftp://a.test/b.png", "https://a.test/b.mp3"])
def test_an_address_that_venice_does_not_load_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="only http and https can, and no audio; download it"):
        attachment(url)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "given").open("wb") as file:
        file.truncate(1000 * MOST_BYTES)
    with pytest.raises(InvalidArgumentError, match="between 1 and"):
        attachment(tmp_path / "given")


def test_a_pipe_is_refused_as_an_attachment(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "given")
    with pytest.raises(InvalidArgumentError, match="is not a file"):
        attachment(tmp_path / "given")


def test_audio_cannot_be_an_address() -> None:
    with pytest.raises(InvalidArgumentError, match="download it"):
        attachment("https://a.test/b.mp3")


@pytest.mark.parametrize("path", ["a\0b.png", "~nobody-of-this-name/a.png", ""])
def test_a_path_that_cannot_be_one_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"cannot be attached|is not a file"):
        attachment(path)


def test_a_document_has_the_name_that_it_is_given() -> None:
    assert attachment("https://a.test/b.pdf?c=d", name="tides.pdf").model_dump()["file"]["filename"] == "tides.pdf"


async def test_a_part_is_sent_in_a_message_of_the_user(tmp_path: Path) -> None:
    emulator = Emulator()
    (tmp_path / "a.png").write_bytes(PNG)
    message = UserMessage(content=[TextContent(text="Where is this?"), attachment(tmp_path / "a.png")])
    async with VeniceClient(api_key="any", transport=emulator.transport()) as client:
        await client.chat.completions.create(model="rialto-vision", messages=[message])
    assert emulator.requests[-1].body["messages"][0]["content"][1] == attachment(tmp_path / "a.png").model_dump()
