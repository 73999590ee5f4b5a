"""`batch_iter`: any number of requests, each answer as soon as it arrives, and with a journal none is sent twice."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel

from venice_ai import (
    BatchItem,
    BatchProgress,
    Budget,
    BudgetExceededError,
    ConnectError,
    InvalidArgumentError,
    InvalidRequestError,
    Journal,
    NotFoundError,
    OutputInvalidError,
    SyncVeniceClient,
    Timeout,
    VeniceClient,
    VeniceError,
)
from venice_ai.emulator import Emulator, completion, echo, error, serve, text, text_model, tool_call
from venice_ai.resources.chat import ChatCompletions
from venice_ai.transport import Reply, Request

from ..tee.enclave import ASK, Enclave
from ..tee.enclave import client_of as enclave_client

BUSY_SECONDS = 0.02


def ask(words: object, **more: Any) -> dict[str, Any]:
    return {"model": "default", "messages": [{"role": "user", "content": f"{words}"}], **more}


def numbered(amount: int) -> list[dict[str, Any]]:
    return [ask(f"question {n}", custom_id=f"id-{n}") for n in range(amount)]


class Watched:
    """The emulator's transport, which counts what was asked, and holds answers back for a while if it is told to."""

    def __init__(self, emulator: Emulator, seconds: float = 0.0) -> None:
        self.server = emulator
        self._inner = emulator.transport()
        self.seconds = seconds
        self.held: asyncio.Event | None = None
        self.prompts: Counter[str] = Counter()
        self.now = self.most = 0

    async def send(self, request: Request) -> Reply:
        if not request.body:
            return await self._inner.send(request)
        self.prompts[json.loads(request.body)["messages"][-1]["content"]] += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
            if self.held is not None:
                await self.held.wait()
            return await self._inner.send(request)
        finally:
            self.now -= 1

    async def aclose(self) -> None:
        await self._inner.aclose()


def watched(*steps: Any, seconds: float = 0.0, always: Any = None, **emulator: Any) -> Watched:
    server = Emulator(**emulator)
    server.always(always or echo())
    server.script(*steps)
    return Watched(server, seconds)


def client_of(transport: Watched, **more: Any) -> VeniceClient:
    settings: dict[str, Any] = {"limits": False, "max_retries": 0, **more}
    return VeniceClient(api_key="any", transport=transport, **settings)


async def items(client: VeniceClient, requests: Any, **options: Any) -> list[BatchItem[Any]]:
    return [item async for item in client.chat.completions.batch_iter(requests, **options)]


def texts(found: list[BatchItem[Any]]) -> list[str | None]:
    return [item.response.text if item.response else None for item in sorted(found, key=lambda item: item.index)]


async def pulled(requests: list[Any]) -> AsyncIterator[Any]:
    for request in requests:
        await asyncio.sleep(0)
        yield request


# -- without a journal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, iter, pulled], ids=["list", "iterator", "async iterator"])
async def test_every_request_has_its_item(kind: Callable[[Any], Any]) -> None:
    transport = watched()
    found = await items(client_of(transport), kind(numbered(30)), max_concurrency=7)
    assert texts(found) == [f"question {n}" for n in range(30)]
    assert {(item.custom_id, item.attempts, item.replayed, item.kept) for item in found} == {
        (f"id-{n}", 1, False, False) for n in range(30)
    }
    assert all(item.cost_usd and item.request["custom_id"] == item.custom_id for item in found)
    assert transport.most <= 7


async def test_ordered_items_stand_in_the_order_of_the_requests() -> None:
    transport = watched(*[text("slow", delay=0.01 * (n % 3)) for n in range(12)])
    found = await items(client_of(transport), numbered(40), ordered=True, max_concurrency=6)
    assert [item.index for item in found] == list(range(40))


async def test_requests_without_end_are_pulled_only_as_there_is_room() -> None:
    taken = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for taken in count(1):
            yield ask(taken)

    batch = client_of(watched()).chat.completions.batch_iter(endless(), max_concurrency=4)
    async for item in batch:
        assert item.response
        await asyncio.sleep(0)
        assert taken <= item.index + 1 + 2 * 4 + 4
        if item.index >= 100:
            break
    await batch.aclose()
    assert taken < 130


async def test_a_failed_request_is_an_item_with_its_error() -> None:
    requests: list[Any] = [ask("a"), ask("b"), ask("c", stream=True), ask("d", temperature=9), 7]
    found = await items(client_of(watched(echo(), error(404))), requests, ordered=True, max_concurrency=1)
    kinds = [type(item.error) for item in found]
    assert kinds == [type(None), NotFoundError, InvalidArgumentError, InvalidRequestError, InvalidArgumentError]


async def test_attempts_count_retries_and_costs_are_added() -> None:
    transport = watched(error(503), error(503), echo())
    (item,) = await items(client_of(transport, max_retries=2, clock=transport.server.clock), [ask("a")])
    assert (item.attempts, item.error) == (3, None)


async def test_on_progress_is_called_after_each_item() -> None:
    progresses: list[BatchProgress] = []
    await items(client_of(watched(error(404))), numbered(6), on_progress=progresses.append, max_concurrency=2)
    assert [progress.done for progress in progresses] == [1, 2, 3, 4, 5, 6]
    last = progresses[-1]
    assert (last.failed, last.replayed, last.in_flight, last.total, last.max_concurrency) == (1, 0, 0, 6, 2)
    assert last.cost_usd > 0


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": 0},
        {"max_concurrency": True},
        {"max_concurrency": "many"},
        {"budget": 5},
        {"drain_seconds": -1},
        {"journal": "x"},
    ],
    ids=str,
)
async def test_wrong_arguments_are_refused_at_the_call(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        client_of(watched()).chat.completions.batch_iter([], **options)


@pytest.mark.parametrize("requests", [7, "text", {"model": "m"}, None])
async def test_requests_that_are_not_an_iterable_of_mappings_are_refused(requests: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="requests"):
        client_of(watched()).chat.completions.batch_iter(requests)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        pytest.param({"model": "default"}, InvalidArgumentError, "no 'messages'", id="no messages"),
        pytest.param({"messages": "a"}, InvalidArgumentError, "no 'model'", id="no model"),
        pytest.param(ask("a", extra_body=5), InvalidRequestError, "extra_body is int", id="extra_body"),
    ],
)
@pytest.mark.parametrize("with_journal", [False, True])
async def test_a_request_that_cannot_be_sent_is_an_item_that_names_the_field(
    tmp_path: Path, wrong: dict[str, Any], kind: type[Exception], message: str, *, with_journal: bool
) -> None:
    transport = watched()
    journal = Journal(tmp_path / "j") if with_journal else None
    found = await items(client_of(transport), [wrong, ask("good")], ordered=True, journal=journal)
    assert isinstance(found[0].error, kind)
    assert message in str(found[0].error)
    assert (found[0].attempts, texts(found[1:])) == (0, ["good"])


async def test_an_error_of_the_iterable_is_raised_after_the_items_before_it() -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from numbered(3)
        raise OSError("the disk went away")

    batch, seen = client_of(watched(seconds=BUSY_SECONDS)).chat.completions.batch_iter(broken()), 0
    with pytest.raises(OSError, match="went away"):
        async for _ in batch:
            seen += 1
    assert seen == 3


async def test_an_answer_is_parsed_as_the_class_and_asked_again_where_it_does_not_fit() -> None:
    class Person(BaseModel):
        name: str

    transport = watched(text("no JSON"), text('{"name": "Ada"}'), always=text('{"name": "Bob"}'))
    found = await items(
        client_of(transport), [ask("a", max_reasks=1), ask("b")], response_format=Person, ordered=True, max_concurrency=1
    )
    assert [item.parsed for item in found] == [Person(name="Ada"), Person(name="Bob")]
    assert [item.attempts for item in found] == [2, 1]
    assert found[0].cost_usd == pytest.approx(2 * (found[1].cost_usd or 0), rel=0.5)


async def test_an_answer_that_is_not_the_object_is_an_error_with_the_answer() -> None:
    class Person(BaseModel):
        name: str

    (item,) = await items(client_of(watched(text("no JSON"))), [ask("a")], response_format=Person)
    assert isinstance(item.error, OutputInvalidError)
    assert item.error.response.text == "no JSON"


async def test_a_schema_gives_its_json() -> None:
    schema: dict[str, Any] = {
        "name": "n",
        "strict": True,
        "schema": {"type": "object", "properties": {}, "additionalProperties": False},
    }
    transport = watched(always=text('{"a": 1}'))
    (item,) = await items(client_of(transport), [ask("a")], response_format={"type": "json_schema", "json_schema": schema})
    assert item.parsed == {"a": 1}


async def test_with_tools_each_request_runs_a_tool_loop() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    transport = watched(tool_call("add", {"a": 2, "b": 3}), text("five"))
    (item,) = await items(client_of(transport), [ask("2 + 3?")], tools=[add])
    assert (item.response and item.response.text, item.attempts) == ("five", 2)


async def test_other_tools_of_the_same_name_are_refused(tmp_path: Path) -> None:
    def first() -> Any:
        def add(a: int, b: int) -> int:
            return a + b

        return add

    def second() -> Any:
        def add(a: str) -> str:
            return a

        return add

    client = client_of(watched())
    with Journal(tmp_path / "j") as journal:
        await items(client, [ask("a")], journal=journal, tools=[first()])
        await items(client, [ask("a")], journal=journal, tools=[first()])
        with pytest.raises(InvalidArgumentError, match="tools='add"):
            await items(client, [ask("a")], journal=journal, tools=[second()])


@pytest.mark.parametrize("with_journal", [False, True])
async def test_closing_the_client_ends_a_running_batch_with_an_error(tmp_path: Path, with_journal: bool) -> None:
    client, found = client_of(watched(seconds=BUSY_SECONDS)), list[BatchItem]()
    closing: list[asyncio.Future[None]] = []
    journal = Journal(tmp_path / "j") if with_journal else None
    with pytest.raises(VeniceError, match="the client was closed while the batch ran"):
        async for item in client.chat.completions.batch_iter(numbered(50), max_concurrency=4, journal=journal):
            found.append(item)
            if len(found) == 3:
                closing.append(asyncio.ensure_future(client.close()))
    await asyncio.gather(*closing)
    assert 3 <= len(found) < 50
    assert all(item.response for item in found)


async def test_closing_the_client_as_a_batch_begins_ends_the_batch() -> None:
    client = client_of(watched())
    running = asyncio.ensure_future(items(client, numbered(3)))
    closing = asyncio.ensure_future(client.close())
    with pytest.raises(VeniceError, match="the client was closed while the batch ran"):
        await running
    await closing


async def test_a_batch_calls_an_overridden_create() -> None:
    client = client_of(watched())

    class Shouting(ChatCompletions):
        async def create(self, **params: Any) -> Any:
            create: Any = super().create
            response = await create(**params)
            response.choices[0].message.content = (response.text or "").upper()
            return response

    (item,) = [item async for item in Shouting(client).batch_iter([ask("a")])]
    assert item.response
    assert item.response.text == "A"


# -- the journal ---------------------------------------------------------------------------------------------------------


async def test_a_journal_that_was_closed_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    transport, journal = watched(), Journal(tmp_path / "j")
    journal.close()
    with pytest.raises(VeniceError, match=r"this Journal was closed: .* open it again"):
        await items(client_of(transport), numbered(1), journal=journal)
    assert transport.prompts == {}
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


async def test_a_damaged_row_of_the_journal_affects_no_other_row(tmp_path: Path) -> None:
    transport = watched()
    with Journal(tmp_path / "j") as journal:
        await items(client_of(transport), numbered(3), journal=journal, max_concurrency=1)
        with sqlite3.connect(tmp_path / "j") as database:
            database.execute("UPDATE contents SET outcome = substr(outcome, 1, 20) WHERE id = 2")
        found = await items(client_of(transport), numbered(3), journal=journal, ordered=True)
    assert texts(found) == ["question 0", None, "question 2"]
    assert type(found[1].error) is VeniceError
    assert "entry 2 of the journal cannot be read: the file is damaged" in str(found[1].error)
    assert sum(transport.prompts.values()) == 3


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM contents WHERE id = 2",
        "UPDATE contents SET outcome = '[1]' WHERE id = 2",
        """UPDATE contents SET outcome = '{"response": null, "error": {"type": "x"}}' WHERE id = 2""",
        "UPDATE contents SET outcome = x'ff00' WHERE id = 2",
        "UPDATE contents SET outcome = NULL WHERE id = 2",
    ],
)
async def test_a_damaged_entry_affects_no_other_and_is_sent_again_with_retry_failed(tmp_path: Path, damage: str) -> None:
    transport, requests = watched(), [ask(f"question {n}") for n in range(3)]
    with Journal(tmp_path / "j") as journal:
        await items(client_of(transport), requests, journal=journal, max_concurrency=1)
    with sqlite3.connect(tmp_path / "j") as database:
        database.execute(damage)
    with Journal(tmp_path / "j") as journal:
        found = await items(client_of(transport), requests, journal=journal, ordered=True)
        assert texts(found) == ["question 0", None, "question 2"]
        assert type(found[1].error) is VeniceError
        assert "entry 2 of the journal" in str(found[1].error)
    assert sum(transport.prompts.values()) == 3
    with Journal(tmp_path / "j", retry_failed=True) as journal:
        found = await items(client_of(transport), requests, journal=journal, ordered=True)
        assert texts(found) == ["question 0", "question 1", "question 2"]
        assert [(item.replayed, item.maybe_billed_before) for item in found] == [(True, False), (False, True), (True, False)]
    with Journal(tmp_path / "j") as journal:
        assert [row.response and row.response.text for row in journal.rows()] == texts(found)
        assert all(item.replayed for item in await items(client_of(transport), requests, journal=journal))
    assert sum(transport.prompts.values()) == 4


@pytest.mark.parametrize("column", ["state", "attempts", "cost_usd", "maybe_billed", "owner"])
async def test_a_journal_column_of_another_type_raises_only_our_errors(tmp_path: Path, column: str) -> None:
    transport = watched()
    with Journal(tmp_path / "j") as journal:
        await items(client_of(transport), numbered(3), journal=journal, max_concurrency=1)
    with sqlite3.connect(tmp_path / "j") as database:
        database.execute(f"UPDATE rows SET {column} = 'a/b' WHERE id = 2")
    with Journal(tmp_path / "j") as journal:
        assert texts(await items(client_of(transport), numbered(3), journal=journal)) == [f"question {n}" for n in range(3)]
        assert sum(row.cost_usd or 0.0 for row in journal.rows()) > 0
        assert sum(row.attempts for row in journal.rows()) >= 2


async def test_a_damaged_request_under_the_id_of_another_is_an_item_with_an_error(tmp_path: Path) -> None:
    transport = watched()
    with Journal(tmp_path / "j") as journal:
        await items(client_of(transport), numbered(3), journal=journal, max_concurrency=1)
        with sqlite3.connect(tmp_path / "j") as database:
            database.execute("UPDATE contents SET request = substr(request, 1, 9)")
        found = await items(client_of(transport), [ask("other", custom_id="id-1"), *numbered(3)], journal=journal, ordered=True)
    assert texts(found) == [None, "question 0", "question 1", "question 2"]
    assert "entry 2 of the journal cannot be read" in str(found[0].error)


async def test_a_run_with_an_overwritten_journal_raises_only_our_errors(tmp_path: Path) -> None:
    transport, chance = watched(), random.Random(13)
    with Journal(tmp_path / "j") as journal:
        await items(client_of(transport), numbered(60), journal=journal)
    whole, outcomes = (tmp_path / "j").read_bytes(), Counter[str]()
    for number in range(40):
        size, path = chance.randint(1, 2_000), tmp_path / f"j{number}"
        place = chance.randrange(len(whole) - size)
        path.write_bytes(whole[:place] + chance.randbytes(size) + whole[place + size :])
        try:
            with Journal(path, retry_failed=number % 2 == 0) as journal:
                list(journal.rows())
                found = await items(client_of(transport), numbered(60), journal=journal)
                outcomes["read"] += len(found) == 60
        except VeniceError:
            outcomes["refused"] += 1
    assert outcomes.total() == 40
    assert outcomes["read"] > 0


@pytest.mark.parametrize("steps", [[error(404)], [error(422, "poison")]], ids=["open", "failed"])
async def test_a_journal_without_an_answer_takes_another_base_url_and_sends_all_again(tmp_path: Path, steps: list[Any]) -> None:
    transport = watched(*steps)
    with Journal(tmp_path / "j") as journal:
        (item,) = await items(client_of(transport, base_url="http://localhost:1/api/v1"), numbered(1), journal=journal)
        assert item.error
        (item,) = await items(client_of(transport, base_url="http://localhost:2/api/v1"), numbered(1), journal=journal)
        assert item.response
        assert journal.settings["base_url"] == "http://localhost:2/api/v1"
        with pytest.raises(InvalidArgumentError, match="base_url='http://localhost:2/api/v1', not with"):
            await items(client_of(transport, base_url="http://localhost:1/api/v1"), numbered(1), journal=journal)


async def test_a_second_run_sends_nothing(tmp_path: Path) -> None:
    transport = watched()
    for replayed in (False, True):
        with Journal(tmp_path / "j") as journal:
            found = await items(client_of(transport), numbered(50), journal=journal)
        assert texts(found) == [f"question {n}" for n in range(50)]
        assert {(item.replayed, item.kept, item.attempts) for item in found} == {(replayed, True, 1)}
        assert all(item.cost_usd for item in found)
    assert set(transport.prompts.values()) == {1}


async def test_identical_requests_without_an_id_are_sent_once_and_answered_to_all(tmp_path: Path) -> None:
    transport = watched(seconds=BUSY_SECONDS)
    with Journal(tmp_path / "j") as journal:
        found = await items(client_of(transport), [ask("same")] * 20 + [ask("other")], journal=journal)
        assert len(list(journal.rows())) == 2
    assert texts(found) == ["same"] * 20 + ["other"]
    assert sum(not item.replayed for item in found) == 2
    assert transport.prompts == {"same": 1, "other": 1}


async def test_without_a_journal_every_request_is_sent() -> None:
    transport = watched()
    assert len(await items(client_of(transport), [ask("same")] * 20)) == 20
    assert transport.prompts == {"same": 20}


async def test_the_same_id_with_another_body_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    transport = watched()
    requests = [ask("one", custom_id="x"), ask("two", custom_id="x"), ask("one", custom_id="x", temperature=1)]
    with Journal(tmp_path / "j") as journal:
        found = await items(client_of(transport), requests, journal=journal, ordered=True, max_concurrency=1)
    assert found[0].response
    assert isinstance(found[1].error, InvalidArgumentError)
    assert "'x'" in str(found[1].error)
    assert "messages" in str(found[1].error)
    assert "temperature was None, is 1" in str(found[2].error)
    assert transport.prompts == {"one": 1}


async def test_another_model_under_the_same_ids_is_refused_with_the_difference(tmp_path: Path) -> None:
    transport = watched()
    with Journal(tmp_path / "j") as journal:
        await items(client_of(transport), numbered(1), journal=journal)
        (item,) = await items(client_of(transport), [{**numbered(1)[0], "model": "fastest"}], journal=journal)
    assert "model was 'default', is 'fastest'" in str(item.error)


async def test_another_class_or_base_url_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    class Person(BaseModel):
        name: str

    transport = watched()
    with Journal(tmp_path / "j") as journal:
        await items(client_of(transport), numbered(1), journal=journal)
        with pytest.raises(InvalidArgumentError, match="response_format='', not with 'Person"):
            await items(client_of(transport), numbered(2), journal=journal, response_format=Person)
        with pytest.raises(InvalidArgumentError, match="base_url"):
            await items(client_of(transport, base_url="http://localhost:1"), numbered(2), journal=journal)
    assert sum(transport.prompts.values()) == 1


async def test_parsed_objects_and_their_errors_come_back_from_the_journal(tmp_path: Path) -> None:
    class Person(BaseModel):
        name: str

    transport = watched(text('{"name": "Ada"}'), text("no JSON"))
    for _ in range(2):
        with Journal(tmp_path / "j") as journal:
            found = await items(
                client_of(transport), numbered(2), journal=journal, response_format=Person, ordered=True, max_concurrency=1
            )
        assert found[0].parsed == Person(name="Ada")
        assert isinstance(found[1].error, OutputInvalidError)
        assert found[1].error.response.text == "no JSON"
        assert not found[1].maybe_billed_before  # what it cost is known, and its answer is here
    assert sum(transport.prompts.values()) == 2


async def test_permanent_failures_are_sent_again_only_with_retry_failed(tmp_path: Path) -> None:
    transport = watched(error(422, "poison"))
    with Journal(tmp_path / "j") as journal:
        for replayed in (False, True):
            (item,) = await items(client_of(transport), numbered(1), journal=journal)
            assert item.replayed == replayed
            assert getattr(item.error, "status_code", None) == 422
            assert "poison" in str(item.error)
        (row,) = journal.rows()
        assert (row.state, row.custom_id) == ("failed", "id-0")
        assert row.error
        assert "poison" in row.error
    assert sum(transport.prompts.values()) == 1
    with Journal(tmp_path / "j", retry_failed=True) as journal:
        (item,) = await items(client_of(transport), numbered(1), journal=journal)
        assert (item.error, item.replayed, item.maybe_billed_before) == (None, False, False)
        assert journal.counts().answered == 1


async def test_costs_and_attempts_of_all_runs_add_up_and_an_answer_outlives_a_failure_after_it(tmp_path: Path) -> None:
    class Person(BaseModel):
        name: str

    transport = watched(text("no JSON"), error(422, "poison"))
    spent = list[float]()
    for attempts in (1, 2):
        with Journal(tmp_path / "j", retry_failed=True) as journal:
            (item,) = await items(client_of(transport), numbered(1), journal=journal, response_format=Person)
            assert (item.attempts, item.replayed) == (1, False)
            (row,) = journal.rows()
        assert (row.state, row.attempts) == ("failed", attempts)
        assert row.response
        assert row.response.text == "no JSON"
        spent.append(row.cost_usd or 0.0)
    assert "poison" in str(row.error)
    assert spent[0] == spent[1] > 0
    with Journal(tmp_path / "j", retry_failed=True) as journal:
        transport.server.script(text('{"name": "Ada"}'))
        (item,) = await items(client_of(transport), numbered(1), journal=journal, response_format=Person)
        assert item.parsed == Person(name="Ada")
        assert journal.counts().cost_usd == pytest.approx(spent[1] + (item.cost_usd or 0.0))


async def test_an_answer_without_a_field_that_a_json_schema_requires_has_failed(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]}
    shape = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    transport = watched(text('{"age": 3}'), text('{"name": null, "more": [1.5]}'))
    for _ in range(2):
        with Journal(tmp_path / "j") as journal:
            found = await items(
                client_of(transport), numbered(2), journal=journal, response_format=shape, ordered=True, max_concurrency=1
            )
            assert [row.state for row in journal.rows()] == ["failed", "answered"]
        assert isinstance(found[0].error, OutputInvalidError)
        assert "Field required" in str(found[0].error)
        assert found[1].parsed == {"name": None, "more": [1.5]}
    assert sum(transport.prompts.values()) == 2


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_requests_that_the_account_may_not_send_are_sent_by_the_next_run(tmp_path: Path, status: int) -> None:
    transport = watched(error(status))
    with Journal(tmp_path / "j") as journal:
        (item,) = await items(client_of(transport), numbered(1), journal=journal)
        assert getattr(item.error, "status_code", None) == status
        assert journal.counts().open == 1
        (item,) = await items(client_of(transport), numbered(1), journal=journal)
    assert item.response


async def test_two_runs_at_the_same_time_share_the_work(tmp_path: Path) -> None:
    transport = watched(seconds=BUSY_SECONDS / 4)
    with Journal(tmp_path / "j") as one, Journal(tmp_path / "j") as other:
        both = await asyncio.gather(
            *(items(client_of(transport), numbered(60), journal=journal, max_concurrency=4) for journal in (one, other))
        )
    for found in both:
        assert texts(found) == [f"question {n}" for n in range(60)]
    assert set(transport.prompts.values()) == {1}
    assert all(any(not item.replayed for item in found) for found in both)


async def test_an_encrypted_client_takes_an_encrypted_journal_alone(tmp_path: Path) -> None:
    client = client_of(watched(), min_privacy="e2ee")
    with Journal(tmp_path / "j") as journal, pytest.raises(InvalidArgumentError, match="key_file"):
        await items(client, numbered(1), journal=journal)


async def test_an_encrypted_request_is_not_kept_in_clear(tmp_path: Path) -> None:
    transport = watched()
    with Journal(tmp_path / "j") as journal:
        (item,) = await items(client_of(transport), [ask("secret", e2ee=True)], journal=journal)
        assert isinstance(item.error, InvalidArgumentError)
        assert len(list(journal.rows())) == 0
    assert not transport.prompts


@pytest.mark.filterwarnings("ignore:end-to-end encryption")
async def test_encrypted_chats_are_answered_from_an_encrypted_journal(tmp_path: Path) -> None:
    enclave = Enclave(quoted=True)
    for replayed in (False, True):
        with Journal(tmp_path / "j", key=b"k" * 32) as journal:
            (item,) = await items(enclave_client(enclave, min_privacy="e2ee"), [{**ASK, "e2ee": True}], journal=journal)
        assert item.replayed == replayed
        assert item.response
        assert item.response.text == "my secre\nt answer"
        assert "secre" not in repr(item)
        assert b"secre" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(enclave.asked) == 1


# -- budgets -------------------------------------------------------------------------------------------------------------


def billed(**more: Any) -> Watched:
    """A model at a millionth of a dollar for each token."""
    return watched(models=[text_model("m", input=1.0, output=1.0, longest=1_000)], **more)


def priced(amount: int) -> list[dict[str, Any]]:
    own = {"venice_parameters": {"include_venice_system_prompt": False}}
    return [{**request, "model": "m", "max_completion_tokens": 100, **own} for request in numbered(amount)]


async def test_a_budget_that_is_used_up_ends_the_batch_after_every_answer_that_came(tmp_path: Path) -> None:
    transport, seen = billed(seconds=BUSY_SECONDS / 4), list[BatchItem[Any]]()
    budget = Budget(0.001)
    with Journal(tmp_path / "j") as journal:
        with pytest.raises(BudgetExceededError):
            async for item in client_of(transport).chat.completions.batch_iter(priced(200), journal=journal, budget=budget):
                seen.append(item)
        counts = journal.counts()
        assert 0 < len(seen) < 200
        assert len(seen) == sum(transport.prompts.values()) == counts.answered
        assert counts.in_flight == 0
        assert all(item.response for item in seen)
        assert sum(row.usd for row in budget.spent()) <= budget.cap
        rest = await items(client_of(transport), priced(200), journal=journal, budget=Budget(1))
    assert texts(rest) == [f"question {n}" for n in range(200)]
    assert set(transport.prompts.values()) == {1}
    assert not any(item.maybe_billed_before for item in rest)


async def test_the_budget_of_the_client_ends_the_batch_too() -> None:
    seen = 0
    with pytest.raises(BudgetExceededError):
        async for _ in client_of(billed(), budget=Budget(0.001)).chat.completions.batch_iter(priced(200)):
            seen += 1
    assert seen > 0


# -- what an answer cost -------------------------------------------------------------------------------------------------


def without_cost(words: str, *, usage: bool = True) -> Any:
    message = {"role": "assistant", "content": words}
    usage_members = {"usage": {"prompt_tokens": 1_000, "completion_tokens": 200, "total_tokens": 1_200}} if usage else {}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return completion({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, **usage_members})


async def test_a_reply_without_a_cost_costs_what_its_usage_does_by_the_catalogue(tmp_path: Path) -> None:
    transport = watched(without_cost("a"), without_cost("b"), models=[text_model("m", input=2.0, output=10.0)])
    progresses: list[BatchProgress] = []
    with Journal(tmp_path / "j") as journal:
        options: dict[str, Any] = {"journal": journal, "max_concurrency": 1, "on_progress": progresses.append}
        found = await items(client_of(transport), priced(3), **options)
        expected = 1_000 * 2.0e-6 + 200 * 10.0e-6
        assert [item.cost_usd for item in found[:2]] == [pytest.approx(expected)] * 2
        assert progresses[1].cost_usd == pytest.approx(2 * expected)
        assert [row.cost_usd for row in journal.rows()][:2] == [pytest.approx(expected)] * 2
    assert sum(request.method == "GET" for request in transport.server.requests) == 1


@pytest.mark.parametrize(
    ("model", "usage"),
    [pytest.param("m", False, id="no usage"), pytest.param("of-another-catalogue", True, id="a model without prices")],
)
async def test_an_unknown_cost_is_none_in_the_item(tmp_path: Path, model: str, *, usage: bool) -> None:
    unpriced = text_model("of-another-catalogue")
    del unpriced["model_spec"]["pricing"]
    steps = [without_cost("a", usage=usage), without_cost("b", usage=usage)]
    transport = watched(*steps, models=[text_model("m"), unpriced])
    with Journal(tmp_path / "j") as journal:
        requests = [{**request, "model": model} for request in numbered(2)]
        found = await items(client_of(transport), requests, journal=journal)
        assert [(item.error, item.cost_usd) for item in found] == [(None, None)] * 2
        assert journal.counts().cost_usd == 0


# -- leaving -------------------------------------------------------------------------------------------------------------


async def test_leaving_the_loop_keeps_the_answers_of_requests_in_flight(tmp_path: Path) -> None:
    transport = watched(seconds=BUSY_SECONDS)
    with Journal(tmp_path / "j") as journal:
        batch = client_of(transport).chat.completions.batch_iter(numbered(100), journal=journal, max_concurrency=8)
        async for _ in batch:
            break
        await batch.aclose()
        sent = sum(transport.prompts.values())
        counts = journal.counts()
        assert (counts.answered, counts.in_flight, transport.now) == (sent, 0, 0)
        assert sent < 100
        found = await items(client_of(transport), numbered(100), journal=journal)
    assert set(transport.prompts.values()) == {1}
    assert sum(item.replayed for item in found) == sent


async def test_cancelling_keeps_answers_in_flight_and_a_second_cancellation_drops_them(tmp_path: Path) -> None:
    transport = watched()
    with Journal(tmp_path / "j") as journal:
        for twice in (False, True):
            transport.held = asyncio.Event()
            requests = [ask(f"{twice} {n}") for n in range(9)]
            task = asyncio.ensure_future(items(client_of(transport), requests, journal=journal, max_concurrency=3))
            while transport.now < 3:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.sleep(BUSY_SECONDS)
            assert not task.done()
            if twice:
                task.cancel()
            else:
                transport.held.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert transport.now == 0
        counts = journal.counts()
        assert (counts.answered, counts.open, counts.in_flight) == (3, 3, 0)
        transport.held = None
        found = await items(client_of(transport), [ask(f"True {n}") for n in range(3)], journal=journal)
    assert all(item.maybe_billed_before for item in found)


async def test_two_cancellations_at_once_drop_the_requests_in_flight(tmp_path: Path) -> None:
    transport = watched()
    transport.held = asyncio.Event()
    with Journal(tmp_path / "j") as journal:
        options: dict[str, Any] = {"journal": journal, "max_concurrency": 3, "drain_seconds": 600.0}
        task = asyncio.ensure_future(items(client_of(transport), numbered(9), **options))
        while transport.now < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        task.cancel()  # the task was not run in between, so it is raised in it once
        async with asyncio.timeout(60):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (transport.now, journal.counts().open) == (0, 3)


async def test_requests_longer_in_flight_than_drain_seconds_are_dropped_as_maybe_billed(tmp_path: Path) -> None:
    transport = watched()
    transport.held = asyncio.Event()
    with Journal(tmp_path / "j") as journal:
        options: dict[str, Any] = {"journal": journal, "max_concurrency": 2, "drain_seconds": BUSY_SECONDS}
        task = asyncio.ensure_future(items(client_of(transport), numbered(5), **options))
        while transport.now < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [row.maybe_billed_before for row in journal.rows()] == [True, True]
        assert journal.counts().open == 2


# -- a disk that fills up ------------------------------------------------------------------------------------------------


async def test_a_disk_that_fills_up_stops_the_sending_and_loses_nothing(tmp_path: Path) -> None:
    transport, seen = watched(seconds=BUSY_SECONDS / 10), list[BatchItem[Any]]()
    requests = [ask(f"question {n} {'x' * 3000}", custom_id=f"id-{n}") for n in range(300)]
    with Journal(tmp_path / "j") as journal:
        with journal._file.transaction() as database:  # a small disk, for this connection alone
            pass
        database.execute("PRAGMA max_page_count = 120")
        with pytest.raises(VeniceError, match="full"):
            async for item in client_of(transport).chat.completions.batch_iter(requests, journal=journal, max_concurrency=5):
                seen.append(item)
        assert all(item.response for item in seen)
        assert len(seen) == sum(transport.prompts.values()) < 300
        lost = {item.custom_id for item in seen if not item.kept}
        assert len(lost) <= 5
    with Journal(tmp_path / "j") as journal:
        answered = {row.custom_id for row in journal.rows() if row.state == "answered"}
        assert answered == {item.custom_id for item in seen if item.kept}
        found = await items(client_of(transport), requests, journal=journal)
    assert len(found) == 300
    assert {item.custom_id for item in found if item.maybe_billed_before} == lost


# -- a server that vanishes ----------------------------------------------------------------------------------------------


class Vanishing(Watched):
    """Answers some requests, and then cannot be reached until a time."""

    def __init__(self, answers: int, until: float) -> None:
        super().__init__(Emulator())
        self.server.always(echo())
        self.answers, self.until = answers, until
        self.refused: list[float] = []
        """When."""

    async def send(self, request: Request) -> Reply:
        now = self.server.clock.now()
        if request.body and sum(self.prompts.values()) >= self.answers and now < self.until:
            self.refused.append(now)
            raise ConnectError("127.0.0.1 refused the connection")
        return await super().send(request)


@pytest.mark.parametrize("limits", [False, True])
async def test_a_server_that_comes_back_within_a_minute_costs_no_row(tmp_path: Path, *, limits: bool) -> None:
    transport = Vanishing(answers=30, until=50.0)
    client = client_of(transport, limits=limits, max_retries=2, clock=transport.server.clock)
    with Journal(tmp_path / "j") as journal:
        found = await items(client, numbered(100), journal=journal, max_concurrency=5)
    assert texts(found) == [f"question {n}" for n in range(100)]
    assert {(item.attempts, item.kept) for item in found} == {(1, True)}
    assert set(transport.prompts.values()) == {1}
    assert len(transport.refused) <= 5 * 30


@pytest.mark.parametrize("limits", [False, True])
async def test_a_server_that_stays_away_ends_the_batch_and_burns_no_row(tmp_path: Path, *, limits: bool) -> None:
    transport, seen = Vanishing(answers=30, until=1e9), list[BatchItem[Any]]()
    client = client_of(transport, limits=limits, max_retries=2, clock=transport.server.clock)
    with Journal(tmp_path / "j") as journal:
        with pytest.raises(
            ConnectError, match=r"no connection for 60 s; with its journal a batch goes on: .*refused the connection"
        ):
            async for item in client.chat.completions.batch_iter(numbered(100), journal=journal, max_concurrency=5):
                seen.append(item)
        assert [item.error for item in seen] == [None] * 30
        assert 60 <= transport.refused[-1] - transport.refused[0] < 75
        rows = list(journal.rows())
        assert Counter(row.state for row in rows) == {"answered": 30, "open": 5}
        assert {row.attempts for row in rows if row.state == "open"} == {0}
        transport.until = 0.0
        found = await items(client, numbered(100), journal=journal)
    assert texts(found) == [f"question {n}" for n in range(100)]
    assert not any(item.maybe_billed_before for item in found)


@pytest.mark.parametrize("limits", [False, True])
async def test_a_deadline_ends_the_wait_for_a_server_and_leaves_the_row_open(tmp_path: Path, *, limits: bool) -> None:
    transport = Vanishing(answers=3, until=1e9)
    settings: dict[str, Any] = {"limits": limits, "max_retries": 2, "timeout": Timeout(deadline=5)}
    with Journal(tmp_path / "j") as journal:
        client = client_of(transport, clock=transport.server.clock, **settings)
        found = await items(client, numbered(4), journal=journal, max_concurrency=1, ordered=True)
        assert [(type(item.error), item.attempts) for item in found] == [(type(None), 1)] * 3 + [(ConnectError, 0)]
        assert journal.counts().open == 1
    assert transport.refused[-1] - transport.refused[0] < 5


async def test_without_retries_a_server_that_vanishes_is_not_waited_for(tmp_path: Path) -> None:
    transport = Vanishing(answers=3, until=1e9)
    with Journal(tmp_path / "j") as journal:
        found = await items(client_of(transport), numbered(6), journal=journal, max_concurrency=1, ordered=True)
        assert [type(item.error) for item in found] == [type(None)] * 3 + [ConnectError] * 3
        assert journal.counts().open == 3


async def test_a_server_on_a_socket_is_waited_for_until_it_is_there_again(tmp_path: Path) -> None:
    emulator, url, gone = Emulator(), asyncio.get_running_loop().create_future(), asyncio.Event()
    emulator.always(echo())

    async def server() -> None:
        async with serve(emulator) as first:
            url.set_result(first.url)
            await gone.wait()
        await asyncio.sleep(1.5)
        async with serve(emulator, port=urlsplit(first.url).port or 0):
            await asyncio.sleep(60)

    serving = asyncio.ensure_future(server())
    found = list[BatchItem[Any]]()
    async with asyncio.timeout(60), VeniceClient(api_key="any", base_url=await url) as client:
        with Journal(tmp_path / "j") as journal:
            async for item in client.chat.completions.batch_iter(numbered(60), journal=journal, max_concurrency=2):
                found += [item]
                if item.index == 20:
                    gone.set()
    serving.cancel()
    await asyncio.wait((serving,))
    lost = [item for item in found if item.error is not None]
    assert len(lost) <= 2, "what was on the wire when it went"
    assert not any(isinstance(item.error, ConnectError) for item in lost)
    assert len(found) == 60


# -- the synchronous client ----------------------------------------------------------------------------------------------


def test_a_batch_of_the_synchronous_client_is_replayed_from_its_journal(tmp_path: Path) -> None:
    transport = watched()
    with SyncVeniceClient(api_key="any", transport=transport, limits=False) as client, Journal(tmp_path / "j") as journal:
        for replayed in (False, True):
            found = list(client.chat.completions.batch_iter(iter(numbered(20)), journal=journal, ordered=True))
            assert [item.response and item.response.text for item in found] == [f"question {n}" for n in range(20)]
            assert all(item.replayed == replayed for item in found)


def test_the_requests_of_the_synchronous_client_may_call_it() -> None:
    with SyncVeniceClient(api_key="any", transport=watched(), limits=False) as client:

        def chained() -> Iterator[dict[str, Any]]:
            for n in range(3):
                create: Any = client.chat.completions.create
                yield ask(f"about {create(**ask(n)).text}")

        found = list(client.chat.completions.batch_iter(chained(), ordered=True))
    assert [item.response and item.response.text for item in found] == ["about 0", "about 1", "about 2"]


def test_leaving_the_loop_of_the_synchronous_client_keeps_answers_in_flight(tmp_path: Path) -> None:
    transport = watched(seconds=BUSY_SECONDS)
    with SyncVeniceClient(api_key="any", transport=transport, limits=False) as client, Journal(tmp_path / "j") as journal:
        batch = client.chat.completions.batch_iter(numbered(100), journal=journal, max_concurrency=5)
        next(batch)
        batch.close()
        assert journal.counts().answered == sum(transport.prompts.values()) < 100


# -- batch ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", [5, "print"])
async def test_a_hook_that_cannot_be_called_is_a_type_error(hook: Any) -> None:
    transport = watched()
    client = client_of(transport)
    with pytest.raises(TypeError, match=r"on_progress=.* cannot be called: give a function"):
        client.chat.completions.batch_iter(numbered(1), on_progress=hook)
    with pytest.raises(TypeError, match=r"on_result=.* cannot be called: give a function"):
        await client.chat.completions.batch([ask("one")], on_result=hook)
    assert not transport.prompts


async def test_a_generator_may_use_the_same_mapping_for_each_request() -> None:
    def requests() -> Iterator[dict[str, Any]]:
        part = {"type": "text", "text": ""}
        mine = {"model": "default", "messages": [{"role": "user", "content": [part]}], "stop": [""]}
        for number in range(20):
            part["text"] = f"question {number}"
            mine["stop"] = [f"{number}"]
            yield mine

    emulator = Emulator()
    emulator.always(echo())
    async with VeniceClient(api_key="any", transport=emulator.transport()) as client:
        found = await items(client, requests(), ordered=True)
    asked = [item.request["messages"][0]["content"][0]["text"] for item in found]
    assert asked == [f"question {number}" for number in range(20)]
    assert [item.response and item.response.text for item in found] == asked


async def test_a_cancelled_iterable_of_requests_is_not_taken_for_its_end() -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        yield ask("one")
        task = asyncio.create_task(asyncio.sleep(10))
        asyncio.get_running_loop().call_later(0.01, task.cancel)
        await task
        yield ask("two")

    came: list[BatchItem[Any]] = []
    async with client_of(watched(seconds=3 * BUSY_SECONDS)) as client:  # what is in flight has its time
        with pytest.raises(VeniceError, match="the iterable of the requests was cancelled"):
            async for item in client.chat.completions.batch_iter(requests()):
                came += [item]
    assert [item.error for item in came] == [None]


class Shown:
    async def __call__(self, *_: object) -> None: ...


@pytest.mark.parametrize("show", [Shown(), Shown().__call__], ids=["a callable object", "a method"])
async def test_async_hooks_are_refused(show: Any) -> None:
    async with client_of(watched()) as client:
        with pytest.raises(InvalidArgumentError, match=r"on_progress=.* must not be an async function"):
            client.chat.completions.batch_iter(numbered(1), on_progress=show)
        with pytest.raises(InvalidArgumentError, match=r"on_result=.* must not be an async function"):
            await client.chat.completions.batch([ask("one")], on_result=show)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_journal_that_is_removed_meanwhile_ends_the_batch(tmp_path: Path, *, replaced: bool) -> None:
    transport = watched()
    came: list[BatchItem[Any]] = []
    with Journal(tmp_path / "journal") as journal:
        async with client_of(transport) as client:
            with pytest.raises(VeniceError, match="was removed, moved or replaced"):
                async for item in client.chat.completions.batch_iter(numbered(50), journal=journal, max_concurrency=2):
                    came.append(item)
                    if len(came) == 1:
                        journal.path.rename(tmp_path / "away")
                        if replaced:
                            journal.path.touch()
    assert 0 < len(came) < 50
    assert sum(transport.prompts.values()) < 50


async def test_a_second_cancellation_ends_a_batch_and_logs_no_unhandled_error() -> None:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    transport = watched(seconds=60)
    async with VeniceClient(api_key="any", transport=transport, limits=False) as client:

        async def run() -> None:
            async for _ in client.chat.completions.batch_iter(numbered(3)):
                pass

        running = asyncio.ensure_future(run())
        while transport.now < 3:
            await asyncio.sleep(0.01)
        for _ in range(2):
            running.cancel()
            await asyncio.sleep(0.05)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
    gc.collect()
    await asyncio.sleep(0)

    assert unhandled == []
