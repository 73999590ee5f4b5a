"""Batches on several machines, with Ray Data: `ChatMapper` answers the rows of a dataset (extra `ray`).

Ray spreads the rows over actors, and starts again what was lost. An actor has one client and one endless batch, into which the
rows of each block go, so that what is learnt of the account's limits outlives the block.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal, cast

from . import Budget, Journal, RateShare, VeniceClient
from ._structured.columns import AnswerColumns
from .batches.items import OF_THE_ACCOUNT, BatchItem
from .exceptions import InvalidArgumentError


class _Request(dict[str, Any]):
    """A row's request to send, with the future that waits for it."""

    answer: asyncio.Future[BatchItem[Any]]


class ChatMapper:
    """Answers rows, for `ray.data.Dataset.map_batches`. The rows come back with the columns `answer` and `error`.

    A row that fails has an `error` that is not empty; an answer that is not the object stands in `raw_answer`. What would fail
    for every other row, too, fails the dataset: a refused key, an account without credit, a used-up budget.

    Args:
        request: makes of a row, a dict, the keywords of `create`, with a `custom_id` if it is to be known by one.
        folder: a folder on a disk of each machine. What its actors share is kept there, also for the next run: the account's
            rate, the budget, and the journal, by which no row is paid for twice on the same machine.
        response_format: a class, or a JSON schema as `create` takes it; its fields are columns, in the place of `answer`.
        budget_usd: a cap on what all machines spend. Each may spend its part of it.
        machines: how many machines there are.
        max_concurrency: how many requests an actor may have under way; `"auto"` follows its limiter.
        **options: for the `VeniceClient` of each actor.

    Raises:
        InvalidArgumentError: an argument is wrong.
        VeniceError: the folder cannot be used.
    """

    def __init__(
        self,
        request: Callable[[dict[str, Any]], Mapping[str, Any]],
        *,
        folder: str | os.PathLike[str],
        response_format: Any = None,
        budget_usd: float | None = None,
        machines: int = 1,
        max_concurrency: int | Literal["auto"] = "auto",
        **options: Any,
    ) -> None:
        if machines < 1:
            raise InvalidArgumentError(f"machines={machines!r} must be a whole number from 1")
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        self._request = request
        self._columns = AnswerColumns(response_format)
        self._rows: asyncio.Queue[_Request] = asyncio.Queue()
        self._open: set[asyncio.Future[BatchItem[Any]]] = set()
        self._sending: asyncio.Task[None] | None = None
        self._batch: dict[str, Any] = {
            "journal": Journal(place / "journal"),
            "budget": None if budget_usd is None else Budget(budget_usd / machines, place / "budget"),
            "response_format": response_format,
            "max_concurrency": max_concurrency,
        }
        settings: dict[str, Any] = {"rate_share": RateShare(place / "rate"), **options}
        self._client = VeniceClient(**settings)

    async def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The columns of a batch of rows, with those of their answers."""
        columns = [values.tolist() for values in batch.values()]
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send())
        requests = [_Request(self._request(dict(zip(batch, row, strict=True)))) for row in zip(*columns, strict=True)]
        for request in requests:
            request.answer = asyncio.get_running_loop().create_future()
            self._open.add(request.answer)
            self._rows.put_nowait(request)
        items = await asyncio.gather(*(request.answer for request in requests))
        found = [self._columns.of(item.response, item.parsed, item.error) for item in items]
        for row in found:
            row.update({name: row[name] or "" for name in ("error", "raw_answer") if name in row})  # a column has one type
        return {**batch, **{name: [row[name] for row in found] for name in self._columns.names}}

    async def _send(self) -> None:
        try:
            async with aclosing(self._client.chat.completions.batch_iter(self._pulled(), **self._batch)) as items:
                async for item in items:
                    if isinstance(item.error, OF_THE_ACCOUNT):
                        raise item.error
                    answer = cast("_Request", item.request).answer
                    self._open.discard(answer)
                    answer.set_result(item)
        except Exception as error:  # noqa: BLE001  # it ended the batch, and is raised where rows wait for their answers
            while self._open:
                self._open.pop().set_exception(error)

    async def _pulled(self) -> AsyncIterator[_Request]:
        while True:
            yield await self._rows.get()
