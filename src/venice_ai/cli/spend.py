"""`venice-chat spend`: what chats cost, by day and model, as far as the server said so."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime, timedelta

import click

from . import _output
from ._session_store import SessionStore
from ._tables import screen_width, table

_HEAD = ("DAY", "MODEL", "ANSWERS", "TOKENS", "COST")


@click.command()
@click.option("--days", type=click.IntRange(1, 36_500), default=30, show_default=True, help="How many days, today included.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def spend(days: int, as_json: bool) -> None:
    """Sum what the answers cost that 'chat' kept. What is not kept (--no-log, --e2ee without --save) is not counted."""
    with closing(SessionStore()) as store:
        found = store.spent((datetime.now().astimezone() - timedelta(days - 1)).date().isoformat())
    total, untold = sum(row[4] for row in found), sum(row[5] for row in found)
    if as_json:
        names = ("day", "model", "answers", "tokens", "cost_usd", "without_cost")
        rows = [dict(zip(names, row, strict=True)) for row in found]
        _output.line(json.dumps({"total_usd": total, "rows": rows}, indent=2))
        return
    cells = [(day, model, f"{answers:,}", f"{tokens:,}", f"${cost:.6f}") for day, model, answers, tokens, cost, _ in found]
    cells.append(("total", "", f"{sum(row[2] for row in found):,}", f"{sum(row[3] for row in found):,}", f"${total:.6f}"))
    _output.line(table([_HEAD, *cells], numbers=_HEAD[2:], leave_out=("TOKENS", "ANSWERS"), width=screen_width()))
    if untold:
        _output.note(f"{untold:,} answers did not tell their cost")
