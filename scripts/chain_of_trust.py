"""Draws what an attestation is made of, and what vouches for what in it, in SVG, for light and dark pages.

`python -m scripts.chain_of_trust` writes `docs/explanations/chain-of-trust.svg` anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from scripts.svg import BOX_HEIGHT, HEAD, STYLE, Box, arrow, box, document, words

PAGE = Path(__file__).parents[1] / "docs" / "explanations" / "chain-of-trust.svg"
_WIDTH, _HEIGHT = 760, 560


class Arrow(NamedTuple):
    """What one thing does to another. A weak arrow is a statement that nothing proves."""

    start: str
    end: str
    verb: str
    is_weak: bool = False


BOXES = {
    "intel": Box(270, 40, 200, "Intel's root certificate", "pinned in this package", is_strong=True),
    "platform": Box(270, 135, 200, "the platform's certificate", "of one processor"),
    "collateral": Box(80, 135, 130, "Intel's collateral", "revocation, firmware"),
    "key": Box(270, 230, 200, "the attestation key", "of the quoting enclave"),
    "quote": Box(270, 325, 200, "the quote", "nonce, key's address, registers"),
    "nonce": Box(80, 325, 130, "the nonce", "of your client"),
    "log": Box(182, 420, 166, "the event log", "image, compose file"),
    "model": Box(358, 420, 166, "the model's public key", "private key: in the enclave"),
    "messages": Box(358, 515, 166, "your messages", "and the answer"),
    "nvidia": Box(640, 40, 200, "NVIDIA's root certificate", "pinned in this package", is_strong=True),
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
    parts = [line for each in ARROWS for line in _arrow(each)] + [line for each in BOXES.values() for line in box(each)]
    return document("The chain of trust of an attestation", _WIDTH, _HEIGHT, STYLE, [HEAD, *parts])


def _arrow(each: Arrow) -> list[str]:
    """A line from one box to another: to the right if they are side by side, else down; a weak one down and to the left."""
    start, end = BOXES[each.start], BOXES[each.end]
    below = start.y + BOX_HEIGHT // 2
    verb_x, verb_y = end.x + 8, (start.y + end.y) // 2 + 4
    if each.is_weak:
        right = end.x + end.width // 2
        way = f"M{start.x} {below}V{end.y}H{right}"
        verb_x, verb_y = right + 12, end.y - 8
    elif start.y == end.y:
        way = f"M{start.x + start.width // 2} {start.y}H{end.x - end.width // 2}"
    else:
        way = f"M{end.x} {below}V{end.y - BOX_HEIGHT // 2}"
    return [arrow(way, is_weak=each.is_weak), *([words(verb_x, verb_y, each.verb, "verb")] if each.verb else [])]


if __name__ == "__main__":
    PAGE.write_text(drawn(), "utf-8")
