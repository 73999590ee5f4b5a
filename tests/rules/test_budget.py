"""Budgets: the cap that is kept before anything is sent, by one process or by several, also when one of them is killed."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import Budget, BudgetExceededError, InvalidArgumentError, VeniceError
from venice_ai._core.shared_file import SharedFile
from venice_ai._limits.budget import Reservation
from venice_ai.costs import NANO, nano_usd
from venice_ai.types.api.models import ModelResponse

from .spending import NOON, answered, chat, costing, model, reserved, used

# -- the bound -------------------------------------------------------------------------------------------------------------


def test_the_bound_is_the_bytes_of_the_body_64_tokens_a_message_and_the_longest_answer() -> None:
    assert chat(size=1_000, max_completion_tokens=500).most() == (1_000 + 64 + 500) * 1_000
    assert chat(size=1_000).most() == (1_000 + 64 + 100_000) * 1_000, "the catalogue's maximum"
    assert chat(size=1_000, max_completion_tokens=100_001).most() == chat(size=1_000).most(), "no model gives more than that"
    assert chat(size=1_000, max_completion_tokens=500, n=3).most() == (1_000 + 64 + 3 * 500) * 1_000


def test_the_context_bounds_answers_and_inputs_of_models_that_name_no_maximum() -> None:
    entry = model(longest=0, context=8_000)
    assert chat(entry, size=1_000).most() == (1_000 + 64 + 8_000) * 1_000
    assert chat(entry, size=50_000).most() == (8_000 + 8_000) * 1_000


def test_an_image_is_so_many_tokens_however_many_bytes_it_has() -> None:
    small, large = (
        chat(content=[{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}], n=1)
        for size in (40, 400_000)
    )
    linked = chat(content=[{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])
    assert small.most() == large.most()
    assert linked.most() == (linked.size + 64 + 16_384 + 100_000) * 1_000
    assert small.most() == (small.size - len("data:image/png;base64,") - 40 + 64 + 16_384 + 100_000) * 1_000


def test_a_model_without_limits_is_bounded_by_max_completion_tokens() -> None:
    assert chat(model(context=0, longest=0), size=1_000, max_completion_tokens=500).most() == (1_000 + 64 + 500) * 1_000


def test_audio_is_a_token_for_16_bytes() -> None:
    heard = chat(content=[{"type": "input_audio", "input_audio": {"data": "A" * 16_000, "format": "mp3"}}])
    assert heard.most() == (heard.size - 16_000 + 1_000 + 64 + 100_000) * 1_000


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"content": [{"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}]}, id="video"),
        pytest.param({"content": [{"type": "file", "file": {"file_data": "data:text/plain;base64,aGk="}}]}, id="file"),
        pytest.param({"model": "m:enable_web_search=on"}, id="search by suffix"),
        pytest.param({"venice_parameters": {"enable_web_scraping": True}}, id="scraping"),
        pytest.param({"venice_parameters": {"character_slug": "alan"}}, id="character"),
    ],
)
def test_parts_of_unknown_size_count_as_the_whole_context(more: dict[str, Any]) -> None:
    assert chat(max_completion_tokens=1, **more).most() >= 1_000_001 * 1_000
    with pytest.raises(ValueError, match="no bound"):
        chat(model(context=0), max_completion_tokens=1, **more).most()


def test_a_search_is_charged_beside_its_tokens() -> None:
    searching = chat(venice_parameters={"enable_web_search": "on", "include_venice_system_prompt": False})
    assert searching.cost(used(0, 0)) == NANO // 100
    assert searching.most() == (1_000_000 + 100_000) * 1_000 + NANO // 100


@pytest.mark.parametrize(
    ("switch", "usd"), [("enable_web_search", "0.01"), ("enable_web_scraping", "0.05"), ("enable_x_search", "0.1")]
)
def test_each_kind_of_search_has_its_fee_where_it_is_on(switch: str, usd: str) -> None:
    for value in (True, "on", "auto", "true", 1):
        assert chat(venice_parameters={switch: value}).cost(used(0, 0)) == Decimal(usd) * NANO
        assert chat(model=f"m:other=1&{switch}={value}").cost(used(0, 0)) == Decimal(usd) * NANO
    for off in (False, None, "off", "false"):
        assert chat(venice_parameters={switch: off}).cost(used(0, 0)) == 0
    for off in ("off", "false"):
        assert chat(model=f"m:{switch}={off}", venice_parameters={switch: True}).cost(used(0, 0)) == 0
    assert chat(model=f"m:{switch}=on").most() == (1_000_000 + 100_000) * 1_000 + Decimal(usd) * NANO


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        pytest.param({"max_completion_tokens": 1}, 1, id="one token"),
        pytest.param({"max_completion_tokens": 9, "messages": [{"content": "hi"}] * 3}, 2 * 64 + 9, id="after three messages"),
        pytest.param({"max_tokens": 500}, 500, id="by the older name"),
        pytest.param({"max_completion_tokens": 400, "max_tokens": 500}, 400, id="by both names"),
        pytest.param({"max_completion_tokens": 0, "max_tokens": True}, 100_000, id="no count"),
        pytest.param({"max_completion_tokens": 7, "n": 2}, 14, id="two answers"),
        pytest.param({"max_completion_tokens": 7, "n": 0}, 7, id="no number of answers"),
        pytest.param({"max_completion_tokens": 7, "n": -2}, 7, id="a number of answers that cannot be"),
    ],
)
def test_the_longest_answer_is_the_one_that_is_asked_for(more: dict[str, Any], answer: int) -> None:
    assert chat(size=1_000, **more).most() == (1_064 + answer) * 1_000


@pytest.mark.parametrize("context", [2_000, 1_064, 1_063])
def test_an_input_is_no_longer_than_the_context(context: int) -> None:
    assert chat(model(context=context), size=1_000, max_completion_tokens=1).most() == (min(1_064, context) + 1) * 1_000


@pytest.mark.parametrize(
    ("parts", "tokens"),
    [
        pytest.param([{"type": "text", "text": "x"}], 0, id="text"),
        pytest.param([{"type": "image_url"}], 16_384, id="an image without an address"),
        pytest.param([{"type": "image_url", "image_url": {"url": 7}}], 16_384, id="an address that is not text"),
        pytest.param([{"type": "image_url", "image_url": {"url": "data:,A"}}] * 2, 2 * (16_384 - 7), id="two images"),
        pytest.param([{"type": "input_audio", "input_audio": {"data": "A" * 33}}], 2 - 33, id="audio"),
        pytest.param([{"type": "input_audio", "input_audio": {"data": 7}}], 0, id="audio that is not text"),
    ],
)
def test_media_count_by_their_kind_and_not_by_their_bytes(parts: list[dict[str, Any]], tokens: int) -> None:
    assert chat(content=parts, size=1_000, max_completion_tokens=1).most() == (1_064 + tokens + 1) * 1_000


def test_venices_own_prompt_is_part_of_the_bound_unless_it_is_off() -> None:
    assert chat(size=0, max_completion_tokens=1, venice_parameters={}).most() == (64 + 1_750 + 1) * 1_000
    assert chat(size=0, max_completion_tokens=1).most() == (64 + 1) * 1_000


def test_the_dearest_rate_that_may_hold_is_taken() -> None:
    long = {"input": {"usd": 3}, "output": {"usd": 5}, "context_token_threshold": 1_000}
    entry = model(prices={"cache_write": {"usd": 2}, "extended": long})
    assert chat(entry, size=100, max_completion_tokens=10).most() == (164 * 2 + 10) * 1_000, "writing to the cache"
    assert chat(entry, size=2_000, max_completion_tokens=10).most() == (2_064 * 3 + 10 * 5) * 1_000, "a long input"
    assert chat(model(), model("n", output=7), size=36, max_completion_tokens=10).most() == (100 + 70) * 1_000, "fallbacks"


def test_usage_is_priced_with_what_the_cache_saved() -> None:
    entry = model(prices={"cache_input": {"usd": 0.1}, "cache_write": {"usd": 1.5}})
    cached = used(1_000, 100, cache_read_input_tokens=600, cache_creation_input_tokens=200)
    assert chat(entry).cost(cached) == (200 * 1_000) + (600 * 100) + (200 * 1_500) + (100 * 1_000)
    odd = used(700, 0, cache_read_input_tokens=600, cache_creation_input_tokens=200)
    assert chat(entry).cost(odd) == (600 * 100) + (200 * 1_500), "more than the prompt, so that nothing of it is left"


def test_a_model_without_prices_has_no_bound() -> None:
    entry = ModelResponse.model_validate({"id": "m", "type": "text", "model_spec": {"availableContextTokens": 1_000}})
    with pytest.raises(ValueError, match="'m' has no prices"):
        chat(entry).most()


@pytest.mark.parametrize(
    ("dollars", "nano"),
    [
        (0.1, 100_000_000),
        (0, 0),
        (Decimal("0.0000000001"), 1),
        (Decimal("0.000000001"), 1),
        (Decimal("0.0000000011"), 2),
        (10**12, 9_007_199_254_740_992),
        ("1", None),
        (3, 3 * NANO),
        (True, None),
        (None, None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_amounts_are_whole_billionths_rounded_up(dollars: Any, nano: int | None) -> None:
    assert nano_usd(dollars) == nano


# -- one process -----------------------------------------------------------------------------------------------------------


async def test_the_cost_of_an_answer_replaces_its_reservation() -> None:
    budget = Budget(1)
    first = await reserved(budget, 1_000)
    assert budget.remaining == Decimal("0.999")
    answered(first, used(100, 50), None)
    answered(await reserved(budget, 1_000), used(100, 50), 0.0001)
    answered(await reserved(budget, 1_000), None, None)
    (await reserved(budget, 1_000)).done(None, None)
    (row,) = budget.spent()
    assert (row.model, row.usd, row.calls) == ("m", Decimal("0.00125"), 3)
    assert row.day.isoformat() == "2027-01-15"
    assert budget.remaining == 1 - row.usd
    assert budget.overshoot == 0


async def test_a_request_that_does_not_fit_waits_for_those_in_flight() -> None:
    budget = Budget(Decimal("0.0015"))
    first = await reserved(budget, 1_000)
    second = asyncio.create_task(reserved(budget, 1_000))
    await asyncio.sleep(0.02)
    assert not second.done()
    answered(first, used(100, 50), None)
    (await second).done(None, None)


async def test_a_request_is_refused_when_nothing_of_the_budget_is_left() -> None:
    budget = Budget(Decimal("0.0015"))
    first = await reserved(budget, 1_000)
    second = asyncio.create_task(reserved(budget, 1_000))
    await asyncio.sleep(0)
    answered(first, None, None)
    with pytest.raises(
        BudgetExceededError, match=r"not sent: 0\.001\d* of 0\.0015\d* USD are spent, .* may cost 0\.001"
    ) as caught:
        await second
    assert caught.value.enough_usd == Decimal("0.002")


async def test_a_request_that_can_never_fit_is_refused_at_once() -> None:
    budget = Budget(Decimal("0.0015"))
    await reserved(budget, 1_000)
    with pytest.raises(BudgetExceededError):
        await reserved(budget, 1_600)


async def test_those_who_wait_are_served_as_they_came_and_a_cancelled_one_lets_the_next_in() -> None:
    budget = Budget(Decimal("0.001"))
    order: list[int] = []

    async def caller(number: int) -> None:
        reservation = await reserved(budget, 1_000)
        order.append(number)
        await asyncio.sleep(0)
        reservation.done(None, None)

    first = await reserved(budget, 1_000)
    callers = [asyncio.create_task(caller(number)) for number in range(6)]
    await asyncio.sleep(0)
    callers[0].cancel()
    callers[3].cancel()
    await asyncio.sleep(0)
    first.done(None, None)
    await asyncio.gather(*callers, return_exceptions=True)
    assert order == [1, 2, 4, 5]


async def test_a_reply_over_its_bound_stops_further_sending_under_this_cap(tmp_path: Path) -> None:
    path = tmp_path / "budget"
    budget = Budget(1, path)
    answered(await reserved(budget, 1_000), used(100, 50), 0.003)
    assert budget.overshoot == Decimal("0.002")
    with pytest.raises(BudgetExceededError, match="a higher cap goes on"):
        await reserved(budget, 1_000)
    with pytest.raises(BudgetExceededError):
        await reserved(Budget(1, path), 1_000)
    (await reserved(Budget(2, path), 1_000)).done(None, None)


async def test_an_answer_settles_once() -> None:
    budget = Budget(1)
    reservation = await reserved(budget, 1_000)
    for _ in range(3):
        answered(reservation, None, None)
    assert [row.usd for row in budget.spent()] == [Decimal("0.001")]


@pytest.mark.parametrize("usd", [-1, "5", None, True, float("nan"), 2e9])
def test_a_cap_that_is_not_an_amount_is_refused(usd: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="must be an amount"):
        Budget(usd)


def test_threads_with_loops_of_their_own_share_a_budget() -> None:
    budget = Budget(Decimal("0.02"))
    most_at_once: list[Decimal] = []

    async def callers() -> int:
        sent = 0
        for _ in range(25):
            try:
                reservation = await reserved(budget, 1_000)
            except BudgetExceededError:
                continue
            most_at_once.append(budget.remaining)
            await asyncio.sleep(0)
            answered(reservation, used(100, 100), None)
            sent += 1
        return sent

    with ThreadPoolExecutor(4) as threads:
        started_callers = [threads.submit(asyncio.run, callers()) for _ in range(4)]
        sent = sum(each.result() for each in started_callers)
    assert min(most_at_once) >= 0
    assert sum(row.usd for row in budget.spent()) == Decimal("0.0002") * sent
    assert Decimal("0.018") < Decimal("0.0002") * sent <= Decimal("0.02")


@given(st.data())
def test_in_any_order_of_reserving_and_settling_the_cap_is_kept(data: st.DataObject) -> None:
    cap, spent, in_flight = data.draw(st.integers(0, 2_000)), 0, list[Reservation]()
    budget = Budget(Decimal(cap) / 1_000_000)
    whether: st.SearchStrategy[Any] = st.booleans()
    for most in data.draw(st.lists(st.integers(165, 600), max_size=20)):
        try:
            reservation = budget._reserved(costing(most), NOON)
        except BudgetExceededError:
            assert spent + most > cap
        else:
            assert reservation or in_flight, "nobody waits for nothing"
            in_flight += [] if reservation is None else [reservation]
        held = sum(each.most for each in in_flight) // 1_000
        assert spent + held <= cap
        assert budget.remaining * 1_000_000 == cap - spent - held
        if in_flight and data.draw(whether):
            over = in_flight.pop(data.draw(st.integers(0, len(in_flight) - 1)))
            spent += (cost := data.draw(st.integers(0, over.most // 1_000)))
            answered(over, used(cost, 0), None)


# -- a file ----------------------------------------------------------------------------------------------------------------


async def test_a_file_keeps_what_was_spent(tmp_path: Path) -> None:
    path = tmp_path / "budget"
    answered(await reserved(Budget(1, path), 1_000), None, None)
    assert [row.usd for row in Budget(5, path).spent()] == [Decimal("0.001")]
    assert Budget(5, str(path)).remaining == Decimal("4.999")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_file_that_shows_that_a_process_lives_is_its_users_alone(tmp_path: Path) -> None:
    budget = Budget(usd=1, path=tmp_path / "budget.sqlite")
    (file,) = tmp_path.glob("*.alive")
    assert budget.remaining == 1
    assert file.stat().st_mode & 0o777 == 0o600


async def test_two_budgets_on_one_file_in_one_process_share_it(tmp_path: Path) -> None:
    one, other = Budget(Decimal("0.0015"), tmp_path / "budget"), Budget(Decimal("0.0015"), tmp_path / "budget")
    first = await reserved(one, 1_000)
    second = asyncio.create_task(reserved(other, 1_000))
    await asyncio.sleep(0.02)
    assert not second.done()
    first.done(None, None)
    (await second).done(None, None)


def test_a_file_that_is_not_a_budget_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be looked at as one" * 100)
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE things (id)")
    other.close()
    Budget(1, tmp_path / "newer")
    newer = sqlite3.connect(tmp_path / "newer")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    for name, words in (("text", "file of a Budget"), ("other", "something else"), ("newer", "newer release")):
        with pytest.raises(InvalidArgumentError, match=words):
            Budget(1, tmp_path / name)
    with pytest.raises(VeniceError, match="cannot use"):
        Budget(1, tmp_path / "no" / "such" / "folder")


async def test_without_a_writable_file_nothing_is_sent_and_no_answer_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "budget"
    budget = Budget(1, path)
    reservation = await reserved(budget, 1_000)
    other = sqlite3.connect(path)
    other.execute("DROP TABLE spending")
    other.close()
    with pytest.raises(VeniceError, match="no such table"):
        await reserved(budget, 1_000)
    answered(reservation, None, None)
    assert "stays reserved" in caplog.text


def test_a_budget_with_a_file_goes_to_other_processes_and_one_without_does_not(tmp_path: Path) -> None:
    other = pickle.loads(pickle.dumps(Budget(3, tmp_path / "budget")))
    assert repr(other) == f"Budget(usd=3, path={str(tmp_path / 'budget')!r})"
    with pytest.raises(TypeError, match="give it a path"):
        pickle.dumps(Budget(3))


# -- several processes -----------------------------------------------------------------------------------------------------

CALLERS = """
import asyncio, random, sys
from decimal import Decimal
from tests.rules.spending import answered, reserved, used
from venice_ai import Budget, BudgetExceededError

async def main(path, seed):
    budget, rng = Budget(Decimal("0.0255"), path), random.Random(seed)
    async def caller():
        try:
            reservation = await reserved(budget, 1_000)
        except BudgetExceededError:
            return 0
        await asyncio.sleep(rng.random() / 50)
        tokens = rng.randrange(50, 500)
        answered(reservation, used(tokens, 0), None)
        return tokens
    print(sum(await asyncio.gather(*(caller() for _ in range(125)))))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
ROOT = Path(__file__).parents[2]


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_500_callers_in_4_processes_keep_the_cap_and_use_at_least_90_percent_of_it(tmp_path: Path) -> None:
    path = str(tmp_path / "budget")
    processes = [started(CALLERS, path, str(seed)) for seed in range(4)]
    tokens = [int(process.communicate(timeout=120)[0]) for process in processes]
    budget = Budget(Decimal("0.0255"), path)
    spent = sum(row.usd for row in budget.spent())
    assert spent == Decimal(sum(tokens)) / 1_000_000
    assert Decimal("0.9") * budget.cap <= spent <= budget.cap
    assert budget.remaining == budget.cap - spent, "nothing stays reserved"
    assert len(list(tmp_path.glob("*.alive"))) == 1, "this process's; the others took theirs with them"


HOLDER = """
import asyncio, sys
from tests.rules.spending import reserved
from venice_ai import Budget

async def main(path):
    budget = Budget(1, path)
    await reserved(budget, 2_000)
    await reserved(budget, 3_000)
    print("reserved", flush=True)
    await asyncio.sleep(60)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
async def test_reservations_of_a_killed_process_count_as_spent(tmp_path: Path) -> None:
    path = tmp_path / "budget"
    process = started(HOLDER, str(path))
    assert process.stdout is not None
    assert process.stdout.readline() == "reserved\n"
    budget = Budget(Decimal("0.0055"), path)
    assert budget.remaining == Decimal("0.0005"), "while it lives, it is reserved"
    assert budget.spent() == []
    waiting = asyncio.create_task(reserved(budget, 1_000))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(BudgetExceededError):
        await asyncio.wait_for(waiting, 5)
    assert [row.usd for row in budget.spent()] == [Decimal("0.005")]
    process.stdout.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_after_a_fork_the_child_is_an_owner_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "budget"
    budget = Budget(1, path)
    asyncio.run(reserved(budget, 2_000))
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(reserved(budget, 3_000))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert [row.usd for row in budget.spent()] == [Decimal("0.003")], "the child's, which has ended"
    assert budget.remaining == Decimal("0.995")


def test_an_owner_ends_with_its_process(tmp_path: Path) -> None:
    one, other = (SharedFile(tmp_path / "shared", "Test", 7, "CREATE TABLE IF NOT EXISTS things (id)") for _ in range(2))
    assert one.ended({one.owner, other.owner}) == []
    owner = other.owner
    other.close()
    assert one.ended({one.owner, owner}) == [owner]
    assert one.ended({"never-there"}) == ["never-there"]


async def test_keeping_a_budget_takes_a_few_statements_a_call_however_many_there_were() -> None:
    budget, statements = Budget(1_000), list[str]()
    with budget._file.transaction() as database:
        database.set_trace_callback(statements.append)

    for count in range(1, 301):
        answered(await reserved(budget, 1_000), used(100, 50), None)
        assert len(statements) <= 12 * count

    assert [row.calls for row in budget.spent()] == [300]
