"""The driver of `batch_iter`: pulls requests as there is room, sends them, keeps what comes in the journal, and hands it over.

Each request is a task of its own (`Flight`). It takes a place (`Pace`), has the journal keep its intent, sends, leaves its
place, has the journal keep the outcome, and only then is there an item to yield. What flights ask of the journal is committed
in groups (`Commits`). Requests that were pulled and not yielded are at most twice as many as there are places, so that memory
stays with what is in flight; those that wait for another process, which is sending the same request, do not count.

A batch ends in one of three ways. All requests are through. Or something makes it useless to go on (the budget is used up, the
journal cannot be written): then nothing more is sent, what is in flight is waited for, everything that came is yielded, and the
error is raised. Or the caller leaves: then what is in flight has `drain_seconds` to come and to be kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sized
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

from .._core.concurrency import without_locals
from .._core.privacy import encryption_requested_in
from .._http.budget_gate import may_be_billed
from ..exceptions import APIError, BudgetExceededError, InvalidArgumentError, OutputError, VeniceError
from .commits import Commits
from .identity import Identity, differences, identity, split
from .items import BatchItem, BatchProgress
from .journal import ANSWERED, FAILED, OPEN, Claim, Found, Journal, Keep
from .meter import FLIGHT, BatchStoppedError, Flight, FlightTask, Meter
from .outcomes import error_in, is_for_good, record

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse
    from .pace import Pace

T = TypeVar("T")
_LOOK_AGAIN_SECONDS: Final = 0.05


class Sent(NamedTuple):
    """What a request was answered with."""

    response: ChatCompletionResponse | None
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

    settings: dict[str, str]
    """What a journal is made with."""
    private: bool
    """Whether nothing may be kept unencrypted."""

    async def send(self, keywords: dict[str, Any]) -> Sent:
        """Sends a request."""
        ...

    def close(self) -> None:
        """The batch is over."""

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
        self._known: dict[bytes, asyncio.Event] = {}
        """What is on its way, by its key: set once it is over."""
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None
        self._done = self._failed = self._replayed = 0
        self._cost_usd = 0.0
        self._leaving = False

    async def run(self) -> AsyncGenerator[BatchItem[T], None]:
        """The items."""
        if self._journal is not None:
            begin = partial(self._journal.begin, self._sender.settings, private=self._sender.private)
            await asyncio.get_running_loop().run_in_executor(None, begin)
            self._commits = Commits(self._journal)
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
        named: Identity | None = None
        try:
            flight.custom_id, keywords = split(flight.request)
            if self._journal is not None:
                if not self._journal.secret and encryption_requested_in(keywords):
                    raise InvalidArgumentError(
                        "what is end-to-end encrypted is kept in an encrypted journal alone: Journal(..., key_file=...)"
                    )
                named = identity(flight.custom_id, keywords, self._journal.secret)
        except VeniceError as error:
            return BatchItem(flight.index, flight.custom_id, flight.request, error=error)
        if named is None:
            async with self._place():
                return await self._sent(flight, keywords)
        while True:
            earlier = self._known.get(named.key)
            if earlier is not None:  # of the same run
                await earlier.wait()
                continue
            self._known[named.key] = over = asyncio.Event()
            try:
                item = await self._once(flight, keywords, named)
            finally:
                del self._known[named.key]
                over.set()
            if item is not None:
                return item

    async def _once(self, flight: Flight, keywords: dict[str, Any], named: Identity) -> BatchItem[T] | None:
        """What came of a request, now or before; None, after a while, if another process is sending it."""
        assert self._journal is not None
        item: BatchItem[T] = BatchItem(flight.index, flight.custom_id, flight.request)
        async with self._place():
            found: Found = await self._commits.ask(Claim(named))
            if found.what == "send":
                item, kept = await self._sent_and_kept(flight, keywords, found)
        match found.what:
            case "send":
                try:
                    return replace(item, kept=await kept)
                except VeniceError as failure:
                    self._fail(failure)
                    return item
            case "wait":
                await self._wait_elsewhere()
                return None
            case "differs":
                how = differences(self._journal.body_of(found), named.body)
                error = InvalidArgumentError(f"custom_id={flight.custom_id!r} was used for another request before: {how}")
                return replace(item, error=error)
            case _:
                return self._restored(item, found)

    async def _sent_and_kept(
        self, flight: Flight, keywords: dict[str, Any], found: Found
    ) -> tuple[BatchItem[T], asyncio.Future[bool]]:
        """What comes of a request that this run has claimed, and whether that is kept; given back if nothing comes."""
        state, outcome, billed = OPEN, None, True
        try:
            item = await self._sent(flight, keywords)
            error = item.error
            outcome = record(item.response, error)
            if error is None or is_for_good(error, flight.attempts):
                state = ANSWERED if error is None else FAILED
            billed = error is not None and may_be_billed(error)
        finally:
            billed = billed and flight.attempts > 0
            kept = self._commits.ask(Keep(found.row, state, outcome, flight.attempts, flight.cost_usd, billed))
        return replace(item, maybe_billed_before=found.maybe_billed), kept

    async def _wait_elsewhere(self) -> None:
        """Waits a moment for another process. What waits for that takes no room here."""
        self._pulled -= 1
        self._room.set()
        try:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        finally:
            self._pulled += 1

    def _restored(self, item: BatchItem[T], found: Found) -> BatchItem[T]:
        """What a journal has of a request."""
        assert self._journal is not None
        kept = self._journal.outcome(found)
        numbers: dict[str, Any] = {"attempts": found.attempts, "cost_usd": found.cost_usd, "replayed": True, "kept": True}
        item = replace(item, maybe_billed_before=found.maybe_billed, **numbers)
        if "response" not in kept:
            return replace(item, error=error_in(kept))
        response = self._journal.response(kept["response"])
        try:
            return replace(item, response=response, parsed=self._sender.restored(response))
        except OutputError as error:
            return replace(item, error=error)

    async def _sent(self, flight: Flight, keywords: dict[str, Any]) -> BatchItem[T]:
        began = self._sender.now()
        error: BaseException | None = None
        sent = Sent(None)
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
        item: BatchItem[T] = BatchItem(flight.index, flight.custom_id, flight.request, sent.response, error, sent.parsed)
        return replace(item, attempts=flight.attempts, cost_usd=flight.cost_usd)

    # -- places ------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None, None]:
        await self._take_place()
        try:
            yield
        finally:
            self._leave_place()

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
        try:
            if tasks := [flight.task for flight in self._flights]:
                try:
                    await asyncio.wait(tasks, timeout=self._drain_seconds)
                finally:
                    for task in tasks:
                        task.drop()
                    await asyncio.wait(tasks)
            if self._journal is not None:
                await self._commits.flush()
        finally:
            self._sender.close()

    def _spare(self, task: FlightTask) -> bool:
        """Whether a flight that is to be cancelled at the end of the program has its time first."""
        if self._leaving or task.spared:
            return False
        task.spared = True
        self._stop()
        task.get_loop().call_later(self._drain_seconds, task.drop)
        return True


def check_arguments(requests: object, journal: object, drain_seconds: object) -> None:
    """Raises an InvalidArgumentError if an argument is of another kind."""
    if not isinstance(requests, (Iterable, AsyncIterable)) or isinstance(requests, (str, bytes, Mapping)):
        raise InvalidArgumentError(f"requests must be an iterable of mappings, not {type(requests).__name__}")
    if journal is not None and not isinstance(journal, Journal):
        raise InvalidArgumentError(f"journal={journal!r:.100} is not a Journal")
    if isinstance(drain_seconds, bool) or not isinstance(drain_seconds, (int, float)) or not drain_seconds >= 0:
        raise InvalidArgumentError(f"drain_seconds={drain_seconds!r} must be a number of seconds from 0")


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
