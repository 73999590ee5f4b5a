"""Conversations that `chat` keeps in a file, and the commands `sessions` and `spend`."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from venice_ai.cli._conversations import Conversation, SessionStore
from venice_ai.cli._output import aligned
from venice_ai.emulator import Emulator, completion, echo, error, text, tool_call, usual
from venice_ai.types.api.chat import ChatCompletionResponse

from .shell import Here


def folder() -> Path:
    return Path(os.environ["XDG_DATA_HOME"]) / "venice-chat"


def kept(here: Here, *name: str) -> Any:
    return json.loads(here("sessions", "export", *name, "--json").out)


def said(emulator: Emulator) -> list[str]:
    return [message["content"] for message in emulator.requests[-1].body["messages"]]


def test_an_answer_is_kept_whole_in_a_file_of_the_owner_alone(emulator: Emulator, here: Here) -> None:
    emulator.script(text("42", reasoning="Let me think."))
    assert here("chat", "-m", "venice-1", "How", "many?").code == 0

    question, answer = kept(here)["messages"]

    assert question["message"] == {"role": "user", "content": "How many?"}
    assert answer["message"] == {"role": "assistant", "content": "42", "reasoning_content": "Let me think."}
    assert (answer["asked"], answer["model"], answer["level"], answer["finish_reason"]) == (
        "venice-1",
        "venice-1",
        None,
        "stop",
    )
    assert answer["cost_usd"] > 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder().iterdir()}
    assert "sessions.sqlite" in modes
    assert set(modes.values()) == {0o600}


def test_tool_calls_are_kept(emulator: Emulator, here: Here) -> None:
    emulator.script(tool_call("get_weather", {"city": "Venice"}))
    here("chat", "hi")
    assert kept(here)["messages"][1]["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert "tool call: get_weather(" in here("sessions", "show").out


def test_the_option_c_continues_the_last_session_with_its_model(emulator: Emulator, here: Here) -> None:
    emulator.always(echo())
    here("chat", "-m", "venice-1", "-s", "Be brief.", "one")
    here("chat", "--session", "other", "elsewhere")
    here("chat", "--session", "other", "again")
    assert said(emulator) == ["elsewhere", "elsewhere", "again"]
    first = json.loads(here("sessions", "list", "--json").out)[-1]["name"]
    here("chat", "--session", first, "two")
    assert here("chat", "-c", "three").code == 0
    assert said(emulator) == ["Be brief.", "one", "one", "two", "two", "three"]
    assert emulator.requests[-1].body["model"] == "venice-1"


def test_a_session_that_has_begun_takes_no_other_instructions(here: Here) -> None:
    here("chat", "one")
    assert here("chat", "-c", "-s", "Be brief.", "two").code == 2


def test_continuing_without_a_session_is_an_error(here: Here) -> None:
    outcome = here("chat", "-c", "hi")
    assert outcome.code == 2
    assert "there is no session" in outcome.err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param(["-c", "--session", "a"], "-c and --session exclude each other", id="two sessions"),
        pytest.param(["--save"], "--save is for private conversations", id="what is kept anyway"),
        pytest.param(["--session", " "], "a session's name has a letter", id="no name"),
        pytest.param(["--session", "n" * 81], "at most 80 characters", id="a long name"),
        pytest.param(["--e2ee", "--web-search", "on"], "--web-search leads out of the enclave", id="a search, encrypted"),
        pytest.param(["--e2ee", "--schema", "a: int"], "--schema is not encrypted end to end", id="a schema, encrypted"),
        pytest.param(["--e2ee", "-a", "https://a.test/b.png"], "only text is sent", id="a picture, encrypted"),
        pytest.param(["--seed", "1", "--param", "seed=2"], "--param seed=... and --seed say the same thing", id="a seed twice"),
        pytest.param(
            ["--max-tokens", "1", "--param", "max_completion_tokens=2"],
            "--param max_completion_tokens=... and --max-tokens say the same thing",
            id="a limit twice",
        ),
        pytest.param(["--param", "top_p=1", "--param", "top_p=0"], "another one like it say the same", id="a parameter twice"),
    ],
)
def test_options_that_contradict_each_other_are_refused(emulator: Emulator, here: Here, options: list[str], why: str) -> None:
    outcome = here("chat", *options, "hi")
    assert (outcome.code, outcome.out) == (2, "")
    assert why in outcome.err
    assert not emulator.requests


def test_whether_a_session_is_encrypted_is_a_boolean(here: Here) -> None:
    here("chat", "hi")
    assert json.loads(here("sessions", "list", "--json").out)[0]["encrypted"] is False


def test_a_long_name_leaves_the_other_columns_room() -> None:
    rows = [("NAME", "MODEL", "WORDS"), ("n" * 100, "venice-1", "hi"), ("b", "venice-2", "there")]
    assert aligned(rows, (), 40).splitlines()[1:] == [f"{'n' * 17}...  venice-1  hi", f"{'b':<20}  venice-2  there"]
    assert "n" * 100 in aligned(rows, ())


def test_no_log_keeps_nothing(here: Here) -> None:
    assert here("chat", "--no-log", "hi").code == 0
    assert not folder().exists()
    assert here("chat", "--no-log", "--save", "hi").code == 2


def test_a_question_that_failed_is_not_kept_and_a_part_of_an_answer_is(emulator: Emulator, here: Here) -> None:
    emulator.script(error(409), usual(cut_at=900))
    here("chat", "-m", "venice-1", "one")
    assert here("sessions", "list").err == "venice-chat: no session is kept\n"
    assert here("chat", "-m", "venice-1", "two").code == 7
    answer = kept(here)["messages"][1]
    assert answer["message"]["content"]
    assert answer["finish_reason"] is None
    assert "ended: broke off" in here("sessions", "show").out


def test_a_file_that_cannot_be_written_costs_no_answer(emulator: Emulator, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null")
    emulator.always(echo())
    outcome = here("chat", "hi")
    assert (outcome.code, outcome.out) == (0, "hi\n")
    assert "this is not kept: " in outcome.err
    assert here("chat", "--session", "a", "hi").code == 1


@pytest.mark.parametrize("words", [["lagoon"], ["LAGO"], ["the", "lagoon"], ['"lagoon']], ids=" ".join)
def test_search_finds_the_messages_with_all_the_words(emulator: Emulator, here: Here, words: list[str]) -> None:
    emulator.always(text("I see."))
    here("chat", "--session", "water", "Behind the lagoon lies the sea.")
    here("chat", "--session", "land", "Behind the hill lies the city.")
    lines = here("sessions", "search", *words).out.splitlines()
    assert [line.split()[0] for line in lines] == ["SESSION", "water"]
    assert "lagoon lies" in lines[1]
    found = json.loads(here("sessions", "search", *words, "--json").out)
    assert [(each["session"], each["role"]) for each in found] == [("water", "user")]


def test_search_results_have_the_role_of_each_message(emulator: Emulator, here: Here) -> None:
    emulator.always(text("A lagoon is shallow."))
    here("chat", "--session", "water", "-s", "Talk about a lagoon.", "What is a lagoon?")
    roles = [each["role"] for each in json.loads(here("sessions", "search", "lagoon", "--json").out)]
    assert sorted(roles) == ["assistant", "system", "user"]


def test_messages_added_after_a_first_search_are_found_by_the_next(emulator: Emulator, here: Here) -> None:
    emulator.always(text("I see."))
    here("chat", "lagoon")
    here("sessions", "search", "lagoon")
    here("chat", "-c", "lagoons")
    assert len(json.loads(here("sessions", "search", "lagoon", "--json").out)) == 2
    assert here("sessions", "search", "nowhere").err == "venice-chat: these words stand in no message\n"


def test_search_ignores_accents(emulator: Emulator, here: Here) -> None:
    emulator.always(text("Città d'acqua"))
    here("chat", "--session", "water", "Where?")
    assert [each["session"] for each in json.loads(here("sessions", "search", "citta", "--json").out)] == ["water"]


def test_a_deleted_session_leaves_no_text_in_the_file_and_its_cost_still_counts(emulator: Emulator, here: Here) -> None:
    emulator.always(text("I see."))
    here("chat", "--session", "a", "A-word-of-its-own")
    here("chat", "--session", "b", "hi")
    here("sessions", "search", "word")
    assert here("sessions", "delete", "a").code == 0
    assert [each["name"] for each in json.loads(here("sessions", "list", "--json").out)] == ["b"]
    assert here("sessions", "show", "a").code == 2
    assert not any(b"of-its-own" in path.read_bytes() for path in folder().iterdir())
    assert json.loads(here("spend", "--json").out)["rows"][0]["answers"] == 2


def test_messages_that_were_taken_back_count_in_the_cost_of_a_session(emulator: Emulator, here: Here) -> None:
    emulator.always(echo())
    here("chat", "--session", "a", "one")
    here("chat", "--session", "a", "two")
    before = json.loads(here("sessions", "list", "--json").out)[0]
    store = SessionStore()
    Conversation(store, "a", store.records("a"), private=False).undo()
    after = store.sessions()[0]
    again = Conversation(store, "a", store.records("a"), private=False)
    store.close()
    assert (before["messages"], after["messages"]) == (4, 2)
    assert after["cost_usd"] == before["cost_usd"] > again.answers[0]["cost_usd"]
    assert before["cost_usd"] == pytest.approx(again.answers[0]["cost_usd"] + again.taken_back[0]["cost_usd"])
    here("sessions", "delete", "a")
    here("chat", "--session", "a", "three")
    assert json.loads(here("sessions", "list", "--json").out)[0]["cost_usd"] < before["cost_usd"]


def test_an_unknown_cost_is_not_shown_as_zero(emulator: Emulator, here: Here) -> None:
    emulator.script(completion({"choices": [{"index": 0, "message": {"role": "assistant", "content": "One."}}]}))
    here("chat", "hi")
    assert "$0.0000 + ?" in here("sessions", "list").out
    assert "how many answers did not tell their cost: 1" in here("spend").err


def test_a_name_has_no_blanks_at_its_ends_and_no_control_characters(emulator: Emulator, here: Here) -> None:
    emulator.always(echo())
    here("chat", "--session", " trip ", "hi")
    assert json.loads(here("sessions", "list", "--json").out)[0]["name"] == "trip"
    outcome = here("chat", "--session", "a\x1b[31m", "hi")
    assert outcome.code == 2
    assert "no control characters" in outcome.err
    assert "\x1b" not in outcome.err
    store = SessionStore()
    store.append("old\x1b[31m", [{"message": {"role": "user", "content": "hi"}, "at": 1.0}], encrypted=False)
    store.close()
    assert "\x1b" not in here("sessions", "list").out


def test_spend_sums_by_day_and_model(here: Here) -> None:
    here("chat", "-m", "venice-1", "hi")
    here("chat", "-m", "venice-1", "hi")
    here("chat", "-m", "llama-3.3-70b", "hi")
    sums = json.loads(here("spend", "--json").out)
    assert [(row["model"], row["answers"]) for row in sums["rows"]] == [("llama-3.3-70b", 1), ("venice-1", 2)]
    assert sums["total_usd"] == pytest.approx(sum(row["cost_usd"] for row in sums["rows"]))
    lines = here("spend").out.splitlines()
    assert lines[0].split() == ["DAY", "MODEL", "ANSWERS", "TOKENS", "COST"]
    assert lines[-1].split()[:2] == ["total", "3"]


def test_sums_of_costs_are_printed_without_floating_point_noise(emulator: Emulator, here: Here) -> None:
    answer = {"role": "assistant", "content": "good"}
    emulator.always(completion({"choices": [{"message": answer, "finish_reason": "stop"}], "cost": {"usd": 0.1}}))
    for _ in range(3):
        assert here("chat", "--session", "one", "--no-stream", "-m", "venice-1", "hi").code == 0
    sums = json.loads(here("spend", "--json").out)
    (session,) = json.loads(here("sessions", "list", "--json").out)
    assert (sums["total_usd"], sums["rows"][0]["cost_usd"], session["cost_usd"]) == (0.3, 0.3, 0.3)


def test_an_export_is_markdown(emulator: Emulator, here: Here) -> None:
    emulator.script(text("42", reasoning="Hm.\nWell."))
    here("chat", "--session", "a", "How many?")
    lines = here("sessions", "export", "a").out.splitlines()
    assert lines[0].startswith("## user, ")
    assert lines[2] == "How many?"
    assert lines[6:8] == ["> Hm.", "> Well."]


def answer(content: str) -> ChatCompletionResponse:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return ChatCompletionResponse.model_validate({"model": "e2ee-x", "choices": [choice]})


@pytest.mark.usefixtures("emulator")
def test_a_private_conversation_that_is_saved_is_encrypted(here: Here) -> None:
    store = SessionStore()
    conversation = Conversation(store, "secret", [], private=True)
    conversation.add("user", "The lagoon is deep.")
    conversation.settle(answer("Indeed, the lagoon."), "e2ee-x")
    store.close()

    assert [each["message"]["content"] for each in kept(here)["messages"]] == ["The lagoon is deep.", "Indeed, the lagoon."]
    assert "(encrypted)" in here("sessions", "list").out
    assert here("sessions", "search", "lagoon").out == ""
    files = [path for path in folder().iterdir() if path.name.startswith("sessions.sqlite")]
    assert files
    assert not any(b"lagoon" in path.read_bytes() for path in files)
    assert stat.S_IMODE((folder() / "sessions.key").stat().st_mode) == 0o600


@pytest.mark.usefixtures("emulator")
def test_an_encrypted_session_is_not_sent_in_clear(emulator: Emulator, here: Here) -> None:
    store = SessionStore()
    conversation = Conversation(store, "secret", [], private=True)
    conversation.add("user", "The lagoon is deep.")
    conversation.settle(answer("Indeed."), "e2ee-x")
    store.close()
    outcome = here("chat", "-c", "And?")
    assert outcome.code == 2
    assert "is encrypted; add --e2ee" in outcome.err
    assert emulator.requests == []


@pytest.mark.parametrize("how", [["--e2ee"], ["--min-privacy", "e2ee"], ["--param", 'venice_parameters={"enable_e2ee": true}']])
def test_of_a_private_chat_nothing_is_kept(here: Here, how: list[str]) -> None:
    here("chat", "-m", "e2ee-ponte-chiuso-p", *how, "hi")
    assert not folder().exists()


def test_undo_takes_the_last_question_out_of_the_file(here: Here) -> None:
    here("chat", "--session", "a", "one")
    store = SessionStore()
    conversation = Conversation(store, "a", store.records("a"), private=False)
    conversation.add("user", "two")
    conversation.settle(answer("2"), "m")
    assert conversation.undo() == "two"
    assert len(store.records("a")) == 2
    assert conversation.undo() == "one"
    assert conversation.undo() is None
    assert store.sessions() == []
    store.close()


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
def test_undo_finds_the_question_before_instructions(*, kept: bool) -> None:
    store = SessionStore()
    conversation = Conversation(store, "a", [], private=False)
    for words in ("one", "two"):
        conversation.add("user", words)
        conversation.settle(answer(words), "m")
    conversation.add("system", "Be brief.")
    if kept:
        conversation.keep()

    assert conversation.undo() == "two"

    assert [each["message"]["content"] for each in store.records("a")] == ["one", "one"]
    conversation.add("user", "two")
    conversation.settle(answer("2"), "m")
    texts = ["one", "one", "Be brief.", "two", "2"]
    assert [each["message"]["content"] for each in conversation.records] == texts
    assert [each["message"]["content"] for each in store.records("a")] == texts
    assert (conversation.undo(), conversation.undo(), conversation.undo()) == ("two", "one", None)
    store.close()


def test_a_database_of_another_program_is_refused_with_what_to_do(here: Here) -> None:
    folder().mkdir(parents=True)
    other = sqlite3.connect(folder() / "sessions.sqlite")
    other.execute("CREATE TABLE theirs (a)")
    other.commit()
    other.close()
    outcome = here("sessions", "list")
    assert outcome.code == 2
    assert f"{folder() / 'sessions.sqlite'} is not a session file; move it to begin anew" in outcome.err


def test_a_damaged_file_is_named_with_what_to_do(here: Here) -> None:
    folder().mkdir(parents=True)
    (folder() / "sessions.sqlite").write_bytes(b"SQLite format 3" + b"x" * 5_000)
    outcome = here("sessions", "list")
    assert outcome.code == 2
    assert f"{folder() / 'sessions.sqlite'} is not a session file; move it to begin anew" in outcome.err
    assert "of its own" not in outcome.err


def test_the_last_column_is_cut_before_others_are_left_out() -> None:
    rows = [("NAME", "MODEL", "COST", "FIRST WORDS"), ("20261129-101010-abcd", "llama-3.3-70b", "$0.0000", "word " * 40)]
    assert aligned(rows, ("COST", "MODEL"), 80).splitlines()[0].split() == ["NAME", "MODEL", "COST", "FIRST", "WORDS"]
    assert aligned(rows, ("COST", "MODEL"), 44).splitlines()[0].split() == ["NAME", "COST", "FIRST", "WORDS"]
    assert max(map(len, aligned(rows, ("COST", "MODEL"), 44).splitlines())) <= 44


def test_of_many_sessions_the_last_ones_are_listed(here: Here) -> None:
    for name in ("one", "two", "three"):
        here("chat", "--session", name, "hi")
    assert [each["name"] for each in json.loads(here("sessions", "list", "--limit", "2", "--json").out)] == ["three", "two"]


def test_a_narrow_table_leaves_columns_out_by_rank_and_cuts_the_rest() -> None:
    rows = [("NAME", "COST", "WORDS"), ("a", "1", "\N{CJK UNIFIED IDEOGRAPH-6C34}" * 4), ("b", "20", "c")]
    assert aligned(rows, ["COST"], 40).splitlines()[2] == "b       20  c"
    assert aligned(rows, ["COST"], 14).splitlines()[0] == "NAME  WORDS"
    assert aligned(rows, ["COST"], 11).splitlines()[1] == "a     \N{CJK UNIFIED IDEOGRAPH-6C34}..."


def test_the_key_of_encrypted_sessions_may_be_elsewhere(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert emulator is not None
    monkeypatch.setenv("VENICE_SESSIONS_KEY_FILE", str(tmp_path / "key"))
    store = SessionStore()
    store.append("s", [{"message": {"role": "user", "content": "hi"}, "at": 1.0}], encrypted=True)
    store.close()
    assert (tmp_path / "key").exists()
    assert not (folder() / "sessions.key").exists()
