"""Asks a model one question and prints the answer as it comes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.privacy import Privacy
from ..exceptions import APIResponseProcessingError, VeniceError
from ..types._base import is_object
from . import _options, _output
from ._output import AnswerPrinter

if TYPE_CHECKING:
    from .._client import VeniceClient
    from ..types.api.chat import ChatCompletionResponse

_ENDINGS = {
    "length": "the answer was cut off at the limit of tokens",
    "content_filter": "the answer was cut off by a content filter",
    "tool_calls": "the model asks for tools; --json shows the calls",
}
_REMEDY = "'venice-chat sessions show' shows what is kept of it, and --json prints all of it"


@dataclass(frozen=True, slots=True)
class AskOptions:
    model: str | None
    params: Mapping[str, Any]
    needs: Mapping[str, Any]  # what a model must be able to do if none is named, as arguments of `resolve_chat`
    schema: Any  # the class or the JSON schema that the answer is to fit
    floor: Privacy | None  # what the chat must be: attested, or end-to-end encrypted
    no_stream: bool
    as_json: bool
    usage: bool
    reasoning: bool


def best_printer(*, reasoning: bool) -> AnswerPrinter:
    if not sys.stdout.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}:
        return AnswerPrinter(reasoning=reasoning)
    from ._markdown import MarkdownPrinter  # it needs rich

    return MarkdownPrinter(reasoning=reasoning)


async def ask(client: VeniceClient, options: AskOptions, messages: Sequence[Mapping[str, Any]], printer: AnswerPrinter) -> None:
    """Asks, and shows the answer; it stands in `printer.response`, also one that broke off."""
    printer.asked = model = await chosen_model(client, options)
    asked: dict[str, Any] = {"model": model, "messages": messages, "e2ee": options.floor == "e2ee", **options.params}
    asked |= {} if options.schema is None else {"response_format": options.schema}
    printer.shows = not options.as_json and options.schema is None
    async with _options.finding(client, model):
        if options.no_stream or "n" in options.params:  # several answers would come mixed up
            printer.response = response = await client.chat.completions.create(stream=False, **asked)
            printer.show(response)
        else:  # JSON, too, which is shown whole: what came of it is not lost when it breaks off
            printer.response = response = await _streamed(client, asked, printer)
    if options.as_json:
        _output.line(response.model_dump_json(indent=2))
    _tell(response, options)
    if options.schema is not None:
        value = _validated(response, options)
        if not options.as_json:
            _output.write_json(value)


def _tell(response: ChatCompletionResponse, options: AskOptions) -> None:
    if not options.as_json and options.schema is None:
        if (count := len(response.choices)) > 1 and "n" not in options.params:
            _output.note(f"one answer was asked for, and {count} came; {_REMEDY}")
        if not (response.text or response.tool_calls or response.finish_reason in _ENDINGS):
            _output.note("the answer is empty")
        for ending in dict.fromkeys(str(getattr(choice, "finish_reason", None)) for choice in response.choices):
            if ending in _ENDINGS:
                _output.note(_ENDINGS[ending])
    if response.attestation is not None:
        _output.note(f"end-to-end encrypted; the enclave was verified at level {response.attestation.level}")
    for number, page in enumerate(response.web_search_citations if options.usage or sys.stdout.isatty() else (), 1):
        _output.aside(f"[{number}] {' '.join(str(page.title).split())}, {page.url}\n")
    if options.usage:
        _output.note(bill(response))


async def chosen_model(client: VeniceClient, options: AskOptions) -> str:
    if options.model is not None:
        return options.model
    async with _options.finding(client):
        return await client.models.resolve_chat(require_e2ee=options.floor == "e2ee", **options.needs)


async def _streamed(client: VeniceClient, asked: dict[str, Any], printer: AnswerPrinter) -> ChatCompletionResponse:
    try:
        async with await client.chat.completions.stream(**asked) as stream:
            try:
                async for chunk in stream:
                    printer.show(chunk)
            finally:
                printer.response = stream.partial
                printer.end()
            return await stream.collect()
    except VeniceError as error:
        if printer.shown:
            _output.note("the answer is not whole")
        elif isinstance(error, APIResponseProcessingError) and error.partial is not None:  # it came as JSON instead, and whole
            printer.show(error.partial)
            return error.partial
        raise


def _validated(response: ChatCompletionResponse, options: AskOptions) -> Any:
    """The JSON of an answer, which fits what was asked for; a VeniceError that says where it does not."""
    from pydantic_core import to_jsonable_python

    from ..emulator.schemas import fits
    from ..exceptions import OutputInvalidError

    schema: Any = options.schema["json_schema"]["schema"] if is_object(options.schema) else None
    try:
        kind: Any = options.schema if schema is None else dict[str, Any]
        value: Any = to_jsonable_python(response.parse_as(kind))
        if schema is None or fits(value, schema, schema):
            return value
        parts = schema.get("properties", {}).items()
        wrong = [f"{at}: Input should fit {part}" for at, part in parts if at not in value or not fits(value[at], part, schema)]
    except OutputInvalidError as error:
        wrong = [f"{'.'.join(map(str, each['loc'])) or 'all of it'}: {each['msg']}" for each in error.errors()]
    raise VeniceError(f"the answer does not fit --schema: {'; '.join(wrong) or 'as a whole'}; {_REMEDY}")


def bill(response: ChatCompletionResponse) -> str:
    if (usage := response.usage) is None:
        return f"{response.model} did not say what it used"
    thought = f" ({usage.reasoning_tokens} of them reasoning)" if usage.reasoning_tokens else ""
    cost = f", ${charged:.6f}" if isinstance(charged := getattr(response.cost, "usd", None), (int, float)) else ""
    return f"{response.model}: {usage.prompt_tokens} prompt + {usage.completion_tokens} completion tokens{thought}{cost}"
