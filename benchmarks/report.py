"""What a run found, as Markdown: a table with a row a measure and a column a contender, and the words around it."""

from collections.abc import Iterable, Sequence

from benchmarks.contenders import OURS, Contender
from benchmarks.measures import Measure
from benchmarks.rounds import Results

_SUMMARY = """\
How much of a processor and of memory this client takes for what it does, beside other clients and beside what one would
write by hand. Our column is the first; in brackets after each other figure is ours divided by it, so that below 1 we took
less. A model takes seconds where a client takes fractions of a millisecond: these figures matter where one process holds
many streams, or starts for each call.\
"""
_METHOD = """\
## How this is measured

CPU time, user and system, of the client's process; for open streams, by how much its resident memory grows. All contenders
are measured in turn in one run, each in an environment of its own, against a server on the loopback interface that runs
on another core, and each figure is the median over the rounds. Absolute figures differ from machine to machine: trust
the ratios.

Every stream is read chunk by chunk, the text of each is taken, and its length is compared with what was sent.
In "one event a packet" the server sends each event by a write of its own with Nagle's algorithm off, and as fast as it
can. That is faster than most clients read, so they find several packets when they look. In "a chunk every millisecond"
they find one; there the event loop and the system calls are most of the cost, the same for all. "16 KB writes" cut
the same events where the 16 KB end. "aiohttp, lines" is what one writes by hand, with `json.loads`; "aiohttp, reads" takes
whatever has arrived. "bare" is the floor: of calls a socket that blocks and checks nothing, with the standard library alone;
of envelopes the package cryptography alone. venice-py reads no event of more than 512 KB.
The synchronous clients block the thread that calls them; each SDK's own is measured, with all its threads.\
"""
_CHART = "![CPU time of some rows of the table, as bars](performance.svg)"
_LEGEND = """\
Behind the ratio in brackets is the most that was promised, if something was. In our own column the promise is of the figure
itself.\
"""


def page(*, heading: str, surroundings: Iterable[str], table: str, notes: Sequence[str]) -> str:
    """What a reader wants to know first, then the table, and last how it came about and with which versions."""
    facts = "\n".join(f"- {fact}" for fact in surroundings)
    remarks = "\n".join(f"- {note}" for note in notes)
    parts = [f"# {heading}", _SUMMARY, _CHART, table, _LEGEND, remarks, _METHOD, facts]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(measures: Sequence[Measure], contenders: Sequence[Contender], results: Results) -> str:
    rows = [[f"{measure.title}, {measure.unit}", *_cells(measure, contenders, results)] for measure in measures]
    return _markdown([["", *(contender.title for contender in contenders)], *rows])


def _cells(measure: Measure, contenders: Sequence[Contender], results: Results) -> list[str]:
    return [_cell(measure, contender, results) for contender in contenders]


def _cell(measure: Measure, contender: Contender, results: Results) -> str:
    if results.failed(measure, contender):
        return "failed"
    figure = results.figure(measure, contender)
    if figure is None:
        return ""
    ours = figure if contender is OURS else results.figure(measure, OURS)
    promised = measure.promises.get(contender)
    ratio = ours if contender is OURS else ours and max(0.0, ours / figure)
    return f"{_number(figure)}{_verdict(ratio, promised, show_ratio=contender is not OURS)}"


def _verdict(measured: float | None, promised: float | None, *, show_ratio: bool) -> str:
    if measured is None:
        return ""
    if promised is None:
        return f" ({_ratio(measured)})" if show_ratio else ""
    shown = f"{_ratio(measured)} " if show_ratio else ""
    return f" ({shown}<= {promised:.3g} {'ok' if measured <= promised else 'MISSED'})"


def missed(measures: Iterable[Measure], results: Results) -> list[str]:
    """The promises not kept, a line each."""
    return [
        f"missed: {measure.title}, {contender.title}: {cell}"
        for measure in measures
        for contender in measure.promises
        if "MISSED" in (cell := _cell(measure, contender, results))
    ]


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"


def _markdown(rows: list[list[str]]) -> str:
    """The first row is the head. Columns are as wide as their widest cell, so the text reads as well as the page."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    head, *body = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))] for row in rows
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *body])
