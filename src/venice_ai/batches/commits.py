"""Group commits: what many flights ask of the journal at about the same time is one transaction.

The transactions are short and run on the event loop, where a thread would wait longer for its turn than the work takes; only
`Journal(sync=True)`, which waits for the disk, takes a thread. While another process writes, the loop goes on. No task is
involved, so that what is in flight is kept also at the end of a program, when all tasks are cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from .._limits.shared_file import is_busy
from ..exceptions import VeniceError
from .journal import OPEN, Found, Keep

if TYPE_CHECKING:
    from .identity import Identity
    from .journal import Journal

_MOST: Final = 128
"""Changes in a transaction: it holds the loop, and other processes, for a few milliseconds at most."""
_PAUSE_SECONDS: Final = 0.003
_PATIENCE_SECONDS: Final = 30.0


class Commits:
    """The group commits of one batch."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._asked: deque[tuple[Identity | Keep, asyncio.Future[Any]]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy_since: float | None = None

    def ask(self, change: Identity | Keep) -> asyncio.Future[Any]:
        """What a change comes to, once it is committed. It is made whether or not anybody awaits it."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._asked.append((change, answer))
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._commit)
        return answer

    def _commit(self) -> None:
        group = [self._asked.popleft() for _ in range(min(len(self._asked), _MOST))]
        changes = [change for change, _ in group]
        if self._journal.sync:
            work = self._loop.run_in_executor(None, self._journal.apply, changes)
            work.add_done_callback(lambda done: self._settle(group, done.exception() or done.result()))
            return
        try:
            self._settle(group, self._journal.apply(changes))
        except VeniceError as error:
            self._settle(group, error)

    def _settle(self, group: list[tuple[Identity | Keep, asyncio.Future[Any]]], came: list[Any] | BaseException) -> None:
        """Gives the results of a transaction, or asks again if another process was writing."""
        pause = 0.0
        if isinstance(came, BaseException):
            self._busy_since = self._busy_since or time.monotonic()
            if is_busy(came) and time.monotonic() - self._busy_since < _PATIENCE_SECONDS:
                self._asked.extendleft(reversed(group))
                pause, group = _PAUSE_SECONDS, []
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(came)
        else:
            self._busy_since = None
            for (_, answer), result in zip(group, came, strict=True):
                if not answer.done():
                    answer.set_result(result)
                elif isinstance(result, Found) and result.what == "send":  # whoever claimed it is gone
                    self.ask(Keep(result.row, OPEN, None, 0, None, maybe_billed=False))
        if self._asked:
            self._loop.call_later(pause, self._commit)
        else:
            self._idle.set()

    async def flush(self) -> None:
        """Waits until everything was committed, or could not be."""
        await self._idle.wait()
