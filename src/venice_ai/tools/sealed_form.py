"""Tool calls as text, for chats of which only the texts of messages are encrypted: rules without the network.

A system message describes the tools. The model calls some of them with one JSON object, and reads their results in another:

    {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Venice"}}]}
    {"tool_results": [{"name": "get_weather", "result": "clear"}]}

Prose, markdown fences and reasoning may stand around the calls. They are read from the model's own turn alone, and not from
what it quotes: an object that stood in a message of somebody else before, in whatever escapes and blanks, is no call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from copy import deepcopy
from functools import partial
from itertools import groupby
from typing import Any, Final

from .._core.json_values import items, members
from ..exceptions import InvalidRequestError
from ..types._base import is_array, mark_private, plain
from ..types._surrogates import sendable
from ..types.api.chat import ChatCompletionResponse, ToolCall, ToolCallFunction, content_text

SEALED_ID: Final = "sealed_"  # what the ids of calls begin with that were read from a text
UNREADABLE: Final = "unreadable-call"  # the name in a call for a text that was to be calls, and cannot be read as such
_EXAMPLE: Final = '{"tool_calls": [{"name": "TOOL", "arguments": {"ARGUMENT": "VALUE"}}]}'
_HOW_TO_CALL: Final = f"""\
To call a tool, answer with JSON of this form, and with nothing else:
{_EXAMPLE}
The next message then has the result: {{"tool_results": [{{"name": "TOOL", "result": "..."}}]}}
Once you need no tool, answer in plain words."""
PROBLEM: Final = f"the call cannot be read; the form is {_EXAMPLE}"
_NOT_SENT_BACK: Final = ("tool_calls", "reasoning_content", "reasoning_details", "thought_signature")
_THINKING = r"(?:think(?:ing)?|reason(?:ing)?|thoughts?)\b"
_THOUGHT = re.compile(rf"\s*<{_THINKING}", re.IGNORECASE)
_MARK = re.compile(rf'(?i:</{_THINKING}\s*>)|\{{\s{{0,40}}"tool_calls"\s{{0,40}}:')
_FENCE = r"(?:`{3,20}|~{3,20})"
_OPENING_FENCE = re.compile(rf"{_FENCE}[\w+-]{{0,20}}\s{{0,40}}\Z")
_CLOSING_FENCE = re.compile(rf"\s{{0,40}}{_FENCE}(?=\s|\Z)")
_ALONE = re.compile(rf"\s*(?:{_FENCE}[\w+-]{{0,20}}\s*)?")
_OPENED = re.compile(rf'(?:{_FENCE}[\w+-]{{0,20}}\s{{0,40}})?\{{\s{{0,40}}"tool_calls"')
_MAY_OPEN = re.compile(r'(?:[`~]{1,20}[\w+-]{0,20}\s{0,40})?(?:\{\s{0,40}(?:"\w{0,10}"?\s{0,40})?)?\Z')
_DECODER: Final = json.JSONDecoder(strict=False)
_bare: Final = partial(re.compile(r"""\\+[bfnrt]|[\s\\"']+""").sub, "")  # takes out what quoting adds to a text


def sealed_messages(
    messages: Iterable[Any], tools: Iterable[Any], *, tool_choice: Any = None, parallel_tool_calls: bool | None = None
) -> list[Any]:
    """A conversation with its tools, calls and results as texts; an InvalidRequestError for a tool that is not a function."""
    names: dict[Any, Any] = {}
    sealed: list[Any] = []
    for role, group in groupby(map(plain, messages), key=lambda message: members(message).get("role")):
        if role == "tool":
            results = [{"name": names.get(str(each.get("tool_call_id"))), "result": each.get("content")} for each in group]
            sealed.append({"role": "user", "content": _json({"tool_results": results})})
            continue
        for message in group:
            calls = [members(call) for call in items(members(message).get("tool_calls"))]
            names |= {str(call.get("id")): members(call.get("function")).get("name") for call in calls}
            sealed.append(_with_calls_in_text(message, calls) if role == "assistant" else message)
    choice, described = plain(tool_choice), [*map(_described, tools)]
    if not described or choice == "none":
        words = ["No tool can be called now. Answer in plain words."] if names else []
    else:
        named = members(members(choice).get("function")).get("name")
        words = ["You can call these tools:", *described, _HOW_TO_CALL]
        words += [f"Call {named or 'a tool'} now."] if named or choice == "required" else []
        words += ["Call one tool at a time."] if parallel_tool_calls is False else []
    return [{"role": "system", "content": "\n".join(words)}, *sealed] if words else sealed


def _described(tool: Any) -> str:
    function = members(members(plain(tool)).get("function"))
    if not isinstance(function.get("name"), str):
        raise InvalidRequestError("tools that are not functions with a name cannot be sealed. Nothing was sent.")
    return _json({name: function[name] for name in ("name", "description", "parameters") if function.get(name)})


def _with_calls_in_text(message: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    turn = {name: value for name, value in message.items() if name not in _NOT_SENT_BACK}
    functions = [members(call.get("function")) for call in calls]
    readable = [each for each in functions if each.get("name") != UNREADABLE]  # whose text stands in the content
    if not readable:
        return turn
    written = [f'{{"name": {_json(each.get("name"))}, "arguments": {_text(each.get("arguments"))}}}' for each in readable]
    texts = (content_text(turn.get("content")), f'{{"tool_calls": [{", ".join(written)}]}}')
    return {**turn, "content": "\n".join(filter(None, texts))}


def _text(arguments: Any) -> str:
    return (arguments if isinstance(arguments, str) else json.dumps(arguments or {})).strip() or "{}"


def _json(value: Any) -> str:
    return sendable(json.dumps(value, ensure_ascii=False))


def with_calls(response: ChatCompletionResponse, conversation: Iterable[Any], *, broken: bool = True) -> ChatCompletionResponse:
    """A response with the calls in its first choice's text as calls; itself if there is no call. See `read_turn`."""
    words, calls = read_turn(response.text or "", conversation, response.id, broken=broken)
    if not calls:
        return response
    changed = deepcopy(response)
    vars(changed.choices[0])["finish_reason"] = "tool_calls"
    vars(changed.choices[0].message).update(content=words, tool_calls=calls)
    mark_private(changed)
    return changed


def read_turn(text: str, conversation: Iterable[Any], origin: object, *, broken: bool = True) -> tuple[str, list[ToolCall]]:
    """The words of a turn beside its calls; and the calls, with ids made of the response's id, `origin`.

    What was to be of the form and is not, stays in the text; if `broken`, it is also the argument of a call of `UNREADABLE`.
    `conversation` is what the turn answers, as `sealed_messages` made it.
    """
    words, calls, position = "", list[ToolCall](), 0
    if blocks := _blocks(text):
        others = [message for message in map(members, conversation) if message.get("role") != "assistant"]
        quoted = _bare("\n".join(content_text(message.get("content")) or "" for message in others))
        blocks = [block for block in blocks if block[2] is None or _bare(text[block[0] : block[1]]) not in quoted]
    for start, end, found in blocks:
        if found is not None:
            fence = _OPENING_FENCE.search(text, position, start)
            words += text[position : fence.start() if fence else start]
            closing = _CLOSING_FENCE.match(text, end)
            position = closing.end() if closing else end
        unreadable = [{"name": UNREADABLE, "arguments": text[start:end]}] if broken else []
        for call in unreadable if found is None else found:
            function = ToolCallFunction(name=sendable(call["name"]), arguments=_text(call.get("arguments")))
            calls.append(ToolCall(id=f"{SEALED_ID}{str(origin)[-24:]}_{len(calls)}", function=function))
    return words + text[position:], calls


def _blocks(text: str) -> list[tuple[int, int, list[dict[str, Any]] | None]]:
    """Where objects of calls begin and end in a text, outside of its reasoning; with their calls, None if unreadable."""
    found: list[tuple[int, int, list[dict[str, Any]] | None]] = []
    position, thinks = 0, _THOUGHT.match(text) is not None
    while mark := _MARK.search(text, position):
        start, position = mark.span()
        if mark[0].startswith("<"):
            found, thinks = [], False
            continue
        calls = None
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + len(text[start:].partition("\n```")[0])
        else:
            given = value["tool_calls"]
            entries = [members(each) for each in (given if is_array(given) else [given])]
            calls = entries if all(isinstance(each.get("name"), str) and each["name"] for each in entries) else None
        line = text[text.rfind("\n", 0, start) + 1 : start]
        # A form that is spoken of, within a sentence or between backticks, is no attempt at a call.
        if _ALONE.fullmatch(line) or (calls is not None and not line.endswith("`")):
            found.append((start, end, calls))
            position = end
    return [] if thinks else found


class Prose:
    """The text of a turn while it is written: it shows at once what cannot be part of a call."""

    def __init__(self) -> None:
        self.shown: int = 0  # how many characters could be shown; the others are shown at the end, but for calls
        self._held: str | None = ""

    def feed(self, piece: str) -> str:
        """Takes a piece of the text; gives what can be shown."""
        if self._held is None:
            return ""
        text = self._held + piece
        opened = _OPENED.search(text)
        found = opened or next(_MAY_OPEN.finditer(text, len(text) - 200))  # which is at the text's end if nowhere else
        end = found.start()
        self._held, self.shown = None if opened else text[end:], self.shown + end
        return text[:end]
