"""The command in a process of its own: signals, pipes, encodings, and an installation that lacks something.

Where neither the start nor the end of Python is the subject, the process is a fork of this one.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from time import monotonic, sleep

import pytest

from venice_ai import __version__
from venice_ai.emulator import Emulator, error, text, usual

from .forks import forked, run_forked
from .shell import COMMAND, CTRL_C, PATIENCE_SECONDS, Outcome, ended, running, spawn

pytestmark = pytest.mark.usefixtures("emulator")


def test_the_module_is_the_command() -> None:
    outcome = spawn("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"venice-chat, version {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["chat", "hi"], ["models"], ["cost", "hi"], ["doctor"]], ids=" ".join)
def test_each_command_leaves_nothing_open(arguments: list[str]) -> None:
    outcome = spawn(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out


def test_an_error_is_one_message_and_its_code(emulator: Emulator) -> None:
    emulator.always(error(403))
    outcome = run_forked("chat", "hi")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith("venice-chat: ")
    assert outcome.err.count("\n") == 1


def test_ctrl_c_while_streaming_prints_one_line_and_ends_the_text_line(emulator: Emulator) -> None:
    emulator.always(text("drip " * 100, chunk_delay=0.05))
    with running("chat", "hi") as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == "drip"
        outcome = ended(process, signal.SIGINT)
    assert (outcome.code, outcome.err) == (CTRL_C, "venice-chat: stopped\n")
    assert outcome.out.endswith("\n")


def test_ctrl_c_while_waiting_for_the_first_chunk_prints_one_line(emulator: Emulator) -> None:
    emulator.always(usual(delay=30))
    with forked("chat", "--model", "venice-1", "hi") as process:
        _until(lambda: bool(emulator.requests))
        outcome = ended(process, signal.SIGINT)
    assert (outcome.code, outcome.out, outcome.err) == (CTRL_C, "", "venice-chat: stopped\n")


def test_sigterm_ends_the_command_at_once(emulator: Emulator) -> None:
    emulator.always(text("drip " * 100, chunk_delay=0.05))
    with running("chat", "hi") as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == "drip"
        outcome = ended(process, signal.SIGTERM)
    assert (outcome.code, outcome.err) == (-signal.SIGTERM, "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGHUP")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_text_before_a_signal_is_kept(emulator: Emulator, number: signal.Signals) -> None:
    emulator.always(text("drip " * 100, chunk_delay=0.05))
    with forked("chat", "hi") as process:
        assert process.stdout.read(4) == "drip"
        assert ended(process, number).code == -number
    assert "drip" in run_forked("sessions", "show").out


@pytest.mark.skipif(sys.platform == "win32", reason="the shell is POSIX")
def test_ctrl_c_ends_a_loop_of_a_shell(emulator: Emulator) -> None:
    emulator.always(usual(delay=30))
    line = f"for i in 1 2; do {shlex.join([*COMMAND, 'chat', '-m', 'venice-1', 'hi'])}; done"
    with subprocess.Popen(
        ["bash", "-c", line], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as shell:
        _until(lambda: bool(emulator.requests))
        os.killpg(shell.pid, signal.SIGINT)
        _, err = shell.communicate(timeout=PATIENCE_SECONDS)
    assert (shell.returncode, err) == (-signal.SIGINT, b"venice-chat: stopped\n")


@pytest.mark.parametrize("how", [["--json"], ["--json", "--schema", "name: str"]], ids=" ".join)
def test_ctrl_c_with_json_prints_and_keeps_the_text_so_far(emulator: Emulator, how: list[str]) -> None:
    emulator.always(text("drip " * 100, chunk_delay=0.05))
    with forked("chat", *how, "hi") as process:
        _until(lambda: any(request.method == "POST" for request in emulator.requests))
        sleep(0.5)
        outcome = ended(process, signal.SIGINT)
    error_line = json.loads(outcome.err)
    assert (outcome.code, outcome.out, error_line["exit_code"]) == (CTRL_C, "", 130)
    assert error_line["error"]["message"] == "stopped"
    assert error_line["error"]["partial"].startswith("drip")
    assert error_line["error"]["partial"].strip() in run_forked("sessions", "show").out


def test_sigterm_ends_the_command_as_process_1_too(emulator: Emulator) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-pf", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a namespace of processes of its own")
    emulator.always(usual(delay=30))
    with subprocess.Popen(
        [unshare, "-pf", *COMMAND, "chat", "--model", "venice-1", "hi"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        _until(lambda: bool(emulator.requests))
        (inner,) = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split())
        os.kill(inner, signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM


@pytest.mark.parametrize("arguments", ["chat hi", "models", "--help"])
def test_a_pipe_closed_by_its_reader_is_no_error(emulator: Emulator, arguments: str) -> None:
    emulator.always(text("a line\n" * 20_000))
    command = shlex.join([*COMMAND, *arguments.split()])
    piped = subprocess.run(
        ["bash", "-c", f"{command} < /dev/null | head -n 1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert piped.stderr == ""
    assert piped.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, id="the C locale"),
        pytest.param({"PYTHONIOENCODING": "ascii"}, id="ASCII by order"),
    ],
)
def test_any_text_can_be_printed(emulator: Emulator, environment: dict[str, str]) -> None:
    emulator.script(text("Città \U0001f6a3"))
    outcome = spawn("chat", "hi", environment=environment)
    assert outcome.code == 0
    assert outcome.out in {"Città \U0001f6a3\n", "Citt? ?\n"}


def test_a_pipe_gets_no_colours(emulator: Emulator) -> None:
    emulator.script(text("42", reasoning="Let me think."))
    outcome = run_forked("chat", "--reasoning", "hi", environment={"FORCE_COLOR": "1"})
    assert "\x1b" not in outcome.out + outcome.err


def test_warnings_of_the_library_look_like_any_other_message() -> None:
    command = (sys.executable, "-m", "venice_ai")
    typo = 'venice_parameters={"enable_websearch": "on"}'
    outcome = spawn("chat", "--model", "campanile-1902", "--param", typo, "hi", command=command)
    assert outcome.code == 0
    switch, deprecation = outcome.err.splitlines()
    assert switch.startswith("venice-chat: warning: venice_parameters has no 'enable_websearch'")
    assert deprecation.startswith("venice-chat: Venice: The model campanile-1902 is deprecated")


def test_a_full_disk_is_an_error_of_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    outcome = subprocess.run(
        ["bash", "-c", f"{shlex.join(COMMAND)} models > /dev/full"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (outcome.returncode, outcome.stderr) == (1, "venice-chat: [Errno 28] No space left on device\n")


@pytest.mark.parametrize(
    "arguments",
    ["--help", "models --help", *(pytest.param(each, marks=pytest.mark.more) for each in ("--version", "chat --help"))],
)
def test_help_for_a_reader_that_left_is_no_error_and_on_a_full_disk_one_line(arguments: str) -> None:
    command = shlex.join([*COMMAND, *arguments.split()])
    piped = _in_bash(f"{command} | true; exit ${{PIPESTATUS[0]}}")
    assert (piped.code, piped.err) == (0, "")
    if Path("/dev/full").exists():
        outcome = _in_bash(f"{command} > /dev/full")
        assert (outcome.code, outcome.err) == (1, "venice-chat: [Errno 28] No space left on device\n")


ENOUGH = {("chat hi", "2>&-"), ("models", "<&- >&- 2>&-"), ("doctor", ">&-"), ("--help", "2>&-")}
"""Every command, and every stream, closed once; the other pairs are tried where tests may take long."""


@pytest.mark.parametrize(
    ("arguments", "closed"),
    [
        pytest.param(*pair, marks=() if pair in ENOUGH else pytest.mark.more)
        for pair in product(("chat hi", "models", "doctor", "--help"), (">&-", "2>&-", "<&- >&- 2>&-"))
        if pair not in {("chat hi", ">&-"), ("chat hi", "<&- >&- 2>&-")}
    ],
)
def test_a_closed_stdout_or_stderr_causes_no_error(arguments: str, closed: str) -> None:
    outcome = _in_bash(f"{shlex.join([*COMMAND, *arguments.split()])} {closed}")
    assert (outcome.code, outcome.err) == (0, "")


def test_nothing_is_sent_where_the_answer_cannot_be_written(emulator: Emulator) -> None:
    outcome = _in_bash(f"{shlex.join([*COMMAND, 'chat', 'hi'])} >&-")
    assert (outcome.code, outcome.err) == (1, "venice-chat: stdout is closed, and so no answer could be written\n")
    assert not emulator.requests


@pytest.mark.skipif(sys.platform == "win32", reason="needs jobs in the background")
@pytest.mark.parametrize("number", ["TERM", "HUP"])
@pytest.mark.parametrize("how", [[], ["--json"]], ids=["text", "json"])
def test_a_job_in_the_background_keeps_what_came_before_a_signal(emulator: Emulator, number: str, how: list[str]) -> None:
    emulator.always(text("drip " * 100, chunk_delay=0.05))
    job = f"{shlex.join([*COMMAND, 'chat', '--session', 'job', *how, 'go'])} < /dev/null > /dev/null &"
    with subprocess.Popen(["sh", "-c", f"{job} read line; kill -{number} $!; wait $!; echo $?"], stdin=-1, stdout=-1) as shell:
        _until(lambda: any(request.method == "POST" for request in emulator.requests))
        sleep(1)
        out, _ = shell.communicate(b"\n", timeout=PATIENCE_SECONDS)
    assert int(out) == 128 + signal.Signals[f"SIG{number}"]
    assert "drip" in spawn("sessions", "show", "job").out


def test_serve_runs_without_stdout() -> None:
    command = ["bash", "-c", f"exec {shlex.join(COMMAND)} serve --port 0 >&-"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "point clients at it:\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        pytest.param(["chat", b"\xff"], "the prompt", id="the prompt"),
        pytest.param(["cost", b"\xff"], "the prompt", id="the prompt of cost"),
        pytest.param(["chat", "-s", b"\xff", "hi"], "--system", id="instructions"),
    ],
)
def test_an_argument_that_is_not_valid_text_is_named(arguments: list[str | bytes], what: str) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, timeout=PATIENCE_SECONDS, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"venice-chat: {what} is not UTF-8 text")


def test_files_of_another_package_in_place_of_ours_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "venice_py-2.9.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: venice-py\nVersion: 2.9.0\n", encoding="utf-8")
    program = "import sys, venice_ai.cli as c; sys.modules['venice_ai.exceptions'] = type(sys)('theirs'); c.main()"
    outcome = spawn("doctor", command=(sys.executable, "-c", program), packages=tmp_path)
    assert outcome.code == 1
    assert outcome.err.startswith("venice-chat: venice-py overwrote a part of it; pip uninstall -y venice-py venice-chat")


def test_without_click_the_remedy_is_one_line() -> None:
    program = "import sys; sys.modules['click'] = None; from venice_ai.cli import main; main()"
    outcome = spawn("chat", "hi", command=(sys.executable, "-c", program))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "venice-chat: the command needs its extra: pip install 'venice-chat[cli]'\n"


def _in_bash(line: str) -> Outcome:
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def _until(true: Callable[[], bool]) -> None:
    """Waits until something another thread does has happened."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not true():
        assert monotonic() < deadline
        sleep(0.01)
