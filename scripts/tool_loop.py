"""Draws the states of a tool loop, in SVG, for light and dark pages.

`python -m scripts.tool_loop` writes `docs/guide/tool-loop.svg` anew.
"""

from __future__ import annotations

from pathlib import Path

from scripts.svg import BOX_HEIGHT, HEAD, STYLE, Box, arrow, box, document, words

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "tool-loop.svg"
_WIDTH, _HEIGHT, _RETURN, _BEND = 760, 400, 48, 470
BOXES = {
    "asking": Box(290, 90, 220, "asking the model", "the history and the tools are sent"),
    "checking": Box(290, 220, 220, "checking the calls", "arguments, then approve"),
    "running": Box(290, 350, 220, "running the calls", "each gets a result or an error"),
    "result": Box(640, 40, 210, "ToolLoopResult", "no calls: this is the answer", is_strong=True),
    "limit": Box(640, 140, 210, "MaxIterationsExceededError", "calls, but no round is left", is_strong=True),
    "paused": Box(640, 350, 210, "ToolLoopPausedError", "a call waits for a person", is_strong=True),
}


def drawn() -> str:
    """The picture."""
    asking, checking, running, result, limit, paused = BOXES.values()
    half, left, right = BOX_HEIGHT // 2, asking.x - asking.width // 2, asking.x + asking.width // 2
    end = result.x - result.width // 2
    parts = [
        f'<circle cx="{asking.x}" cy="22" r="7" fill="#00897b"/>',
        arrow(f"M{asking.x} 29V{asking.y - half}"),
        words(asking.x + 14, 27, "run_with_tools(...)", "verb"),
        arrow(f"M{asking.x} {asking.y + half}V{checking.y - half}"),
        words(asking.x + 8, (asking.y + checking.y) / 2 + 4, "the answer has calls", "verb"),
        arrow(f"M{checking.x} {checking.y + half}V{running.y - half}"),
        words(checking.x + 8, (checking.y + running.y) / 2 + 4, "those that need not wait", "verb"),
        arrow(f"M{right} {asking.y - 10}H{_BEND}V{result.y}H{end}"),
        arrow(f"M{right} {asking.y + 10}H{_BEND}V{limit.y}H{end}"),
        arrow(f"M{right} {running.y}H{end}"),
        arrow(f"M{paused.x} {paused.y - half}V{checking.y}H{right}"),
        words(right + 20, checking.y - 8, "resume=error.state, decisions={...}", "verb"),
        arrow(f"M{left} {running.y}H{_RETURN}V{asking.y}H{left}"),
        words(_RETURN + 8, (asking.y + checking.y) / 2 + 4, "every call has a result", "verb"),
        *(line for each in BOXES.values() for line in box(each)),
    ]
    return document("The states of a tool loop", _WIDTH, _HEIGHT, STYLE, [HEAD, *parts])


if __name__ == "__main__":
    PAGE.write_text(drawn(), "utf-8")
