"""The driver of `batch_iter`: pulls requests as there is room, sends them, keeps what comes in the journal, and hands it over.

Each request is a task of its own (`Flight`). It takes a place (`Pace`), has the journal keep its intent, sends, leaves its
place, has the journal keep the outcome, and only then is there an item to yield. What the flights ask of the journal is
committed in groups (`Commits`). Requests that were pulled and not yielded are at most twice as many as there are places, so that
memory stays with what is in flight; those that wait for another process to answer the same request do not count, for that is
what is in flight there.

A batch ends in one of three ways. All requests are through. Or something makes it useless to go on (the budget is used up, the
journal cannot be written): then nothing more is sent, what is in flight is waited for, everything that came is yielded, and the
error is raised. Or the caller leaves: then what is in flight has `drain_seconds` to come and to be kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sized
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast

from .._core.concurrency import without_locals
from ..exceptions import APIError, BudgetExceededError, VeniceError
from .identity import split
from .items import BatchItem, BatchProgress
from .meter import FLIGHT, BatchStoppedError, Flight, FlightTask, Meter

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse
    from .journal import Journal
    from .pace import Pace

T = TypeVar("T")


class Sent(NamedTuple):
    """What a request was answered with."""

    response: ChatCompletionResponse
    parsed: Any = None


class Sender(Protocol):
    """What a batch needs of a client."""

    meter: Meter
    """The last gate of its calls."""
    now: Callable[[], float]
    """Seconds on the client's clock."""

    def held(self) -> int:
        """How many calls wait for the client's limiter."""
        ...

    async def send(self, keywords: dict[str, Any]) -> Sent:
        """Sends a request."""
        ...

    def restored(self, response: ChatCompletionResponse) -> Any:
        """The object in an answer that was kept; an OutputError if it holds none."""
        ...


class Batch(Generic[T]):
    """One run of `batch_iter`."""

    def __init__(
        self,
        requests: Iterable[Any] | AsyncIterable[Any],
        sender: Sender,
        *,
        journal: Journal | None,
        pace: Pace,
        ordered: bool,
        on_progress: Callable[[BatchProgress], object] | None,
        drain_seconds: float,
    ) -> None:
        self._requests = requests
        self._sender = sender
        self._journal = journal
        self._began = sender.now()
        self._pace = pace
        self._ordered = ordered
        self._on_progress = on_progress
        self._drain_seconds = drain_seconds
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._flights: set[Flight] = set()
        self._line: deque[asyncio.Future[None]] = deque()
        """Flights that wait for a place."""
        self._under_way = 0
        self._pulled = 0
        """Requests that were pulled and whose item was not taken yet."""
        self._came: dict[int, BatchItem[T]] = {}
        """With `ordered`, items that came before an earlier one."""
        self._next_index = 0
        self._ready: deque[BatchItem[T]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None
        self._done = self._failed = self._replayed = 0
        self._cost_usd = 0.0
        self._leaving = False

    async def run(self) -> AsyncGenerator[BatchItem[T], None]:
        """The items."""
        feeder = asyncio.ensure_future(self._feed())
        try:
            while True:
                while self._ready:
                    self._pulled -= 1
                    self._room.set()
                    yield self._ready.popleft()
                if feeder.done() and not self._flights and not self._ready:
                    break
                self._news.clear()
                await self._news.wait()
            if self._failure is not None:
                raise self._failure
        finally:
            feeder.cancel()
            await self._end()

    async def _feed(self) -> None:
        """Pulls requests as there is room."""
        try:
            index = 0
            async for request in _pulled(self._requests, self._wait_for_room):
                flight = Flight(index, request)
                index += 1
                self._pulled += 1
                self._flights.add(flight)
                flight.task = FlightTask(self._fly(flight), self._spare)
        except Exception as error:  # noqa: BLE001  # the caller's iterable failed, and the caller is told
            self._failure = self._failure or error
        finally:
            asyncio.get_running_loop().call_soon(self._news.set)

    async def _wait_for_room(self) -> bool:
        """Waits for room for one more request; False if no more are wanted."""
        while self._pulled >= 2 * self._pace.most and not self._stopped:
            self._room.clear()
            await self._room.wait()
        return not self._stopped

    async def _fly(self, flight: Flight) -> None:
        FLIGHT.set(flight)
        item: BatchItem[T] | None = None
        try:
            item = await self._outcome(flight)
        except BatchStoppedError:
            pass
        except Exception as error:  # noqa: BLE001  # it is raised once everything that came was yielded
            self._fail(error)
        finally:
            self._land(flight, item)

    def _land(self, flight: Flight, item: BatchItem[T] | None) -> None:
        self._flights.discard(flight)
        self._news.set()
        if item is None:
            self._pulled -= 1
            self._room.set()
            if self._came and not self._flights:
                self._ready.extend(self._came.pop(index) for index in sorted(self._came))
            return
        self._done += 1
        self._failed += item.error is not None
        self._replayed += item.replayed
        self._cost_usd += 0.0 if item.replayed else item.cost_usd or 0.0
        if not self._ordered:
            self._ready.append(item)
        else:
            self._came[item.index] = item
            while (following := self._came.pop(self._next_index, None)) is not None:
                self._ready.append(following)
                self._next_index += 1
            if self._stopped and not self._flights:
                self._ready.extend(self._came.pop(index) for index in sorted(self._came))
        if self._on_progress is not None:
            try:
                self._on_progress(self._progress())
            except Exception as error:  # noqa: BLE001  # it is the caller's, and raised at the end
                self._fail(error)

    def _progress(self) -> BatchProgress:
        elapsed = self._sender.now() - self._began
        counts = self._done, self._failed, self._replayed, len(self._flights), self._total
        return BatchProgress(*counts, self._cost_usd, elapsed, self._pace.most)

    async def _outcome(self, flight: Flight) -> BatchItem[T]:
        try:
            flight.custom_id, keywords = split(flight.request)
        except VeniceError as error:
            return BatchItem(flight.index, request=flight.request, error=error)
        await self._take_place()
        try:
            return await self._sent(flight, keywords)
        finally:
            self._leave_place()

    async def _sent(self, flight: Flight, keywords: dict[str, Any]) -> BatchItem[T]:
        item: BatchItem[T] = BatchItem(flight.index, flight.custom_id, flight.request)
        began = self._sender.now()
        error: BaseException | None = None
        sent = Sent(cast("ChatCompletionResponse", None))
        try:
            flight.sending = True
            sent = await self._sender.send(keywords)
        except BatchStoppedError:
            raise
        except BudgetExceededError as exceeded:
            self._fail(exceeded)
            raise BatchStoppedError("the budget is used up") from None
        except Exception as failure:  # noqa: BLE001  # whatever it is, it is handed to the caller in its place
            error = without_locals(failure)
        except asyncio.CancelledError as cancelled:
            if flight.task.cancelling():
                raise
            error = without_locals(cancelled)  # not the batch was cancelled, but something within this call
        finally:
            flight.sending = False
        status = error.counts_as if isinstance(error, APIError) else None
        self._pace.ended(status, (now := self._sender.now()) - began, now)
        return replace(
            item, response=sent.response, parsed=sent.parsed, error=error, attempts=flight.attempts, cost_usd=flight.cost_usd
        )

    # -- places ------------------------------------------------------------------------------------------------------------

    async def _take_place(self) -> None:
        if self._stopped:
            raise BatchStoppedError("the batch stops")
        if not self._line and self._may_begin():
            self._under_way += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave_place()
            raise

    def _may_begin(self) -> bool:
        return self._pace.may_begin(self._under_way, self._sender.held() if self._under_way else 0)

    def _leave_place(self) -> None:
        self._under_way -= 1
        while self._line and self._may_begin():
            turn = self._line.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)

    # -- the end -----------------------------------------------------------------------------------------------------------

    @property
    def _stopped(self) -> bool:
        return self._sender.meter.stopped

    def _fail(self, error: BaseException) -> None:
        """Stops the batch because of an error, which is raised at the end."""
        self._failure = self._failure or error
        self._stop()

    def _stop(self) -> None:
        """From now on nothing is sent; flights of which nothing is under way end."""
        if self._stopped:
            return
        self._sender.meter.stopped = True
        self._room.set()
        for turn in self._line:
            if not turn.done():
                turn.set_exception(BatchStoppedError("the batch stops"))
        self._line.clear()
        for flight in self._flights:
            if flight.sending and not flight.under_way:
                flight.task.drop()

    async def _end(self) -> None:
        """Gives what is in flight its time, and drops the rest; a cancellation meanwhile drops it at once."""
        self._leaving = True
        self._stop()
        tasks = [flight.task for flight in self._flights]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=self._drain_seconds)
        finally:
            for task in tasks:
                task.drop()
            await asyncio.wait(tasks)

    def _spare(self, task: FlightTask) -> bool:
        """Whether a flight that is to be cancelled at the end of the program has its time first."""
        if self._leaving or task.spared:
            return False
        task.spared = True
        self._stop()
        task.get_loop().call_later(self._drain_seconds, task.drop)
        return True


async def _pulled(requests: Iterable[Any] | AsyncIterable[Any], room: Callable[[], Awaitable[bool]]) -> AsyncIterator[Any]:
    """The requests, each pulled when there is room for it."""
    if isinstance(requests, AsyncIterable):
        others = aiter(requests)
        while await room():
            try:
                yield await anext(others)
            except StopAsyncIteration:
                return
    else:
        mine = iter(requests)
        nothing = object()
        while await room():
            if (request := next(mine, nothing)) is nothing:
                return
            yield request
