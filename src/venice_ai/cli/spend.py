"""`venice-chat spend`: what chats cost, by day and model, as far as the server said so."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta

import click

from . import _output
from ._options import json_option
from ._session_store import SessionStore
from ._tables import show


@click.command()
@click.option("--days", type=click.IntRange(1, 36_500), default=30, show_default=True, help="How many days, today included.")
@json_option
def spend(days: int, as_json: bool) -> None:
    """Sum what the answers cost that 'chat' kept. What is not kept (--no-log, --e2ee without --save) is not counted."""
    with closing(SessionStore()) as store:
        found = store.spent((datetime.now().astimezone() - timedelta(days - 1)).date().isoformat())
    sums = {name: sum(row[name] for row in found) for name in ("answers", "tokens", "cost_usd", "without_cost")}
    if as_json:
        _output.as_json({"total_usd": sums["cost_usd"], "rows": found})
        return
    columns = {"DAY": "{day}", "MODEL": "{model}", "ANSWERS": "{answers:,}", "TOKENS": "{tokens:,}", "COST": "${cost_usd:.6f}"}
    show([*found, {"day": "total", "model": "", **sums}], columns, ("TOKENS", "ANSWERS"), as_json=False)
    if sums["without_cost"]:
        _output.note(f"{sums['without_cost']:,} answers did not tell their cost")
