"""Draws what an attestation is made of, and what vouches for what in it, in SVG, for light and dark pages.

`python -m scripts.chain_of_trust` writes `docs/explanations/chain-of-trust.svg` anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

PAGE = Path(__file__).parents[1] / "docs" / "explanations" / "chain-of-trust.svg"
_WIDTH, _HEIGHT, _BOX_HEIGHT = 760, 560, 50
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #134e4a; text-anchor: middle }
  .about { font-size: 11px; fill: #44615e }
  .verb { font-size: 12px; fill: #546e7a; text-anchor: start }
  rect { fill: #e6f2f1; stroke: #00897b }
  .root { stroke-width: 3 }
  .arrow { fill: none; stroke: #26a69a; stroke-width: 1.5 }
  .weak { stroke-dasharray: 4 4 }
  marker path { fill: #26a69a }
  @media (prefers-color-scheme: dark) {
    text { fill: #e0f2f1 }
    .about { fill: #b2dfdb }
    .verb { fill: #b0bec5 }
    rect { fill: #17403c; stroke: #4db6ac }
    .arrow { stroke: #4db6ac }
    marker path { fill: #4db6ac }
  }
"""


class Box(NamedTuple):
    """A thing: where its middle is, how wide it is, what it is called, and what else there is to say of it."""

    x: int
    y: int
    width: int
    title: str
    about: str
    is_root: bool = False


class Arrow(NamedTuple):
    """What one thing does to another. A weak arrow is a statement that nothing proves."""

    start: str
    end: str
    verb: str
    is_weak: bool = False


BOXES = {
    "intel": Box(270, 40, 200, "Intel's root certificate", "pinned in this package", is_root=True),
    "platform": Box(270, 135, 200, "the platform's certificate", "of one processor"),
    "collateral": Box(80, 135, 130, "Intel's collateral", "revocation, firmware"),
    "key": Box(270, 230, 200, "the attestation key", "of the quoting enclave"),
    "quote": Box(270, 325, 200, "the quote", "nonce, key's address, registers"),
    "nonce": Box(80, 325, 130, "the nonce", "of your client"),
    "log": Box(182, 420, 166, "the event log", "image, compose file"),
    "model": Box(358, 420, 166, "the model's public key", "private key: in the enclave"),
    "messages": Box(358, 515, 166, "your messages", "and the answer"),
    "nvidia": Box(640, 40, 200, "NVIDIA's root certificate", "pinned in this package", is_root=True),
    "device": Box(640, 135, 200, "a GPU's certificate", "one for each GPU"),
    "gpu": Box(640, 230, 200, "a GPU's evidence", "the same nonce, firmware"),
}
ARROWS = [
    Arrow("intel", "platform", "signs"),
    Arrow("collateral", "platform", ""),
    Arrow("platform", "key", "signs"),
    Arrow("key", "quote", "signs"),
    Arrow("nonce", "quote", ""),
    Arrow("quote", "log", "has its hash"),
    Arrow("quote", "model", "has its hash"),
    Arrow("model", "messages", "encrypts"),
    Arrow("nvidia", "device", "signs"),
    Arrow("device", "gpu", "signs"),
    Arrow("gpu", "model", "not proven: the same machine", is_weak=True),
]


def drawn() -> str:
    """The picture."""
    head = (
        '<marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto"><path d="M0 0L9 4L0 8z"/></marker>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
            "<title>The chain of trust of an attestation</title>",
            f"<style>{_STYLE}</style>",
            f"<defs>{head}</defs>",
            *(line for arrow in ARROWS for line in _arrow(arrow)),
            *(line for box in BOXES.values() for line in _box(box)),
            "</svg>",
            "",
        ]
    )


def _box(box: Box) -> list[str]:
    left, top = box.x - box.width // 2, box.y - _BOX_HEIGHT // 2
    kind = ' class="root"' if box.is_root else ""
    return [
        f'<rect{kind} x="{left}" y="{top}" width="{box.width}" height="{_BOX_HEIGHT}" rx="6"/>',
        f'<text x="{box.x}" y="{box.y - 3}">{escape(box.title)}</text>',
        f'<text class="about" x="{box.x}" y="{box.y + 14}">{escape(box.about)}</text>',
    ]


def _arrow(arrow: Arrow) -> list[str]:
    """A line from one box to another: to the right if they are side by side, else down; a weak one down and to the left."""
    start, end = BOXES[arrow.start], BOXES[arrow.end]
    kind, below = "arrow", start.y + _BOX_HEIGHT // 2
    verb_x, verb_y = end.x + 8, (start.y + end.y) // 2 + 4
    if arrow.is_weak:
        kind, right = "arrow weak", end.x + end.width // 2
        way = f"M{start.x} {below}V{end.y}H{right}"
        verb_x, verb_y = right + 12, end.y - 8
    elif start.y == end.y:
        way = f"M{start.x + start.width // 2} {start.y}H{end.x - end.width // 2}"
    else:
        way = f"M{end.x} {below}V{end.y - _BOX_HEIGHT // 2}"
    lines = [f'<path class="{kind}" d="{way}" marker-end="url(#head)"/>']
    if arrow.verb:
        lines.append(f'<text class="verb" x="{verb_x}" y="{verb_y}">{escape(arrow.verb)}</text>')
    return lines


if __name__ == "__main__":
    PAGE.write_text(drawn(), "utf-8")
