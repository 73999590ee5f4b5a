"""The answers of a batch as columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..exceptions import InvalidArgumentError
from .items import BatchItem


class AnswerColumns:
    """The columns `answer` and `error`; with a `response_format`, its fields in the place of `answer`."""

    def __init__(self, response_format: Any = None) -> None:
        self._fields: list[str] = []
        self._wrapped = False
        if response_format is not None:
            from .._structured.strict_schema import requested_format  # it needs pydantic

            asked: Any = response_format
            if not isinstance(response_format, Mapping):
                asked, self._wrapped = requested_format(response_format)
            self._fields = list(asked["json_schema"]["schema"]["properties"])
            if "error" in self._fields:
                raise InvalidArgumentError("the column 'error' tells what went wrong with a row; rename the schema's field")
        self.names: list[str] = [*(self._fields or ["answer"]), "error"]

    def of(self, item: BatchItem[Any]) -> dict[str, Any]:
        """The values for one item; what it lacks is None. An answer that is not whole has an `error`, too."""
        values, error = dict[str, Any](), None
        if item.response is None:
            error = f"{type(item.error).__name__}: {item.error}"
        elif not self._fields:
            values["answer"] = item.response.text or ""
            endings = (str(choice.finish_reason) for choice in item.response.choices)
            error = next((f"the answer ended with {each!r}" for each in endings if each not in {"stop", "None"}), None)
            error = error or (None if values["answer"].strip() else "the answer is empty")
        else:
            from pydantic_core import to_jsonable_python

            parsed = to_jsonable_python(item.parsed)
            values = {self._fields[0]: parsed} if self._wrapped else parsed
            if missing := [name for name in self._fields if name not in values]:
                values, error = {}, f"the answer has no {', '.join(missing)}"
        return dict.fromkeys(self.names) | {name: values[name] for name in self.names if name in values} | {"error": error}
