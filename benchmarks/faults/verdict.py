"""The one rule that judges what a client did with a fault. The first word that applies is the verdict."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks.faults.fault import Fault
from benchmarks.faults.heard import Heard

RIGHT = "right"
# In the order of their weight: of several ways to call, the worst one is the client's.
WORDS = {
    "hung": "the call was not over in time",
    "sent too often": "more requests were sent than may be",
    "invented": "the caller got text, a call or a finish reason that nobody sent",
    "cut taken for whole": "what was not whole came as an answer, without an error",
    "lost": "text, a call or the finish reason that had come was lost",
    "refused": "an answer that was there, or was to be had, became an error",
    "wrong error": "the error is not one of the client's own, or does not know the status",
    RIGHT: "the caller got what there was, and was told the truth",
}


def verdict(fault: Fault, heard: Heard, packages: Collection[str]) -> str:
    """How this way of calling did; `packages` are those whose errors are the client's own."""
    right = fault.right
    if not heard.over or heard.seconds > right.seconds:
        return "hung"
    if heard.requests > right.requests:
        return "sent too often"
    if not _is_beginning(heard.text, right.text):
        return "invented"
    return _of_answer(fault, heard) if heard.error is None else _of_error(fault, heard, packages)


def _of_error(fault: Fault, heard: Heard, packages: Collection[str]) -> str:
    right = fault.right
    if right.ends == "answer":
        return "refused"
    if right.ends == "error" and heard.text != right.text:
        return "lost"
    if str(heard.error).partition(".")[0] not in packages or (right.status is not None and heard.status != right.status):
        return "wrong error"
    return RIGHT


def _of_answer(fault: Fault, heard: Heard) -> str:
    right = fault.right
    if right.ends == "error":
        return "cut taken for whole"
    if heard.text != right.text:
        return "cut taken for whole" if right.ends == "either" else "lost"
    if sorted(heard.calls) != sorted(right.calls):
        return "lost" if set(heard.calls) < set(right.calls) else "invented"
    if heard.finish != right.finish:
        return "lost" if heard.finish is None else "invented"
    return RIGHT


def worst(verdicts: Collection[str]) -> str:
    return min(verdicts, key=list(WORDS).index)


def _is_beginning(text: str, whole: str) -> bool:
    return whole.startswith(text)
