"""Draws the six time limits of a streamed call on a time line, in SVG, for light and dark pages.

`python -m scripts.time_limits` writes `docs/guide/time-limits.svg` anew.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from scripts.svg import document, words

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "time-limits.svg"
_WIDTH, _LEFT, _TOP, _ROW, _BAR = 760, 104, 74, 30, 14
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #37474f }
  .name { font: 600 13px ui-monospace, Menlo, Consolas, monospace; text-anchor: end; fill: #134e4a }
  .phase { text-anchor: middle; font-size: 12px }
  .bar { fill: #4db6ac; stroke: #00796b }
  .line { stroke: #90a4ae; stroke-dasharray: 3 4 }
  .axis { stroke: #546e7a; stroke-width: 1.5 }
  .content { fill: #00796b }
  .comment { fill: none; stroke: #00796b; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #cfd8dc }
    .name { fill: #80cbc4 }
    .bar { fill: #00695c; stroke: #4db6ac }
    .line { stroke: #607d8b }
    .axis { stroke: #b0bec5 }
    .content { fill: #80cbc4 }
    .comment { stroke: #80cbc4 }
  }
"""


class Span(NamedTuple):
    """A part of the time line, in points from its left."""

    start: int
    end: int


class Event(NamedTuple):
    """Bytes of a stream that arrive: content, or a comment that only keeps the connection open."""

    at: int
    is_content: bool = True


CALL, SENT = Span(0, 640), 170
PHASES = {"in the queue": Span(0, 90), "connecting": Span(90, 170), "waiting": Span(170, 310), "the stream": Span(310, 640)}
EVENTS = (
    Event(310),
    Event(370),
    Event(420, is_content=False),
    Event(470, is_content=False),
    Event(520),
    Event(580),
    Event(640),
)


def gaps(times: list[int]) -> list[Span]:
    """The spans between one time and the next."""
    return [Span(one, other) for one, other in pairwise(times)]


def limits() -> dict[str, list[Span]]:
    """What each limit bounds, by its name."""
    return {
        "queue": [PHASES["in the queue"]],
        "connect": [PHASES["connecting"]],
        "first_chunk": [Span(SENT, EVENTS[0].at)],
        "idle": gaps([event.at for event in EVENTS]),
        "progress": gaps([event.at for event in EVENTS if event.is_content]),
        "deadline": [CALL],
    }


def drawn() -> str:
    """The picture."""
    bottom = _TOP + _ROW * len(limits())
    parts: list[str] = []
    for name, span in PHASES.items():
        middle = _LEFT + (span.start + span.end) / 2
        parts.append(words(middle, 18, name, "phase"))
        parts.append(_vertical(span.start, bottom))
    parts.append(_vertical(CALL.end, bottom))
    parts.append(f'<path class="axis" d="M{_LEFT} 44H{_LEFT + CALL.end}"/>')
    for at, is_content in EVENTS:
        parts.append(f'<circle class="{"content" if is_content else "comment"}" cx="{_LEFT + at}" cy="44" r="5"/>')
    for row, (name, spans) in enumerate(limits().items()):
        y = _TOP + _ROW * row
        parts.append(words(_LEFT - 10, y + 11, name, "name"))
        for start, end in spans:
            place = f'x="{_LEFT + start + 2}" y="{y}" width="{end - start - 4}" height="{_BAR}"'
            parts.append(f'<rect class="bar" {place} rx="3"/>')
    parts.append(f'<circle class="content" cx="{_LEFT + 6}" cy="{bottom + 20}" r="5"/>')
    parts.append(words(_LEFT + 18, bottom + 25, "content arrives"))
    parts.append(f'<circle class="comment" cx="{_LEFT + 156}" cy="{bottom + 20}" r="5"/>')
    parts.append(words(_LEFT + 168, bottom + 25, "a comment, or an empty chunk, arrives"))
    return document("The six time limits of a streamed call", _WIDTH, bottom + 40, _STYLE, parts)


def _vertical(at: int, bottom: int) -> str:
    return f'<path class="line" d="M{_LEFT + at} 26V{bottom}"/>'


if __name__ == "__main__":
    PAGE.write_text(drawn(), "utf-8")
