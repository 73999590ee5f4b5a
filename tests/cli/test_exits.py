"""The exit code of each kind of failure."""

from __future__ import annotations

import json

import pytest

from venice_ai import StreamInterruptedError, exceptions
from venice_ai.cli._errors import EXIT_CODES, code_of, in_our_words
from venice_ai.emulator import Emulator, Step, error, pieces, raw, usual

from .forks import run_forked
from .shell import Here

NO_WAIT = {"retry-after": "0"}


@pytest.mark.parametrize(
    ("step", "code"),
    [
        pytest.param(usual(), 0, id="all went well"),
        pytest.param(error(409), 1, id="any other failure"),
        pytest.param(error(400), 2, id="an invalid request"),
        pytest.param(error(401), 3, id="a refused key"),
        pytest.param(error(402), 3, id="no credit"),
        pytest.param(error(403), 3, id="not permitted"),
        pytest.param(error(404), 4, id="no such model"),
        pytest.param(error(410), 4, id="a retired model"),
        pytest.param(error(429, headers=NO_WAIT), 5, id="rate limited"),
        pytest.param(error(503, headers=NO_WAIT), 5, id="overloaded"),
        pytest.param(error(504), 6, id="a gateway that ran out of time"),
        pytest.param(usual(cut_at=400), 7, id="a stream that broke off"),
    ],
)
def test_each_failure_has_its_code(emulator: Emulator, here: Here, step: Step, code: int) -> None:
    emulator.always(step)
    outcome = here("chat", "--model", "venice-1", "hi")
    assert outcome.code == code
    assert outcome.err.startswith("venice-chat: ") == (code != 0)


@pytest.mark.parametrize(
    ("step", "seconds", "code"),
    [
        pytest.param(usual(delay=30), "0.2", 6, id="before the answer"),
        pytest.param(usual(stall_after=3), "1", 7, id="within the answer"),
    ],
)
def test_a_command_that_runs_out_of_time_exits_with_its_code(
    emulator: Emulator, here: Here, step: Step, seconds: str, code: int
) -> None:
    emulator.always(step)
    outcome = here("chat", "--model", "venice-1", "--timeout", seconds, "hi")
    assert outcome.code == code
    assert bool(outcome.out) == (code == 7)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["no-such-command"], id="no such command"),
        pytest.param(["--no-such-option"], id="no such option of the group"),
        pytest.param(["chat", "--no-such-option", "hi"], id="no such option"),
        pytest.param(["chat", "--temperature", "7", "hi"], id="out of range"),
        pytest.param(["chat", "--timeout", "-1", "hi"], id="no timeout"),
        pytest.param(["chat", "--model", "", "hi"], id="an empty model"),
        pytest.param(["chat", "--base-url", "nowhere", "hi"], id="no address"),
        pytest.param(["models", "--capability", "levitation"], id="no such capability"),
    ],
)
def test_wrong_arguments_exit_with_2_and_send_nothing(emulator: Emulator, here: Here, arguments: list[str]) -> None:
    outcome = here(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("venice-chat: ")
    assert not [request for request in emulator.requests if request.method == "POST"]


def test_a_missing_key_exits_with_3_and_names_the_variable(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY")
    outcome = here("chat", "hi")
    assert outcome.code == 3
    assert "VENICE_API_KEY" in outcome.err


def test_without_a_key_no_request_is_sent(emulator: Emulator, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY")
    assert here("chat", "hi").code == 3
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("step", "remedy"),
    [
        pytest.param(error(404), "venice-chat models shows the models there are; --base-url should end", id="no model"),
        pytest.param(error(410), "venice-chat models --resolve finds one", id="a retired model"),
        pytest.param(error(504), "Long answers do better without --no-stream.", id="a gateway that ran out of time"),
        pytest.param(usual(cut_at=400), "the stream broke off after", id="a stream that broke off"),
        pytest.param(usual(in_band_error="down", error_after=4), "the answer is not whole", id="a stream that failed"),
        pytest.param(usual(delay=30), "Allow more with --timeout.", id="no answer in time"),
        pytest.param(error(401), "set VENICE_API_KEY", id="a refused key"),
    ],
)
def test_remedies_can_be_typed(emulator: Emulator, here: Here, step: Step, remedy: str) -> None:
    emulator.always(step)
    err = here("chat", "--model", "venice-1", "--timeout", "0.5", "hi").err
    assert remedy in err
    assert not [python for python in ("client.", "api_key=", "base_url", "Timeout(", "`partial`") if python in err]


@pytest.mark.parametrize(("count", "chunks"), [(1, "1 chunk:"), (2, "2 chunks:")])
def test_an_interruption_after_one_chunk_is_written_in_the_singular(
    emulator: Emulator, here: Here, count: int, chunks: str
) -> None:
    chunk = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
    emulator.always(pieces(*[chunk] * count))
    assert f"the stream broke off after {chunks}" in here("chat", "-m", "venice-1", "hi").err


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("2 models are listed; name one: preferred_models=['a']", "2 models are listed; name one: -m a"),
        ("no chat model fits require_response_schema=True", "no chat model fits --capability response-schema"),
        ("max_completion_tokens=0 is not allowed", "--max-tokens=0 is not allowed"),
        ("to accept it: TeeOptions(tcb_statuses={'x'}), or --allow-status x", "to accept it: --allow-status x"),
        ("timeout=0.0 must be a number of seconds; pass None for no limit", "--timeout 0.0 must be a number of seconds"),
        ("Venice can read it; pass e2ee=True", "Venice can read it; add --e2ee"),
        ("not private enough for a client with min_privacy='e2ee'", "not private enough for --min-privacy e2ee"),
        ("it is unknown. TeeOptions(allow_dev_image=False) refuses it", "it is unknown. --refuse-dev-image refuses it"),
        ("it does not fit L; it is in `response`.", "it does not fit L."),
        ("cut off; what had come is in `partial` and `raw_text`.", "cut off."),
        ("give it another type, or send it as it is with strict=False", "give it another type"),
        ("give it a type, or give the format as a mapping; parse(strict=False) sends the class as it is", "give it a type"),
        ("it broke off: closed. What had come is in `partial`.", "it broke off: closed."),
        (
            "cannot connect to nras.attestation.nvidia.com: Name unknown. Is base_url right, and does the server run?",
            "cannot connect to nras.attestation.nvidia.com: Name unknown",
        ),
    ],
)
def test_advice_of_the_library_is_rewritten_as_options_of_the_command(theirs: str, ours: str) -> None:
    assert in_our_words(theirs) == ours


def test_a_catalogue_without_capabilities_asks_the_user_to_name_a_model(emulator: Emulator, here: Here) -> None:
    entries = [{"id": name, "object": "model"} for name in ("a", "b")]
    emulator.always(
        raw(200, json.dumps({"object": "list", "data": entries}).encode(), headers={"content-type": "application/json"}),
        path="/models",
    )
    outcome = here("chat", "hi")
    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.err == "venice-chat: 2 models are listed, none says what it can do; name one: -m a\n"


@pytest.mark.usefixtures("emulator")
def test_the_error_of_a_model_without_an_enclave_lists_models_that_have_one(here: Here) -> None:
    outcome = here("attest", "llama-3.3-70b")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err == "venice-chat: 'llama-3.3-70b' does not run in an enclave; these models do: e2ee-ponte-chiuso-p\n"


def test_a_failed_connection_exits_with_6(here: Here) -> None:
    outcome = here("models", "--base-url", "http://127.0.0.1:1/api/v1", "--timeout", "0.2")
    assert outcome.code == 6


def test_a_catalogue_without_a_fitting_model_exits_with_4(here: Here) -> None:
    outcome = here("models", "--resolve", "--capability", "e2ee", "--capability", "vision")
    assert outcome.code == 4


def test_every_error_of_the_library_has_a_code_that_help_lists() -> None:
    kinds = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, exceptions.VeniceError)]
    assert len(kinds) > 15
    assert {code_of(kind) for kind in kinds} <= EXIT_CODES.keys()
    assert code_of(StreamInterruptedError) == 7


def test_help_lists_the_codes(here: Here) -> None:
    help_text = here("--help").out
    assert all(f"{code:>3}  {meaning}" in help_text for code, meaning in EXIT_CODES.items())


@pytest.mark.parametrize("command", [[], ["chat"], ["models"], ["cost"], ["serve"], ["doctor"]], ids=" ".join)
def test_every_command_has_help(here: Here, command: list[str]) -> None:
    assert here(*command, "-h").out == here(*command, "--help").out != ""


def test_debug_shows_retries_and_the_traceback(emulator: Emulator) -> None:
    emulator.script(error(429, headers={"retry-after": "1.5"}), error(403))
    outcome = run_forked("chat", "--debug", "--model", "venice-1", "hi")
    assert outcome.code == 3
    assert "paused by a 429" in outcome.err
    assert "Traceback" in outcome.err
    assert "PermissionDeniedError" in outcome.err
