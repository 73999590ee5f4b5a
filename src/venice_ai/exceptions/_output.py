"""The errors of structured output that are pydantic's, too. Importing pydantic takes long, so they are loaded when needed."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from ._tree import OutputError, OutputRefusedError, ToolCallInsteadError


class Mismatch(OutputError, ValidationError):
    """The base of the errors that are pydantic's, too: `errors()` and the rest say where an answer does not fit."""

    reason: str = ""

    def __init__(self, *details: Any) -> None:
        """Nothing is left to do: pydantic has made the error of these, and gives them once more."""

    @property
    def message(self) -> str:
        """What happened and what to do."""
        return self.reason

    def __str__(self) -> str:
        return self.reason

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason!r})" if self.private else ValidationError.__repr__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # pydantic's own forgets what an object was given beside the errors.
        lines = [_HIDDEN] if self.private else self.errors(include_url=False)
        return partial(mismatch, **self.state_to_keep()), (type(self), self.title, lines)


_HIDDEN = {"type": "hidden", "msg": "What does not fit came end-to-end encrypted and is not kept", "loc": (), "input": None}


class OutputInvalidError(Mismatch):
    """The answer does not fit the class: it is not JSON, or other JSON. It is a `pydantic.ValidationError`.

    The places in `errors()` are those of the JSON that was asked for: they begin with `value` if the class is not an object. If
    a validator of the class raised what pydantic does not catch, that is the `__cause__`.
    """

    def __str__(self) -> str:
        # Not only the values, the names of fields and what validators say may be part of the answer, too.
        return self.reason if self.private else f"{self.reason}\n{ValidationError.__str__(self)}"


class OutputTruncatedError(Mismatch):
    """The answer was cut off before its JSON was whole. It is a `pydantic.ValidationError`."""


class RefusedInWordsError(Mismatch, OutputRefusedError):
    """A refusal with a text that does not fit the class."""


class ToolCallWithWordsError(Mismatch, ToolCallInsteadError):
    """A tool call beside a text that does not fit the class."""


# Tracebacks and pickles show where users find them.
OutputInvalidError.__module__ = OutputTruncatedError.__module__ = OutputError.__module__


def mismatch(cls: type[Mismatch], title: str, lines: list[Any], *, hide_input: bool = False, **state: Any) -> Mismatch:
    """An error with the lines of `ValidationError.errors()`."""
    error = cls.from_exception_data(title, [_line(line) for line in lines], "json", hide_input)
    vars(error).update(state)
    return error


def _line(error: Any) -> InitErrorDetails:
    kind, context = error["type"], error.get("ctx")
    try:
        known = PydanticKnownError(kind, context).message() == error["msg"]
    except (KeyError, TypeError):
        known = False
    problem = kind if known else PydanticCustomError(kind, error["msg"], context)
    details = InitErrorDetails(type=problem, loc=error["loc"], input=error["input"])
    if known and context:
        details["ctx"] = context
    return details
