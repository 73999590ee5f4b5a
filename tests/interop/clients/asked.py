"""How the scripts of this folder are asked: a JSON object on standard input, a JSON value on standard output."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any


def answer(scenarios: dict[str, Callable[..., Awaitable[Any]]]) -> None:
    """Runs the scenario that `do` names with the rest of the question, and prints what it returns."""
    question = json.load(sys.stdin)
    print(json.dumps(asyncio.run(scenarios[question.pop("do")](**question))))
