"""SIGTERM, and SIGHUP of a window that was closed, end the process: a chat only once what came of its answer is kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

received = set[int]()  # what ends a chat


def end(number: int, _: object = None) -> None:
    """Ends the process by a signal at once, also as process 1, for which the system does nothing of itself."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def stop(number: int, _: object) -> None:
    # A shell passes SIGHUP on to what the system has told already.
    signal.signal(number, end if number == signal.SIGTERM else signal.SIG_IGN)
    received.add(number)
    if not callable(signal.getsignal(signal.SIGINT)):  # a job in the background of a script ignores it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def handle(handler: Callable[[int, object], None]) -> None:
    """Handles both, unless they are ignored, as after `nohup`."""
    for number in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
        with suppress(ValueError):  # not in the main thread, where a program runs the command
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)
