"""The driver of `batch_iter`: pulls requests as there is room, sends them, keeps what comes in the journal, and hands it over.

Each request is a `Flight`, which takes a place (`Pace`) when it is pulled. Its task has the journal keep the intent, sends,
leaves its place, has the journal keep the outcome, and only then is there an item to yield. What flights ask of the journal is
committed in groups (`Commits`). One whose request is on its way already, here or elsewhere, leaves its place and begins anew
later. Requests that were pulled and not yielded are at most twice as many as there are places, so that memory stays with
what is in flight; those that wait for another process, which is sending the same, do not count.

A batch ends in one of three ways. All requests are through. Or something makes it useless to go on (the budget is used up, the
journal cannot be written): then nothing more is sent, what is in flight is waited for, everything that came is yielded, and the
error is raised. Or the caller leaves: then what is in flight has `drain_seconds` to come and to be kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sized
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar, cast

from .._core.concurrency import without_locals
from .._core.privacy import encryption_requested_in
from .._http.budget_gate import may_be_billed
from ..exceptions import APIError, BudgetExceededError, InvalidArgumentError, OutputError, VeniceError
from .commits import Commits
from .identity import Identity, differences, identity, split
from .items import BatchItem, BatchProgress
from .journal import ANSWERED, FAILED, OPEN, Found, Journal, Keep
from .meter import FLIGHT, BatchStoppedError, Flight, FlightTask, Meter
from .outcomes import error_in, is_for_good, record

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse
    from .pace import Pace

T = TypeVar("T")
_LOOK_AGAIN_SECONDS: Final = 0.05
_SWITCHES: Final = frozenset({"e2ee", "venice_parameters", "extra_body"})


class Sent(NamedTuple):
    """What a request was answered with, and the object in it."""

    response: ChatCompletionResponse | None
    parsed: Any = None


class Sender(Protocol):
    """What a batch needs of a client: it sends, and `restored` reads the object in an answer that was kept."""

    meter: Meter
    now: Callable[[], float]
    settings: dict[str, str]
    private: bool

    async def send(self, keywords: dict[str, Any]) -> Sent: ...
    def restored(self, response: ChatCompletionResponse) -> Any: ...
    def held(self) -> int: ...
    def begin(self, end: Callable[[], Awaitable[None]]) -> None: ...
    def close(self) -> None: ...


class Batch(Generic[T]):
    """One run of `batch_iter`, whose arguments these are."""

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
        if not isinstance(requests, (Iterable, AsyncIterable)) or isinstance(requests, (str, bytes, Mapping)):
            raise InvalidArgumentError(f"requests must be an iterable of mappings, not {type(requests).__name__}")
        if journal is not None and not isinstance(journal, Journal):
            raise InvalidArgumentError(f"journal={journal!r:.100} is not a Journal")
        if isinstance(drain_seconds, bool) or not isinstance(drain_seconds, (int, float)) or not drain_seconds >= 0:
            raise InvalidArgumentError(f"drain_seconds={drain_seconds!r} must be a number of seconds from 0")
        self._requests = requests
        self._sender = sender
        self._journal = journal
        self._pace = pace
        self._ordered = ordered
        self._on_progress = on_progress
        self._drain_seconds = drain_seconds
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._began = sender.now()
        self._flights: set[Flight] = set()
        self._under_way = 0
        """Flights that have a place."""
        self._again: deque[Flight] = deque()
        """Flights that want a place again."""
        self._known: dict[bytes, list[Flight]] = {}
        """What is on its way, by its key, and who waits for the same."""
        self._pulled = 0
        """Requests that were pulled and whose item was not taken yet."""
        self._came: dict[int, BatchItem[T]] = {}
        """With `ordered`, items that came before an earlier one."""
        self._ready: deque[BatchItem[T]] = deque()
        self._next_index = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None
        self._done = self._failed = self._replayed = 0
        self._cost_usd = 0.0
        self._leaving = False
        self._commits: Commits | None = None

    async def run(self) -> AsyncGenerator[BatchItem[T], None]:
        """The items."""
        self._sender.begin(self._end)
        if self._journal is not None:
            self._journal.batches += 1
        feeder: asyncio.Future[None] = asyncio.ensure_future(self._feed())
        feeder.add_done_callback(lambda _: self._news.set())
        try:
            # A feeder that waits for a request of the caller's is not waited for when no more are wanted.
            while self._flights or self._ready or not (feeder.done() or self._stopped):
                while self._ready:
                    self._pulled -= 1
                    self._room.set()
                    yield self._ready.popleft()
                if self._flights or not (feeder.done() or self._stopped):
                    self._news.clear()
                    await self._news.wait()
            for index in sorted(self._came):
                yield self._came[index]
            if self._failure is not None:
                raise self._failure
        finally:
            feeder.cancel()
            try:
                await self._end()
            finally:
                if self._journal is not None:
                    self._journal.ended()

    # -- places ------------------------------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        """Pulls requests as there is room."""
        try:
            if self._journal is not None:
                begin = partial(self._journal.begin, self._sender.settings, private=self._sender.private)
                await asyncio.get_running_loop().run_in_executor(None, begin)
                self._commits = Commits(self._journal)
            others = aiter(self._requests) if isinstance(self._requests, AsyncIterable) else None
            mine, nothing = iter(() if isinstance(self._requests, AsyncIterable) else self._requests), object()
            for index in count():
                while not self._stopped and (self._again or not self._may_begin() or self._pulled >= 2 * self._pace.most):
                    self._room.clear()
                    await self._room.wait()
                request = nothing
                if not self._stopped:
                    request = next(mine, nothing) if others is None else await anext(others, nothing)
                if request is nothing or self._stopped:
                    return
                self._pulled += 1
                self._flights.add(flight := Flight(index, cast("Mapping[str, Any]", request)))
                self._launch(flight)
        except Exception as error:  # noqa: BLE001  # the caller's iterable failed, or the journal is not for this batch
            self._failure = self._failure or error

    def _may_begin(self) -> bool:
        return self._pace.may_begin(self._under_way, self._sender.held() if self._under_way else 0)

    def _launch(self, flight: Flight) -> None:
        self._under_way += 1
        flight.has_place = True
        flight.task = FlightTask(self._fly(flight), self._spare)

    def _leave_place(self, flight: Flight) -> None:
        if flight.has_place:
            flight.has_place = False
            self._under_way -= 1
            self._begin_anew()

    def _begin_anew(self, *flights: Flight) -> None:
        """Gives places to flights that had left theirs; once the batch stops, they end."""
        self._again.extend(flights)
        while self._again and (self._stopped or self._may_begin()):
            flight = self._again.popleft()
            if self._stopped:
                self._land(flight, None)
            else:
                self._launch(flight)
        self._room.set()

    # -- flights -----------------------------------------------------------------------------------------------------------

    async def _fly(self, flight: Flight) -> None:
        FLIGHT.set(flight)
        item: BatchItem[T] | None = None
        begins_anew = False
        try:
            item = await self._outcome(flight)
            begins_anew = item is None
        except BatchStoppedError:
            pass
        except Exception as error:  # noqa: BLE001  # it is raised once everything that came was yielded
            self._fail(error)
        finally:
            self._leave_place(flight)
            if not begins_anew:
                self._land(flight, item)

    def _land(self, flight: Flight, item: BatchItem[T] | None) -> None:
        self._flights.discard(flight)
        self._news.set()
        if item is None:
            self._pulled -= 1
            self._room.set()
            return
        self._done += 1
        self._failed += item.error is not None
        self._replayed += item.replayed
        self._cost_usd += 0.0 if item.replayed else item.cost_usd or 0.0
        self._came[item.index] = item
        index = self._next_index if self._ordered else item.index
        while (following := self._came.pop(index, None)) is not None:
            self._ready.append(following)
            self._next_index = index = index + 1
        if self._on_progress is not None:
            counts = self._done, self._failed, self._replayed, len(self._flights), self._total, self._cost_usd
            try:
                self._on_progress(BatchProgress(*counts, self._sender.now() - self._began, self._pace.most))
            except Exception as error:  # noqa: BLE001  # it is the caller's, and raised at the end
                self._fail(error)

    async def _outcome(self, flight: Flight) -> BatchItem[T] | None:
        """What comes of a request; None if it begins anew later."""
        named: Identity | None = None
        try:
            flight.custom_id, keywords = split(flight.request)
            if self._journal is not None:
                if _SWITCHES & keywords.keys() and not self._journal.secret and encryption_requested_in(keywords):
                    raise InvalidArgumentError(
                        "what is end-to-end encrypted is kept in an encrypted journal alone: Journal(..., key_file=...)"
                    )
                named = identity(flight.custom_id, keywords, self._journal.secret)
        except VeniceError as error:
            return self._item(flight, error=error)
        if named is None:
            return self._item(flight, **await self._sent(flight, keywords))
        if named.key in self._known:
            self._known[named.key].append(flight)
            return None
        self._known[named.key] = []
        try:
            return await self._kept(flight, keywords, named)
        finally:
            self._begin_anew(*self._known.pop(named.key))

    async def _kept(self, flight: Flight, keywords: dict[str, Any], named: Identity) -> BatchItem[T] | None:
        """What comes of a request, now or before, that is in the journal."""
        assert self._journal is not None
        assert self._commits is not None
        found: Found = await self._commits.ask(named)
        match found.what:
            case "send":
                return await self._sent_and_kept(flight, keywords, found)
            case "wait":  # what waits for another process takes no room here
                self._pulled -= 1
                asyncio.get_running_loop().call_later(_LOOK_AGAIN_SECONDS, self._look_again, flight)
                return None
            case "differs":
                how = differences(self._journal.body_of(found), named.body)
                said = f"custom_id={flight.custom_id!r} was used for another request before: {how}"
                return self._item(flight, error=InvalidArgumentError(said))
            case _:
                return self._restored(flight, found)

    def _look_again(self, flight: Flight) -> None:
        self._pulled += 1
        self._begin_anew(flight)

    async def _sent_and_kept(self, flight: Flight, keywords: dict[str, Any], found: Found) -> BatchItem[T]:
        """What comes of a request that this run has claimed; it is given back if nothing comes."""
        assert self._commits is not None
        state, outcome, billed, is_kept = OPEN, None, True, False
        try:
            came = await self._sent(flight, keywords)
            error = came["error"]
            outcome = record(came["response"], error)
            if error is None or is_for_good(error, flight.attempts):
                state = ANSWERED if error is None else FAILED
            billed = error is not None and may_be_billed(error)
        finally:
            billed = billed and flight.attempts > 0
            kept = self._commits.ask(Keep(found.row, state, outcome, flight.attempts, flight.cost_usd, billed))
            self._leave_place(flight)
        try:
            is_kept = await kept
        except VeniceError as failure:
            self._fail(failure)
        return self._item(flight, **came, kept=is_kept, maybe_billed_before=found.maybe_billed)

    def _restored(self, flight: Flight, found: Found) -> BatchItem[T]:
        """What a journal has of a request."""
        assert self._journal is not None
        kept, came = self._journal.outcome(found), dict[str, Any]()
        try:
            if "response" in kept:
                response = self._journal.response(kept["response"])
                came = {"parsed": self._sender.restored(response), "response": response}
            else:
                came = {"error": error_in(kept)}
        except OutputError as error:
            came = {"error": error}
        came |= {"attempts": found.attempts, "cost_usd": found.cost_usd, "maybe_billed_before": found.maybe_billed}
        return self._item(flight, **came, replayed=True, kept=True)

    async def _sent(self, flight: Flight, keywords: dict[str, Any]) -> dict[str, Any]:
        """Sends a request; what the item of what came has."""
        began = self._sender.now()
        error: BaseException | None = None
        sent = Sent(None)
        flight.sending = True
        try:
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
        now = self._sender.now()
        self._pace.ended(error.counts_as if isinstance(error, APIError) else None, now - began, now)
        numbers = {"attempts": flight.attempts, "cost_usd": flight.cost_usd}
        return {"response": sent.response, "parsed": sent.parsed, "error": error, **numbers}

    def _item(self, flight: Flight, **came: Any) -> BatchItem[T]:
        return BatchItem(flight.index, flight.custom_id, flight.request, **came)

    # -- the end -----------------------------------------------------------------------------------------------------------

    @property
    def _stopped(self) -> bool:
        return self._sender.meter.stopped

    def _fail(self, error: BaseException) -> None:
        """Stops the batch because of an error, which is raised at the end."""
        self._failure = self._failure or error
        self._stop()

    def _stop(self) -> None:
        """From now on nothing is sent; flights of which nothing is on the wire end."""
        if not self._stopped:
            self._sender.meter.stopped = True
            for flight in self._flights:
                if flight.sending and not flight.on_the_wire:
                    flight.task.drop()
            self._begin_anew()

    async def _end(self) -> None:
        """Gives what is in flight its time, and drops the rest; a cancellation meanwhile drops it at once."""
        self._leaving = True
        self._stop()
        tasks = [flight.task for flight in self._flights]
        try:
            if tasks:
                try:
                    await asyncio.wait(tasks, timeout=self._drain_seconds)
                finally:
                    for task in tasks:
                        task.drop()
                    await asyncio.wait(tasks)
            if self._commits is not None:
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
