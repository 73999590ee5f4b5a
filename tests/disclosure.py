"""What a program could show of an error: for the tests that look for keys and prompts in it."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType


def shown_of(error: BaseException) -> Iterator[tuple[str, str]]:
    """All that a program could show of an error, with where it stands: its chain, and the local names of our frames."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield (type(each).__name__, f"{each!r} {each} {each.args} {vars(each)}")
        yield from _locals(each.__traceback__)
        waiting += [each.__cause__, each.__context__]


def _locals(trace: TracebackType | None) -> Iterator[tuple[str, str]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        if "venice_ai" in code.co_filename:
            for name, value in trace.tb_frame.f_locals.items():
                yield f"{code.co_qualname}: {name}", repr(value)
        trace = trace.tb_next
