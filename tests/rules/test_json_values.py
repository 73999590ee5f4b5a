"""JSON of unknown shape, and a secret taken out of it."""

from __future__ import annotations

from typing import Any

import pytest

from venice_ai._core.json_values import items, members, without


@pytest.mark.parametrize("value", [None, 7, "ab", b"ab", (1, 2)], ids=repr)
def test_a_scalar_has_no_members_and_no_items(value: object) -> None:
    assert (members(value), items(value)) == ({}, [])
    assert (members([value]), items({"a": value})) == ({}, [])
    assert (members({"a": value}), items([value])) == ({"a": value}, [value])


@pytest.mark.parametrize(("secret", "hidden"), [("1234567", False), ("12345678", True), ("123456789", True)])
def test_a_secret_of_eight_characters_or_more_is_taken_out_and_a_shorter_one_is_a_word(secret: str, hidden: bool) -> None:
    def reply(key: str) -> dict[str, Any]:
        return {"error": f"<{key}> is no key", f"<{key}>": [{"a": [key.encode() + b"!"]}, 7, None, True]}

    assert without(reply(secret), secret.encode()) == reply("***" if hidden else secret)
    assert without(f"{secret}, {secret}", secret.encode()) == ("***, ***" if hidden else f"{secret}, {secret}")


def test_without_a_secret_everything_stays_as_it_is() -> None:
    assert without({"a": ["b"]}, b"") == {"a": ["b"]}
