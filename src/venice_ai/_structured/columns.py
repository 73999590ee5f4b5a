"""The answers of a batch as columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..exceptions import InvalidArgumentError
from ..types.api.chat import ChatCompletionResponse


def fault_of(response: ChatCompletionResponse, *, is_text: bool = True) -> str | None:
    """What is wrong with an answer that came: it has no choices; or, where it is to be a text, was cut off or is empty."""
    if not response.choices:
        return "the answer has no choices"
    endings = (str(choice.finish_reason) for choice in response.choices if is_text)
    cut = next((f"the answer ended with {each!r}" for each in endings if each not in {"stop", "None"}), None)
    return cut or ("the answer is empty" if is_text and not (response.text or "").strip() else None)


class AnswerColumns:
    """The columns `answer` and `error`; with a `response_format`, its fields in the place of `answer`."""

    def __init__(self, response_format: Any = None) -> None:
        self._fields, self._wrapped = list[str](), False
        if response_format is not None:
            from .strict_schema import requested_format  # it needs pydantic

            asked: Any = response_format
            if not isinstance(response_format, Mapping):
                asked, self._wrapped = requested_format(response_format)
            self._fields = list(asked["json_schema"]["schema"]["properties"])
            if "error" in self._fields:
                raise InvalidArgumentError("the column 'error' tells what went wrong with a row; rename the schema's field")
        self.names: list[str] = [*(self._fields or ["answer"]), "error"]

    def of(self, response: ChatCompletionResponse | None, parsed: Any, failure: BaseException | None) -> dict[str, Any]:
        """The values for what came; what is not there is None. An answer that is not whole has an `error`, too."""
        values, error = dict[str, Any](), None
        if response is None:
            error = f"{type(failure).__name__}: {failure}"
        elif not self._fields:
            values, error = {"answer": response.text or ""}, fault_of(response)
        else:
            from pydantic_core import to_jsonable_python

            parsed = to_jsonable_python(parsed)
            values = {self._fields[0]: parsed} if self._wrapped else parsed
            if missing := [name for name in self._fields if name not in values]:
                values, error = {}, f"the answer has no {', '.join(missing)}"
        return {name: values.get(name) for name in self.names} | {"error": error}
