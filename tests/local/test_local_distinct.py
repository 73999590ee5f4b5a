"""Members that a small model repeats are dropped, wherever the text is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai.emulator.local.distinct_keys import DistinctKeys


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param('{"a":1,"a":2}', '{"a":1}', id="twice"),
        pytest.param('{"a":1,"b":2,"a":3,"c":4}', '{"a":1,"b":2,"c":4}', id="between others"),
        pytest.param('{"a":{"a":1,"b":[{"a":1,"a":2}]},"a":{"x":[1,{"y":"}"}]}}', '{"a":{"a":1,"b":[{"a":1}]}}', id="nested"),
        pytest.param(r'{"a\"":"x,\\","a\"":"}","\u0061":1,"a":2}', r'{"a\"":"x,\\","\u0061":1}', id="escapes"),
        pytest.param("{}", "{}", id="an empty object"),
        pytest.param('[{"a":1},{"a":2},[],"a:b"]', '[{"a":1},{"a":2},[],"a:b"]', id="an array"),
        pytest.param('"a{,:"', '"a{,:"', id="a text"),
        pytest.param('{"a":1,"a":2', '{"a":1', id="cut off in the second"),
    ],
)
def test_the_first_of_each_key_is_kept_however_it_comes(text: str, kept: str) -> None:
    assert DistinctKeys().feed(text) == kept
    whole = DistinctKeys()
    assert "".join(map(whole.feed, text)) == kept


def test_half_a_key_is_held_back() -> None:
    keys = DistinctKeys()

    assert (keys.feed('{"a":1,"b'), keys.held) == ('{"a":1', ',"b')


JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)


@given(value=JSON)
def test_what_has_no_key_twice_stays_as_it_is(value: Any) -> None:
    text = json.dumps(value, separators=(",", ":"))

    assert DistinctKeys().feed(text) == text
