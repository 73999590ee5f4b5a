"""What the tables on the pages say of statuses is what the client does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from venice_ai import APIError, UserMessage, VeniceClient
from venice_ai.emulator import Emulator, error, rate_limited

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
MESSAGES = [UserMessage(content="hi")]
ATTEMPTS = {"no": (1, 1), "once": (2, 2), "yes": (3, 3), "only with `retry_timeouts=True`": (1, 3)}
"""How often a request is sent, without and with `retry_timeouts`, by the words of the table."""


def rows(page: str, heading: str) -> Iterator[list[str]]:
    """The cells of the rows of a table, which begins with this heading."""
    table = (GUIDE / page).read_text("utf-8").partition(f"| {heading} |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        yield row.strip("| ").split(" | ")


def statuses(cell: str) -> list[int]:
    """The statuses that the first cell of a row is about, if it is about statuses alone."""
    return [int(each) for each in cell.split(", ")] if re.fullmatch(r"\d{3}(, \d{3})*", cell) else []


FAILURES = [
    pytest.param(status, found[1], *ATTEMPTS[again.partition(",")[0]], counts, id=str(status))
    for cell, kind, again, counts in rows("errors.md", "status")
    for status in statuses(cell)
    if status != 200 and (found := re.match(r"`(\w+)`", kind))
]


async def failed_with(emulator: Emulator, client: VeniceClient) -> tuple[str, int, int]:
    """The class of the error of a chat, the requests that were sent for it, and those that count as failures."""
    with pytest.raises(APIError) as caught:
        await client.chat.completions.create(model="venice-1", messages=MESSAGES)
    return caught.type.__name__, len(emulator.requests), client.limits.snapshot().failures


@pytest.mark.parametrize(("status", "kind", "attempts", "attempts_with_timeouts", "counts"), FAILURES)
@pytest.mark.parametrize("retry_timeouts", [False, True])
async def test_an_error_is_as_the_table_says(
    status: int, kind: str, attempts: int, attempts_with_timeouts: int, counts: str, retry_timeouts: bool
) -> None:
    emulator = Emulator()
    emulator.always(error(status))
    expected = attempts_with_timeouts if retry_timeouts else attempts

    async with VeniceClient(
        api_key="any", transport=emulator.transport(), clock=emulator.clock, retry_timeouts=retry_timeouts
    ) as client:
        assert await failed_with(emulator, client) == (kind, expected, expected if counts == "yes" else 0)


def test_the_table_of_errors_has_the_usual_statuses() -> None:
    assert {param.values[0] for param in FAILURES} >= {
        400,
        401,
        402,
        403,
        404,
        409,
        410,
        413,
        415,
        422,
        429,
        500,
        502,
        503,
        504,
        529,
    }


FALLBACKS = [
    pytest.param(int(status), said, id=status)
    for cell, said in rows("fallbacks.md", "the first model")
    for status in re.findall(r"\b[45]\d\d\b", cell)
    if status not in {"404", "429"}  # of them the text decides
]


@pytest.mark.parametrize(("status", "cell"), FALLBACKS)
async def test_another_model_is_asked_where_the_table_says_so(status: int, cell: str) -> None:
    emulator = Emulator()
    emulator.always(error(status))

    async with VeniceClient(
        api_key="any", transport=emulator.transport(), clock=emulator.clock, fallback_models=["llama-3.3-70b"]
    ) as client:
        with pytest.raises(APIError):
            await client.chat.completions.create(model="venice-1", messages=MESSAGES)

    asked = {request.body["model"] for request in emulator.requests if request.method == "POST"}
    assert ("llama-3.3-70b" in asked) is (cell == "yes")


async def test_another_model_is_not_asked_at_a_limit_of_the_account() -> None:
    emulator = Emulator()
    emulator.always(rate_limited(1))

    async with VeniceClient(
        api_key="any", transport=emulator.transport(), clock=emulator.clock, fallback_models=["llama-3.3-70b"]
    ) as client:
        with pytest.raises(APIError):
            await client.chat.completions.create(model="venice-1", messages=MESSAGES)

    assert {request.body["model"] for request in emulator.requests} == {"venice-1"}
