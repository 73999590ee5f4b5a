"""The command as a whole: help, misspelt commands, errors as JSON, completion, and the page about it."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path

import pytest

from venice_ai.cli._errors import EXIT_CODES
from venice_ai.cli.app import _COMMANDS, app
from venice_ai.cli.attest import EXIT_CODES as CODES_OF_ATTEST
from venice_ai.cli.doctor import account_facts
from venice_ai.emulator import Emulator, error, text

from .forks import forked, run_forked
from .shell import CTRL_C, Here, Outcome, ended, spawn

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "command.md"


def test_the_command_alone_is_the_help(here: Here) -> None:
    outcome = here()
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == here("--help").out


def test_the_help_lists_every_command_and_imports_none() -> None:
    program = "import sys; from venice_ai.cli.app import run; run(['--help']); print(*sys.modules)"
    out = spawn(command=(sys.executable, "-c", program)).out
    assert all(f"\n  {name} " in out and words in out for name, words in _COMMANDS.items())
    loaded = out.splitlines()[-1].split()
    for name in (
        "rich",
        "prompt_toolkit",
        "aiohttp",
        "asyncio",
        "pydantic",
        "venice_ai._client",
        "venice_ai.exceptions._tree",
        "venice_ai.cli.chat",
    ):
        assert name not in loaded


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.usefixtures("emulator")
def test_ctrl_c_while_modules_are_imported_is_a_line_and_no_traceback() -> None:
    program = (
        "import sys, signal, os; from venice_ai.cli import main\n"
        "class Slow:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == sys.argv[-1]:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "sys.argv = ['venice-chat', 'chat', '-m', 'venice-1', sys.argv[-1]]\n"
        "main()"
    )
    for module in ("click", "venice_ai.cli.app", "venice_ai.cli.chat", "venice_ai._client"):
        outcome = spawn(module, command=(sys.executable, "-c", program))
        assert (outcome.code, outcome.out, outcome.err) == (CTRL_C, "", "venice-chat: stopped\n"), module


def test_one_answer_needs_neither_aiohttp_nor_a_screen(emulator: Emulator) -> None:
    emulator.always(text("42"))
    program = "import sys; from venice_ai.cli.app import run; run(['chat', 'hi']); print(*sys.modules)"
    answer, modules = spawn(command=(sys.executable, "-c", program)).out.splitlines()
    assert answer == "42"
    assert not {"aiohttp", "rich", "prompt_toolkit"} & set(modules.split())


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_is_there(name: str) -> None:
    command = app.get_command(app.make_context("venice-chat", [name], resilient_parsing=True), name)
    assert command is not None
    assert command.name == name


def test_a_misspelt_command_is_answered_with_the_nearest(here: Here) -> None:
    outcome = here("chta", "hi")
    assert outcome.code == 2
    assert "there is no command 'chta'; did you mean 'chat'?" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        pytest.param(["help"], "Usage: venice-chat [OPTIONS] [COMMAND]", id="help"),
        pytest.param(["help", "chat"], "Usage: venice-chat chat", id="help for a command"),
        pytest.param(["version"], "venice-chat, version ", id="version"),
    ],
)
def test_help_and_version_are_also_commands(here: Here, arguments: list[str], beginning: str) -> None:
    outcome = here(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(beginning)


def test_the_package_is_the_command() -> None:
    outcome = spawn("version", command=(sys.executable, "-m", "venice_ai"))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("venice-chat, version ")


def test_the_beginning_of_an_option_is_answered_with_the_options_that_begin_so(here: Here) -> None:
    outcome = here("chat", "--web", "hi")
    assert outcome.code == 2
    assert outcome.err.startswith("venice-chat: there is no option '--web'; did you mean '--web-search'?\n")


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        pytest.param(["chat", "--json", "-m", "nowhere", "hi"], "NotFoundError", 4, id="of Venice"),
        pytest.param(["models", "--json", "--no-such"], "NoSuchOption", 2, id="of usage"),
        pytest.param(["sessions", "show", "--json"], "UsageError", 2, id="of a subcommand"),
    ],
)
def test_with_json_an_error_is_a_line_of_json(here: Here, arguments: list[str], kind: str, code: int) -> None:
    outcome = here(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    error_line = json.loads(outcome.err)
    assert (error_line["error"]["type"], error_line["exit_code"]) == (kind, code)
    assert error_line["error"]["message"]


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell_is_printed(here: Here, shell: str) -> None:
    outcome = here("completion", shell)
    assert outcome.code == 0
    assert "_VENICE_CHAT_COMPLETE" in outcome.out


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param("venice-chat ses", "sessions", id="a command"),
        pytest.param("venice-chat chat -m kimi", "kimi-k2-5", id="a model"),
        pytest.param("venice-chat models show kimi", "kimi-k2-5", id="a model to show"),
        pytest.param("venice-chat serve --tee-fault swapped", "swapped_key", id="an attack"),
        pytest.param("venice-chat models --cap", "--capability", id="an option"),
    ],
)
def test_commands_and_options_are_completed(words: str, found: str) -> None:
    assert f"plain,{found}" in completed(words).out.splitlines()


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("words", ["chat -a da", "chat --schema da", "batch da", "batch in.csv da"])
def test_a_shell_completes_file_names(words: str) -> None:
    count = str(len(words.split()))
    variables = {"_VENICE_CHAT_COMPLETE": "bash_complete", "COMP_WORDS": f"venice-chat {words}", "COMP_CWORD": count}
    assert spawn(environment=variables).out.splitlines() == ["file,da"]


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("words", ["chat --session tr", "sessions show tr", "sessions delete tr", "sessions export tr"])
def test_a_shell_completes_the_names_of_sessions(here: Here, words: str) -> None:
    here("chat", "--session", "trip", "hi")
    here("chat", "--session", "other", "hi")
    count = str(len(words.split()))
    variables = {"_VENICE_CHAT_COMPLETE": "bash_complete", "COMP_WORDS": f"venice-chat {words}", "COMP_CWORD": count}
    assert spawn(environment=variables).out.splitlines() == ["plain,trip"]


def test_without_a_catalogue_completion_gives_no_model_and_no_error(emulator: Emulator) -> None:
    emulator.always(error(500), path="/models")
    outcome = completed("venice-chat chat -m kimi")
    assert (outcome.out.strip(), outcome.err) == ("", "")


def completed(words: str) -> Outcome:
    """What bash is told where the last word is completed."""
    variables = {"_VENICE_CHAT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    return run_forked(environment=variables)


def test_the_page_has_every_command_and_exit_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    codes = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)}
    assert codes == EXIT_CODES
    assert all(f"| `{code}` | {meaning} |" in page for code, meaning in CODES_OF_ATTEST.items())
    assert all(f"venice-chat {name}" in page for name in _COMMANDS if name != "gateway")


@pytest.mark.parametrize("command", [name for name in _COMMANDS if name != "completion"])
def test_every_shell_takes_the_examples_of_the_help(here: Here, command: str) -> None:
    examples = re.findall(r"^ *(venice-chat .*)$", here(command, "--help").out, re.MULTILINE)
    for bare in (re.sub(r"\"[^\"]*\"|'[^']*'", "", example) for example in examples):
        assert not re.search(r"[?*\[\]{}~!$&]", bare), "zsh and fish would take it for a pattern"


# -- serve and doctor ----------------------------------------------------------------------------------------------------


def test_serve_prints_each_request_and_simulates_an_account() -> None:
    with forked("serve", "--port", "0", "--rpm", "1", "--latency", "0.2") as process:
        url = process.stdout.readline().split()[-1]
        chat = ("chat", "--no-log", "--base-url", url, "-m", "venice-1")
        environment = {"VENICE_API_KEY": "any"}
        assert run_forked(*chat, "hi", environment=environment).code == 0
        assert run_forked(*chat, "--no-stream", "--timeout", "1", "hi", environment=environment).code in {5, 6}
        outcome = ended(process, signal.SIGINT)
    lines = [line.split() for line in outcome.err.splitlines() if "/chat/completions" in line]
    assert [line[2:4] for line in lines] == [["venice-1", "200"], ["venice-1", "429"]]
    assert all(int(line[-2]) >= 200 for line in lines)
    assert int(lines[0][4]) > 0


def test_serve_prints_requests_as_json_lines() -> None:
    with forked("serve", "--port", "0", "--json") as process:
        url = json.loads(process.stdout.readline())["url"]
        run_forked("models", "--base-url", url)
        outcome = ended(process, signal.SIGINT)
    last_line = json.loads(outcome.err.splitlines()[-1])
    assert (last_line["path"], last_line["status"], last_line["model"]) == ("/api/v1/models", 200, None)


def test_doctor_prints_limits_and_balance_and_attests_an_enclave(here: Here) -> None:
    out = here("doctor").out
    assert "set and accepted; tier paid; balance 25.0 USD, 0.0 DIEM; RPM 500; TPM 1,000,000" in out
    assert "ok  e2ee" in out


@pytest.mark.parametrize(
    "reply", [{}, {"data": 5}, {"data": {"rateLimits": [None, {"rateLimits": [{"amount": "many"}]}]}}], ids=str
)
def test_a_malformed_account_reply_gives_no_facts_and_no_error(reply: object) -> None:
    assert list(account_facts(reply)) == []


def test_an_enclave_that_proves_nothing_is_a_problem() -> None:
    with forked("serve", "--port", "0", "--tee", "--json") as process:
        url = json.loads(process.stdout.readline())["url"]
        outcome = run_forked("doctor", "--base-url", url, environment={"VENICE_API_KEY": "any"})
        ended(process, signal.SIGINT)
    assert outcome.code == 1
    assert "!!  e2ee        no enclave proved itself" in outcome.out
