"""A step with a shared file (`shared_file.py`) that is done again later, as long as other processes have the file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from ..exceptions import VeniceError
from .waiter import later

BUSY_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 0.002  # where an event loop stands still meanwhile; a transaction takes less
POLL_SECONDS: Final = 0.05  # how often to look at what other processes change, which cannot wake anything here
_SQLITE_BUSY = 5  # `sqlite3.SQLITE_BUSY`: most clients share no file, and do not load the module
_RETRY_SECONDS = 0.01
logger = logging.getLogger("venice_ai")


class BusyRetry:
    """Does a step, and again by a timer's thread while the file is busy; `otherwise` tells the log what other errors mean."""

    def __init__(self, otherwise: str) -> None:
        self._otherwise = otherwise
        self._planned = False

    def run(self, step: Callable[[], object], *, planned: bool = False) -> None:
        """Does the step now, unless it is planned to be done soon."""
        self._planned = self._planned and not planned
        if self._planned:
            return
        try:
            step()
        except VeniceError as error:
            if is_busy(error):
                self._planned = True
                later(_RETRY_SECONDS, partial(self.run, step, planned=True))
            else:
                self.failed(error)

    def failed(self, error: VeniceError) -> None:
        """Writes into the log that the file cannot be used."""
        logger.error("%s. %s", error, self._otherwise)


def is_busy(error: BaseException) -> bool:
    """Whether an error of a transaction only says that another process has the file."""
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == _SQLITE_BUSY
