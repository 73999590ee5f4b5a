"""The error of a value that is not allowed: its place, the reason, and what is allowed there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta
from pydantic import BaseModel
from typing_extensions import TypedDict

from venice_ai import InvalidRequestError
from venice_ai._wire.invalid_values import explained, refuse_endless
from venice_ai._wire.request_body import chat_body, encode


def error_of(messages: Any = "hi", *, echo: bool | None = None, **params: Any) -> str:
    """What is said of a request that is refused."""
    how: dict[str, Any] = {} if echo is None else {"echo": echo}
    with pytest.raises(InvalidRequestError) as caught:
        chat_body(model="m", messages=messages, stream=False, params=params, **how)
    return str(caught.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": 3}, "temperature=3 is not allowed: expected float <= 2.0; allowed is 0 to 2"),
        ({"n": 0}, "n=0 is not allowed: expected int >= 1; allowed is 1 or more"),
        ({"stop": []}, "stop=[] is not allowed: expected array of length >= 1; allowed is 1 to 4 items"),
        ({"user": 7}, "user=7 is not allowed: expected str | null, got int"),
        ({"stop_token_ids": [1, "x"]}, "stop_token_ids.1='x' is not allowed: expected int, got str"),
        ({"metadata": {1: "a"}}, "metadata={1: 'a'} is not allowed: expected str, got int as a key"),
        (
            {"reasoning": {"summary": "long"}},
            "reasoning.summary='long' is not allowed: invalid enum value 'long'; one of 'auto', 'concise', 'detailed'",
        ),
        (
            {"response_format": {"type": "xml"}},
            "response_format.type='xml' is not allowed: invalid value 'xml'; one of 'text', 'json_object', 'json_schema'",
        ),
        ({"fallbacks": [{"model": "m"}] * 11}, f"fallbacks={[{'model': 'm'}] * 11!r:.100} is not allowed: "),
        (
            {"tools": [{"type": "function", "name": "a" * 90}]},
            f"tools.0={{'type': 'function', 'name': '{'a' * 70} is not allowed",
        ),
    ],
)
def test_the_error_of_a_parameter_has_its_place_its_value_and_what_is_allowed(params: dict[str, Any], message: str) -> None:
    assert error_of(**params).startswith(message)


@pytest.mark.parametrize("name", ["stop", "tools", "user"])
def test_a_function_is_told_to_become_a_tool_only_where_tools_are_expected(name: str) -> None:
    params: dict[str, Any] = {name: [print]}
    assert ("tool_from_function" in error_of(**params)) is (name == "tools")


@pytest.mark.parametrize("name", ["stop", "tool_choice", "metadata"])
def test_a_class_is_refused_where_no_format_is_expected(name: str) -> None:
    params: dict[str, Any] = {name: BaseModel}
    assert error_of(**params).startswith(f"{name}={BaseModel!r} is not allowed: expected ")


@pytest.mark.parametrize(
    ("message", "rest", "without_echo"),
    [
        pytest.param(7, ".0 is not allowed: expected object, got int", "", id="a number"),
        pytest.param(
            {"role": "x", "content": "a"},
            ".0.role is not allowed: invalid value 'x'; one of 'system', 'developer', 'user', 'assistant', 'tool'",
            ".0.role is not allowed: invalid value; one of 'system', 'developer', 'user', 'assistant', 'tool'",
            id="a role",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "text"}]},
            ".0.content.0 is not allowed: object missing required field text",
            "",
            id="a part without its text",
        ),
        pytest.param(
            {"message": {"role": "assistant"}},
            ".0 is not allowed: object missing required field role; a reply's message is reply.choices[0].message",
            "",
            id="a choice of a reply",
        ),
        pytest.param(
            {"role": "tool", "choices": []}, ".0 is not allowed: object missing required field content", "", id="more"
        ),
        pytest.param(
            {"role": "user", "content": "x", "name": float("inf")},
            ".0.name=inf is not allowed: JSON has no such number",
            " is not allowed: it holds a number that JSON does not have",
            id="infinity",
        ),
    ],
)
def test_the_error_of_a_message_has_its_place_and_without_echo_none_of_its_text(
    message: Any, rest: str, without_echo: str
) -> None:
    assert error_of([message]) == f"messages{rest}"
    assert error_of([message], echo=False).removeprefix("messages.0") == (without_echo or rest).removeprefix(".0")


class Bounded(TypedDict, total=False):
    """A value of every bound that is told."""

    fraction: Annotated[float, Meta(ge=0.5, le=1_000_000)]
    least: Annotated[int, Meta(ge=2)]
    most: Annotated[int, Meta(le=1)]
    text: Annotated[str, Meta(min_length=1)]
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    few: Annotated[list[int], Meta(max_length=1)]
    none: Annotated[list[int], Meta(max_length=0)]
    pair: Annotated[list[int], Meta(min_length=2)]
    either: Annotated[int, Meta(ge=1)] | Annotated[str, Meta(max_length=3)]
    free: int


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ({"fraction": 0}, "; allowed is 0.5 to 1e+06"),
        ({"least": 1}, "; allowed is 2 or more"),
        ({"most": 2}, "; allowed is up to 1"),
        ({"text": ""}, "; allowed is 1 character or more"),
        ({"name": ""}, "; allowed is 1 to 64 characters"),
        ({"few": [1, 2]}, "; allowed is up to 1 item"),
        ({"none": [1]}, "; allowed is up to 0 items"),
        ({"pair": [1]}, "; allowed is 2 items or more"),
        ({"either": 0}, "; allowed is 1 or more or up to 3 characters"),
        ({"free": "x"}, ""),
    ],
    ids=repr,
)
def test_the_error_names_a_bound_with_its_unit(value: dict[str, Any], allowed: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, Bounded)
    (name, given), *_ = value.items()
    where, found, why = explained(caught.value, Bounded, value)

    assert (where, found) == (name, given)
    assert (
        why.removeprefix(f"{str(caught.value)[:1].lower()}{str(caught.value)[1:]}".replace("`", "").partition(" - at")[0])
        == allowed
    )


class Small(msgspec.Struct, tag="small", tag_field="type"):
    """One of two kinds that a list may hold."""

    size: Annotated[int, Meta(ge=1)] = 1
    unit: Literal["mm", "cm"] = "mm"


class Large(msgspec.Struct, tag="large", tag_field="type"):
    """The other kind."""

    size: Annotated[int, Meta(ge=100)] = 100
    unit: Literal["m", "km"] = "m"


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ({"type": "small", "size": 0}, "; allowed is 1 or more"),
        ({"type": "large", "size": 0}, "; allowed is 100 or more"),
        ({"type": "small", "unit": "m"}, "; one of 'cm', 'mm'"),
        ({"type": "large", "unit": "cm"}, "; one of 'km', 'm'"),
        ({"type": "other"}, "; one of 'small', 'large'"),
    ],
    ids=repr,
)
def test_of_several_kinds_the_error_names_what_is_allowed_in_the_one_that_is_meant(value: Any, allowed: str) -> None:
    either = list[Small | Large] | int
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert([value], either)

    assert explained(caught.value, either, [value])[2].endswith(allowed)


def endless(depth: int) -> Any:
    """An object that no JSON knows, so deep in lists."""
    value: Any = object()
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [1, 20, 21])
def test_the_error_of_a_value_that_json_cannot_hold_has_its_place_up_to_twenty_levels(depth: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encode({"a": endless(depth - 1)})

    names = ["a", *"0" * min(depth - 1, 19)]
    assert str(caught.value) == (
        f"the request cannot be written as JSON: {'.'.join(names)}: 'object' is not a type that JSON knows"
    )


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_that_json_does_not_have_is_found_wherever_it_stands(value: float) -> None:
    with pytest.raises(InvalidRequestError, match=r"^x\.a\.1\.b=(inf|nan) is not allowed: JSON has no such number$"):
        refuse_endless("x", {"a": [0, {"b": value, "c": "text"}]})
    with pytest.raises(InvalidRequestError, match=r"^x is not allowed: it holds a number that JSON does not have$"):
        refuse_endless("x", [[value]], echo=False)
    refuse_endless("x", {"a": [0, {"b": 1.5, "c": "inf"}]})
