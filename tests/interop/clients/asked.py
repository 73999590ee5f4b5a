"""How the scripts of this folder are asked: each line of standard input is a question, answered by a line on standard output.

Both are JSON. The member `do` of a question names a scenario, the rest are its arguments. The answer is `{"answer": ...}`,
or `{"failed": traceback}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any


def answer(*scenarios: Callable[..., Coroutine[Any, Any, Any]]) -> None:
    """Answers questions until there are no more."""
    by_name = {scenario.__name__: scenario for scenario in scenarios}
    for line in sys.stdin:
        question = json.loads(line)
        try:
            reply: dict[str, Any] = {"answer": asyncio.run(by_name[question.pop("do")](**question))}
        except Exception:  # noqa: BLE001  # the test that asked is told
            reply = {"failed": traceback.format_exc()}
        print(json.dumps(reply), flush=True)
