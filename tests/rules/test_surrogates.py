"""Surrogate pairs that came in two halves are letters; a half alone is no letter, and is told from one."""

from __future__ import annotations

import pytest

from venice_ai.types._surrogates import before_half, is_whole, paired, sendable, without_half

HIGH, LOW = "\ud83d", "\ude00"


@pytest.mark.parametrize(
    ("text", "letters", "kept", "half", "before", "sent"),
    [
        pytest.param("", "", "", "", "", "", id="nothing"),
        pytest.param("aé😀", "aé😀", "aé😀", "", "aé😀", "aé😀", id="letters"),
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
def test_halves_of_a_letter(text: str, letters: str, kept: str, half: str, before: str, sent: str) -> None:
    assert paired(text) == letters
    assert without_half(text) == (kept, half)
    assert before_half(text) == before
    assert sendable(text) == sent
    assert is_whole(text) is (text == sent)
