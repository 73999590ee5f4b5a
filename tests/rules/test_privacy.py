"""The privacy floor as rules: which request is below it, and what asks for end-to-end encryption."""

from __future__ import annotations

from typing import Any

import pytest

from venice_ai import InvalidRequestError
from venice_ai._core.privacy import check_privacy, encryption_requested_in, refuse_below, search_in

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


@pytest.mark.parametrize(
    ("model", "searches"),
    [
        *(("m", False), ("m:", False), ("m:&", False), ("m::", False)),
        *(
            (f"m:{name}={value}", False)
            for name in ("enable_web_search", "enable_x_search")
            for value in ("off", "OFF", "false")
        ),
        *((f"m:{name}", True) for name in ("enable_web_search", "enable_web_scraping", "enable_x_search", "character_slug=a")),
        *((f"m:enable_web_scraping={value}", True) for value in ("on", "auto", "true", "offf", "")),
        *((f"m:disable_thinking={value}", False) for value in ("true", "false", "a9", "")),
        *((f"m:disable_thinking={value}", True) for value in ("a b", "a=b", "-", "é")),
        *(("m:strip_thinking_response", False), ("m:of_tomorrow=off", True), ("m:enable_e2ee=true", False)),
        *(("m:enable_e2ee=true&enable_web_search=on", True), ("m:enable_e2ee=true:enable_web_search=on", True)),
        *(("m:enable_web_search=off&enable_x_search=on", True), ("m:enable_web_search=off&enable_x_search=false", False)),
    ],
)
def test_a_suffix_of_the_model_searches_unless_it_is_known_to_do_no_harm(model: str, searches: bool) -> None:
    assert search_in({"model": model}) == ("the suffix of the model" if searches else None)


@pytest.mark.parametrize("name", ["enable_web_search", "enable_web_scraping", "enable_x_search"])
@pytest.mark.parametrize(
    ("value", "searches"), [(None, False), (False, False), ("off", False), ("on", True), (True, True), ("auto", True)]
)
def test_a_switch_searches_unless_it_is_off(name: str, value: Any, searches: bool) -> None:
    found = search_in({"model": "m", "venice_parameters": {"enable_e2ee": True, name: value}})
    assert found == (f"venice_parameters.{name}" if searches else None)


TOOLS: list[Any] = [
    *((None, False), ([], False), ([{"type": "function"}], False), (["web_search", None, {}], False)),
    *(([{"type": "function"}, {"type": kind}], True) for kind in ("web_search", "x_search")),
]


@pytest.mark.parametrize(("tools", "searches"), TOOLS, ids=repr)
def test_a_tool_of_venices_own_searches(tools: Any, searches: bool) -> None:
    assert search_in({"model": "m", "tools": tools}) == ("one of the tools" if searches else None)
    assert search_in({"model": "m", "venice_parameters": ["enable_web_search"]}) is None
