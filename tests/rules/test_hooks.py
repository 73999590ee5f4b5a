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
def test_an_async_hook_is_refused_where_it_would_not_be_awaited(hook: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^on_result=.* must not be an async function"):
        check_plain("on_result", hook)


@pytest.mark.parametrize("hook", [None, print, Plain(), lambda: None])
def test_any_other_callable_hook_is_accepted(hook: object) -> None:
    check_plain("on_result", hook)


@pytest.mark.parametrize("hook", [7, "print", [print], False])
def test_a_hook_that_cannot_be_called_is_refused(hook: object) -> None:
    with pytest.raises(TypeError, match=r"^on_result=.* cannot be called: give a function, or None"):
        check_plain("on_result", hook)
