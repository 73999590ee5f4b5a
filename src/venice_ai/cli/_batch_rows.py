"""The rows of a batch as requests and as results: a table with a prompt, or OpenAI's batch format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from .._structured.columns import AnswerColumns, fault_of
from .._wire.json_text import decode, encode
from ..batches.items import BatchItem, BatchProgress
from ..exceptions import APIError
from ..types._base import is_object
from ._table_files import Row, as_text

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_URL: Final = "/v1/chat/completions"


def named_in(template: str) -> set[str]:
    return {found[1] for found in _BRACES.finditer(template) if found[1] is not None}


def filled(template: str, row: Row) -> str:
    return _BRACES.sub(lambda found: found[0][0] if found[1] is None else as_text(row[found[1]]), template)


@dataclass(frozen=True, slots=True)
class Prompts:
    params: Mapping[str, Any]
    templates: Mapping[str, str]
    answers: AnswerColumns

    @property
    def columns(self) -> Sequence[str]:
        return self.answers.names

    def request(self, row: Row) -> dict[str, Any]:
        if missing := set[str]().union(*map(named_in, self.templates.values())) - row.keys():
            raise ValueError(f"there is no column {min(missing)!r} among {', '.join(map(repr, row))}; for a brace, write two")
        if taken := row.keys() & set(self.columns):
            raise ValueError(f"the answer would overwrite the column {min(taken)!r}; rename it")
        messages = [{"role": role, "content": filled(text, row)} for role, text in self.templates.items()]
        return {**self.params, "messages": messages}

    def result(self, item: BatchItem[Any]) -> Row:
        return self.answers.of(item.response, item.parsed, item.error)


@dataclass(frozen=True, slots=True)
class OpenAIBatch:
    """Each row is a request of OpenAI's batch format (platform.openai.com/docs/api-reference/batch), and becomes a result."""

    params: Mapping[str, Any]
    columns: Sequence[str] = ()

    def request(self, row: Row) -> dict[str, Any]:
        body, name = row.get("body"), row.get("custom_id")
        if not (is_object(body) and isinstance(name, str)):
            raise ValueError("it has no 'custom_id' and 'body' of OpenAI's batch format; for a table, give --prompt")
        if (row.get("method", "POST"), row.get("url", _URL)) != ("POST", _URL):
            raise ValueError(f"it is for {row.get('method')} {row.get('url')}, and only POST {_URL} is sent")
        if "model" not in (asked := {**body, **self.params, "custom_id": name}):
            raise ValueError("its body has no 'model'; give --model")
        if "max_tokens" in asked:  # `create` does not take it
            asked["extra_body"] = {"max_tokens": asked.pop("max_tokens")}
        return asked

    def result(self, item: BatchItem[Any]) -> Row:
        error, replied, failed = item.error, None, None
        if item.response is not None:
            failed = None if item.response.choices else {"code": "NoChoicesError", "message": fault_of(item.response)}
            request_id = None if item.replayed else item.response.meta.request_id
            replied = {"status_code": 200, "request_id": request_id, "body": decode(encode(item.response))}  # as from a journal
        elif isinstance(error, APIError) and error.status_code is not None:
            details = {"message": str(error), "type": type(error).__name__, "code": error.code}
            replied = {"status_code": error.status_code, "request_id": error.request_id, "body": {"error": details}}
        else:
            failed = {"code": type(error).__name__, "message": str(error)}
        # The id follows from that of the request, so that the same command makes the same file.
        own = f"batch_req_{sha256(str(item.custom_id).encode()).hexdigest()[:24]}"
        return {"id": own, "custom_id": item.custom_id, "response": replied, "error": failed}


def progress_text(progress: BatchProgress, total: int) -> str:
    sent, left = progress.done - progress.replayed, total - progress.done
    text = f"{progress.done:,}/{total:,}  {progress.failed:,} failed"
    if not sent:
        return text
    minutes, seconds = divmod(round(left * progress.elapsed_seconds / sent), 60)
    rate = f"{sent / max(progress.elapsed_seconds, 1e-3):,.1f}/s  ${progress.cost_usd:.4f}"
    return f"{text}  {rate}  ${left * progress.cost_usd / sent:.4f} and {minutes // 60}:{minutes % 60:02}:{seconds:02} to go"
