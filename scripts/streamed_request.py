"""Draws one streamed request, from the call to the end of the stream, in SVG, for light and dark pages.

`python -m scripts.streamed_request` writes `docs/explanations/streamed-request.svg` anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from scripts.svg import HEAD, STYLE, arrow, document, words

PAGE = Path(__file__).parents[1] / "docs" / "explanations" / "streamed-request.svg"
_WIDTH, _TOP, _ROW = 760, 66, 32
_STYLE = f"""{STYLE}
  .line {{ stroke: #90a4ae; stroke-dasharray: 3 4 }}
  .sent {{ font-size: 12px }}
  .note {{ font-size: 12px; font-style: italic }}
"""
LANES = {"your program": 100, "the client": 380, "Venice": 660}
PROGRAM, CLIENT, VENICE = LANES


class Step(NamedTuple):
    """What one sends to another; or, if both are the same, what it does. A weak one goes no further."""

    start: str
    end: str
    text: str
    is_weak: bool = False


STEPS = [
    Step(PROGRAM, CLIENT, "await stream(model=..., messages=...)"),
    Step(CLIENT, CLIENT, "checks parameters, budget and limits"),
    Step(CLIENT, VENICE, "POST /chat/completions"),
    Step(VENICE, CLIENT, "200, text/event-stream"),
    Step(CLIENT, PROGRAM, "the stream"),
    Step(PROGRAM, CLIENT, "async for text in stream.text_deltas()"),
    Step(VENICE, CLIENT, 'chunk with "One"'),
    Step(CLIENT, PROGRAM, '"One"'),
    Step(VENICE, CLIENT, "comment, to keep the connection open", is_weak=True),
    Step(VENICE, CLIENT, 'chunk with " bridge."'),
    Step(CLIENT, PROGRAM, '" bridge."'),
    Step(VENICE, CLIENT, 'chunk with finish_reason "stop"'),
    Step(VENICE, CLIENT, "chunk with the usage"),
    Step(VENICE, CLIENT, "[DONE]"),
    Step(CLIENT, CLIENT, "every choice has its finish reason: complete"),
    Step(CLIENT, PROGRAM, "the loop ends"),
    Step(CLIENT, PROGRAM, "or, cut earlier: StreamInterruptedError", is_weak=True),
]


def drawn() -> str:
    """The picture."""
    bottom = _TOP + _ROW * len(STEPS)
    parts = [words(x, 24, name) for name, x in LANES.items()]
    parts += [f'<path class="line" d="M{x} 34V{bottom}"/>' for x in LANES.values()]
    for row, step in enumerate(STEPS):
        parts += _step(step, _TOP + _ROW * row)
    return document("One streamed request", _WIDTH, bottom + 10, _STYLE, [HEAD, *parts])


def _step(step: Step, y: int) -> list[str]:
    start, end = LANES[step.start], LANES[step.end]
    if start == end:
        width = 7 * len(step.text)
        return [
            f'<rect x="{start - width / 2:g}" y="{y - 14}" width="{width}" height="22" rx="4"/>',
            words(start, y + 1, step.text, "note"),
        ]
    return [arrow(f"M{start} {y}H{end}", is_weak=step.is_weak), words((start + end) / 2, y - 6, step.text, "sent")]


if __name__ == "__main__":
    PAGE.write_text(drawn(), "utf-8")
