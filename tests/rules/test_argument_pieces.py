"""When the arguments of a tool call, which come in pieces, are whole: exactly when their text is JSON."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai._wire.tool_call_fragments import Arguments

MARKS = st.text(st.sampled_from('ab"\\{}[],: \n'), max_size=5)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | MARKS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MARKS, inner, max_size=3),
    max_leaves=6,
)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def asked_after_each(pieces: list[str]) -> list[bool]:
    arguments = Arguments()
    found: list[bool] = []
    for piece in pieces:
        arguments.append(piece)
        found.append(arguments.are_whole())
    return found


@pytest.mark.parametrize(
    "text", ["{}", '{"a": "}"}', '{"a": "\\""}', '["\\\\", {}]', '"a"', "12", "true", " {} ", '[[], {"b": ["]"]}]', '"\\\\"']
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_arguments_are_whole_when_they_are_json(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    assert asked_after_each(pieces) == [is_json("".join(pieces[: number + 1])) for number in range(len(pieces))]


@given(JSON, st.lists(st.integers(0, 60), max_size=6))
def test_any_json_cut_anywhere_is_whole_when_it_is_complete(value: Any, cuts: list[int]) -> None:
    text = json.dumps(value)
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[first:last] for first, last in pairwise(places)]

    assert asked_after_each(pieces) == [is_json("".join(pieces[: number + 1])) for number in range(len(pieces))]


def test_pieces_added_between_two_checks_count() -> None:
    arguments = Arguments()
    arguments += ['{"a": [', '"]']
    assert not arguments.are_whole()

    arguments += ['"', "]", "}"]

    assert arguments.are_whole()


def test_pieces_added_before_the_first_check_count() -> None:
    arguments = Arguments()
    arguments += ['"', "a"]
    assert not arguments.are_whole()

    arguments += ['"']

    assert arguments.are_whole()


@pytest.mark.parametrize("text", ["{}x", "[1,]", '"a"b', "x" * 65])
def test_text_that_cannot_become_json_is_never_whole(text: str) -> None:
    assert asked_after_each([text, "{}", '"', "}"]) == [False] * 4


def test_a_number_is_not_whole_while_more_digits_may_follow() -> None:
    assert asked_after_each(["-", "1", "2", ".", "5", "e", "3"]) == [False, True, True, False, True, False, True]


def test_only_text_longer_than_any_number_is_given_up() -> None:
    assert asked_after_each(["-" + "1" * 62 + ".", "5"]) == [False, True]
