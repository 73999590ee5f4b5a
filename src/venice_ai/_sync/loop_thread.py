"""The event loop's thread of all synchronous clients of a process. The child of a fork never touches what it inherited."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar
from weakref import finalize

from .._core.caller_warnings import WAITING_THREAD
from .._core.first_use import whole
from .._core.outcome import Outcome
from ..exceptions import VeniceError

T = TypeVar("T")

# Ctrl-C in the moment before a wait for a lock is heeded after it, on Windows also one during it: so no wait is without end.
WAIT_SECONDS = 0.1 if sys.platform == "win32" else 1.0
# A task that takes its first step at once costs the loop one round less.
_AT_ONCE: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class LoopThread:
    """An event loop that runs on a daemon thread until the interpreter ends."""

    _shared: ClassVar[LoopThread | None] = None

    def __init__(self) -> None:
        # A loop factory keeps the runner from making this the event loop of the calling thread.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._held: set[Callable[[], Coroutine[Any, Any, None]]] = set()
        self._tasks: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly
        self.ended: bool = False  # whether nothing runs here any more: the interpreter ends, or this is the child of a fork
        self._thread = threading.Thread(target=self._main, name="venice-ai", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # at the very end of an interpreter
            self._runner.close()
            raise VeniceError(f"no thread can be started ({error}); call before the program ends") from error

    @classmethod
    def shared(cls) -> LoopThread:
        """This process's thread. It is started if it is not there; a VeniceError if it cannot be."""
        return cls.running() or whole(cls._start)

    @classmethod
    def _start(cls) -> LoopThread:
        if (found := cls.running()) is None:  # else another thread was faster
            found = cls._shared = cls()
            atexit.register(found.stop)
        return found

    @classmethod
    def running(cls) -> LoopThread | None:
        """This process's thread; None if it has not been started."""
        return None if cls._shared is None or cls._shared.ended else cls._shared

    def _main(self) -> None:
        # In the child of a fork this frame is never left, and nothing that it leads to is ever collected.
        with self._runner:
            while True:
                try:
                    return self._loop.run_forever()
                except (SystemExit, KeyboardInterrupt):
                    # asyncio lets these out of the loop beside telling whoever awaits the task; the loop is not theirs alone.
                    continue

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine on the loop while this thread waits; what ends the waiting (Ctrl-C) cancels it first."""
        try:
            self.check()
        except VeniceError:
            work.close()
            raise
        call = _LoopCall(work, self)
        try:
            self._loop.call_soon_threadsafe(call.start)
            call.wait()
        except BaseException:
            if self.soon(call.cancel):
                call.wait()
            raise
        return call.outcome()

    def check(self) -> None:
        """Raises a VeniceError where waiting for the loop would never end: on its own thread, and once it has ended."""
        if self.ended:
            raise VeniceError("this was opened in a process, or an interpreter, that has ended; open it here")
        if threading.get_ident() == self._thread.ident:
            problem = "a synchronous client was called on the thread that runs its requests, where waiting would never end"
            remedy = "async tools and hooks use VeniceClient and await; synchronous ones run on other threads"
            raise VeniceError(f"{problem}: {remedy}")

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a coroutine at the same time as others; to be called on the loop."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def soon(self, call: Callable[[], object]) -> bool:
        """Has the loop call something, without waiting; False if the loop has ended."""
        if self.ended:
            return False
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # it was closed a moment ago
            return False
        return True

    def hold(self, close: Callable[[], Coroutine[Any, Any, None]], *, owner: object) -> None:
        """Keeps what is open on this loop until its owner is collected; then closes it."""
        self._held.add(close)
        finalize(owner, self._release, close).atexit = False

    def _release(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self.soon(lambda: self.begin(close())):
            self._held.discard(close)

    def stop(self) -> None:
        """Cancels what runs, closes what is open, and ends the thread."""
        if not self.ended:
            self.ended = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    @classmethod
    def after_fork(cls) -> None:
        """Lets go of the parent's thread, in the child."""
        if cls._shared is not None:
            cls._shared.ended = True
            cls._shared = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=LoopThread.after_fork)


class _LoopCall(Outcome[T]):
    """A coroutine that runs on the loop for a thread that waits. All but `wait` and `outcome` happens on the loop."""

    def __init__(self, work: Coroutine[Any, Any, T], thread: LoopThread) -> None:
        self._work = work
        self._thread = thread
        self._caller = threading.get_ident()
        self._task: asyncio.Task[None] | None = None
        self._begun = False
        self._over = False
        self._done = threading.Lock()
        self._done.acquire()

    def start(self) -> None:
        self._task = asyncio.Task(self._follow(), loop=asyncio.get_running_loop(), **_AT_ONCE)

    async def _follow(self) -> None:
        self._begun = True
        WAITING_THREAD.set(self._caller)
        try:
            self.result = await self._work
        except asyncio.CancelledError as error:
            self.error = VeniceError("the call was cancelled before it was answered")
            self.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
            self.error = error
        # At the end of the interpreter only daemon threads still wait, and go with it: an error would only be noise.
        if not self._thread.ended:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._done.release()

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if not self._begun:  # what interrupted the thread came before its first step, and a task that is cancelled takes none
            self._work.close()
            self._end()

    def wait(self) -> None:
        # The lock is taken once, and what interrupts the thread may come right after that: then the second wait has no lock to
        # wait for.
        while not self._over:
            self._done.acquire(timeout=WAIT_SECONDS)
