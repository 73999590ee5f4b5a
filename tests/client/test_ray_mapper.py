"""The mapper for Ray datasets, called as Ray calls it; with Ray itself it is tried in tests/interop."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from venice_ai import AuthenticationError, BudgetExceededError, InvalidArgumentError
from venice_ai.emulator import Emulator, error, text, usual
from venice_ai.ray import ChatMapper


class Column(list[Any]):
    """Values as an array of NumPy gives them."""

    def tolist(self) -> list[Any]:
        return list(self)


@dataclass
class Label:
    label: Literal["good", "bad"]
    why: str


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


def request(row: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"{row['id']}: {row['text']}"}]
    return {"model": "venice-1", "messages": messages, "max_completion_tokens": 100}


def block(*ids: int) -> dict[str, Any]:
    return {"id": Column(ids), "text": Column(f"row {each}" for each in ids)}


def mapper(emulator: Emulator, folder: Path, **options: Any) -> ChatMapper:
    return ChatMapper(request, folder=folder / "shared", api_key="k", transport=emulator.transport(), **options)


def prompts(emulator: Emulator) -> list[str]:
    return [json.loads(each.content)["messages"][0]["content"] for each in emulator.requests if each.method == "POST"]


async def test_rows_come_back_with_their_answers(emulator: Emulator, tmp_path: Path) -> None:
    answers = mapper(emulator, tmp_path)
    first, second = await asyncio.gather(answers(block(1, 2)), answers(block(3)))
    assert list(first) == ["id", "text", "answer", "error"]
    assert (first["id"], first["error"], second["error"]) == ([1, 2], ["", ""], [""])
    for found in (first, second):
        assert all(f"{each}: row {each}" in answer for each, answer in zip(found["id"], found["answer"], strict=True))


async def test_fields_of_a_class_are_columns_and_a_failed_row_has_its_error(emulator: Emulator, tmp_path: Path) -> None:
    emulator.script(error(400), usual(), text("no JSON"))
    found = await mapper(emulator, tmp_path, response_format=Label, max_concurrency=1)(block(1, 2, 3))
    assert list(found) == ["id", "text", "label", "why", "error", "raw_answer"]
    assert (found["label"][0], found["error"][0][:21]) == (None, "InvalidRequestError: ")
    assert found["label"][1] in {"good", "bad"}
    assert found["error"][1] == ""
    assert found["raw_answer"] == ["", "", "no JSON"]


async def test_answered_rows_are_not_sent_again_by_the_next_actor(emulator: Emulator, tmp_path: Path) -> None:
    before = await mapper(emulator, tmp_path)(block(1, 2))
    after = await mapper(emulator, tmp_path)(block(2, 3))
    assert after["answer"][0] == before["answer"][1]
    assert sorted(prompts(emulator)) == ["1: row 1", "2: row 2", "3: row 3"]


async def test_a_refused_key_fails_every_block_that_waits(emulator: Emulator, tmp_path: Path) -> None:
    emulator.always(error(401))
    answers = mapper(emulator, tmp_path)
    outcomes = await asyncio.gather(answers(block(1, 2)), answers(block(3)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [AuthenticationError, AuthenticationError]

    emulator.always(None)
    assert (await answers(block(1)))["error"] == [""]


async def test_machines_share_a_budget(emulator: Emulator, tmp_path: Path) -> None:
    answers = mapper(emulator, tmp_path, budget_usd=0.003, machines=3)
    with pytest.raises(BudgetExceededError):
        await answers(block(*range(50)))
    assert 0 < len(prompts(emulator)) < 10


def test_the_number_of_machines_must_be_at_least_one(emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="machines=0"):
        mapper(emulator, tmp_path, machines=0)
