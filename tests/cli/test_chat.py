"""`venice-chat chat` with a prompt: what is sent, and what is shown."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from venice_ai import VeniceClient
from venice_ai.cli._ask import AskOptions, ask
from venice_ai.cli._output import AnswerPrinter
from venice_ai.emulator import Emulator, completion, echo, error, events, run_in_thread, text, tool_call, usual
from venice_ai.emulator.enclave import Enclave

from .shell import Here


def body(emulator: Emulator) -> Any:
    """The JSON of the last request."""
    return emulator.requests[-1].body


def test_the_words_are_the_prompt_and_the_answer_ends_its_line(emulator: Emulator, here: Here) -> None:
    emulator.script(echo())
    outcome = here("chat", "What", "is", "a lagoon?")
    assert (outcome.code, outcome.out, outcome.err) == (0, "What is a lagoon?\n", "")
    assert body(emulator)["messages"] == [{"role": "user", "content": "What is a lagoon?"}]


def test_the_default_model_is_the_one_that_resolve_chat_takes(emulator: Emulator, here: Here) -> None:
    here("chat", "hi")
    assert body(emulator)["model"] == "llama-3.3-70b"


def test_piped_stdin_is_the_prompt(emulator: Emulator, here: Here) -> None:
    emulator.script(echo())
    assert here("chat", stdin="Città d'acqua\n".encode()).out == "Città d'acqua\n"


def test_a_dash_stands_for_stdin(emulator: Emulator, here: Here) -> None:
    here("chat", "Summarise", "this:", "-", stdin=b"A long text.\n")
    assert body(emulator)["messages"][0]["content"] == "Summarise this:\n\nA long text."


def test_what_is_piped_follows_the_words(emulator: Emulator, here: Here) -> None:
    here("chat", "Summarise", "this", stdin=b"/quit\nA long text.\n")
    assert body(emulator)["messages"] == [{"role": "user", "content": "Summarise this\n\n/quit\nA long text."}]


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        pytest.param(["a", "b"], "", "a b", id="words"),
        pytest.param(["-"], " text\n", "text", id="stdin alone"),
        pytest.param(["a", "b", "-", "c", "d"], "text", "a b\n\ntext\n\nc d", id="stdin between"),
    ],
)
def test_words_and_piped_input_are_joined_to_one_prompt(
    emulator: Emulator, here: Here, words: list[str], stdin: str, prompt: str
) -> None:
    here("chat", *words, stdin=stdin.encode())
    assert body(emulator)["messages"] == [{"role": "user", "content": prompt}]


def test_nothing_on_stdin_is_no_prompt(here: Here) -> None:
    refused = here("chat", "-", stdin=b"\n")
    assert refused.code == 2
    assert "the prompt is empty" in refused.err


@pytest.mark.parametrize("stdin", [pytest.param(b"", id="empty"), pytest.param(b"\xff\xfe", id="not UTF-8")])
def test_an_empty_or_unreadable_prompt_is_wrong_usage(here: Here, stdin: bytes) -> None:
    outcome = here("chat", stdin=stdin)
    assert outcome.code == 2
    assert outcome.err.startswith("venice-chat: ")


def test_the_options_are_parameters(emulator: Emulator, here: Here) -> None:
    outcome = here(
        *("chat", "-m", "venice-1", "-s", "Be brief.", "--temperature", "0.5", "--max-tokens", "7", "--seed", "3"),
        *("--web-search", "on", "--param", "top_p=0.9", "--param", 'stop=["END"]'),
        *("--param", 'venice_parameters={"enable_web_citations": true}', "hi"),
    )
    assert outcome.code == 0
    assert body(emulator) == {
        "model": "venice-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "max_completion_tokens": 7,
        "seed": 3,
        "top_p": 0.9,
        "stop": ["END"],
        "venice_parameters": {"enable_web_citations": True, "enable_web_search": "on"},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("top_p", id="no value"),
        pytest.param("stop=END", id="text without quotes"),
        pytest.param("max_tokens=5", id="an option's own name"),
        pytest.param('model="m"', id="the model"),
        pytest.param("top_p=7", id="out of range"),
        pytest.param("self=1", id="a name that is Python's own"),
    ],
)
def test_a_wrong_param_is_refused_before_it_is_sent(emulator: Emulator, here: Here, given: str) -> None:
    outcome = here("chat", "-m", "venice-1", "--param", given, "hi")
    assert outcome.code == 2
    assert given.partition("=")[0] in outcome.err
    assert not emulator.requests


def test_json_is_the_whole_response(here: Here) -> None:
    response = json.loads(here("chat", "--json", "hi").out)
    assert response["choices"][0]["finish_reason"] == "stop"
    assert response["usage"]["total_tokens"] > 0


def test_no_stream_shows_the_same(emulator: Emulator, here: Here) -> None:
    assert here("chat", "--no-stream", "hi").out == here("chat", "hi").out
    chats = [request.body for request in emulator.requests if request.method == "POST"]
    assert ["stream" in chat for chat in chats] == [False, True]


def test_several_answers_are_all_shown(emulator: Emulator, here: Here) -> None:
    emulator.script(echo())
    outcome = here("chat", "--param", "n=2", "hi")
    assert (outcome.out, outcome.err) == ("hi\n\nhi\n", "answer 1 of 2:\nanswer 2 of 2:\n")


def test_of_more_answers_than_requested_the_first_is_shown_and_the_rest_reported(emulator: Emulator, here: Here) -> None:
    deltas = [(0, "One "), (1, "Two "), (0, "only."), (1, "more.")]
    chunks = [{"choices": [{"index": index, "delta": {"content": words}}]} for index, words in deltas]
    ends: list[Any] = [{"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]} for index in (0, 1)]
    emulator.script(events(*chunks, *ends))
    outcome = here("chat", "--session", "a", "hi")
    assert (outcome.code, outcome.out) == (0, "One only.\n")
    assert "one answer was asked for, and 2 came; 'venice-chat sessions show' shows what is kept of it" in outcome.err
    assert "Two more." in here("sessions", "show", "a").out


def test_usage_is_printed_on_stderr(emulator: Emulator, here: Here) -> None:
    emulator.script(echo())
    outcome = here("chat", "--usage", "hi")
    assert outcome.out == "hi\n"
    assert "prompt + 1 completion tokens, $0.000" in outcome.err


def test_reasoning_is_printed_on_stderr_only_with_the_option(emulator: Emulator, here: Here) -> None:
    emulator.script(text("42", reasoning="Let me think."), text("42", reasoning="Let me think."))
    assert here("chat", "hi").err == ""
    outcome = here("chat", "--reasoning", "hi")
    assert (outcome.out, outcome.err) == ("42\n", "Let me think.\n")


@pytest.mark.parametrize("how", [pytest.param([], id="streamed"), pytest.param(["--no-stream"], id="whole")])
def test_an_answer_that_was_cut_off_says_so(emulator: Emulator, here: Here, how: list[str]) -> None:
    emulator.script(text("Once upon", finish_reason="length"))
    outcome = here("chat", *how, "hi")
    assert (outcome.code, outcome.out) == (0, "Once upon\n")
    assert "cut off at the limit of tokens" in outcome.err


def test_an_answer_without_text_says_where_it_is(emulator: Emulator, here: Here) -> None:
    emulator.script(tool_call("get_weather", {"city": "Venice"}))
    outcome = here("chat", "hi")
    assert (outcome.code, outcome.out) == (0, "")
    assert "--json" in outcome.err


@pytest.mark.parametrize("how", [[], ["--no-stream"]], ids=" ".join)
def test_an_answer_that_is_empty_says_so(emulator: Emulator, here: Here, how: list[str]) -> None:
    emulator.script(text(""))
    outcome = here("chat", *how, "hi")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "venice-chat: the answer is empty\n")


def test_a_broken_stream_prints_the_text_that_arrived(emulator: Emulator, here: Here) -> None:
    emulator.script(usual(in_band_error={"message": "the model is overloaded", "code": "model_overloaded"}, error_after=4))
    outcome = here("chat", "hi")
    assert outcome.code == 5
    assert outcome.out.strip()
    assert outcome.out.endswith("\n")
    assert "overloaded" in outcome.err
    assert "the answer is not whole" in outcome.err


@pytest.mark.parametrize("how", [["--json"], ["--schema", "name: str"], ["--json", "--schema", "name: str"]], ids=" ".join)
def test_an_interrupted_json_answer_is_kept_and_is_in_the_error(emulator: Emulator, here: Here, how: list[str]) -> None:
    emulator.script(text("drip " * 50, deltas=["drip "] * 50, no_done=True, cut_at=2000))
    outcome = here("chat", *how, "hi")
    assert (outcome.code, outcome.out) == (7, "")
    answer = json.loads(here("sessions", "show", "--json").out)["messages"][1]["message"]["content"]
    assert answer.startswith("drip drip")
    if "--json" in how:
        assert json.loads(outcome.err)["error"]["partial"] == answer


@pytest.mark.parametrize(
    ("how", "deltas", "called_cut"),
    [
        pytest.param({"no_done": True, "cut_at": 900}, ["drip "] * 50, True, id="after some text"),
        pytest.param({"cut_at": 0}, ["drip"], False, id="before any"),
    ],
)
def test_an_answer_that_broke_off_is_called_cut_only_where_some_of_it_was_shown(
    emulator: Emulator, here: Here, how: dict[str, Any], deltas: list[str], called_cut: bool
) -> None:
    emulator.always(text("".join(deltas), deltas=deltas, **how))
    outcome = here("chat", "hi")
    assert outcome.code == 7
    assert ("the answer is not whole" in outcome.err) is called_cut
    assert "partial" not in outcome.err
    assert "printed" not in outcome.err


def test_every_answer_that_was_cut_off_counts(emulator: Emulator, here: Here) -> None:
    choices = [
        {"index": n, "message": {"role": "assistant", "content": "a"}, "finish_reason": r}
        for n, r in enumerate(("stop", "length"))
    ]
    emulator.script(completion({"id": "i", "model": "m", "created": 1, "object": "chat.completion", "choices": choices}))
    assert "cut off at the limit of tokens" in here("chat", "--param", "n=2", "hi").err


@pytest.mark.parametrize("how", ["", "--no-stream", "--json"])
def test_an_answer_that_came_as_json_in_place_of_a_stream_is_as_good(emulator: Emulator, here: Here, how: str) -> None:
    emulator.script(text("Paid for.", json_instead=True))
    outcome = here("chat", "--session", "a", *how.split(), "hi")
    assert (outcome.code, outcome.err) == (0, "")
    answer = json.loads(outcome.out)["choices"][0]["message"]["content"] if how == "--json" else outcome.out
    assert answer.strip() == "Paid for."
    assert "broke off" not in here("sessions", "show", "a").out


def test_no_secret_is_printed(emulator: Emulator, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "secret-key-123")
    emulator.script(error(401))
    for arguments in (["chat", "hi"], ["doctor"], ["doctor", "--json"], ["chat", "--json", "hi"]):
        outcome = here(*arguments)
        assert "secret-key-123" not in outcome.out + outcome.err


# -- encrypted -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sealing(monkeypatch: pytest.MonkeyPatch) -> Generator[Emulator]:
    """An emulator whose enclave is signed by nobody that the command trusts."""
    emulator = Emulator(tee=Enclave(fault="no_quote"))
    with run_in_thread(emulator) as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.url)
        yield emulator


@pytest.mark.filterwarnings("ignore:end-to-end encryption")
@pytest.mark.parametrize("how", [["hi"], ["--no-stream", "hi"], ["--json", "hi"], ["-m", "e2ee-ponte-chiuso-p", "hi"]])
def test_nothing_is_sent_to_an_enclave_that_proves_nothing(here: Here, sealing: Emulator, how: list[str]) -> None:
    outcome = here("chat", "--e2ee", *how)

    assert (outcome.code, outcome.out) == (1, "")
    assert "Nothing was sent." in outcome.err
    assert [request for request in sealing.requests if request.method == "POST"] == []


def test_min_privacy_tee_prints_no_warning_that_the_prompt_leaves_in_clear(here: Here, sealing: Emulator) -> None:
    outcome = here("chat", "--min-privacy", "tee", "hi")

    assert (outcome.code, outcome.out) == (1, "")
    assert "leaves in clear" not in outcome.err
    assert [request for request in sealing.requests if request.method == "POST"] == []


def test_a_model_without_encryption_is_refused(here: Here, sealing: Emulator) -> None:
    outcome = here("chat", "--e2ee", "-m", "venice-1", "hi")

    assert (outcome.code, outcome.out) == (2, "")
    assert "e2ee-" in outcome.err
    assert sealing.requests == []


@pytest.mark.parametrize("stream", [True, False])
async def test_an_encrypted_answer_is_shown_with_the_level_of_its_enclave(
    capsys: pytest.CaptureFixture[str], *, stream: bool
) -> None:
    # The command trusts no test roots, so the part of it that asks gets a client that does.
    enclave = Enclave()
    emulator = Emulator(tee=enclave)
    emulator.script(text("Behind the third arch."))
    off = dict.fromkeys(("as_json", "usage", "reasoning"), False)
    manner = AskOptions(model=None, params={}, needs={}, schema=None, floor="e2ee", no_stream=not stream, **off)
    async with VeniceClient(api_key="any", transport=emulator.transport(), tee=enclave.options()) as client:
        with pytest.warns(UserWarning, match="end-to-end encryption"):
            await ask(client, manner, [{"role": "user", "content": "Where?"}], AnswerPrinter(reasoning=False))

    out, err = capsys.readouterr()
    assert out == "Behind the third arch.\n"
    assert "end-to-end encrypted; the enclave was verified at level hardware" in err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["chat", "--session", "bad\udcff", "hi"], id="the name of a session"),
        pytest.param(["sessions", "search", "bad\udcff"], id="what is searched"),
    ],
)
def test_bytes_that_are_no_text_are_refused_before_anything_is_asked(
    emulator: Emulator, here: Here, arguments: list[str]
) -> None:
    outcome = here(*arguments)
    assert (outcome.code, outcome.out, emulator.requests) == (2, "", [])
    assert "is not UTF-8 text" in outcome.err


SEARCH = ["chat", "-m", "llama-3.3-70b", "--web-search", "on", "--no-log"]


def test_sources_are_printed_with_the_usage_and_never_on_stdout(here: Here) -> None:
    with_usage, plain, bare = (here(*SEARCH, *more, "hi") for more in (["--usage"], [], ["--usage", "--web-search", "off"]))
    assert "[1] Venice, the emulated city, https://example.org/venice\n[2] Lagoons, explained, " in with_usage.err
    assert "example.org" not in with_usage.out + plain.out + plain.err + bare.err


@pytest.mark.parametrize(("option", "value"), [("--temperature", "3"), ("--seed", "0"), ("--max-tokens", "0")])
def test_the_error_of_a_value_out_of_range_names_the_typed_option(
    emulator: Emulator, here: Here, option: str, value: str
) -> None:
    outcome = here("chat", option, value, "hi")
    assert (outcome.code, outcome.out, emulator.requests) == (2, "", [])
    assert f"Invalid value for '{option}': {value}" in outcome.err
