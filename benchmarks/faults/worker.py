"""A client's process: takes a call a line, makes each in a thread of its own, and prints what the caller got.

    python -m benchmarks.faults.worker CLIENT

A call that hangs keeps its thread; the process is killed in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.faults.heard import Call, Heard


def make(way: Callable[[Call, Heard], Any], call: Call) -> Heard:
    """What the caller hears who calls this way."""
    heard, began = Heard(), time.monotonic()
    try:
        if inspect.iscoroutinefunction(way):
            asyncio.run(way(call, heard))
        else:
            way(call, heard)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is what this is about
        heard.failed(error)
    heard.over, heard.seconds = True, time.monotonic() - began
    return heard


def main(client: str) -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    ways = import_module(f"benchmarks.faults.clients.{client}").WAYS
    answers = os.fdopen(os.dup(1), "w")  # what a client itself prints goes elsewhere
    os.dup2(2, 1)
    lock = threading.Lock()

    def serve(line: dict[str, Any]) -> None:
        heard = make(ways[line["kind"]][line["way"]], Call(**line["call"]))
        with lock, contextlib.suppress(BrokenPipeError):
            print(json.dumps({"number": line["number"], "heard": heard.to_json()}), file=answers, flush=True)

    for line in sys.stdin:
        threading.Thread(target=serve, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
