"""What a notebook shows of answers, models, estimates and reports; and the catalogue as a data frame."""

from __future__ import annotations

import copy
import html
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from venice_ai import ChatCompletionResponse, SyncVeniceClient, UserMessage, VeniceClient
from venice_ai.emulator import Emulator, text, tool_call
from venice_ai.types._base import mark_private
from venice_ai.types._html import table
from venice_ai.types.api.models import ModelRow, ModelsListResponse
from venice_ai.types.attestation import AttestationReport, Check

NONE: dict[str, Any] = {"id": "c", "type": "text", "model_spec": {"capabilities": {}}}
ASK = [UserMessage(content="Hello")]


def shown(value: Any) -> str:
    """What a notebook shows as HTML."""
    found = value._repr_html_()
    assert isinstance(found, str)
    return found


async def test_an_answer_is_shown_as_it_is_and_loads_nothing() -> None:
    emulator = Emulator()
    markdown = '# Yes\n<img src="https://example.com/?said"> ![x](https://example.com/x)'
    emulator.script(text(markdown), tool_call("look_up", {"word": "<b>"}))
    async with VeniceClient(api_key="any", transport=emulator.transport()) as client:
        answer = await client.chat.completions.create(model="venice-1", messages=ASK)
        calls = await client.chat.completions.create(model="venice-1", messages=ASK)
    assert shown(answer) == f'<pre style="white-space: pre-wrap">{html.escape(markdown)}</pre>'
    assert "look_up({&quot;word&quot;:" in shown(calls).replace(" ", "")


def test_reasoning_is_shown_in_a_folded_section() -> None:
    message = {"role": "assistant", "content": "4", "reasoning_content": "2 + 2"}
    answer = ChatCompletionResponse.model_validate({"id": "x", "choices": [{"index": 0, "message": message}]})
    assert shown(answer).startswith("<details><summary>reasoning</summary><pre")


def test_an_encrypted_answer_is_not_shown() -> None:
    message = {"role": "assistant", "content": "secret"}
    answer = ChatCompletionResponse.model_validate({"id": "x", "choices": [{"index": 0, "message": message}]})
    mark_private(answer)
    assert answer._repr_html_() is None


def test_a_cell_of_a_table_is_a_text_in_which_nothing_is_a_tag() -> None:
    assert table([{"<a>": None, "b": ["x", "<y>"]}, {"<a>": 0, "b": ""}], "<c>") == (
        "<table><caption>&lt;c&gt;</caption><thead><tr><th>&lt;a&gt;</th><th>b</th></tr></thead><tbody>"
        "<tr><td></td><td>x, &lt;y&gt;</td></tr><tr><td>0</td><td></td></tr></tbody></table>"
    )


async def test_items_of_a_loop_over_the_catalogue_have_the_attributes_of_models() -> None:
    async with VeniceClient(api_key="any", transport=Emulator().transport()) as client:
        models = await client.models.list()
    assert [model.id for model in models] == [model.id for model in models.data]
    first = next(iter(models))
    assert first.model_spec.pricing == models.data[0].model_spec.pricing
    assert first.model_dump() == models.data[0].model_dump()
    assert first.model is models.data[0]
    with pytest.raises(AttributeError, match=r"ModelResponse has no field 'prices'; its fields are .*model_spec"):
        _ = first.prices


def test_a_loop_over_the_catalogue_of_a_synchronous_client_gives_models() -> None:
    with SyncVeniceClient(api_key="any", transport=Emulator().transport()) as client:
        assert "llama-3.3-70b" in {model.id for model in client.models.list()}


async def test_models_are_rows_of_a_table_and_of_a_data_frame() -> None:
    import pandas as pd  # here, for it takes longer than this file

    async with VeniceClient(api_key="any", transport=Emulator().transport()) as client:
        models = await client.models.list()
    rows = [*models]
    assert [row["id"] for row in rows] == [model.id for model in models.data]
    assert rows[0]["input_usd"] == models.data[0].model_spec.pricing.input.usd  # type: ignore[union-attr]
    assert shown(models).count("<tr>") == len(rows) + 1
    frame: Any = pd.DataFrame(models)
    assert list(frame["id"]) == [row["id"] for row in rows]
    assert list(frame.columns) == list(rows[0])


def pickled(row: ModelRow) -> ModelRow:
    copied: ModelRow = pickle.loads(pickle.dumps(row))  # our own bytes
    return copied


COPIES: list[Callable[[ModelRow], ModelRow]] = [copy.copy, copy.deepcopy, pickled]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_a_model_in_a_loop_is_the_same(copied: Callable[[ModelRow], ModelRow]) -> None:
    (row,) = ModelsListResponse.model_validate({"data": [{"id": "a", "type": "text", "model_spec": {"name": "A"}}]})
    assert copied(row) == row
    assert copied(row).model_spec == {"name": "A"}


def test_odd_entries_of_a_catalogue_are_rows_with_empty_cells() -> None:
    models = ModelsListResponse.model_validate(
        {"data": [{"id": "a", "type": "text"}, {"id": "b", "model_spec": {"capabilities": ["x"]}}, 7, NONE]}
    )
    found = [(row["id"], row["input_usd"], row["capabilities"]) for row in models]
    assert found == [("a", None, None), ("b", None, None), ("c", None, [])]
    assert "<td>a</td><td>text</td><td></td>" in shown(models)
    assert shown(ModelsListResponse.model_validate({"data": []})).startswith("<table>")


async def test_an_estimate_is_a_table() -> None:
    async with VeniceClient(api_key="any", transport=Emulator().transport()) as client:
        estimate = await client.chat.completions.estimate_cost(model="venice-1", messages=ASK)
    assert f"<td>{estimate.total_cost_usd}</td>" in shown(estimate)


def test_a_report_is_a_checklist() -> None:
    checks = Check("quote", "pass", "as signed"), Check("nonce", "fail", "<another>")
    report = AttestationReport(model="e2ee-x", nonce="00", fetched_at=0.0, expires_at=0.0, checks=checks)
    assert "<caption>e2ee-x: REFUSED</caption>" in shown(report)
    assert "<td>✓</td><td>quote</td><td>as signed</td>" in shown(report)
    assert "<td>✗</td><td>nonce</td><td>&lt;another&gt;</td>" in shown(report)
