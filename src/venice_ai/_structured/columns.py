"""The answers of a batch as columns of a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..exceptions import InvalidArgumentError, OutputError
from ..types.api.chat import ChatCompletionResponse


def fault_of(response: ChatCompletionResponse, *, with_tools: bool = False) -> str | None:
    """Why an answer cannot be used: it has no choices, was cut off, or is empty and, `with_tools`, no tool call; else None."""
    if not response.choices:
        return "the answer has no choices"
    good = {"stop", "None", "tool_calls" if with_tools else "stop"}
    if bad := [ending for choice in response.choices if (ending := str(choice.finish_reason)) not in good]:
        return f"the answer ended with {bad[0]!r}"
    return None if (response.text or "").strip() or (with_tools and response.tool_calls) else "the answer is empty"


def _in_one_line(failure: BaseException | None) -> str:
    """The message of a failure; for an answer that does not fit, with the places where it does not."""
    message, errors = str(failure), list[Any]
    if isinstance(failure, OutputError):
        message = re.sub("(`partial` and )?`(raw_text|response)`", "raw_answer", failure.message)  # where the answer is
        errors = errors if failure.private else getattr(failure, "errors", errors)
    places = "; ".join(f"{'.'.join(map(str, line['loc'])) or 'the answer'}: {line['msg']}" for line in errors())
    return f"{type(failure).__name__}: {message} {places}".rstrip()


class AnswerColumns:
    """The columns `answer` and `error`; with a `response_format` its fields, `error`, and as `raw_answer` what does not fit."""

    def __init__(self, response_format: Any = None) -> None:
        self._fields, self._wrapped = list[str](), False
        if response_format is not None:
            from .strict_schema import requested_format  # it needs pydantic

            asked: Any = response_format
            if not isinstance(response_format, Mapping):
                asked, self._wrapped = requested_format(response_format)
            self._fields = list(asked["json_schema"]["schema"]["properties"])
            if taken := {"error", "raw_answer"}.intersection(self._fields):
                raise InvalidArgumentError(f"the column {min(taken)!r} is for errors; rename the schema's field {min(taken)!r}")
        self.names: list[str] = [*self._fields, "error", "raw_answer"] if self._fields else ["answer", "error"]

    def of(self, response: ChatCompletionResponse | None, parsed: Any, failure: BaseException | None) -> dict[str, Any]:
        """The values of one row; missing ones are None. An answer that is not whole has an `error`, too."""
        values, error = dict[str, Any](), None
        if response is None:
            values, error = {"raw_answer": getattr(failure, "raw_text", None)}, _in_one_line(failure)
        elif not self._fields:
            values, error = {"answer": response.text or ""}, fault_of(response)
        else:
            from pydantic_core import to_jsonable_python

            parsed = to_jsonable_python(parsed)
            values = {self._fields[0]: parsed} if self._wrapped else parsed
        return {name: values.get(name) for name in self.names} | {"error": error}
