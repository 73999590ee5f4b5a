"""Errors that a caller keeps: their tracebacks have every frame and line, and none of the local values."""

from __future__ import annotations

import pytest

from venice_ai._core.concurrency import without_locals


def fails(prompt: str) -> None:
    raise ValueError(len(prompt))


def raised(prompt: str, *, after: BaseException | None = None) -> BaseException:
    try:
        if after is None:
            fails(prompt)
        else:
            raise KeyError from after
    except (ValueError, KeyError) as error:
        return error
    raise AssertionError


def held_by(error: BaseException) -> list[object]:
    """The values of local variables in the frames of its traceback."""
    found: list[object] = []
    traceback = error.__traceback__
    while traceback is not None:
        found += traceback.tb_frame.f_locals.values()
        traceback = traceback.tb_next
    return found


def test_an_error_keeps_the_frames_and_none_of_their_values() -> None:
    error = raised("secret")
    assert "secret" in held_by(error)

    assert without_locals(error) is error

    assert error.__traceback__ is not None
    assert error.__traceback__.tb_next is not None
    assert held_by(error) == []


@pytest.mark.parametrize("explicit", [True, False])
def test_the_errors_that_led_to_it_keep_none_either(explicit: bool) -> None:
    first = raised("secret")
    error = raised("", after=first)
    if not explicit:
        error.__cause__ = None
        error.__context__ = first

    without_locals(error)

    assert held_by(first) == []


def test_a_cycle_of_causes_is_handled() -> None:
    first, second = raised("secret"), raised("secret")
    first.__cause__, second.__cause__ = second, first

    without_locals(first)

    assert held_by(first) == held_by(second) == []
