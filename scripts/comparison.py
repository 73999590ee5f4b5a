"""Writes the table that compares clients into the README and the home page, from what `make bench` and `make faults` measured.

`python -m scripts.comparison` writes it anew.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from scripts.benchmark_chart import figures

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "README.md"
HOME = ROOT / "docs" / "index.md"
CLIENTS = ("venice-chat", "openai", "litellm", "pydantic-ai", "venice-py")
BEGIN, END = "<!-- comparison -->\n", "<!-- end of comparison -->\n"
_VERDICTS = {
    "cut taken for whole": "... a part of an answer taken for the whole",
    "invented": "... text, a call or a finish reason that nobody sent",
    "lost": "... text or a call that had arrived was lost",
    "sent too often": "... more requests sent than may be",
}
_FIGURES = {
    "`create`, 1 in flight, us a call": "CPU time of a plain call, one at a time, microseconds",
    "`create`, 10 in flight, us a call": "... 10 at once",
    "1 stream, a chunk every millisecond, us a chunk": "CPU time of a chunk, one stream, one every millisecond, microseconds",
    "100 streams, one event a packet, us a chunk": "... 100 streams at once, as fast as they are sent",
    "new process to the first `create`, ms": "CPU time from a new process to its first answer, milliseconds",
    "900 open streams, KB a stream": "memory of an open stream, 900 at once, KB",
}


def verdicts(scoreboard: str) -> dict[str, Counter[str]]:
    """How often each verdict was given to each client."""
    lines = [line.strip("| ").split(" | ") for line in scoreboard.splitlines() if line.startswith("| ")]
    clients = lines[0][1:]
    found: dict[str, Counter[str]] = {client: Counter() for client in clients}
    for _, *cells in lines[2:]:
        for client, cell in zip(clients, cells, strict=False):
            if verdict := re.match(r"\[([a-z ]+?)(?: \(.*\))?\]\(", cell):
                found[client][verdict[1]] += 1
    return found


def table() -> str:
    """The table."""
    found = verdicts((ROOT / "docs" / "scoreboard.md").read_text("utf-8"))
    measured = {row.title: row.figures for row in figures((ROOT / "docs" / "performance.md").read_text("utf-8"))}
    faults = found[CLIENTS[0]].total()
    rows = [["", *CLIENTS], ["---", *["---:"] * len(CLIENTS)]]
    rows.append([f"of {faults} faults, handled right", *(str(found[client]["right"]) for client in CLIENTS)])
    rows += [[title, *(str(found[client][verdict]) for client in CLIENTS)] for verdict, title in _VERDICTS.items()]
    rows += [[title, *(_figure(measured[row].get(client)) for client in CLIENTS)] for row, title in _FIGURES.items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _figure(figure: float | None) -> str:
    if figure is None:
        return "not measured"
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.1f}"


def drawn(page: Path = PAGE) -> str:
    """A page with the table of today."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    for each in (PAGE, HOME):
        each.write_text(drawn(each), "utf-8")
