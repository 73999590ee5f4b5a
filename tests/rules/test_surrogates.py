"""Surrogate pairs: two halves that arrive apart become one character, and half of a pair alone is recognised."""

from __future__ import annotations

import pytest

from venice_ai import ChatCompletionChunk
from venice_ai._wire.json_text import NOT_JSON, decode, encode, json_in
from venice_ai.types._surrogates import before_half, is_whole, paired, sendable, without_half

HIGH, LOW = "\ud83d", "\ude00"


@pytest.mark.parametrize(
    ("text", "joined", "without", "half", "before", "sent"),
    [
        pytest.param("", "", "", "", "", "", id="nothing"),
        pytest.param("aé😀", "aé😀", "aé😀", "", "aé😀", "aé😀", id="whole characters"),
        pytest.param(f"a{HIGH}{LOW}", "a😀", "a😀", "", "a😀", "a😀", id="a pair"),
        pytest.param(f"a{HIGH}", f"a{HIGH}", "a", HIGH, "a", "a\ufffd", id="a first half at the end"),
        pytest.param(f"a{LOW}", f"a{LOW}", f"a{LOW}", "", "a", "a\ufffd", id="a second half at the end"),
        pytest.param(f"{HIGH}b", f"{HIGH}b", f"{HIGH}b", "", "", "\ufffdb", id="a first half at the beginning"),
        pytest.param(f"a{HIGH}{LOW}b{HIGH}", f"a😀b{HIGH}", "a😀b", HIGH, "a😀b", "a😀b\ufffd", id="a pair, and a first half"),
        pytest.param(f"a{HIGH}b{HIGH}", f"a{HIGH}b{HIGH}", f"a{HIGH}b", HIGH, "a", "a\ufffdb\ufffd", id="two first halves"),
        *(pytest.param(half, half, "", half, "", "\ufffd", id=f"{half!a} alone") for half in ("\ud800", "\udbff")),
        *(pytest.param(half, half, half, "", "", "\ufffd", id=f"{half!a} alone") for half in ("\udc00", "\udfff")),
        *(pytest.param(edge, edge, edge, "", edge, edge, id=f"{edge!a}, no half") for edge in ("\ud7ff", "\ue000")),
    ],
)
def test_each_function_on_surrogate_pairs_gives_its_documented_text(
    text: str, joined: str, without: str, half: str, before: str, sent: str
) -> None:
    assert paired(text) == joined
    assert without_half(text) == (without, half)
    assert before_half(text) == before
    assert sendable(text) == sent
    assert is_whole(text) is (text == sent)


def test_json_with_half_of_a_surrogate_pair_is_written_with_an_escape_and_read_back() -> None:
    chunk = ChatCompletionChunk.model_validate({"id": f"é{HIGH}", "choices": [{"index": 0, "delta": {"content": LOW}}]})
    written = encode([chunk, 1])

    assert b"\\ud83d" in written
    assert decode(written) == [chunk.model_dump(), 1]
    assert encode({"a": "é"}) == '{"a":"é"}'.encode()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(b'{"a": "\xff\n"}', {"a": "\ufffd\n"}, id="a stray byte and a line break in a text"),
        pytest.param(b'\xef\xbb\xbf{"a": NaN}', {"a": None}, id="a byte order mark, and NaN"),
        pytest.param(b'{"a": 1}\n\ndata: [DONE]\n', {"a": 1}, id="a [DONE] event after it"),
        pytest.param(b'{"a": 1} [DONE]', {"a": 1}, id="[DONE] alone after it"),
        pytest.param(b"{broken", NOT_JSON, id="no JSON"),
        pytest.param(b"[" * 100_000, NOT_JSON, id="nested beyond what is read"),
    ],
)
def test_json_is_read_as_servers_write_it(body: bytes, found: object) -> None:
    read = json_in(body)

    assert repr(read).replace("nan", "None") == repr(found)
