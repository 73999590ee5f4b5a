"""`venice-chat sessions`: lists, shows, searches, exports and deletes the conversations that `chat` keeps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

import click

from ..types.api.chat import content_text
from . import _output
from ._session_store import Session, SessionStore
from ._tables import screen_width, table

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_name = click.argument("name", required=False)
_HEAD = ("NAME", "LAST USED", "MESSAGES", "MODEL", "COST", "FIRST WORDS")
_LEAVE_OUT = ("COST", "MESSAGES", "MODEL")


@click.group()
def sessions() -> None:
    """Look into the conversations that 'chat' keeps, in one file that only you may read.

    Without a NAME, the last one that was used is meant. 'venice-chat chat -c' goes on with it.
    """


@sessions.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """List the sessions, the last one that was used first."""
    with closing(SessionStore()) as store:
        found = store.sessions()
    if as_json:
        _output.line(json.dumps([each._asdict() for each in found], indent=2))
    elif found:
        _output.line(
            table([_HEAD, *map(_row, found)], numbers=_LEAVE_OUT[:2], leave_out=_LEAVE_OUT, width=screen_width() or 160)
        )
    else:
        _output.note("no session is kept")


@sessions.command()
@_name
@_as_json
def show(name: str | None, as_json: bool) -> None:
    """Show every message of a session: reasoning, tool calls, models, cost, and how far the enclave was verified."""
    _print(name, as_json, lambda each: f"{_heading(each)}\n{_text(each)}\n")


@sessions.command()
@_name
@_as_json
def export(name: str | None, as_json: bool) -> None:
    """Print a session as Markdown, or with --json all that is known of it."""
    _print(name, as_json, markdown)


@sessions.command()
@click.argument("words", nargs=-1, required=True)
@_as_json
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Find the messages in which all of the WORDS stand. Encrypted sessions are not searched."""
    with closing(SessionStore()) as store:
        found: list[dict[str, Any]] = [
            dict(zip(("session", "at", "role", "excerpt"), each, strict=True)) for each in store.search(words)
        ]
    if as_json:
        _output.line(json.dumps(found, indent=2))
    elif not found:
        _output.note("these words stand in no message")
    for each in () if as_json else found:
        _output.line("{session}  {time}  {role}: {excerpt}".format(**each, time=_time(each["at"])))


@sessions.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_as_json
def delete(names: tuple[str, ...], as_json: bool) -> None:
    """Delete sessions; their text is overwritten. 'spend' still counts what they cost."""
    with closing(SessionStore()) as store:
        for found in [store.find(name) for name in names]:
            store.delete(found)
    _output.line(json.dumps({"deleted": names})) if as_json else _output.note(f"deleted: {', '.join(names)}")


def markdown(record: dict[str, Any]) -> str:
    """A message as a section of a Markdown document."""
    return f"## {_heading(record)}\n\n{_text(record)}\n"


def _row(each: Session) -> tuple[str, ...]:
    words = "(encrypted)" if each.encrypted else " ".join((each.first or "").split())
    return each.name, _time(each.used), f"{each.messages}", each.model or "-", f"${each.cost_usd:.4f}", words


def _print(name: str | None, as_json: bool, written: Callable[[dict[str, Any]], str]) -> None:
    with closing(SessionStore()) as store:
        session = store.find(name)
        records = store.records(session)
    whole = {**session._asdict(), "messages": records}
    _output.line(json.dumps(whole, indent=2) if as_json else "\n".join(map(written, records)).rstrip())


def _heading(record: dict[str, Any]) -> str:
    told = [record["message"]["role"], _time(record["at"])]
    if asked := record.get("asked"):
        model, cost, level, end = (record[name] for name in ("model", "cost_usd", "level", "finish_reason"))
        told += [asked if model in {None, asked} else f"{model} (asked: {asked})", "" if cost is None else f"${cost:.6f}"]
        told += [level and f"enclave verified: {level}", "" if end == "stop" else f"ended: {end or 'broke off'}"]
    return ", ".join(filter(None, told))


def _text(record: dict[str, Any]) -> str:
    return "\n\n".join(_parts(record["message"]))


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
