"""Hooks that a caller gives where nobody awaits them."""

from __future__ import annotations

import pytest

from venice_ai import InvalidArgumentError
from venice_ai._core.concurrency import check_plain


async def asynchronous() -> None: ...


class Asynchronous:
    async def __call__(self) -> None: ...


class Plain:
    def __call__(self) -> None: ...


@pytest.mark.parametrize("hook", [asynchronous, Asynchronous(), Asynchronous().__call__], ids=["function", "object", "method"])
def test_a_hook_that_nobody_awaits_must_not_be_asynchronous(hook: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^on_result=.* must not be an async function"):
        check_plain("on_result", hook)


@pytest.mark.parametrize("hook", [None, print, Plain(), lambda: None, 7])
def test_any_other_hook_is_taken(hook: object) -> None:
    check_plain("on_result", hook)
