"""The driver of `batch_iter`: pulls requests as there is room, sends them, keeps what comes in the journal, and hands it over.

Each request is a flight, with a place (`Pace`) and a task: the journal keeps the intent, it is sent, the journal keeps the
outcome, and only then is there an item. Transactions run on the event loop, for a thread would wait longer for its turn, and in
no task, for all tasks are cancelled at the end of a program.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sized
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from ... import exceptions
from ..._core.concurrency import check_plain, without_locals
from ..._core.ports import Attempt, CallGate, Pass
from ..._limits.budget import Budget, BudgetGate, may_be_billed
from ..._limits.limiter import Limiter
from ...batches.identity import Identity, as_it_is, canonical, hashed, split
from ...batches.items import BatchItem, BatchProgress
from ...batches.journal import Found, Journal, Keep, State, record
from ...batches.pace import Pace
from ...exceptions import APIError, BudgetExceededError, InvalidArgumentError, OutputError, VeniceError
from ...types.api.chat import ChatCompletionResponse

if TYPE_CHECKING:
    from ..._http.connection import Connection
    from .arguments import Tools
    from .completions import ChatCompletions

_LOOK_AGAIN_SECONDS: Final = 0.05
_OF_THE_ACCOUNT: Final = exceptions.AuthenticationError, exceptions.PaymentRequiredError, exceptions.PermissionDeniedError
_NO_MORE: Final = object()


class _StoppedError(VeniceError):
    """The batch stops, so this was not sent. It never reaches a caller."""


class _Flight(Pass):
    """One request on its way; also the pass of each of its attempts: retries, re-asks, round trips of a tool loop."""

    task: _FlightTask

    def __init__(self, index: int, request: Any) -> None:
        self.index = index
        self.request = request
        self.custom_id: str | None = None
        self.refusal: VeniceError | None = None
        try:  # now, for the caller's iterable may use the same mapping for the next request
            self.custom_id, self.asked = split(request)
        except VeniceError as error:
            self.refusal = error
        self.attempts = 0
        self.cost_usd: float | None = None
        self.has_place = True
        self.on_the_wire = 0  # attempts that were sent and are not over
        self.came = False

    def replied(self, found: object) -> None: ...

    def done(self, usage: object, cost: float | None) -> None:
        self.on_the_wire -= 1
        if isinstance(cost, (int, float)) and cost > 0:
            self.cost_usd = (self.cost_usd or 0.0) + cost

    def item(self, **came: Any) -> BatchItem[Any]:
        return BatchItem(self.index, self.custom_id, self.request, attempts=self.attempts, cost_usd=self.cost_usd, **came)


class _FlightTask(asyncio.Task[BatchItem[Any]]):
    """The task of a flight. When a program ends (`asyncio.run` cancels all tasks, outside of the loop), it is spared."""

    batch: Batch

    def cancel(self, msg: Any = None) -> bool:
        return super().cancel(msg) if self.get_loop().is_running() else self.batch.spare(self)

    def drop(self) -> None:
        super().cancel()


_FLIGHT: Final[ContextVar[_Flight]] = ContextVar("venice_ai batch flight")


@dataclass(eq=False, repr=False)
class Batch(CallGate):
    """One run of `batch_iter`; also the last gate of its calls: it counts what is sent, and once it stops, nothing is."""

    completions: ChatCompletions
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
        requests, budget = self.requests, self.budget
        if not isinstance(requests, (Iterable, AsyncIterable)) or isinstance(requests, (str, bytes, Mapping)):
            raise InvalidArgumentError(f"requests must be an iterable of mappings, not {type(self.requests).__name__}")
        for name, given, kind in (("journal", self.journal, Journal), ("budget", budget, Budget)):
            if given is not None and not isinstance(given, kind):
                raise InvalidArgumentError(f"{name}={given!r:.100} is not a {kind.__name__}")
        check_plain("on_progress", self.on_progress)
        seconds: object = self.drain_seconds
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise InvalidArgumentError(f"drain_seconds={seconds!r} must be a number of seconds from 0")
        client = self._client = self.completions._client  # noqa: SLF001  # of the same client
        self._pace = Pace(self.max_concurrency, next((each for each in client.caller.gates if isinstance(each, Limiter)), None))
        self.tools, tool_names = _tools(self.tools)
        shape = _format_name(self.response_format)
        self._settings = {"base_url": client.base_url, "response_format": shape, "tools": tool_names}
        gates: list[CallGate] = [] if budget is None else [BudgetGate(budget, client._find_model, client.caller.clock)]  # noqa: SLF001
        # Copies that share everything else, so that an overridden `create` is obeyed.
        self._calls: Any = copy.copy(self.completions)
        self._calls._client = _with_gates(client, (*gates, *client.caller.gates, self))  # noqa: SLF001
        self._total = len(requests) if isinstance(requests, Sized) else None
        self._now = client.caller.clock.now
        self._began = self._now()
        self._feeder: asyncio.Future[None]
        self._room = asyncio.Event()
        self._flights: set[_Flight] = set()
        self._pulled = 0  # requests that were pulled and whose item was not taken yet
        self._wanted = 0  # flights that want a place again
        self._asked: list[tuple[Identity | Keep, asyncio.Future[Any]]] = []  # what the journal does next, in one transaction
        self._sending: dict[bytes, _Flight] = {}  # by their keys in the journal
        self._ready: asyncio.Queue[BatchItem[Any] | None] = asyncio.Queue()  # what is yielded next; None after the last
        self._came: dict[int, BatchItem[Any]] = {}  # with `ordered`, what came before an earlier one
        self._next_index = 0
        self._counts = 0, 0, 0, 0.0
        self._stopped = False
        self._failure: BaseException | None = None

    async def run(self) -> AsyncGenerator[BatchItem[Any], None]:
        """The items."""
        self._client.on_close.append(self._closed)
        self._feeder = asyncio.ensure_future(self._feed())
        self._feeder.add_done_callback(lambda _: self._end_items())
        with nullcontext() if self.journal is None else self.journal.in_use():
            try:
                while (item := await self._ready.get()) is not None:
                    self._pulled -= 1
                    self._room.set()
                    yield item
                if self._failure is not None:
                    raise self._failure
            finally:
                self._feeder.cancel()
                await self._end()

    async def enter(self, attempt: Attempt) -> Pass:
        """Counts an attempt; what is no chat is counted nowhere."""
        if self._stopped:
            raise _StoppedError("not sent: the batch stops")
        flight = _Flight(-1, {}) if attempt.request.chat is None else _FLIGHT.get()
        flight.attempts += 1
        flight.on_the_wire += 1
        return flight

    def close(self) -> None:
        """Nobody waits here."""

    async def _feed(self) -> None:
        """Pulls requests as there is room."""
        try:
            if self.journal is not None:
                self.journal.begin(self._settings, private=self._client.min_privacy == "e2ee")
            given = self.requests
            requests = aiter(cast("AsyncIterable[Any]", given) if isinstance(given, AsyncIterable) else _each(given))
            for index in count():
                await self._until(self._may_pull)
                request = _NO_MORE if self._stopped else await anext(requests, _NO_MORE)
                if request is _NO_MORE or self._stopped:
                    return
                self._pulled += 1
                self._pace.under_way += 1
                self._flights.add(flight := _Flight(index, as_it_is(request)))
                flight.task = _FlightTask(self._outcome(flight), loop=asyncio.get_running_loop())
                flight.task.batch = self
                flight.task.add_done_callback(partial(self._land, flight))
        except asyncio.CancelledError:
            if not self._stopped:  # not by this batch
                self._failure = self._failure or VeniceError("the iterable of the requests was cancelled")
        except Exception as error:  # noqa: BLE001  # the caller's iterable failed, or the journal is not for this batch
            self._failure = self._failure or error

    def _may_pull(self) -> bool:
        return self._stopped or (not self._wanted and self._pulled < 2 * self._pace.most and self._pace.has_room())

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._room.clear()
            await self._room.wait()

    def _leave_place(self, flight: _Flight) -> None:
        self._pace.under_way -= flight.has_place
        flight.has_place = False
        self._room.set()

    # -- flights -----------------------------------------------------------------------------------------------------------

    async def _outcome(self, flight: _Flight) -> BatchItem[Any]:
        """What comes of a request, now or before."""
        _FLIGHT.set(flight)
        if flight.refusal is not None:
            return flight.item(error=flight.refusal)
        if self.journal is None:
            return await self._sent(flight)
        try:
            named = self.journal.identity(flight.custom_id, flight.asked)
        except VeniceError as error:
            return flight.item(error=error)
        while (found := await self._claimed(named)).what == "in_flight":
            await self._wait_for(self._sending.get(named.key), flight)
        if found.what == "open":
            self._sending[named.key] = flight
            try:
                return await self._sent_and_kept(flight, found)
            finally:
                del self._sending[named.key]
        if found.what == "differs":
            how = self.journal.difference(found, named)
            said = f"custom_id={flight.custom_id!r} was used for another request before: {how}"
            return flight.item(error=InvalidArgumentError(said))
        flight.attempts, flight.cost_usd = found.attempts, found.cost_usd
        kept = self.journal.before(found)
        try:
            came = {"error": kept} if isinstance(kept, VeniceError) else {"parsed": self._parsed(kept), "response": kept}
        except OutputError as error:
            came = {"error": error}
        return flight.item(**came, replayed=True, kept=True, maybe_billed_before=found.maybe_billed)

    async def _claimed(self, named: Identity) -> Found:
        """What a claim comes to; one of a flight that was cancelled at that moment is given back."""
        answer = self._committed(named)
        try:
            return cast("Found", await answer)
        except asyncio.CancelledError:
            if not answer.cancelled() and (found := answer.result()).what == "open":
                self._committed(Keep(found.row, "open", None, 0, None, maybe_billed=False))
            raise

    async def _wait_for(self, other: _Flight | None, flight: _Flight) -> None:
        """Waits for whoever sends the same: a flight of this batch, or another process, for which it takes no room here."""
        if other is not None:
            await asyncio.wait((other.task,))
            return
        self._pulled -= 1
        self._leave_place(flight)
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        self._pulled += 1
        self._wanted += 1
        await self._until(self._pace.has_room)
        self._wanted -= 1
        self._pace.under_way += 1
        flight.has_place = True

    async def _sent_and_kept(self, flight: _Flight, found: Found) -> BatchItem[Any]:
        """What comes of a request that this run has claimed; it is given back if nothing comes."""
        state: State = "open"
        outcome, billed, is_kept = None, True, False
        try:
            item = await self._sent(flight)
            outcome = record(item.response, item.error)
            if item.error is None or _is_for_good(item.error, flight.attempts):
                state = "answered" if item.error is None else "failed"
            billed = item.error is not None and may_be_billed(item.error)
        finally:
            billed = billed and flight.attempts > 0
            kept = self._committed(Keep(found.row, state, outcome, flight.attempts, flight.cost_usd, billed))
            self._leave_place(flight)
        try:
            is_kept = await kept
        except VeniceError as failure:
            self._fail(failure)
        return replace(item, kept=is_kept, maybe_billed_before=found.maybe_billed)

    async def _sent(self, flight: _Flight) -> BatchItem[Any]:
        """Sends a request, and gives what comes."""
        began = self._now()
        response = parsed = None
        error: BaseException | None = None
        try:
            response, parsed = await self._answer(flight.asked)
        except _StoppedError:
            raise
        except BudgetExceededError as exceeded:
            self._fail(exceeded)
            raise _StoppedError("the budget is used up") from None
        except Exception as failure:  # noqa: BLE001  # whatever it is, it is handed to the caller in its place
            error = without_locals(failure)
        except asyncio.CancelledError as cancelled:
            if flight.task.cancelling():
                raise
            error = without_locals(cancelled)  # not the batch was cancelled, but something within this call
        flight.came = True
        now = self._now()
        self._pace.ended(error.counts_as if isinstance(error, APIError) else None, now - began, now)
        return flight.item(response=response, parsed=parsed, error=error)

    async def _answer(self, keywords: dict[str, Any]) -> tuple[ChatCompletionResponse, Any]:
        """The answer to a request, and the object in it."""
        asked = keywords if self.response_format is None else {**keywords, "response_format": self.response_format}
        if self.tools is not None:
            response = (await self._calls.run_with_tools(**asked, tools=self.tools)).response
        elif self.response_format is None or isinstance(self.response_format, Mapping):
            response = await self._calls._one(asked)  # noqa: SLF001
        else:
            parsed = await self._calls.parse(**asked)
            return parsed.response, parsed.parsed
        return response, self._parsed(response)

    def _parsed(self, response: ChatCompletionResponse) -> Any:
        """The object in an answer; None if none was asked for."""
        if self.response_format is None:
            return None
        return response.parse_as(dict[str, Any] if isinstance(self.response_format, Mapping) else self.response_format)

    def _land(self, flight: _Flight, task: asyncio.Task[BatchItem[Any]]) -> None:
        """A flight is over."""
        self._flights.discard(flight)
        self._leave_place(flight)
        try:
            self._take(task.result())
        except (asyncio.CancelledError, _StoppedError):
            self._pulled -= 1
        except BaseException as error:  # noqa: BLE001  # also of the caller's on_progress; it is raised at the end
            self._fail(error)
        self._end_items()

    def _take(self, item: BatchItem[Any]) -> None:
        self._came[item.index] = item
        index = self._next_index if self.ordered else item.index
        while (following := self._came.pop(index, None)) is not None:
            self._ready.put_nowait(following)
            self._next_index = index = index + 1
        done, failed, replayed, cost = self._counts
        cost += 0.0 if item.replayed else item.cost_usd or 0.0
        self._counts = done + 1, failed + (item.error is not None), replayed + item.replayed, cost
        if self.on_progress is not None:
            numbers = *self._counts[:3], len(self._flights), self._total, cost, self._now() - self._began, self._pace.most
            self.on_progress(BatchProgress(*numbers))

    def _committed(self, change: Identity | Keep) -> asyncio.Future[Any]:
        """What a change comes to, in a transaction with those of other flights. It is made whether or not anybody awaits it."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._commit)
        self._asked.append((change, answer := loop.create_future()))
        return answer

    def _commit(self) -> None:
        # A claim of a flight that is gone would belong to nobody.
        asked = [(change, answer) for change, answer in self._asked if isinstance(change, Keep) or not answer.done()]
        self._asked = []
        if self.journal is None or not asked:
            return
        results: list[Any]
        try:
            results = self.journal.apply([change for change, _ in asked])
        except Exception as error:  # noqa: BLE001  # whoever asked is told
            results = [error] * len(asked)
        for (_, answer), result in zip(asked, results, strict=True):
            if not answer.done():
                (answer.set_exception if isinstance(result, Exception) else answer.set_result)(result)

    # -- the end -----------------------------------------------------------------------------------------------------------

    def _end_items(self) -> None:
        """Ends the items if no more come. A feeder that waits for a request of the caller's is not waited for."""
        if not self._flights and (self._stopped or self._feeder.done()):
            for index in sorted(self._came):
                self._ready.put_nowait(self._came.pop(index))
            self._ready.put_nowait(None)

    def _fail(self, error: BaseException) -> None:
        """Stops the batch because of an error, which is raised at the end."""
        self._failure = self._failure or error
        self._stop()

    def _stop(self) -> None:
        """From now on nothing is sent; what is neither on the wire nor has come ends."""
        self._stopped = True
        for flight in self._flights:
            if not (flight.came or flight.on_the_wire):
                flight.task.drop()
        self._room.set()
        self._end_items()

    async def _end(self) -> None:
        """Gives what is in flight its time, and drops the rest; a cancellation meanwhile drops it at once."""
        self._stop()
        tasks = [flight.task for flight in self._flights]
        try:
            if tasks:
                try:
                    await asyncio.wait(tasks, timeout=self.drain_seconds)
                finally:
                    for task in tasks:
                        task.drop()
                    await asyncio.wait(tasks)
            self._commit()
        finally:
            if self._closed in self._client.on_close:
                self._client.on_close.remove(self._closed)

    async def _closed(self) -> None:
        """The client is closed: a batch that was not through does not look as if it were."""
        if self._flights or not self._feeder.done():
            self._failure = self._failure or VeniceError("the client was closed while the batch ran")
        await self._end()

    def spare(self, task: _FlightTask) -> bool:
        """Gives a flight its time at the end of the program."""
        self._stop()
        return bool(task.get_loop().call_later(self.drain_seconds, task.drop))


async def _each(requests: Iterable[Any]) -> AsyncIterator[Any]:
    for request in requests:
        yield request


def _is_for_good(error: BaseException, attempts: int) -> bool:
    """Whether a request is set aside: not if it was never sent, or the account may not send it, for it is not to blame."""
    if isinstance(error, _OF_THE_ACCOUNT) or not isinstance(error, Exception) or getattr(error, "unsent", False):
        return False
    return attempts > 0 or isinstance(error, (ValueError, TypeError))


def _with_gates(client: Connection, gates: tuple[CallGate, ...]) -> Connection:
    """The same client with other gates."""
    twin, caller = object.__new__(type(client)), copy.copy(client.caller)
    caller.gates = gates
    vars(twin).update({**vars(client), "caller": caller})
    return twin


def _tools(tools: Tools | None) -> tuple[list[Any] | None, str]:
    """The tools; and their names, with a hash that tells others of the same names."""
    if tools is None:
        return None, ""
    from ...tools.toolbox import Toolbox, prepared, tool_name  # they need pydantic, which a chat does not

    ready = prepared(tools)
    definitions = Toolbox(ready).definitions
    names = ", ".join(sorted(tool_name(each) or "a tool of Venice's" for each in definitions))
    return ready, f"{names} ({hashed(b'tools', canonical({'tools': definitions})).hex()[:8]})"


def _format_name(shape: Any) -> str:
    """What stands for a `response_format`: its name, and a hash that tells another one of the same name."""
    if shape is None:
        return ""
    if not isinstance(shape, Mapping):
        from ..._structured.strict_schema import requested_format  # needs pydantic, which a chat does not

        shape = requested_format(shape)[0]
    fields = cast("Mapping[str, Any]", shape)
    name = fields.get("json_schema", fields).get("name", fields.get("type"))
    return f"{name} ({hashed(b'format', canonical(fields)).hex()[:8]})"
