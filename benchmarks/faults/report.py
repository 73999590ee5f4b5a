"""The pages of the scoreboard: a table, and for each group of faults a page with the evidence of every cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.faults.fault import Fault
from benchmarks.faults.heard import Heard
from benchmarks.faults.run import Cell, Client
from benchmarks.faults.verdict import RIGHT, WORDS, worst

_HEAD = """\
# Scoreboard

What callers of five clients get when a server, a proxy or a network misbehaves. Each cell is a verdict, and leads to what
the client was sent and what its caller got. The list of faults is our own, and so is the rule that judges all clients:
whoever doubts a verdict can read its evidence, or run it all again with `make faults`.
"""
_FOOT = """\
## How this is judged

Each client runs in an environment and a process of its own against a server that sends exactly the bytes of the fault, with
`timeout=3` and otherwise its own defaults. `benchmarks/faults/catalogue.py` says for each fault what is right, and
`benchmarks/faults/verdict.py` compares what the caller got with that, for all clients by the same code. A client is called
in several ways (asynchronous and synchronous, with and without a stream); the cell shows the worst.
"""


def lines(cells: Sequence[Cell]) -> str:
    """A line for each cell that is not right, and how many are."""
    wrong = [cell for cell in cells if cell.verdict != RIGHT]
    wrong_lines = [f"{c.client.title:12} {c.fault.name} [{c.kind}, {c.way}]: {c.verdict}: {_got(c.heard)}" for c in wrong]
    return "\n".join([*wrong_lines, f"{len(cells) - len(wrong)} of {len(cells)} are right"])


def write(page: Path, cells: Sequence[Cell], day: str, versions: Iterable[str]) -> None:
    """The page with the table, and the evidence in a folder of its name."""
    faults = list(dict.fromkeys(cell.fault.name for cell in cells))
    clients = list(dict.fromkeys(cell.client for cell in cells))
    by_name = {name: [cell for cell in cells if cell.fault.name == name] for name in faults}
    groups = groupby(by_name.values(), key=lambda found: found[0].fault.group)
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    table: list[str] = [_row(["fault", *(client.title for client in clients)]), _row(["---"] * (1 + len(clients)))]
    for group, rows in groups:
        file = f"{_slug(group)}.md"
        rows_of_group = list(rows)
        table += [_row([f"**{group}**", *[""] * len(clients)])]
        table += [_table_row(found, clients, f"{folder.name}/{file}") for found in rows_of_group]
        (folder / file).write_text(_evidence(group, rows_of_group, clients))
    page.write_text(_page(table, cells, clients, day, versions))


def _page(table: list[str], cells: Sequence[Cell], clients: Sequence[Client], day: str, versions: Iterable[str]) -> str:
    scores: list[str] = []
    for client in clients:
        verdicts = _verdicts([cell for cell in cells if cell.client == client])
        scores.append(f"- {client.title}: {sum(each == RIGHT for each in verdicts)} of {len(verdicts)} faults right")
    words = [f"- **{word}**: {meaning}." for word, meaning in WORDS.items()]
    ran = [f"- {client.title}: {version}" for client, version in zip(clients, versions, strict=True)]
    parts = [
        _HEAD,
        *scores,
        "",
        "The verdicts, the gravest first:",
        "",
        *words,
        "",
        *table,
        "",
        _FOOT,
        f"Run on {day} with:",
        "",
    ]
    return "\n".join([*parts, *ran, ""])


def _table_row(found: Sequence[Cell], clients: Sequence[Client], file: str) -> str:
    fault = found[0].fault
    cells = [
        f"[{_summary([cell for cell in found if cell.client == client])}]({file}#{fault.anchor}-{_slug(client.title)})"
        for client in clients
    ]
    return _row([fault.name, *cells])


def _summary(cells: Sequence[Cell]) -> str:
    """The worst verdict; how many of the ways it is for, if not for all."""
    verdicts = [cell.verdict for cell in cells]
    found = worst(verdicts)
    share = "" if found == RIGHT or verdicts.count(found) == len(verdicts) else f" ({verdicts.count(found)} of {len(verdicts)})"
    return f"{found}{share}"


def _verdicts(cells: Sequence[Cell]) -> list[str]:
    names = dict.fromkeys(cell.fault.name for cell in cells)
    return [worst([cell.verdict for cell in cells if cell.fault.name == name]) for name in names]


def _evidence(group: str, rows: Sequence[Sequence[Cell]], clients: Sequence[Client]) -> str:
    parts: list[str] = [f"# {group}", "", "The evidence of the [scoreboard](../scoreboard.md)."]
    for found in rows:
        fault = found[0].fault
        retries = "" if fault.retries is None else f" Each client is told to try again {fault.retries} times."
        parts += [
            "",
            f"## {fault.name}",
            "",
            f"{fault.does} Right is: {fault.right.sentence()}.{retries}",
            "",
            *_ways(fault, found, clients),
        ]
    return "\n".join([*parts, ""])


def _ways(fault: Fault, found: Sequence[Cell], clients: Sequence[Client]) -> list[str]:
    """What the caller got; ways of a client that got the same share a row."""
    rows = [_row(["client", "called by", "verdict", "what the caller got"]), _row(["---"] * 4)]
    for client in clients:
        same: dict[tuple[str, str], list[str]] = {}
        for cell in found:
            if cell.client == client:
                way = cell.way if len(fault.kinds) == 1 else f"{cell.kind}: {cell.way}"
                same.setdefault((cell.verdict, _got(cell.heard)), []).append(way)
        anchor = f'<a id="{fault.anchor}-{_slug(client.title)}"></a>{client.title}'
        for (verdict, got), ways in same.items():
            rows.append(_row([anchor, "; ".join(ways), verdict, _escaped(got)]))
            anchor = client.title
    return rows


def _got(heard: Heard) -> str:
    """In one line: text, finish reason, calls, error; how many requests were sent, and how long it took."""
    text = heard.text if len(heard.text) < 60 else f"{heard.text[:20]}... ({len(heard.text)} characters)"
    facts = [f"text `{text}`" if text else "no text"]
    if heard.calls:
        facts.append("calls " + ", ".join(f"`{each}`" for each in heard.calls))
    if heard.finish:
        facts.append(f"finish reason `{heard.finish}`")
    if heard.error:
        status = f" (status {heard.status})" if heard.status else ""
        facts.append(f"`{heard.error}`{status}: {heard.message[:160]}")
    if not heard.over:
        facts = ["not over"]
    requests = "1 request" if heard.requests == 1 else f"{heard.requests} requests"
    return f"{'; '.join(facts)}; {requests}; {_seconds(heard.seconds)}"


def _seconds(seconds: float) -> str:
    """Rounded, so that two runs can be compared."""
    return "under 1 s" if seconds < 1 else f"{seconds:.0f} s"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _slug(text: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in text.lower()).split())
