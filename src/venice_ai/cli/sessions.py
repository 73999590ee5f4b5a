"""`venice-chat sessions` and `venice-chat spend`: the conversations that `chat` keeps, and what they cost."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ..types.api.chat import content_text
from . import _options, _output
from ._conversations import SessionStore, session_names
from ._input import require_text

_COLUMNS = {"NAME": "{name}", "LAST USED": "{time}", "MESSAGES": "{messages}", "MODEL": "{model}"}
_COLUMNS.update({"COST": "{cost}", "FIRST WORDS": "{first}"})


@click.group(no_args_is_help=False)
def sessions() -> None:
    """Look into the conversations that 'chat' keeps, in one file that only you may read.

    Without a NAME, the last one that was used is meant. 'venice-chat chat -c' goes on with it.
    """


@sessions.command("list")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the last N that were used.")
@_options.json
def list_(limit: int | None, as_json: bool) -> None:
    """List the sessions, the last one that was used first. COST counts what was taken back, too; '?' is a cost not known."""
    with closing(SessionStore()) as store:
        found = store.sessions()[:limit]
    for each in () if as_json else found:
        each |= {"time": _time(each["used"]), "cost": f"${each['cost_usd']:.4f}{' + ?' * bool(each['without_cost'])}"}
    _output.table(found, _COLUMNS, ("MESSAGES", "LAST USED", "COST", "MODEL"), as_json=as_json, empty="no session is kept")


@sessions.command()
@click.argument("name", required=False, shell_complete=session_names)
@_options.json
def show(name: str | None, as_json: bool) -> None:
    """Print a session as Markdown: each message with its reasoning, tool calls, model, cost, and its enclave's level."""
    with closing(SessionStore()) as store:
        session = store.find(name)
        session["messages"] = store.records(session["name"])
    _output.write_json(session) if as_json else _output.line("\n".join(map(markdown, session["messages"])).rstrip())


sessions.add_command(show, "export")


@sessions.command()
@click.argument("words", nargs=-1, required=True)
@_options.json
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Find the messages in which all of the WORDS stand. Encrypted sessions are not searched."""
    require_text("the text to find", " ".join(words))
    with closing(SessionStore()) as store:
        found = store.search(words)
    rows = found if as_json else [{**each, "time": _time(each["at"])} for each in found]
    columns = {"SESSION": "{session}", "TIME": "{time}", "ROLE": "{role}", "EXCERPT": "{excerpt}"}
    _output.table(rows, columns, ("ROLE", "TIME"), as_json=as_json, empty="these words stand in no message")


@sessions.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=session_names)
@click.option("--yes", is_flag=True, help="Do not ask, which is done at a terminal.")
@_options.json
def delete(names: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete sessions; their text is overwritten. 'spend' still counts what they cost."""
    with closing(SessionStore()) as store:
        found = [store.find(name)["name"] for name in names]
        if not yes and sys.stdin is not None and sys.stdin.isatty():
            _output.aside(f"delete {', '.join(map(repr, found))}? [y/N] ")
            if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
                return
        for name in found:
            store.delete(name)
    _output.write_json({"deleted": names}) if as_json else _output.note(f"deleted: {', '.join(names)}")


@click.command()
@click.option("--days", type=click.IntRange(1, 36_500), default=30, show_default=True, help="How many days, today included.")
@_options.json
def spend(days: int, as_json: bool) -> None:
    """Sum what the answers cost that 'chat' kept. What is not kept (--no-log, --e2ee without --save) is not counted."""
    with closing(SessionStore()) as store:
        found = store.spent((datetime.now().astimezone() - timedelta(days - 1)).date().isoformat())
    sums = {name: sum(row[name] for row in found) for name in ("answers", "tokens", "cost_usd", "without_cost")}
    totals = {"total_usd": round(sums["cost_usd"], 9), "rows": found}
    rows = totals if as_json else [*found, {"day": "total", "model": "", **sums}]
    columns = {"DAY": "{day}", "MODEL": "{model}", "ANSWERS": "{answers:,}", "TOKENS": "{tokens:,}", "COST": "${cost_usd:.6f}"}
    _output.table(rows, columns, ("TOKENS", "ANSWERS"), as_json=as_json)
    if sums["without_cost"] and not as_json:
        _output.note(f"how many answers did not tell their cost: {sums['without_cost']:,}")


def markdown(record: dict[str, Any]) -> str:
    """A message as a section of a Markdown document."""
    heading = [record["message"]["role"], _time(record["at"])]
    if asked := record.get("asked"):
        model, cost, level, end = (record[name] for name in ("model", "cost_usd", "level", "finish_reason"))
        heading += [asked if model in {None, asked} else f"{model} (asked: {asked})", "" if cost is None else f"${cost:.6f}"]
        heading += [level and f"enclave verified: {level}", "" if end == "stop" else f"ended: {end or 'broke off'}"]
    parts = [*_parts(record["message"]), *(f"[attached: {name}]" for name in record.get("attached", ()))]
    for number, other in enumerate(record.get("others", ()), 2):
        parts += [f"### answer {number}", *_parts(other)]
    return "## {}\n\n{}\n".format(", ".join(filter(None, heading)), "\n\n".join(parts))


def _parts(message: dict[str, Any]) -> Iterable[str]:
    if reasoning := message.get("reasoning_content"):
        yield "\n".join(f"> {line}" for line in str(reasoning).splitlines())
    if text := content_text(message.get("content")):
        yield text
    for call in message.get("tool_calls") or ():
        yield f"tool call: {call['function']['name']}({call['function']['arguments']})"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d %H:%M}"
