"""The driver of `batch_iter`: pulls requests as there is room, sends them, keeps what comes in the journal, and hands it over.

Each request is a flight, with a place (`Pace`) and a task: the journal keeps the intent, it is sent, the journal keeps the
outcome, and only then is there an item. Transactions run on the event loop. One task lives as long as the batch; cancelled,
also by `asyncio.run` when a program ends, it gives flights their time: these are hidden from `asyncio.all_tasks`.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sized
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from ..._core.concurrency import check_plain, without_locals
from ..._core.ports import Attempt, CallGate, Pass
from ..._http.budget_gate import BudgetGate
from ..._limits.budget import Budget
from ..._limits.limiter import Limiter
from ..._structured.typed_dicts import object_of_schema
from ...batches.identity import Identity, as_it_is, canonical, split
from ...batches.items import BatchItem, BatchProgress, is_for_good
from ...batches.journal import Entry, Journal, State, record
from ...batches.pace import Pace
from ...costs import NANO, Chat, may_be_billed
from ...exceptions import APIError, BudgetExceededError, ConnectError, InvalidArgumentError, OutputError, VeniceError
from ...tee.sealing import hashed
from ...types.api.chat import ChatCompletionResponse, ChatUsage

if TYPE_CHECKING:
    from .arguments import Tools
    from .calls import ChatCalls

_LOOK_AGAIN_SECONDS, _LOST_PAUSE_SECONDS, _LOST_SECONDS = 0.05, 2.0, 60.0  # so long is a server waited for that vanished
_NO_MORE: Final = object()


class _Flight(Pass):
    """One request on its way; also the pass of each of its attempts: retries, re-asks, round trips of a tool loop."""

    finished = False
    attempts = on_the_wire = 0  # those on the wire were sent and are not over
    cost_usd: float | None = None
    custom_id: str | None = None
    keywords: dict[str, Any] | VeniceError

    def __init__(self, batch: Batch, index: int, request: Any) -> None:
        self.batch, self.index, self.request = batch, index, as_it_is(request)
        self.unpriced: list[ChatUsage] = []
        try:  # now, for the caller's iterable may use the same mapping for the next request
            self.custom_id, self.keywords = split(self.request)
        except VeniceError as error:
            self.keywords = error

    def replied(self, found: object) -> None:
        self.attempts -= isinstance(found, ConnectError)  # nothing was sent
        self.free = self.batch.waits_after(found)

    def done(self, usage: ChatUsage | None, cost: float | None) -> None:
        self.on_the_wire -= 1
        if isinstance(cost, (int, float)) and cost >= 0:
            self.cost_usd = (self.cost_usd or 0.0) + cost
        elif isinstance(usage, ChatUsage):
            self.unpriced.append(usage)

    def item(self, **result: Any) -> BatchItem[Any]:
        return BatchItem(self.index, self.custom_id, self.request, attempts=self.attempts, cost_usd=self.cost_usd, **result)


_FLIGHT: Final[ContextVar[_Flight]] = ContextVar("venice_ai batch flight")


@dataclass(eq=False, repr=False)
class Batch(CallGate):
    """One run of `batch_iter`; also the last gate of its calls: it counts what is sent, and once it stops, nothing is."""

    completions: ChatCalls[Any]
    requests: Any
    journal: Journal | None
    budget: Budget | None
    max_concurrency: int | Literal["auto"]
    ordered: bool
    on_progress: Callable[[BatchProgress], object] | None
    response_format: Any
    tools: Any
    drain_seconds: float

    def __post_init__(self) -> None:
        requests, budget, seconds = self.requests, self.budget, cast("object", self.drain_seconds)
        if not isinstance(requests, (Iterable, AsyncIterable)) or isinstance(requests, (str, bytes, Mapping)):
            raise InvalidArgumentError(f"requests must be an iterable of mappings, not {type(self.requests).__name__}")
        for name, given, kind in (("journal", self.journal, Journal), ("budget", budget, Budget)):
            if given is not None and not isinstance(given, kind):
                raise InvalidArgumentError(f"{name}={given!r:.100} is not a {kind.__name__}")
        check_plain("on_progress", self.on_progress)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise InvalidArgumentError(f"drain_seconds={seconds!r} must be a number of seconds from 0")
        client = self._client = self.completions._client  # noqa: SLF001  # of the same client
        caller = client.caller
        self._pace = Pace(self.max_concurrency, next((each for each in caller.gates if isinstance(each, Limiter)), None))
        self.tools, tools = _tools(self.tools)
        self._settings = {"base_url": client.base_url, "response_format": _format_name(self.response_format), "tools": tools}
        shape: Any = self.response_format
        self._shape: Any = object_of_schema({**shape}) if isinstance(shape, Mapping) else shape
        gates: list[CallGate] = [] if budget is None else [BudgetGate(budget, client._find_model, caller.clock)]  # noqa: SLF001
        # A copy of the caller's object, so that an overridden `create` is obeyed.
        self._calls: Any = copy.copy(self.completions)
        view = self._calls._client = client.with_options()  # noqa: SLF001
        view.caller = replace(caller, gates=(*gates, *caller.gates, self))
        self._now, self._began = caller.clock.now, caller.clock.now()
        self._progress = BatchProgress(0, 0, 0, 0, len(requests) if isinstance(requests, Sized) else None, 0.0, 0.0, 0)
        self._changed = asyncio.Event()
        self._flights: dict[_Flight, asyncio.Task[BatchItem[Any]]] = {}
        self._pulled, self._waiting = 0, 0  # requests whose item was not taken yet; flights that want a place again
        self._queued: list[tuple[Identity | Entry, asyncio.Future[Any]]] = []  # changes that the journal makes next, in one go
        self._sending: dict[bytes, asyncio.Task[Any]] = {}  # by the keys of their requests in the journal
        self._ready: asyncio.Queue[BatchItem[Any] | None] = asyncio.Queue()  # what is yielded next; None after the last
        self._out_of_order: dict[int, BatchItem[Any]] = {}  # with `ordered`, items that are here before an earlier one
        self._next_index, self._stopped = 0, False
        self._priceless = set[str]()  # models that the catalogue has no prices of
        self._reached, self._lost_at = False, inf  # whether the server was, and since when it cannot be
        self._failure: BaseException | None = None

    async def run(self) -> AsyncGenerator[BatchItem[Any], None]:
        """The items."""
        self._client.on_close.append(self._closed)
        if self.journal is not None:
            self.journal._users.add(self)  # noqa: SLF001  # the journal's other half
        self._reader = cast("asyncio.Task[Any]", asyncio.current_task())
        self._cancels = self._reader.cancelling()  # how often whoever takes the items had been cancelled before
        self._life = asyncio.ensure_future(self._live())
        self._life.add_done_callback(self._over)
        try:
            while (item := await self._ready.get()) is not None:
                self._pulled -= 1
                self._changed.set()
                yield item
            if self._failure is not None:
                raise self._failure
        finally:
            self._client.on_close.remove(self._closed)
            await self._end()

    async def enter(self, attempt: Attempt) -> Pass:
        """Counts an attempt; what is not a chat is counted nowhere."""
        if self._lost_at < inf and (failure := attempt.failure) is not None:
            if self._now() + _LOST_PAUSE_SECONDS >= (inf if attempt.due is None else attempt.due):
                raise failure
            await self._client.caller.clock.sleep(_LOST_PAUSE_SECONDS)
        if self._stopped:
            raise asyncio.CancelledError
        flight = _Flight(self, -1, {}) if attempt.request.chat is None else _FLIGHT.get()
        flight.attempts += 1
        flight.on_the_wire += 1
        return flight

    def waits_after(self, found: object) -> bool:
        """Whether an attempt is made again for nothing: a server that was reached before cannot be now. For a while only."""
        lost = self._reached and isinstance(found, ConnectError) and not found.permanent
        self._reached |= not isinstance(found, ConnectionError)
        self._lost_at = min(self._lost_at, self._now()) if lost else inf
        if self._now() - self._lost_at >= _LOST_SECONDS:
            self._stop(ConnectError(f"no connection for {_LOST_SECONDS:.0f} s; with its journal a batch goes on: {found}"))
        return lost

    def close(self) -> None:
        """Nobody waits here."""

    async def _live(self) -> None:
        """Pulls and waits for all; when it is cancelled, gives what is in flight its time, and when it is again, none."""
        try:
            try:
                await self._pull()
            except Exception as error:  # noqa: BLE001  # the caller's iterable failed, or the journal is not for this batch
                self._failure = self._failure or error
            await self._until(lambda: not self._flights)
        except asyncio.CancelledError:
            if not self._stopped:  # not by this batch
                self._stopped, self._failure = True, self._failure or VeniceError("the iterable of the requests was cancelled")
            for flight, task in self._flights.items():
                if not (flight.finished or flight.on_the_wire):
                    task.cancel()
            if flights := [*self._flights.values()]:
                try:
                    await asyncio.wait(flights, timeout=0 if self._is_cancelled_twice() else self.drain_seconds)
                finally:  # the time is over, or it is cancelled once more
                    for task in flights:
                        task.cancel()
                    await asyncio.wait(flights)

    def _is_cancelled_twice(self) -> bool:
        """Whether two cancellations came as one. `asyncio.run` makes one of the first Ctrl-C, and raises the second."""
        reader = self._reader
        raised = reader.done() and not reader.cancelled() and isinstance(reader.exception(), KeyboardInterrupt)
        return reader.cancelling() - self._cancels + raised > 1

    def _over(self, _: object) -> None:
        """No more items come; also if the task was cancelled before it began."""
        self._commit()
        if self.journal is not None:
            (users := self.journal._users).discard(self)  # noqa: SLF001
            if not users:
                self.journal.close()
        for index in sorted(self._out_of_order):
            self._ready.put_nowait(self._out_of_order.pop(index))
        self._ready.put_nowait(None)

    async def _pull(self) -> None:
        if self.journal is not None:
            self.journal._begin(self._settings, private=self._client.min_privacy == "e2ee")  # noqa: SLF001
        given = self.requests
        requests = aiter(cast("AsyncIterable[Any]", given) if isinstance(given, AsyncIterable) else _each(given))
        for index in count():
            await self._until(lambda: not self._waiting and self._pulled < 2 * self._pace.most and self._pace.has_room())
            request = await anext(requests, _NO_MORE)
            if self._stopped:  # and the caller's iterable has caught the cancellation
                raise asyncio.CancelledError
            if request is _NO_MORE:
                return
            self._pulled += 1
            self._pace.under_way += 1
            flight = _Flight(self, index, request)
            task = self._flights[flight] = asyncio.ensure_future(self._outcome(flight))
            asyncio.tasks._unregister_task(task)  # noqa: SLF001  # documented for whoever extends asyncio
            task.add_done_callback(partial(self._land, flight))

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._changed.clear()
            await self._changed.wait()

    async def _outcome(self, flight: _Flight) -> BatchItem[Any]:
        """The item of a request: sent now, or taken from the journal."""
        _FLIGHT.set(flight)
        try:
            if isinstance(flight.keywords, VeniceError):
                raise flight.keywords
            if self.journal is None:
                return flight.item(**await self._sent(flight, flight.keywords))
            named = self.journal._identity(flight.custom_id, flight.keywords)  # noqa: SLF001
            while (item := await self._claimed(self.journal, flight, named)) is None:
                await (asyncio.wait((other,)) if (other := self._sending.get(named.key)) else self._look_again())
        except VeniceError as error:
            return flight.item(error=error)
        return item

    async def _claimed(self, journal: Journal, flight: _Flight, named: Identity) -> BatchItem[Any] | None:
        """The item of a request: from the journal, or by sending it; None while another flight or process sends it."""
        stored = claim = self._committed(named)
        state: State = "open"
        outcome, billed = None, True
        try:
            found: Entry = await claim
            if found.what != "open":
                return None if found.what == "in_flight" else self._before(journal, flight, found, named)
            self._sending[named.key] = self._flights[flight]
            result = await self._sent(flight, cast("dict[str, Any]", flight.keywords))
            outcome = record(result["response"], error := result["error"], found.content)
            if error is None or is_for_good(error, flight.attempts):
                state = "answered" if error is None else "failed"
            billed = error is not None and not isinstance(error, OutputError) and may_be_billed(error)  # that has its answer
        finally:
            if not claim.cancelled() and claim.result().what == "open":  # also if it was cancelled at the moment of its claim
                self._sending.pop(named.key, None)
                spent = billed and flight.attempts > 0, flight.attempts, flight.cost_usd
                stored = self._committed(Entry(state, claim.result().row, *spent, outcome))
        return flight.item(**result, kept=bool(await stored), maybe_billed_before=found.maybe_billed)

    def _before(self, journal: Journal, flight: _Flight, found: Entry, named: Identity) -> BatchItem[Any]:
        if found.what == "differs":
            return flight.item(error=journal._conflict(found, named))  # noqa: SLF001
        flight.attempts, flight.cost_usd = found.attempts, found.cost_usd
        try:
            result: dict[str, Any] = {"response": (response := journal._before(found)), "parsed": self._parsed(response)}  # noqa: SLF001
        except VeniceError as error:  # that of then, or an answer that is not the object
            result = {"error": without_locals(error)}
        return flight.item(**result, replayed=True, kept=True, maybe_billed_before=found.maybe_billed)

    async def _look_again(self) -> None:
        """Waits a moment for another process that sends the same. Such a flight takes no room here."""
        self._pulled -= 1
        self._pace.under_way -= 1
        self._changed.set()
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        self._waiting += 1
        await self._until(self._pace.has_room)
        self._waiting -= 1
        self._pulled += 1
        self._pace.under_way += 1

    async def _sent(self, flight: _Flight, keywords: dict[str, Any]) -> dict[str, Any]:
        began = self._now()
        response = parsed = None
        error: BaseException | None = None
        try:
            response, parsed = await self._answer(keywords)
        except BudgetExceededError as exceeded:
            self._stop(exceeded)
            raise asyncio.CancelledError from None
        except Exception as failure:  # noqa: BLE001  # whatever it is, it is handed to the caller in its place
            error = without_locals(failure)
        except asyncio.CancelledError as cancelled:
            if self._stopped or self._flights[flight].cancelling():
                raise
            error = without_locals(cancelled)  # not the batch was cancelled, but something within this call
        flight.finished = True
        now = self._now()
        self._pace.ended((error.counts_as or 0) if isinstance(error, APIError) else None, now - began, now)
        await self._price(flight, keywords)
        return {"response": response, "parsed": parsed, "error": error}

    async def _price(self, flight: _Flight, keywords: dict[str, Any]) -> None:
        """Adds what the replies cost that have a usage and no cost, by the catalogue, if it has prices of the model."""
        if flight.unpriced and (name := keywords["model"]) not in self._priceless:
            try:
                chat = Chat([await self._client._find_model(name)], json.loads(canonical(keywords)), 0)  # noqa: SLF001
                flight.cost_usd = sum(map(chat.cost, flight.unpriced)) / NANO + (flight.cost_usd or 0.0)
            except VeniceError:
                self._priceless.add(name)

    async def _answer(self, keywords: dict[str, Any]) -> tuple[ChatCompletionResponse, Any]:
        """The answer to a request, and the object in it."""
        arguments = keywords if self.response_format is None else {**keywords, "response_format": self.response_format}
        if self.tools is not None:
            response = (await self._calls.run_with_tools(**arguments, tools=self.tools)).response
        elif self.response_format is None or isinstance(self.response_format, Mapping):
            response = await self._calls._one(arguments)  # noqa: SLF001
        else:
            parsed = await self._calls.parse(**arguments)
            return parsed.response, parsed.parsed
        return response, self._parsed(response)

    def _parsed(self, response: ChatCompletionResponse) -> Any:
        """The object in an answer; None if none was asked for."""
        return None if self._shape is None else response.parse_as(self._shape)

    def _land(self, flight: _Flight, task: asyncio.Task[BatchItem[Any]]) -> None:
        del self._flights[flight]
        self._pace.under_way -= 1
        self._changed.set()
        try:
            if not task.cancelled():
                self._take(task.result())
        except BaseException as error:  # noqa: BLE001  # also of the caller's on_progress; it is raised at the end
            self._stop(error)

    def _take(self, item: BatchItem[Any]) -> None:
        self._out_of_order[item.index] = item
        index = self._next_index if self.ordered else item.index
        while (following := self._out_of_order.pop(index, None)) is not None:
            self._ready.put_nowait(following)
            self._next_index = index = index + 1
        done, failed, replayed, _, total, cost, *_ = self._progress
        counts = done + 1, failed + (item.error is not None), replayed + item.replayed, len(self._flights), total
        cost += 0.0 if item.replayed else item.cost_usd or 0.0
        self._progress = BatchProgress(*counts, cost, self._now() - self._began, self._pace.most)
        if self.on_progress is not None:
            self.on_progress(self._progress)

    def _committed(self, change: Identity | Entry) -> asyncio.Future[Any]:
        """The result of a change, in one transaction with other flights' changes; it is made even if nobody awaits it."""
        loop = asyncio.get_running_loop()
        if not self._queued:
            loop.call_soon(self._commit)
        self._queued.append((change, answer := loop.create_future()))
        return answer

    def _commit(self) -> None:
        queued = [each for each in self._queued if isinstance(each[0], Entry) or not each[1].done()]  # no dropped claim
        self._queued = []
        changes, journal = [change for change, _ in queued], cast("Journal", self.journal)  # without one nothing is queued
        try:
            results = journal._apply(changes) if changes else []  # noqa: SLF001
        except Exception as error:  # noqa: BLE001  # flights that asked for a claim end here
            self._stop(error)
            results = journal._rescue(changes)  # noqa: SLF001
        for (_, answer), result in zip(queued, results, strict=True):
            if result is None:
                answer.cancel()
            elif not answer.done():
                answer.set_result(result)

    def _stop(self, error: BaseException | None = None) -> None:
        """From now on nothing is sent; what is neither on the wire nor has come ends. The first error is raised at the end."""
        self._failure = self._failure or error
        if not self._stopped:
            self._stopped = True
            self._life.cancel()

    async def _end(self, error: BaseException | None = None) -> None:
        """Stops the batch, and waits until it is over; a cancellation meanwhile drops what is in flight."""
        self._stop(error)
        try:
            await asyncio.wait((self._life,))
        finally:
            self._life.cancel()
            await asyncio.wait((self._life,))

    async def _closed(self) -> None:
        """The client is closed: a batch that was not through does not look as if it were."""
        await self._end(None if self._life.done() else VeniceError("the client was closed while the batch ran"))


async def _each(requests: Iterable[Any]) -> AsyncIterator[Any]:
    for request in requests:
        yield request


def _tools(tools: Tools | None) -> tuple[list[Any] | None, str]:
    """The tools; and the text by which a journal recognises them: their names and a hash."""
    if tools is None:
        return None, ""
    from ...tools.toolbox import Toolbox, prepared, tool_name  # they need pydantic, which a chat does not

    ready = prepared(tools)
    definitions = Toolbox(ready).definitions
    return ready, _named(", ".join(sorted(tool_name(each) or "a tool of Venice's" for each in definitions)), tools=definitions)


def _format_name(shape: Any) -> str:
    """The text by which a journal recognises a `response_format`: its name and a hash."""
    if shape is None:
        return ""
    if not isinstance(shape, Mapping):
        from ..._structured.strict_schema import requested_format  # needs pydantic, which a chat does not

        shape = requested_format(shape)[0]
    fields: dict[str, Any] = {**shape}
    return _named(fields.get("json_schema", fields).get("name", fields.get("type")), **fields)


def _named(name: object, **content: Any) -> str:
    """A name, and a hash that tells another thing of the same name."""
    return f"{name} ({hashed(b'settings', canonical(content)).hex()[:8]})"
