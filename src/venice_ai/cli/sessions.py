"""`venice-chat sessions`: lists, shows, searches, exports and deletes the conversations that `chat` keeps."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import click

from ..types.api.chat import content_text
from . import _output
from ._options import json_option
from ._session_store import SessionStore
from ._tables import show as show_table

_COLUMNS = {"NAME": "{name}", "LAST USED": "{time}", "MESSAGES": "{messages}", "MODEL": "{model}"}
_COLUMNS |= {"COST": "${cost_usd:.4f}", "FIRST WORDS": "{first}"}


@click.group()
def sessions() -> None:
    """Look into the conversations that 'chat' keeps, in one file that only you may read.

    Without a NAME, the last one that was used is meant. 'venice-chat chat -c' goes on with it.
    """


@sessions.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the sessions, the last one that was used first."""
    with closing(SessionStore()) as store:
        found = store.sessions()
    rows = found if as_json else [{**each, "time": _time(each["used"])} for each in found]
    show_table(rows, _COLUMNS, ("COST", "MESSAGES", "MODEL"), as_json=as_json, empty="no session is kept")


@sessions.command("export")
@sessions.command("show")
@click.argument("name", required=False)
@json_option
def show(name: str | None, as_json: bool) -> None:
    """Print a session as Markdown: each message with its reasoning, tool calls, model, cost, and its enclave's level."""
    with closing(SessionStore()) as store:
        session = store.find(name)
        records = store.records(session["name"])
    if as_json:
        _output.as_json({**session, "messages": records})
    else:
        _output.line("\n".join(map(markdown, records)).rstrip())


@sessions.command()
@click.argument("words", nargs=-1, required=True)
@json_option
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Find the messages in which all of the WORDS stand. Encrypted sessions are not searched."""
    with closing(SessionStore()) as store:
        found = store.search(words)
    rows = found if as_json else [{**each, "time": _time(each["at"])} for each in found]
    columns = {"SESSION": "{session}", "TIME": "{time}", "ROLE": "{role}", "EXCERPT": "{excerpt}"}
    show_table(rows, columns, ("ROLE", "TIME"), as_json=as_json, empty="these words stand in no message")


@sessions.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@json_option
def delete(names: tuple[str, ...], as_json: bool) -> None:
    """Delete sessions; their text is overwritten. 'spend' still counts what they cost."""
    with closing(SessionStore()) as store:
        for found in [store.find(name) for name in names]:
            store.delete(found["name"])
    _output.as_json({"deleted": names}) if as_json else _output.note(f"deleted: {', '.join(names)}")


def markdown(record: dict[str, Any]) -> str:
    """A message as a section of a Markdown document."""
    return "## {}\n\n{}\n".format(_heading(record), "\n\n".join(_parts(record["message"])))


def _heading(record: dict[str, Any]) -> str:
    told = [record["message"]["role"], _time(record["at"])]
    if asked := record.get("asked"):
        model, cost, level, end = (record[name] for name in ("model", "cost_usd", "level", "finish_reason"))
        told += [asked if model in {None, asked} else f"{model} (asked: {asked})", "" if cost is None else f"${cost:.6f}"]
        told += [level and f"enclave verified: {level}", "" if end == "stop" else f"ended: {end or 'broke off'}"]
    return ", ".join(filter(None, told))


def _parts(message: dict[str, Any]) -> Iterable[str]:
    if reasoning := message.get("reasoning_content"):
        yield "\n".join(f"> {line}" for line in str(reasoning).splitlines())
    if text := content_text(message.get("content")):
        yield text
    parts = message["content"] if isinstance(message.get("content"), list) else ()
    yield from (f"[{each.get('type')}]" for each in parts if each.get("type") != "text")
    for call in message.get("tool_calls") or ():
        yield f"tool call: {call['function']['name']}({call['function']['arguments']})"


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
