"""`venice-chat batch`: tables and OpenAI's batch files, interrupted and resumed."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from socket import socket
from threading import Event, Timer
from time import monotonic, sleep
from typing import Any

import pytest

from venice_ai import Budget, Journal
from venice_ai.cli._table_files import read
from venice_ai.emulator import Emulator, completion, error, run_in_thread, text, tool_call, usual

from ..disks import fill, small_disk
from .forks import Fork, forked, run_forked
from .shell import COMMAND, CTRL_C, PATIENCE_SECONDS, Here, ended, spawn

CLASSIFY = ("-m", "venice-1", "-p", "Good or bad? {text}")
LABELS = """
from typing import Literal
from pydantic import BaseModel

class Label(BaseModel):
    label: Literal["good", "bad"]
    stars: int
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # --schema adds the folder


def reviews(number: int, name: str = "reviews.csv") -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *((each, f"Review {each}, {{so}} nice") for each in range(number))])


def prompts_sent(emulator: Emulator) -> list[str]:
    chats = [json.loads(each.content) for each in emulator.requests if each.method == "POST"]
    return [chat["messages"][-1]["content"] for chat in chats]


# -- tables --------------------------------------------------------------------------------------------------------------


def test_each_row_gets_its_answer_in_the_order_of_the_input(emulator: Emulator, here: Here) -> None:
    reviews(20)
    outcome = here("batch", "reviews.csv", *CLASSIFY)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith("venice-chat: 20 rows: 20 answered, 0 failed, 0 unusable, 0 open, 0 replayed; $0.0")
    rows = list(read(Path("reviews.out.csv")))
    assert list(rows[0]) == ["id", "text", "answer", "error"]
    assert [row["id"] for row in rows] == [str(each) for each in range(20)]
    assert all(f"Review {row['id']}, {{so}} nice" in row["answer"] and not row["error"] for row in rows)
    assert Counter(prompts_sent(emulator)) == Counter(f"Good or bad? Review {each}, {{so}} nice" for each in range(20))


@pytest.mark.parametrize("out", ["out.csv", "out.jsonl", "out.parquet"])
def test_half_of_a_surrogate_pair_does_not_keep_the_other_rows_from_being_written(
    emulator: Emulator, here: Here, out: str
) -> None:
    reviews(5)
    emulator.script(text("odd \ud83d end"))
    assert here("batch", "reviews.csv", out, *CLASSIFY, "--max-concurrency", "1").code == 0
    answers = [row["answer"] for row in read(Path(out))]
    assert answers[0] == "odd ? end"
    assert all(answers)


@pytest.mark.parametrize("journal", ["reviews.csv", "out.csv"])
def test_a_table_is_refused_as_a_journal(emulator: Emulator, here: Here, journal: str) -> None:
    reviews(2)
    outcome = here("batch", "reviews.csv", "out.csv", "--journal", journal, *CLASSIFY)
    assert outcome.code == 2
    assert "must be three files" in outcome.err
    assert prompts_sent(emulator) == []


def test_the_output_stays_as_private_as_it_was_and_a_link_stays_one(here: Here) -> None:
    reviews(2)
    assert here("batch", "reviews.csv", "real.csv", *CLASSIFY, "--limit", "1").code == 0
    Path("real.csv").chmod(0o600)
    Path("link.csv").symlink_to("real.csv")
    assert here("batch", "reviews.csv", "link.csv", *CLASSIFY, "--journal", "real.csv.journal").code == 0
    assert Path("link.csv").is_symlink()
    assert Path("real.csv").stat().st_mode & 0o777 == 0o600
    assert len(list(read(Path("real.csv")))) == 2


def test_the_status_without_a_batch_is_an_error_and_needs_no_output_file(here: Here) -> None:
    assert here("batch", "--status", "out.csv").code == 2
    reviews(1)
    assert here("batch", "reviews.csv", "out.csv", *CLASSIFY).code == 0
    Path("out.csv").unlink()
    outcome = here("batch", "--status", "out.csv")
    assert (outcome.code, outcome.out.split(",")[:2]) == (0, ["begun: 1", " answered: 1"])


def test_the_fields_of_a_class_become_columns(here: Here) -> None:
    reviews(5)
    Path("labels_of_a_test.py").write_text(LABELS, encoding="utf-8")
    outcome = here("batch", "reviews.csv", "out.parquet", *CLASSIFY, "--schema", "labels_of_a_test:Label", "--json")
    assert outcome.code == 0, outcome.err
    assert {
        "rows": 5,
        "answered": 5,
        "failed": 0,
        "open": 0,
        "output": "out.parquet",
        "answers_in_journal": 5,
    }.items() <= json.loads(outcome.out).items()
    rows = list(read(Path("out.parquet")))
    assert list(rows[0]) == ["id", "text", "label", "stars", "error", "raw_answer"]
    assert {type(row["stars"]) for row in rows} == {int}
    assert {row["label"] for row in rows} <= {"good", "bad"}


def test_the_fields_of_a_json_schema_become_columns(emulator: Emulator, here: Here) -> None:
    reviews(2)
    label = {"$ref": "#/$defs/label"}
    definitions = {"label": {"type": "string", "enum": ["good", "bad"]}}
    schema = {"type": "object", "properties": {"label": label, "tags": {"type": "array", "items": label}}, "$defs": definitions}
    Path("label.json").write_text(json.dumps(schema), encoding="utf-8")
    assert here("batch", "reviews.csv", "out.jsonl", *CLASSIFY, "--schema", "label.json").code == 0
    for row in read(Path("out.jsonl")):
        assert row["label"] in {"good", "bad"}
        assert isinstance(row["tags"], list)
    asked = json.loads(emulator.requests[-1].content)["response_format"]["json_schema"]
    assert (asked["name"], asked["strict"], asked["schema"]["required"]) == ("label", True, ["label", "tags"])


def test_instructions_and_parameters_are_sent_with_each_row(emulator: Emulator, here: Here) -> None:
    Path("in.jsonl").write_text('{"text": "a", "n": 1}\n\n{"text": "b", "n": null}\n', encoding="utf-8")
    options = ("-s", "Be number {n}.", "--max-tokens", "700", "--param", "seed=3", "--limit", "1")
    assert here("batch", "in.jsonl", *CLASSIFY, *options).code == 0
    (sent,) = [json.loads(each.content) for each in emulator.requests if each.method == "POST"]
    assert (sent["messages"][0], sent["max_completion_tokens"], sent["seed"]) == (
        {"role": "system", "content": "Be number 1."},
        700,
        3,
    )
    assert len(list(read(Path("in.out.jsonl")))) == 1


def test_rows_that_ask_the_same_are_sent_once(emulator: Emulator, here: Here) -> None:
    Path("in.jsonl").write_text('{"text": "same"}\n' * 9, encoding="utf-8")
    assert here("batch", "in.jsonl", *CLASSIFY).code == 0
    assert len(prompts_sent(emulator)) == 1
    assert len({row["answer"] for row in read(Path("in.out.jsonl"))}) == 1


# -- OpenAI's batch files ------------------------------------------------------------------------------------------------


def openai_batch(number: int, **body: Any) -> None:
    lines = [
        {
            "custom_id": f"request-{each}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "venice-1", "messages": [{"role": "user", "content": f"hi {each}"}], **body},
        }
        for each in range(number)
    ]
    Path("requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_an_openai_batch_is_answered_in_its_format(emulator: Emulator, here: Here) -> None:
    openai_batch(3, max_tokens=40)
    assert here("batch", "requests.jsonl").code == 0
    rows = list(read(Path("requests.out.jsonl")))
    assert [row["custom_id"] for row in rows] == ["request-0", "request-1", "request-2"]
    for row in rows:
        assert list(row) == ["id", "custom_id", "response", "error"]
        assert (row["response"]["status_code"], row["error"]) == (200, None)
        assert row["response"]["request_id"]
        assert row["response"]["body"]["choices"][0]["message"]["content"]
    assert json.loads(emulator.requests[-1].content)["max_tokens"] == 40


def test_another_model_may_answer_an_openai_batch(emulator: Emulator, here: Here) -> None:
    openai_batch(1, model="gpt-x")
    assert here("batch", "requests.jsonl", "-m", "venice-1").code == 0
    assert json.loads(emulator.requests[-1].content)["model"] == "venice-1"


def test_refused_requests_stand_in_the_results(emulator: Emulator, here: Here) -> None:
    openai_batch(2)
    emulator.script(error(409), usual())
    outcome = here("batch", "requests.jsonl", "--max-concurrency", "1")
    assert outcome.code == 9
    first, second = read(Path("requests.out.jsonl"))
    assert (first["response"]["status_code"], second["response"]["status_code"]) == (409, 200)
    assert first["response"]["body"]["error"]["type"] == "ConflictError"

    again = outcome.err.splitlines()[-1].partition("with: venice-chat ")[2].split()
    assert "--retry-failed" in again
    assert here(*again).code == 0
    assert [row["response"]["status_code"] for row in read(Path("requests.out.jsonl"))] == [200, 200]


# -- what is refused before anything is sent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["reviews.csv", "-m", "venice-1", "-p", "{txt}"], "line 2: there is no column 'txt'", id="a missing column"
        ),
        pytest.param(["reviews.csv", "-p", "{text}"], "--prompt needs --model", id="no model"),
        pytest.param(["reviews.csv"], "or --prompt for a table", id="no prompt"),
        pytest.param(["reviews.csv", "-s", "Be kind."], "add --prompt", id="instructions alone"),
        pytest.param(["reviews.csv", "out.xlsx", *CLASSIFY], "not a table that can be read or written", id="an unknown kind"),
        pytest.param(
            ["reviews.csv", "other.csv", *CLASSIFY], "is there already, and not as this batch wrote it", id="another file"
        ),
        pytest.param(["reviews.csv", "reviews.csv", *CLASSIFY], "must be three files; give another OUT", id="the input"),
        pytest.param(["broken.jsonl", *CLASSIFY], "line 2: it is not JSON", id="a broken line"),
        pytest.param(["large.jsonl", *CLASSIFY], "line 2: it is not JSON: Number out of range", id="a number beyond floats"),
        pytest.param(["other.jsonl", *CLASSIFY], "line 2: there is no column 'text'", id="a column that a row lacks"),
        pytest.param(["reviews.csv", *CLASSIFY, "--schema", "nowhere:Label"], "No module named 'nowhere'", id="no class"),
        pytest.param(["reviews.csv", *CLASSIFY, "--schema", "list.json"], "list.json", id="a schema of no object"),
        pytest.param(["reviews.csv", *CLASSIFY, "--param", "n=2"], "one answer a row", id="several answers"),
        pytest.param(["reviews.csv", *CLASSIFY, "--budget", "-1"], "-1.0 is not in the range", id="a budget below zero"),
        pytest.param(["reviews.csv", *CLASSIFY, "--budget", "0"], "0.0 is not in the range", id="a budget of nothing"),
        pytest.param(["reviews.csv", *CLASSIFY, "--param", "temperature=9"], "allowed is 0 to 2", id="a parameter"),
        pytest.param(["reviews.csv", *CLASSIFY, "--max-tokens", "0"], "--max-tokens=0 is not allowed", id="no tokens"),
        pytest.param(["reviews.csv", *CLASSIFY, "-m", " "], "model=' ' is not a model id", id="a model without a name"),
        pytest.param(["reviews.csv", *CLASSIFY, "--param", "extra_body=5"], "extra_body is int", id="extra_body"),
        pytest.param(["requests.jsonl", "--param", "top_p=2"], "allowed is 0 to 1", id="a parameter of all bodies"),
        pytest.param(["spreadsheet.csv", *CLASSIFY], "line 1: cells are separated by ','", id="semicolons"),
        pytest.param(
            ["reviews.csv", *CLASSIFY, "--journal", "other.csv"], "something else than the file of a Journal", id="no journal"
        ),
        pytest.param(["requests.jsonl", "out.csv"], "OpenAI's batch format is JSONL", id="OpenAI's format as CSV"),
        pytest.param(["empty.csv", *CLASSIFY], "has no rows", id="no rows"),
        pytest.param([], "give the file to read", id="no file"),
    ],
)
def test_wrong_arguments_and_input_are_refused_before_anything_is_sent(
    emulator: Emulator, here: Here, arguments: list[str], message: str
) -> None:
    reviews(3)
    openai_batch(2)
    Path("other.csv").write_text("mine\n", encoding="utf-8")
    Path("spreadsheet.csv").write_text("id;text\n1;good, it was\n", encoding="utf-8")
    Path("other.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n', encoding="utf-8")
    Path("large.jsonl").write_text('{"text": 1.10}\n{"text": 1e400}\n', encoding="utf-8")
    Path("broken.jsonl").write_text('{"text": "a"}\n{"text": \n', encoding="utf-8")
    reviews(0, "empty.csv")
    Path("list.json").write_text('{"type": "array"}', encoding="utf-8")
    outcome = here("batch", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert not Path("reviews.out.csv").exists()
    assert emulator.requests == []
    assert Path("other.csv").read_text("utf-8") == "mine\n"


def test_parquet_names_its_extra_where_that_is_missing(tmp_path: Path) -> None:
    reviews(1)
    program = "import sys; sys.modules['pyarrow'] = None; from venice_ai.cli import main; main()"
    outcome = spawn("batch", str(tmp_path / "reviews.csv"), "out.parquet", *CLASSIFY, command=(sys.executable, "-c", program))
    assert outcome.code == 2
    assert "pip install 'venice-chat[batch]'" in outcome.err


# -- failures ------------------------------------------------------------------------------------------------------------


def test_a_row_that_fails_has_its_error_and_is_tried_again_when_asked(emulator: Emulator, here: Here) -> None:
    reviews(3)
    emulator.script(usual(), error(400), usual())
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "1")
    assert outcome.code == 9
    assert "2 answered, 1 failed" in outcome.err
    assert [bool(row["error"]) for row in read(Path("reviews.out.csv"))] == [False, True, False]

    assert here("batch", "reviews.csv", *CLASSIFY).code == 9
    assert len(prompts_sent(emulator)) == 3
    assert here("batch", "reviews.csv", *CLASSIFY, "--retry-failed").code == 0
    assert len(prompts_sent(emulator)) == 4
    assert [row["error"] for row in read(Path("reviews.out.csv"))] == ["", "", ""]


def test_a_truncated_answer_is_an_error_of_its_row(emulator: Emulator, here: Here) -> None:
    reviews(1)
    emulator.always(text("Goo", finish_reason="length"))
    assert here("batch", "reviews.csv", *CLASSIFY).code == 9
    (row,) = read(Path("reviews.out.csv"))
    assert (row["answer"], row["error"]) == ("Goo", "the answer ended with 'length'")


@pytest.mark.parametrize(("status", "code"), [(401, 3), (402, 3), (404, 4)])
def test_an_error_that_every_row_would_have_ends_the_batch(emulator: Emulator, here: Here, status: int, code: int) -> None:
    reviews(60)
    emulator.always(error(status))
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "4")
    assert outcome.code == code
    assert len(prompts_sent(emulator)) < 20
    assert not Path("reviews.out.csv").exists()

    emulator.always(None)
    assert here("batch", "reviews.csv", *CLASSIFY, "--retry-failed").code == 0


def test_a_used_up_budget_ends_the_batch_and_a_higher_one_continues_it(emulator: Emulator, here: Here) -> None:
    reviews(30)
    options = (*CLASSIFY, "--max-tokens", "100", "--json")
    outcome = here("batch", "reviews.csv", *options, "--budget", "0.003")
    assert outcome.code == 8
    first = json.loads(outcome.out)
    assert 0 < first["answered"] < 30
    assert first["answered"] + first["open"] == 30
    assert first["cost_usd"] <= 0.003
    assert "go on with: venice-chat batch reviews.csv" in outcome.err
    assert "a higher cap goes on" in outcome.err
    assert len(list(read(Path("reviews.out.csv")))) == first["answered"]

    second = json.loads(here("batch", "reviews.csv", *options, "--budget", "1").out)
    assert (second["answered"], second["open"]) == (30, 0)
    assert second["replayed"] >= first["answered"]
    assert len(prompts_sent(emulator)) == len(set(prompts_sent(emulator))) == 30


def test_a_budget_too_small_for_any_request_says_what_would_lower_the_cost(emulator: Emulator, here: Here) -> None:
    reviews(3)
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--budget", "0.00001")
    assert outcome.code == 8
    summary, again, why = outcome.err.splitlines()
    assert summary.startswith("venice-chat: 3 rows: 0 answered, 0 failed, 0 unusable, 3 open, 0 replayed; $0.0000 in ")
    assert "go on with: " in again
    assert "a lower --max-tokens lowers that" in why
    assert json.loads(here("batch", "reviews.csv", *CLASSIFY, "--budget", "0.00001", "--json").out)["open"] == 3
    assert prompts_sent(emulator) == []
    assert not Path("reviews.out.csv").exists()


def test_errors_are_summed_up_by_kind_with_their_number_and_first_row(emulator: Emulator, here: Here) -> None:
    reviews(5)
    emulator.script(error(422, "poison"), error(422, "poison"), text(""), usual(), error(422, "poison"))
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "1")
    assert outcome.code == 9
    kinds = [line for line in outcome.err.splitlines() if " x " in line]
    assert kinds[0].startswith("venice-chat: 3 x row 1: UnprocessableEntityError: ")
    assert "poison" in kinds[0]
    assert kinds[1:] == ["venice-chat: 1 x row 3: the answer is empty"]
    summary = json.loads(here("batch", "reviews.csv", *CLASSIFY, "--json").out)
    assert [each["rows"] for each in summary["errors"]] == [3, 1]
    assert summary["errors"][0]["first"].startswith("row 1: UnprocessableEntityError: ")
    status = here("batch", "--status", "reviews.out.csv").out.splitlines()
    assert status[1].startswith("3 x UnprocessableEntityError: ")
    assert [line.partition(": ")[0] for line in status[2:]] == [f"Good or bad? Review {n}, {{so}} nice" for n in (0, 1, 2, 4)]
    found = json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)["errors"]
    assert [each["rows"] for each in found] == [3, 1]


def test_errors_name_the_ids_of_openais_format(emulator: Emulator, here: Here) -> None:
    openai_batch(3)
    emulator.script(usual(), error(422), error(422))
    outcome = here("batch", "requests.jsonl", "--max-concurrency", "1")
    assert "2 x request-1: UnprocessableEntityError: " in outcome.err


def test_the_cost_of_runs_without_a_budget_counts_in_a_run_with_one(emulator: Emulator, here: Here) -> None:
    reviews(30)
    options = (*CLASSIFY, "--max-tokens", "100")
    first = json.loads(here("batch", "reviews.csv", *options, "--limit", "20", "--json").out)
    sent = len(prompts_sent(emulator))
    outcome = here("batch", "reviews.csv", *options, "--budget", f"{first['cost_usd']:.6f}")
    assert outcome.code == 8
    assert len(prompts_sent(emulator)) == sent
    budget = 2 * first["cost_usd"] + 0.003
    assert here("batch", "reviews.csv", *options, "--budget", f"{budget:.6f}").code == 0
    spent = json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)["cost_usd"]
    counted = Budget(budget, "reviews.out.csv.journal.budget").spent()
    assert float(sum(each.usd for each in counted)) == pytest.approx(spent), "and none of it twice"


def without_cost(*, usage: bool) -> Any:
    usage_members = {"usage": {"prompt_tokens": 1_000, "completion_tokens": 200, "total_tokens": 1_200}} if usage else {}
    return completion(
        {"choices": [{"message": {"role": "assistant", "content": "good"}, "finish_reason": "stop"}], **usage_members}
    )


def test_an_answer_that_does_not_say_its_cost_is_priced_by_the_catalogue(emulator: Emulator, here: Here) -> None:
    reviews(2)
    emulator.always(without_cost(usage=True))
    summary = json.loads(here("batch", "reviews.csv", *CLASSIFY, "--json").out)
    assert summary["cost_usd"] > 0
    assert json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)["cost_usd"] == summary["cost_usd"]


def test_an_unknown_cost_is_not_shown_as_zero(emulator: Emulator, here: Here) -> None:
    reviews(2)
    emulator.script(usual(), without_cost(usage=False))
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "1")
    assert "0 replayed; cost not known in " in outcome.err
    assert json.loads(here("batch", "reviews.csv", *CLASSIFY, "--json").out)["cost_usd"] == 0, "nothing was asked again"
    assert json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)["cost_usd"] is None
    assert "cost usd: not known\n" in here("batch", "--status", "reviews.out.csv").out
    Path("reviews.csv").write_text("id,text\n7,new\n", encoding="utf-8")
    emulator.script(without_cost(usage=False))
    assert json.loads(here("batch", "reviews.csv", *CLASSIFY, "--json").out)["cost_usd"] is None


def test_sums_of_costs_are_printed_without_floating_point_noise(emulator: Emulator, here: Here) -> None:
    reviews(3)
    answer = {"role": "assistant", "content": "good"}
    emulator.always(completion({"choices": [{"message": answer, "finish_reason": "stop"}], "cost": {"usd": 0.1}}))
    assert json.loads(here("batch", "reviews.csv", *CLASSIFY, "--json").out)["cost_usd"] == 0.3
    assert json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)["cost_usd"] == 0.3
    assert here("batch", "--status", "reviews.out.csv").out.endswith("cost usd: 0.300000\n")


def test_the_status_says_how_many_more_failed_and_how_to_see_them(emulator: Emulator, here: Here) -> None:
    reviews(25)
    emulator.script(*[error(422)] * 25)
    here("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "1")
    lines = here("batch", "--status", "reviews.out.csv").out.splitlines()
    assert (len(lines), lines[-1]) == (1 + 1 + 20 + 1, "... and 5 more; --json shows all")
    assert lines[1].startswith("25 x UnprocessableEntityError: ")
    assert len(json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)["failures"]) == 25


def test_the_error_of_a_damaged_journal_says_what_to_do(emulator: Emulator, here: Here) -> None:
    reviews(30)
    assert here("batch", "reviews.csv", *CLASSIFY).code == 0
    before = Path("reviews.out.csv").read_bytes()
    with Path("reviews.out.csv.journal").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 16_384)
    for outcome in (here("batch", "reviews.csv", *CLASSIFY), here("batch", "--status", "reviews.out.csv")):
        assert outcome.code == 1
        assert "reviews.out.csv.journal" in outcome.err
        assert "OUT keeps its answers; --journal NEW with another OUT begins anew, and pays again" in outcome.err
    assert Path("reviews.out.csv").read_bytes() == before
    assert here("batch", "reviews.csv", "anew.csv", *CLASSIFY, "--journal", "NEW").code == 0
    assert len(prompts_sent(emulator)) == 60


def test_the_command_refuses_an_encrypted_journal_and_says_how_to_read_it(here: Here) -> None:
    Journal("kept.journal", key=os.urandom(32)).close()
    outcome = here("batch", "--status", "kept.journal")
    assert outcome.code == 2
    assert "is encrypted: the command opens none that is; Journal(path, key_file=...).rows() does" in outcome.err


def test_an_interrupted_run_leaves_an_output_that_has_more(emulator: Emulator, here: Here) -> None:
    reviews(10)
    assert here("batch", "reviews.csv", *CLASSIFY).code == 0
    before = Path("reviews.out.csv").read_bytes()
    emulator.always(error(401))
    reviews(20)
    assert here("batch", "reviews.csv", *CLASSIFY, "-s", "Anew.").code == 3
    assert Path("reviews.out.csv").read_bytes() == before


def test_the_status_of_a_batch(emulator: Emulator, here: Here) -> None:
    reviews(3)
    emulator.script(usual(), error(400), usual())
    here("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "1")
    outcome = here("batch", "--status", "reviews.out.csv")
    assert outcome.code == 0
    first, second = outcome.out.splitlines()
    assert first.startswith("begun: 3, answered: 2, failed: 1, unusable: 0, in flight: 0, open: 0, cost usd: 0.0")
    assert "InvalidRequestError: " in second
    status = json.loads(here("batch", "--status", "reviews.out.csv.journal", "--json").out)
    assert (status["answered"], status["failed"], len(status["failures"])) == (2, 1, 1)
    assert here("batch", "--status", "reviews.csv").code == 2


# -- in a process of its own ---------------------------------------------------------------------------------------------


def until(true: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while not true():
        assert monotonic() < deadline
        sleep(0.01)


def test_ctrl_c_stops_the_batch_and_the_same_command_continues_it(emulator: Emulator) -> None:
    reviews(60)
    emulator.always(usual(delay=0.1))
    arguments = ("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "4")
    with forked(*arguments) as process:
        until(lambda: len(emulator.requests) >= 20)
        outcome = ended(process, signal.SIGINT)
    assert (outcome.code, outcome.out) == (CTRL_C, "")
    counts, hint, stopped = outcome.err.splitlines()
    in_journal = re.search(r"answers in the journal: (\d+)$", counts)
    status = json.loads(run_forked("batch", "--status", "reviews.out.csv", "--json").out)
    assert in_journal is not None
    assert int(in_journal[1]) == status["answered"] == len(prompts_sent(emulator)), "also what came after Ctrl-C"
    assert stopped == "venice-chat: stopped"
    assert " open, 0 replayed; $0.0" in counts
    assert (
        hint
        == "venice-chat: go on with: venice-chat batch reviews.csv -m venice-1 -p 'Good or bad? {text}' --max-concurrency 4"
    )
    partial = list(read(Path("reviews.out.csv")))
    assert 0 < len(partial) < 60
    assert all(row["answer"] for row in partial)

    emulator.always(None)
    outcome = run_forked(*arguments)
    assert outcome.code == 0
    assert outcome.err.count("\n") == 1
    assert len(list(read(Path("reviews.out.csv")))) == 60
    assert len(prompts_sent(emulator)) == len(set(prompts_sent(emulator))) == 60


@pytest.mark.skipif(sys.platform == "win32", reason="runs take turns at OUT where files have POSIX's locks")
def test_the_same_command_may_run_several_times_at_once(emulator: Emulator) -> None:
    reviews(100)
    emulator.always(usual(delay=0.05))
    arguments = [*COMMAND, "batch", "reviews.csv", *CLASSIFY]
    runs = [subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    stderrs = [run.communicate(timeout=PATIENCE_SECONDS)[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, "\n".join(stderrs)
    assert all("100 rows: 100 answered" in each for each in stderrs)
    assert len(prompts_sent(emulator)) == len(set(prompts_sent(emulator))) == 100
    assert all(row["answer"] for row in read(Path("reviews.out.csv")))
    assert not list(Path().glob(".reviews*"))


def test_after_a_kill_no_partial_output_is_left_and_only_requests_in_flight_are_sent_again(emulator: Emulator) -> None:
    reviews(60)
    emulator.always(usual(delay=0.1))
    arguments = ("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "4")
    with forked(*arguments) as process:
        until(lambda: len(emulator.requests) >= 20)
        process.kill()
        process.wait()
    assert not Path("reviews.out.csv").exists()
    assert run_forked(*arguments).code == 0
    assert len(list(read(Path("reviews.out.csv")))) == 60
    assert len(set(prompts_sent(emulator))) == 60
    assert len(prompts_sent(emulator)) <= 64


@pytest.mark.usefixtures("emulator")
def test_a_terminal_shows_the_progress() -> None:
    pty = pytest.importorskip("pty", reason="this system has no terminals of this kind")
    reviews(50)
    ours, its = pty.openpty()
    with Path(os.devnull).open("r+b") as nothing:
        process = Fork(("batch", "reviews.csv", *CLASSIFY), (nothing.fileno(), nothing.fileno(), its), {"COLUMNS": "120"})
    os.close(its)
    seen = b""
    try:
        while some := os.read(ours, 65_536):
            seen += some
    except OSError:  # the other end was closed
        pass
    assert process.wait(PATIENCE_SECONDS) == 0
    os.close(ours)
    assert b"50/50  0 failed" in seen
    assert b"to go" in seen
    assert b"50 rows: 50 answered" in seen.splitlines()[-1]


@pytest.mark.parametrize("theirs", ["name,phone\nAnna,1\n", "precious notes\n", "answer,error\nx,y\n", ""])
def test_a_file_of_somebody_else_is_not_overwritten_though_the_journal_is_there(here: Here, theirs: str) -> None:
    reviews(2)
    assert here("batch", "reviews.csv", "out.csv", *CLASSIFY).code == 0
    Path("out.csv").unlink()
    Path("notes.txt").write_text(theirs, encoding="utf-8")
    Path("out.csv").symlink_to("notes.txt")
    outcome = here("batch", "reviews.csv", "out.csv", *CLASSIFY)
    assert outcome.code == 2
    assert "out.csv is there already, and not as this batch wrote it" in outcome.err
    assert Path("notes.txt").read_text(encoding="utf-8") == theirs


def test_a_file_that_somebody_else_writes_meanwhile_stays(emulator: Emulator, here: Here) -> None:
    reviews(2)

    emulator.always(text("good", delay=2.0))
    Timer(1.0, lambda: Path("out.csv").write_text("my,precious\n1,2\n", encoding="utf-8")).start()
    outcome = here("batch", "reviews.csv", "out.csv", *CLASSIFY)
    assert outcome.code == 1
    assert "out.csv was written by somebody else meanwhile" in outcome.err
    assert "precious" in Path("out.csv").read_text(encoding="utf-8")
    Path("out.csv").unlink()
    assert here("batch", "reviews.csv", "out.csv", *CLASSIFY).code == 0
    assert len(prompts_sent(emulator)) == 2


def test_a_schema_with_a_field_error_is_refused(emulator: Emulator, here: Here) -> None:
    reviews(1)
    Path("odd_labels.py").write_text(LABELS.replace("stars: int", "error: str"), encoding="utf-8")
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--schema", "odd_labels:Label")
    assert outcome.code == 2
    assert "rename the schema's field" in outcome.err
    assert prompts_sent(emulator) == []


@pytest.mark.parametrize("out", ["nowhere/out.csv", ".", "/proc/out.csv"])
def test_a_place_where_nothing_can_be_written_is_refused(emulator: Emulator, here: Here, out: str) -> None:
    reviews(1)
    outcome = here("batch", "reviews.csv", out, *CLASSIFY)
    assert outcome.code == 2
    assert out in outcome.err
    assert "Errno" not in outcome.err
    assert emulator.requests == []


def test_a_prompt_without_a_column_is_refused(emulator: Emulator, here: Here) -> None:
    reviews(2)
    outcome = here("batch", "reviews.csv", "-m", "venice-1", "-p", "Good or bad? {{text}}")
    assert outcome.code == 2
    assert "the prompt names no column" in outcome.err
    assert prompts_sent(emulator) == []


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX")
@pytest.mark.parametrize(
    "arguments", [["pipe.csv"], ["reviews.csv", "pipe.csv"], ["reviews.csv", "out.csv", "--journal", "pipe.csv"]], ids=" ".join
)
def test_a_pipe_is_refused_as_input_output_and_journal(emulator: Emulator, here: Here, arguments: list[str]) -> None:
    reviews(1)
    os.mkfifo("pipe.csv")
    outcome = here("batch", *arguments, *CLASSIFY)
    assert outcome.code == 2
    assert "pipe.csv is read more than once, so it must be a file, not a pipe" in outcome.err
    assert emulator.requests == []


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="this system has no such file")
def test_a_piped_stdout_is_refused_as_output_rather_than_waited_for(emulator: Emulator) -> None:
    reviews(1)
    outcome = run_forked("batch", "reviews.csv", "/dev/stdout", *CLASSIFY)
    assert (outcome.code, outcome.out) == (2, "")
    assert "/dev/stdout is read more than once, so it must be a file, not a pipe" in outcome.err
    assert emulator.requests == []


def test_another_schema_for_the_same_output_is_refused_with_what_to_change(here: Here) -> None:
    reviews(1)
    assert here("batch", "reviews.csv", *CLASSIFY).code == 0
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--schema", "mood: str")
    assert outcome.code == 2
    assert "reviews.out.csv.journal' was made for another --schema, or none; give a new --journal and OUT\n" in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_empty_answer_is_an_error_of_its_row(emulator: Emulator, here: Here) -> None:
    reviews(2)
    emulator.always(text(""))
    assert here("batch", "reviews.csv", "out.csv", *CLASSIFY).code == 9
    assert [row["error"] for row in read(Path("out.csv"))] == ["the answer is empty"] * 2


def test_the_status_names_a_failed_row_by_what_it_asked(emulator: Emulator, here: Here) -> None:
    reviews(1)
    emulator.always(error(400, "no"))
    assert here("batch", "reviews.csv", "out.csv", *CLASSIFY).code == 9
    outcome = here("batch", "--status", "out.csv")
    assert "Review 0" in outcome.out


# -- what loses nothing --------------------------------------------------------------------------------------------------


def strict_rows(name: str) -> list[Any]:
    """The rows of a JSONL file, read by a reader that takes JSON alone."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in Path(name).read_text(encoding="utf-8").splitlines()]


def test_numbers_that_json_does_not_have_are_texts_in_jsonl(emulator: Emulator, here: Here) -> None:
    reviews(1)
    schema = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "array", "items": {"type": "number"}}}}
    Path("odd.json").write_text(json.dumps(schema), encoding="utf-8")
    emulator.always(text('{"a": NaN, "b": [Infinity, -Infinity, 1.5]}'))
    for out in ("out.jsonl", "out.csv"):
        assert here("batch", "reviews.csv", out, *CLASSIFY, "--schema", "odd.json", "--journal", "j").code == 0
    (row,) = strict_rows("out.jsonl")
    assert (row["a"], row["b"]) == ("NaN", ["Infinity", "-Infinity", 1.5])
    (cells,) = read(Path("out.csv"))
    assert json.loads(cells["b"]) == ["Infinity", "-Infinity", 1.5]


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX")
def test_a_named_pipe_as_a_schema_is_refused_rather_than_waited_for(emulator: Emulator, here: Here) -> None:
    reviews(1)
    os.mkfifo("schema.json")
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--schema", "schema.json")
    assert outcome.code == 2
    assert "it is a pipe" in outcome.err
    assert prompts_sent(emulator) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the shell is POSIX")
def test_a_schema_may_be_what_a_program_of_the_shell_writes(emulator: Emulator) -> None:
    reviews(1)
    Path("label.json").write_text('{"type": "object", "properties": {"label": {"type": "string"}}}', encoding="utf-8")
    command = shlex.join([*COMMAND, "batch", "reviews.csv", *CLASSIFY, "--schema"])
    for _ in range(2):
        line = f"exec 9</dev/null; {command} <(cat label.json)"
        done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=PATIENCE_SECONDS, check=False)
        assert done.returncode == 0, done.stderr
    assert list(next(read(Path("reviews.out.csv")))) == ["id", "text", "label", "error", "raw_answer"]
    assert len(prompts_sent(emulator)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the shell is POSIX")
def test_the_command_that_continues_says_that_the_schema_was_a_pipe(emulator: Emulator) -> None:
    reviews(1)
    Path("label.json").write_text('{"type": "object", "properties": {"label": {"type": "string"}}}', encoding="utf-8")
    command = shlex.join([*COMMAND, "batch", "reviews.csv", *CLASSIFY, "--budget", "0.00001", "--schema"])
    done = subprocess.run(["bash", "-c", f"{command} <(cat label.json)"], capture_output=True, check=False)
    assert done.returncode == 8
    assert " --schema <(what wrote the schema, which was a pipe)\n" in done.stderr.decode()
    assert prompts_sent(emulator) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_a_closed_window_stop_as_ctrl_c_does(emulator: Emulator, number: signal.Signals) -> None:
    reviews(60)
    emulator.always(usual(delay=0.1))
    arguments = ("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "4")
    with forked(*arguments) as process:
        until(lambda: len(emulator.requests) >= 20)
        outcome = ended(process, number)
    assert (outcome.code, outcome.out) == (-number, "")
    assert "go on with: venice-chat batch reviews.csv" in outcome.err
    partial = list(read(Path("reviews.out.csv")))
    assert 0 < len(partial) < 60
    assert all(row["answer"] for row in partial)
    assert run_forked(*arguments).code == 0
    assert len(prompts_sent(emulator)) == len(set(prompts_sent(emulator))) == 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_before_the_first_answer_prints_the_command_that_continues(
    emulator: Emulator, number: signal.Signals
) -> None:
    reviews(6)
    emulator.always(usual(delay=0.5))
    arguments = ("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "2")
    with forked(*arguments) as process:
        until(lambda: len(emulator.requests) == 2)
        outcome = ended(process, number)

    assert outcome.code == (CTRL_C if number == signal.SIGINT else -number)
    assert "go on with: venice-chat batch reviews.csv" in outcome.err
    assert not Path("reviews.out.csv").exists()


def test_a_table_that_changed_meanwhile_is_an_error_with_the_command_that_continues(emulator: Emulator) -> None:
    reviews(8)
    emulator.always(usual(delay=0.3))
    arguments = ("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "4")
    with forked(*arguments) as process:
        until(lambda: len(emulator.requests) >= 4)
        with Path("reviews.csv").open("a", encoding="utf-8") as file:
            file.write("9,late\n")
        _, stderr = process.communicate()
        code = process.wait()

    assert code == 1, "answers were paid for, so it is not 2"
    assert "8 rows: 8 answered" in stderr
    assert "reviews.out.csv\n" not in stderr, "there is no such file"
    assert "go on with: venice-chat batch reviews.csv" in stderr
    assert "reviews.csv was changed meanwhile" in stderr
    assert run_forked(*arguments).code == 0
    assert len(prompts_sent(emulator)) == 9


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{"text": "a", "n": 12345678901234567890123}], id="a number that is too large"),
        pytest.param([{"text": "a", "n": 1}, {"text": "b", "n": "x"}], id="two types"),
        pytest.param([{"text": "a", "n": dict[str, Any]()}], id="an object without members"),
    ],
)
def test_rows_that_parquet_cannot_hold_are_refused_before_anything_is_sent(
    emulator: Emulator, here: Here, rows: list[Any]
) -> None:
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    outcome = here("batch", "in.jsonl", "out.parquet", *CLASSIFY)

    assert outcome.code == 2
    assert "Parquet cannot hold these rows" in outcome.err
    assert emulator.requests == []


def test_an_answer_that_parquet_cannot_hold_stays_in_the_journal(emulator: Emulator, here: Here) -> None:
    reviews(2)
    emulator.always(text(json.dumps({"n": 123456789012345678901234567890})))
    arguments = (*CLASSIFY, "--schema", "n: int", "--journal", "j")

    outcome = here("batch", "reviews.csv", "out.parquet", *arguments)

    assert outcome.code == 1
    assert "Parquet cannot hold these rows" in outcome.err
    assert "2 rows: 2 answered" in outcome.err
    assert here("batch", "reviews.csv", "out.jsonl", *arguments).code == 0
    assert len(prompts_sent(emulator)) == 2


def test_answers_are_written_though_no_file_can_be_made_beside_the_journal(emulator: Emulator, here: Here) -> None:
    reviews(2)
    Path("j.out").symlink_to("/nowhere/j.out")

    outcome = here("batch", "reviews.csv", *CLASSIFY, "--journal", "j")

    assert outcome.code == 0
    assert "the next run will not know reviews.out.csv as its own" in outcome.err
    assert all(row["answer"] for row in read(Path("reviews.out.csv")))
    assert len(emulator.requests) == 2


def test_another_model_under_the_same_ids_is_refused_and_the_output_stays(emulator: Emulator, here: Here) -> None:
    openai_batch(3)
    assert here("batch", "requests.jsonl", "out.jsonl").code == 0
    before = Path("out.jsonl").read_bytes()
    outcome = here("batch", "requests.jsonl", "out.jsonl", "-m", "fastest")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1, outcome.err
    assert "custom_id='request-0' was used for another request before: model was 'venice-1', is 'fastest'" in outcome.err
    assert Path("out.jsonl").read_bytes() == before
    assert len(prompts_sent(emulator)) == 3


def test_a_limit_after_a_full_run_takes_no_rows_away(emulator: Emulator, here: Here) -> None:
    reviews(10)
    assert here("batch", "reviews.csv", *CLASSIFY).code == 0
    before = Path("reviews.out.csv").read_bytes()
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--limit", "3")
    assert (outcome.code, Path("reviews.out.csv").read_bytes()) == (0, before)
    assert "reviews.out.csv stays as it is, for it has more rows" in outcome.err
    assert len(prompts_sent(emulator)) == 10


def test_the_status_counts_as_the_run_does(emulator: Emulator, here: Here) -> None:
    reviews(4)
    emulator.script(usual(), text(""), text("Goo", finish_reason="length"), error(400))
    ran = json.loads(here("batch", "reviews.csv", "out.csv", *CLASSIFY, "--max-concurrency", "1", "--json").out)
    status = json.loads(here("batch", "--status", "out.csv", "--json").out)
    for counts in (ran, status):
        assert (counts["answered"], counts["failed"], counts["unusable"]) == (1, 1, 2)
    assert [each["error"] for each in status["failures"]][:2] == ["the answer is empty", "the answer ended with 'length'"]


def test_a_reply_without_choices_is_an_error_in_openais_format(emulator: Emulator, here: Here) -> None:
    openai_batch(2)
    emulator.script(completion({"id": "x", "model": "venice-1", "choices": []}), usual())
    for _ in range(2):
        outcome = here("batch", "requests.jsonl", "out.jsonl", "--max-concurrency", "1")
        assert outcome.code == 9
        assert "1 answered, 0 failed, 1 unusable" in outcome.err
        first, second = read(Path("out.jsonl"))
        assert first["error"] == {"code": "NoChoicesError", "message": "the answer has no choices"}
        assert first["response"]["body"]["id"] == "x"
        assert second["error"] is None
    assert here("batch", "--status", "out.jsonl").out.startswith("begun: 2, answered: 1, failed: 0, unusable: 1")


def test_an_unreachable_server_ends_the_batch_with_one_error(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    reviews(300)
    with monkeypatch.context() as patch, socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        patch.setenv("VENICE_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        outcome = here("batch", "reviews.csv", *CLASSIFY, "--journal", "j")
    assert outcome.code == 6
    assert outcome.err.count("\n") == 1, outcome.err
    assert "refused" in outcome.err
    assert not Path("reviews.out.csv").exists()
    assert here("batch", "--status", "j").out.split(", ")[1:5] == ["answered: 0", "failed: 0", "unusable: 0", "in flight: 0"]


class _Holding(Emulator):
    """Answers some requests, and the others once it is let go, from whatever thread."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.free, self.let_go = free, Event()

    async def respond(self, incoming: Any, *, now: float) -> Any:
        answer = await super().respond(incoming, now=now)
        while len(self.requests) > self.free and not self.let_go.is_set():
            await asyncio.sleep(0.01)
        return answer


def test_a_full_disk_under_out_and_journal_loses_no_answer(here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    emulator, places = _Holding(free=20), 40
    with small_disk(tmp_path / "disk", "24m") as disk, run_in_thread(emulator) as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.url)
        reviews(200, str(disk / "in.csv"))
        command = ["batch", str(disk / "in.csv"), "-m", "venice-1", "-p", "{text}", "--max-concurrency", str(places)]
        process = subprocess.Popen([*COMMAND, *command], stderr=subprocess.PIPE, text=True)
        until(lambda: len(emulator.requests) >= emulator.free + places)
        fill(disk / "other")
        emulator.let_go.set()
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 1, errors
        assert "disk is full. Make room on it, and go on" in errors
        sent = len(emulator.requests)
        assert json.loads(here("batch", "--status", str(disk / "in.out.csv"), "--json").out)["answered"] == sent < 200
        (disk / "other").unlink()
        assert here(*command).code == 0
        assert set(Counter(prompts_sent(emulator)).values()) == {1}
        assert len(list(read(disk / "in.out.csv"))) == 200


@pytest.mark.more  # it waits for a minute
def test_a_server_that_stays_away_in_the_middle_ends_the_batch_with_open_rows(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviews(300)
    emulator = Emulator()
    command = ["batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "4"]
    with run_in_thread(emulator) as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.url)
        process = subprocess.Popen([*COMMAND, *command], stderr=subprocess.PIPE, text=True)
        until(lambda: len(emulator.requests) >= 40)
    _, errors = process.communicate(timeout=2 * PATIENCE_SECONDS)
    assert process.returncode == 6, errors
    assert "no connection for 60 s" in errors
    assert "go on with: venice-chat batch reviews.csv" in errors
    counts = json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)
    assert counts["answered"] >= 30
    assert counts["failed"] <= 4, "what was on the wire, and may have been billed"
    assert counts["in_flight"] == 0
    with run_in_thread(emulator, port=int(server.url.rpartition(":")[2].partition("/")[0])):
        again = here(*command, "--retry-failed")
    assert (again.code, len({*prompts_sent(emulator)})) == (0, 300), again.err


# -- answers that were paid for, and cannot be used ----------------------------------------------------------------------

LABELLED = (*CLASSIFY, "--schema", "label: str, stars: int", "--max-concurrency", "1")
FITS = '{"label": "good", "stars": 3}'


def test_an_answer_that_does_not_fit_is_counted_apart_and_its_text_is_in_out(emulator: Emulator, here: Here) -> None:
    reviews(3)
    emulator.script(text(FITS), text('{"label": "good"}'), error(400))
    outcome = here("batch", "reviews.csv", *LABELLED)
    assert outcome.code == 9
    assert "1 answered, 1 failed, 1 unusable, 0 open" in outcome.err
    fits, unusable, refused = read(Path("reviews.out.csv"))
    assert list(fits) == ["id", "text", "label", "stars", "error", "raw_answer"]
    assert (fits["raw_answer"], unusable["raw_answer"], refused["raw_answer"]) == ("", '{"label": "good"}', "")
    assert unusable["error"] == "OutputInvalidError: the answer does not fit answer; it is in raw_answer. stars: Field required"
    status = here("batch", "--status", "reviews.out.csv").out.splitlines()
    assert status[0].startswith("begun: 3, answered: 1, failed: 1, unusable: 1, in flight: 0, open: 0, cost usd: 0.0")
    assert len(status) == 3


def test_retrying_answers_that_do_not_fit_is_said_to_cost_and_the_costs_add_up(emulator: Emulator, here: Here) -> None:
    reviews(2)
    emulator.script(text(FITS), text("no JSON"))
    outcome = here("batch", "reviews.csv", *LABELLED)
    assert "try the failed rows again (pays again for 1 of them) with: venice-chat batch " in outcome.err
    assert here("batch", "reviews.csv", *LABELLED).code == 9  # from the journal
    assert len(prompts_sent(emulator)) == 2

    spent = json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)["cost_usd"]
    emulator.script(text("still no JSON"))
    summary = json.loads(here("batch", "reviews.csv", *LABELLED, "--retry-failed", "--json").out)
    assert (summary["answered"], summary["failed"], summary["unusable"], summary["replayed"]) == (1, 0, 1, 1)
    status = json.loads(here("batch", "--status", "reviews.out.csv", "--json").out)
    assert status["cost_usd"] == pytest.approx(spent + summary["cost_usd"])
    assert len(prompts_sent(emulator)) == 3


def test_a_missing_required_field_counts_in_the_status_and_is_retried(emulator: Emulator, here: Here) -> None:
    reviews(1)
    schema = {"type": "object", "properties": {"label": {"type": "string"}, "stars": {"type": "integer"}}}
    Path("label.json").write_text(json.dumps(schema), encoding="utf-8")
    emulator.script(text('{"label": "good"}'))
    options = (*CLASSIFY, "--schema", "label.json")
    assert "0 answered, 0 failed, 1 unusable" in here("batch", "reviews.csv", *options).err
    assert here("batch", "--status", "reviews.out.csv").out.startswith("begun: 1, answered: 0, failed: 0, unusable: 1")
    assert here("batch", "reviews.csv", *options, "--retry-failed").code == 0
    assert len(prompts_sent(emulator)) == 2


@pytest.mark.parametrize("odd", [text(""), text("Goo", finish_reason="length")])
def test_an_empty_or_truncated_answer_in_openais_format_is_counted_and_written_as_received(
    emulator: Emulator, here: Here, odd: Any
) -> None:
    openai_batch(2)
    emulator.script(odd, usual())
    for _ in range(2):
        outcome = here("batch", "requests.jsonl", "out.jsonl", "--max-concurrency", "1")
        assert outcome.code == 9
        assert "1 answered, 0 failed, 1 unusable" in outcome.err
        assert "--retry-failed" not in outcome.err
    first, _ = read(Path("out.jsonl"))
    assert (first["error"], first["response"]["status_code"]) == (None, 200)
    assert here("batch", "--status", "out.jsonl").out.startswith("begun: 2, answered: 1, failed: 0, unusable: 1")


def test_a_tool_call_is_an_answer_of_openais_format(emulator: Emulator, here: Here) -> None:
    tool: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    openai_batch(1, tools=[tool])
    emulator.script(tool_call("f", {}))
    assert here("batch", "requests.jsonl", "out.jsonl").code == 0
    assert here("batch", "--status", "out.jsonl").out.startswith("begun: 1, answered: 1")


# -- what a row of OpenAI's format is refused for ------------------------------------------------------------------------


def test_an_id_that_stands_twice_with_different_bodies_is_refused_before_anything_is_sent(
    emulator: Emulator, here: Here
) -> None:
    openai_batch(3)
    rows = Path("requests.jsonl").read_text(encoding="utf-8")
    Path("requests.jsonl").write_text(f"\n{rows}" + rows.splitlines()[1].replace("hi 1", "hi 7") + "\n", encoding="utf-8")
    outcome = here("batch", "requests.jsonl", "out.jsonl")
    assert outcome.code == 2
    assert "requests.jsonl, line 5: custom_id='request-1' stands with another body in line 3" in outcome.err
    assert emulator.requests == []
    assert not Path("out.jsonl.journal").exists()
    Path("requests.jsonl").write_text(rows + rows, encoding="utf-8")  # the same body twice is one request
    assert here("batch", "requests.jsonl", "out.jsonl").code == 0
    assert len(list(read(Path("out.jsonl")))) == 6
    assert len(prompts_sent(emulator)) == 3


def test_a_body_that_streams_is_named_by_its_line(emulator: Emulator, here: Here) -> None:
    openai_batch(1)
    good = Path("requests.jsonl").read_text(encoding="utf-8")
    openai_batch(1, stream=True)
    bad = Path("requests.jsonl").read_text(encoding="utf-8").replace("request-0", "request-1")
    Path("requests.jsonl").write_text(good + bad, encoding="utf-8")
    outcome = here("batch", "requests.jsonl", "out.jsonl")
    assert outcome.code == 2
    assert "requests.jsonl, line 2: a batch cannot stream" in outcome.err
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param("stream=true", "--param stream: a batch takes no such parameter", id="stream"),
        pytest.param("n=2", "for one answer a row, no --param n", id="n"),
        pytest.param("e2ee=true", "--param e2ee: a batch takes no such parameter", id="e2ee"),
        pytest.param('custom_id="x"', "--param custom_id: a batch takes no such parameter", id="custom_id"),
    ],
)
def test_a_parameter_that_no_batch_takes_is_refused_without_advising_an_option_that_is_not_there(
    here: Here, given: str, message: str
) -> None:
    reviews(1)
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--param", given)
    assert outcome.code == 2
    assert message in outcome.err


# -- a model that is not there -------------------------------------------------------------------------------------------


def test_one_missing_model_of_all_bodies_ends_the_batch_and_the_same_command_goes_on(emulator: Emulator, here: Here) -> None:
    openai_batch(100)
    emulator.always(error(404))
    outcome = here("batch", "requests.jsonl", "out.jsonl", "--max-concurrency", "2")
    assert outcome.code == 4
    assert len(prompts_sent(emulator)) < 20
    emulator.always(None)
    assert here("batch", "requests.jsonl", "out.jsonl").code == 0


def test_a_missing_model_of_one_row_fails_that_row_and_is_sent_by_the_next_run(emulator: Emulator, here: Here) -> None:
    openai_batch(2)
    rows = Path("requests.jsonl").read_text(encoding="utf-8")
    Path("requests.jsonl").write_text(rows.replace("venice-1", "gpt-x", 1), encoding="utf-8")
    emulator.script(error(404))
    outcome = here("batch", "requests.jsonl", "out.jsonl", "--max-concurrency", "1")
    assert outcome.code == 9
    assert "1 answered, 1 failed" in outcome.err
    assert (
        outcome.err.splitlines()[-1]
        == "venice-chat: go on with: venice-chat batch requests.jsonl out.jsonl --max-concurrency 1"
    )
    assert here("batch", "--status", "out.jsonl").out.startswith(
        "begun: 2, answered: 1, failed: 0, unusable: 0, in flight: 0, open: 1"
    )


# -- what is advised -----------------------------------------------------------------------------------------------------


def test_a_retry_is_not_advised_where_it_would_fail_again(emulator: Emulator, here: Here) -> None:
    reviews(2)
    emulator.script(error(400))
    assert "--retry-failed" not in here("batch", "reviews.csv", *CLASSIFY, "--max-concurrency", "1").err


def test_a_used_up_budget_advises_a_higher_one(here: Here) -> None:
    reviews(30)
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--max-tokens", "100", "--budget", "0.003")
    assert outcome.code == 8
    assert " --max-tokens 100 --budget 0.006\n" in outcome.err
    again = shlex.split(outcome.err.partition("go on with: venice-chat ")[2].partition("\n")[0])
    assert here(*again).code == 0


@pytest.mark.parametrize("budget", ["0.000001", "1e-9"])
def test_the_advised_budget_is_enough_for_at_least_one_request(here: Here, budget: str) -> None:
    reviews(1)
    outcome = here("batch", "reviews.csv", *CLASSIFY, "--max-tokens", "100", "--budget", budget)
    assert outcome.code == 8
    again = shlex.split(outcome.err.partition("go on with: venice-chat ")[2].partition("\n")[0])
    assert re.fullmatch(r"0\.00\d+", again[-1]), "plain decimals"
    assert here(*again).code == 0


def test_an_interrupted_retry_continues_without_a_third_attempt_of_any_row(emulator: Emulator, here: Here) -> None:
    reviews(3)
    emulator.always(text("no JSON"))
    assert here("batch", "reviews.csv", *LABELLED).code == 9
    emulator.always(None)
    emulator.script(text("still no JSON"), error(401))
    outcome = here("batch", "reviews.csv", *LABELLED, "--retry-failed")
    assert outcome.code == 3
    command = outcome.err.partition("go on with: venice-chat ")[2].partition("\n")[0]
    assert "--retry-failed" not in command
    assert (
        here(*shlex.split(command)).code == 9
    )  # the row that was asked for again and did not fit is not asked for a third time
    assert len(prompts_sent(emulator)) == 3 + 2 + 2


def test_rows_that_are_no_longer_in_the_input_are_reported(emulator: Emulator, here: Here) -> None:
    reviews(5)
    assert here("batch", "reviews.csv", *CLASSIFY).code == 0
    reviews(3)
    outcome = here("batch", "reviews.csv", *CLASSIFY)
    assert outcome.code == 0
    assert "reviews.out.csv had 5 rows, and has 3 now; the journal has all answers" in outcome.err
    assert len(prompts_sent(emulator)) == 5
