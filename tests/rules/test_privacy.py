"""The privacy floor as rules: which request is below it, and what asks for end-to-end encryption."""

from __future__ import annotations

from typing import Any

import pytest

from venice_ai import InvalidRequestError
from venice_ai._core.privacy import check_privacy, encryption_requested_in, refuse_below

LEVELS: list[Any] = [None, "tee", "e2ee"]


@pytest.mark.parametrize("floor", LEVELS)
@pytest.mark.parametrize("privacy", LEVELS)
def test_a_request_below_the_privacy_floor_is_refused(floor: Any, privacy: Any) -> None:
    if LEVELS.index(privacy) >= LEVELS.index(floor):
        refuse_below(floor, privacy)
    else:
        remedy = "pass e2ee=True" if floor == "e2ee" else "only chats with attested models are"
        with pytest.raises(InvalidRequestError, match=f"min_privacy='{floor}'; {remedy}"):
            refuse_below(floor, privacy)


@pytest.mark.parametrize("value", ["TEE", "", "server", 0, False])
def test_an_unknown_privacy_floor_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must be 'e2ee', 'tee' or None"):
        check_privacy(value)
    assert [check_privacy(each) for each in LEVELS] == LEVELS


ON, OFF = {"enable_e2ee": True}, {"enable_e2ee": False}


@pytest.mark.parametrize(
    ("params", "asked"),
    [
        *(({}, False), ({"e2ee": True}, True), ({"e2ee": False}, False), ({"e2ee": None}, False)),
        *(({"venice_parameters": ON}, True), ({"venice_parameters": OFF}, False), ({"venice_parameters": {}}, False)),
        *(({"venice_parameters": None}, False), ({"venice_parameters": {"enable_e2ee": "true"}}, False)),
        ({"venice_parameters": {"other": True}}, False),
        *(({"extra_body": {"venice_parameters": ON}}, True), ({"extra_body": {"venice_parameters": None}}, False)),
        *(({"extra_body": None, "venice_parameters": ON}, True), ({"extra_body": "enable_e2ee"}, False)),
        ({"extra_body": {"venice_parameters": OFF}, "venice_parameters": ON}, False),
        ({"extra_body": {"venice_parameters": OFF}, "e2ee": True}, True),
    ],
    ids=repr,
)
def test_a_call_asks_for_encryption_by_its_argument_or_by_its_switch(params: dict[str, Any], asked: bool) -> None:
    assert encryption_requested_in(params) is asked
