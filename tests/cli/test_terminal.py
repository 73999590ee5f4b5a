"""The command as a person at a terminal sees it: at two sizes, without colours, on a dumb terminal, in two locales."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from venice_ai.cli._markdown import whole_blocks
from venice_ai.emulator import Emulator, completion, echo, error, events, text

from .forks import Fork, run_forked
from .shell import COMMAND, CTRL_C, PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
ESCAPES = re.compile(r"\x1b\][^\x07]*\x07|\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
WIDE, NARROW = (50, 200), (24, 80)


class Terminal:
    """A person at a terminal with colours, who types and reads."""

    def __init__(self, child: Any, process: Fork | subprocess.Popen[bytes]) -> None:
        self.child = child
        self.process = process

    def types(self, keys: str) -> None:
        os.write(self.child.fileno(), keys.encode())

    def sees(self, words: str) -> str:
        """Reads as far as these words; gives all of it, without colours."""
        read = ""
        while words not in ESCAPES.sub("", read):
            self.child.expect(r".")
            read += self.child.after
        return ESCAPES.sub("", read)

    def is_asked(self) -> None:
        """Waits for the prompt, at which a terminal is told to mark what is pasted."""
        self.child.expect_exact("\x1b[?2004h")
        self.child.expect(">")

    def enters(self, line: str) -> None:
        self.is_asked()
        self.types(f"{line}\r")

    def echoes(self) -> bool:
        import termios

        return bool(termios.tcgetattr(self.child.fileno())[3] & termios.ECHO)

    def leaves(self) -> int:
        self.child.expect(import_module("pexpect").EOF)
        return self.process.wait()


@contextmanager
def at_terminal(
    *arguments: str, size: tuple[int, int] = NARROW, term: str = "xterm-256color", anew: bool = False, **variables: str
) -> Generator[Terminal]:
    """The command, by default in a fork; `anew`: in a new Python, which reads the locale."""
    import pty
    import termios

    environment = {"TERM": term, "LC_ALL": "C.UTF-8", "PROMPT_TOOLKIT_NO_CPR": "1", **variables}
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, size)
    child = import_module("pexpect.fdpexpect").fdspawn(ours, encoding="utf-8", codec_errors="replace", timeout=20)
    child.str_last_chars = 2000
    process = _started(arguments, theirs, environment, anew=anew)
    os.close(theirs)
    try:
        yield Terminal(child, process)
    finally:
        process.kill()
        process.wait()
        child.close()


def _started(
    arguments: tuple[str, ...], terminal: int, environment: dict[str, str], *, anew: bool
) -> Fork | subprocess.Popen[bytes]:
    if not anew:
        return Fork(arguments, (terminal, terminal, terminal), environment)
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def _raw(terminal: Terminal) -> str:
    terminal.child.expect(import_module("pexpect").EOF)
    return str(terminal.child.before)


def screen_of(written: str) -> list[str]:
    """The lines that stand on a terminal with room for all of them, after what was written."""
    lines, row, column = [""], 0, 0
    for code, character in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z])|([^\x1b])", written):
        if code == "\x1b[2K":
            lines[row] = ""
        elif code.endswith("A"):
            row = max(row - int(code[2:-1] or 1), 0)
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif character:
            lines[row] = lines[row].ljust(column)[:column] + character + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def several(*texts: str) -> dict[str, Any]:
    """The body of a response with several choices."""
    choices = [
        {"index": n, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
        for n, words in enumerate(texts)
    ]
    return {"id": "i", "model": "m", "created": 1, "object": "chat.completion", "choices": choices}


def said(emulator: Emulator) -> list[str]:
    return [message["content"] for message in emulator.requests[-1].body["messages"]]


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "200x50"])
def test_a_conversation_runs_its_slash_commands(emulator: Emulator, tmp_path: Path, size: tuple[int, int]) -> None:
    emulator.always(echo())
    with at_terminal("chat", "--session", "talk", size=size) as terminal:
        terminal.sees("this is llama-3.3-70b, session talk")
        terminal.enters("one")
        terminal.enters("/nonsense")
        terminal.sees("there is no /nonsense; /help lists commands")
        terminal.enters("/modle")
        terminal.sees("did you mean '/model'?")
        terminal.enters("/attach")
        terminal.sees("attached to the next message: nothing")
        terminal.enters("/system Be brief.")
        terminal.is_asked()
        terminal.types("/mod\t")
        sleep(0.5)
        terminal.types(" venice-1\r")
        terminal.sees("this is venice-1")
        terminal.enters("two")
        terminal.enters("/retry")
        terminal.enters("/cost")
        assert said(emulator) == ["one", "one", "Be brief.", "two"]
        assert emulator.requests[-1].body["model"] == "venice-1"
        terminal.sees("3 answers (1 of them taken back), ")
        terminal.enters("/undo")
        terminal.sees("took the last question and its answer back")
        terminal.enters(f"/save {tmp_path}/talk.md")
        terminal.sees("saved:")
        terminal.enters(f"/save {tmp_path}/talk.md")
        terminal.sees("FILE")
        terminal.enters("/help")
        terminal.sees("Alt-Enter begins a new line")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert (tmp_path / "talk.md").read_text(encoding="utf-8").count("## ") == 3


def test_pasted_and_edited_lines_are_one_message(emulator: Emulator) -> None:
    emulator.always(text("seen"))
    with at_terminal("chat", "--no-log") as terminal:
        terminal.sees("not kept")
        terminal.is_asked()
        terminal.types("\x1b[200~/one\ntwo\n\x1b[201~")
        sleep(0.3)
        terminal.types("\r")
        terminal.is_asked()
        assert said(emulator)[-1] == "/one\ntwo"
        terminal.types("three\x1b\rfour")
        sleep(0.3)
        terminal.types("\r")
        terminal.is_asked()
        assert said(emulator)[-1] == "three\nfour"
        terminal.types("\x04")
        assert terminal.leaves() == 0
    assert not list(Path(os.environ["XDG_DATA_HOME"]).rglob("*")), "--no-log keeps nothing, what was typed neither"


def test_lines_that_arrive_together_are_messages_and_commands_of_their_own(emulator: Emulator) -> None:
    emulator.always(echo())
    with at_terminal("chat", "--no-log") as terminal:
        terminal.is_asked()
        terminal.types("hello\r/cost\r")
        terminal.sees("1 answer, ")
        terminal.enters("quit")
        assert terminal.leaves() == 0
    assert said(emulator) == ["hello"]


@pytest.mark.parametrize("word", ["exit", "quit"])
def test_exit_commands_of_other_programs_end_a_conversation(emulator: Emulator, word: str) -> None:
    with at_terminal("chat", "--no-log") as terminal:
        terminal.enters(word)
        assert terminal.leaves() == 0
    assert not [request for request in emulator.requests if request.method == "POST"]


def test_a_command_that_can_do_nothing_says_why(emulator: Emulator, tmp_path: Path) -> None:
    emulator.script(
        completion({"choices": [{"index": 0, "message": {"role": "assistant", "content": "One."}}]}), echo(), echo()
    )
    with at_terminal("chat", "--session", "talk", size=WIDE) as terminal:
        terminal.enters("/save")
        terminal.sees("there is no answer to keep")
        terminal.enters("one")
        terminal.enters("/cost")
        terminal.sees("1 answer, 0 tokens, $0.000000; without the cost of 1, which did not tell it")
        terminal.enters("/undo")
        terminal.enters(f"/save {tmp_path}/talk.md")
        terminal.sees("there is no answer to keep")
        terminal.enters("/retry foo")
        terminal.sees("/retry takes nothing after it, so nothing was done; leave out 'foo'")
        terminal.enters("/quit now")
        terminal.sees("/quit takes nothing after it")
        terminal.enters("/system")
        terminal.sees("the instructions from here on: none")
        terminal.enters("/system Be brief.")
        terminal.enters("two")
        terminal.enters("/system Be long.")
        terminal.sees("the instructions from here on: Be long.")
        terminal.enters("three")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert said(emulator) == ["two", "two", "Be long.", "three"]
    assert not (tmp_path / "talk.md").exists()
    with at_terminal("chat", "-c", size=WIDE) as terminal:
        terminal.sees("user: three")
        terminal.sees("assistant: three")


@pytest.mark.parametrize("form", ['"{}/my pic.png"', "{}/my\\ pic.png", "{}/my pic.png", "'{}/my pic.png'"])
def test_a_dropped_file_is_attached_and_a_model_named_that_sees_it(emulator: Emulator, tmp_path: Path, form: str) -> None:
    (tmp_path / "my pic.png").write_bytes(b"\x89PNG\r\n\x1a\n...IEND\xaeB`\x82")
    with at_terminal("chat", "-m", "venice-1", "--no-log", size=(50, 400)) as terminal:
        terminal.enters(f"/attach {form.format(tmp_path)}")
        terminal.sees(
            f"attached to the next message: {tmp_path}/my pic.png; venice-1 cannot take it, '/model rialto-vision' can"
        )
        terminal.enters("/model rialto-vision")
        terminal.enters("/attach https://a.test/b.pdf")
        assert "cannot" not in terminal.sees(f"attached to the next message: {tmp_path}/my pic.png, https://a.test/b.pdf")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert emulator.requests


def test_attachments_of_a_refused_message_are_attached_to_the_next_one(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Seven bridges.", encoding="utf-8")
    emulator.script(error(400, {"error": "no"}), error(400, {"error": "no"}), echo(), echo())
    with at_terminal("chat", "-a", f"{tmp_path}/words.txt", "-m", "venice-1", "--session", "talk", size=WIDE) as terminal:
        terminal.sees(f"attached to the next message: {tmp_path}/words.txt")
        terminal.enters("How many?")
        terminal.sees("answered 400")
        terminal.sees(f"attached to the next message: {tmp_path}/words.txt")
        terminal.enters("/model llama-3.3-70b")
        terminal.enters("/retry")
        terminal.sees(f"attached to the next message: {tmp_path}/words.txt")
        terminal.enters("And how many now?")
        terminal.is_asked()
        first, second, third = (each.body for each in emulator.requests if each.method == "POST")
        assert second == {**first, "model": "llama-3.3-70b"}
        assert third["messages"][0]["content"][0]["text"] == "And how many now?"
        assert third["messages"][0]["content"][1:] == first["messages"][0]["content"][1:]
        terminal.types("/attach\r")
        terminal.sees("attached to the next message: nothing")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert f"[attached: {tmp_path}/words.txt]" in run_forked("sessions", "show", "talk").out


def test_attachments_and_instructions_can_be_dropped(emulator: Emulator) -> None:
    emulator.always(echo())
    with at_terminal("chat", "-s", "Be brief.", "--no-log", size=WIDE) as terminal:
        terminal.enters("/attach https://a.test/b.pdf")
        terminal.sees("next message: https://a.test/b.pdf")
        terminal.enters("/attach none")
        terminal.sees("next message: nothing")
        terminal.enters("/system none")
        terminal.sees("the instructions from here on: none")
        terminal.enters("hello")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert emulator.requests[-1].body["messages"] == [{"role": "user", "content": "hello"}]


def test_a_conversation_that_is_not_kept_is_written_only_to_a_named_file(emulator: Emulator) -> None:
    emulator.always(echo())
    with at_terminal("chat", "--no-log", size=WIDE) as terminal:
        terminal.enters("hello")
        terminal.enters("/save")
        terminal.sees("nothing is kept of this conversation; '/save FILE' writes it to a Markdown file")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert not list(Path(os.environ["XDG_DATA_HOME"]).rglob("*"))


def test_a_private_conversation_takes_no_model_in_clear(emulator: Emulator) -> None:
    with at_terminal("chat", "--e2ee", size=WIDE) as terminal:
        terminal.enters("/model venice-1")
        terminal.sees("venice-1 cannot answer in private (--e2ee), so this is still e2ee-")
        terminal.enters("/attach https://a.test/b.png")
        terminal.sees("https://a.test/b.png cannot be attached: with end-to-end encryption only text is sent")
        terminal.enters("/attach")
        terminal.sees("attached to the next message: nothing")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert emulator.requests


def test_notices_break_between_words(emulator: Emulator) -> None:
    emulator.always(echo())
    with at_terminal("chat", "--no-log") as terminal:
        terminal.enters("/nonsense")
        assert "a line that\r\nbegins so" in terminal.sees("a blank before it")
        terminal.enters("/quit")
        assert terminal.leaves() == 0


def test_deleting_a_session_asks_for_confirmation(emulator: Emulator) -> None:
    emulator.always(echo())
    run_forked("chat", "--session", "talk", "hi")
    with at_terminal("sessions", "delete", "talk") as terminal:
        terminal.sees("delete 'talk'? [y/N]")
        terminal.types("\n")
        assert terminal.leaves() == 0
    assert "talk" in run_forked("sessions", "list").out
    with at_terminal("sessions", "delete", "talk") as terminal:
        terminal.sees("delete 'talk'? [y/N]")
        terminal.types("y\n")
        terminal.sees("deleted: talk")
        assert terminal.leaves() == 0
    assert "talk" not in run_forked("sessions", "list").out


def test_lines_typed_in_an_earlier_run_are_in_the_history(emulator: Emulator) -> None:
    emulator.always(text("seen"))
    with at_terminal("chat") as terminal:
        terminal.enters("remember me")
        terminal.sees("seen")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    with at_terminal("chat", "-c") as terminal:
        terminal.is_asked()
        terminal.types("\x1b[A\x1b[A")
        terminal.sees("remember me")
        terminal.types("\r")
        terminal.sees("seen")
    assert said(emulator) == ["remember me", "seen", "remember me"]


def test_ctrl_c_stops_an_answer_and_keeps_the_text_so_far(emulator: Emulator) -> None:
    emulator.script(text("drip " * 100, chunk_delay=0.05), text("still here"))
    with at_terminal("chat") as terminal:
        terminal.enters("leak")
        terminal.sees("drip")
        terminal.types("\x03")
        terminal.sees("stopped")
        terminal.enters("hello?")
        terminal.sees("still here")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert said(emulator)[1].startswith("drip")
    assert run_forked("sessions", "show").out.count("ended: stopped") == 1


def test_lines_typed_during_an_answer_stay_separate_messages(emulator: Emulator) -> None:
    emulator.script(text("drip " * 40, chunk_delay=0.05), echo(), echo())
    with at_terminal("chat", "--no-log") as terminal:
        terminal.enters("leak")
        terminal.sees("drip")
        terminal.types("second\r/cost\rthi")
        assert "second" not in terminal.sees("\n> "), "it would stand within the answer"
        terminal.sees("2 answers, ")
        terminal.is_asked()
        terminal.types("rd\r")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert said(emulator)[::2] == ["leak", "second", "third"]


def test_lines_pasted_during_an_answer_are_one_message(emulator: Emulator) -> None:
    emulator.script(text("drip " * 40, chunk_delay=0.05), echo())
    with at_terminal("chat", "--no-log") as terminal:
        terminal.enters("leak")
        terminal.child.expect_exact("\x1b[?2004h")
        terminal.sees("drip")
        terminal.types("\x1b[200~one\ntwo\x1b[201~\r")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
        assert terminal.child.before.rstrip().endswith("\x1b[?2004l")
    assert said(emulator)[2] == "one\ntwo"


def test_ctrl_c_keeps_typed_text_and_is_not_drawn_into_the_answer(emulator: Emulator) -> None:
    emulator.script(text("drip " * 100, chunk_delay=0.05), echo(), text("drip " * 100, chunk_delay=0.05))
    with at_terminal("chat", "--no-log") as terminal:
        terminal.enters("leak")
        terminal.sees("drip")
        terminal.types("next\rla")
        terminal.types("\x03")
        assert "^C" not in terminal.sees("stopped")
        terminal.sees("> la")
        terminal.types("st\r")
        terminal.sees("drip")
        terminal.types("\x03")
        terminal.enters("/quit")
        assert terminal.leaves() == 0
    assert said(emulator)[2::2] == ["next", "last"]


def test_closing_the_window_keeps_the_text_so_far(emulator: Emulator) -> None:
    emulator.script(text("drip " * 100, chunk_delay=0.05))
    with at_terminal("chat") as terminal:
        terminal.enters("leak")
        terminal.sees("drip")
        terminal.child.close()
        assert terminal.process.wait() == -signal.SIGHUP
    assert "drip" in run_forked("sessions", "show").out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_conversation_and_leaves_the_terminal_as_it_was(emulator: Emulator, number: signal.Signals) -> None:
    emulator.script(text("drip " * 100, chunk_delay=0.05))
    with at_terminal("chat") as terminal:
        terminal.enters("leak")
        terminal.sees("drip")
        terminal.process.send_signal(number)
        terminal.child.expect_exact("\x1b[?2004l")
        assert terminal.leaves() == -number
        assert terminal.echoes()
    assert "drip" in run_forked("sessions", "show").out


def test_markdown_is_rendered_on_a_terminal_and_stays_as_it_is_in_a_pipe(emulator: Emulator) -> None:
    emulator.always(text("# Title\n\nSome **bold** words.\n\n- a\n- b\n\n```py\nx = 1\n\ny = 2\n```\n"))
    with at_terminal("chat", "hi") as terminal:
        seen = terminal.sees("y = 2")
        assert terminal.leaves() == 0
    assert "**" not in seen
    assert "bold" in seen
    assert run_forked("chat", "hi").out.startswith("# Title\n\nSome **bold** words.")


def test_no_color_and_no_control_characters(emulator: Emulator) -> None:
    emulator.script(text("A **bold** word\x1b[2J \x9b2J.", reasoning="Hm"))
    with at_terminal("chat", "--reasoning", "hi", NO_COLOR="1") as terminal:
        terminal.child.expect("word.*\n")
        raw = terminal.child.before + terminal.child.after
        assert terminal.leaves() == 0
    assert "\x1b[2J" not in raw
    assert "\x9b" not in raw
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", raw)


@pytest.mark.parametrize("how", [[], ["--no-stream"], ["--session", "talk"]], ids=" ".join)
@pytest.mark.parametrize("colours", [True, False], ids=["colours", "no colours"])
def test_of_several_answers_each_is_shown_to_its_last_line(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, how: list[str], *, colours: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    answers = [f"Answer {name} " + "and more words " * 8 + f"ends with {name}." for name in ("one", "two", "three")]
    emulator.script(completion(several(*answers)))
    with at_terminal("chat", *how, "--param", "n=3", "hi") as terminal:
        shown = screen_of("".join(_raw(terminal)))
        assert terminal.process.wait() == 0
    assert [line for line in shown if line.startswith("answer ")] == [f"answer {number} of 3:" for number in (1, 2, 3)]
    assert [f"ends with {name}." in " ".join(shown) for name in ("one", "two", "three")] == [True] * 3


def test_several_answers_are_kept_and_the_conversation_continues_with_the_first(emulator: Emulator) -> None:
    emulator.script(completion(several("First.", "Second.")), echo())
    run_forked("chat", "--session", "talk", "--param", "n=2", "hi")
    assert "First.\n\n### answer 2\n\nSecond." in run_forked("sessions", "show", "talk").out
    run_forked("chat", "-c", "more")
    assert said(emulator) == ["hi", "First.", "more"]


@pytest.mark.parametrize("how", [["--param", "n=2"], ["--schema", "a: int"], ["--json"]], ids=" ".join)
def test_a_conversation_has_one_answer_to_each_message(emulator: Emulator, how: list[str]) -> None:
    with at_terminal("chat", *how, size=WIDE) as terminal:
        terminal.sees("need a prompt")
        assert terminal.process.wait() == 2
    assert emulator.requests == []


def test_reasoning_that_goes_on_after_text_is_shown_without_codes(emulator: Emulator) -> None:
    def chunk(**delta: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": delta}]}

    chunks = [chunk(reasoning_content="Hm."), chunk(content="One. "), chunk(reasoning_content="Or two?"), chunk(content="Two.")]
    last: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    emulator.script(events(*chunks, last))
    with at_terminal("chat", "--reasoning", "hi") as terminal:
        shown = screen_of("".join(_raw(terminal)))
    assert [line for line in shown if line] == ["Hm.", "One.", "Or two?", "Two."]


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_a_conversation_works_in_any_locale_and_on_a_dumb_terminal(emulator: Emulator, locale: str) -> None:
    emulator.always(text("- Città"))
    with at_terminal("chat", "hi", term="dumb", anew=True, LC_ALL=locale) as terminal:
        assert "- Citt" in terminal.sees("Citt")
        assert terminal.leaves() == 0
    with at_terminal("chat", "hi", anew=True, LC_ALL=locale, PYTHONUTF8="0") as terminal:
        terminal.sees("Citt")
        assert terminal.leaves() == 0


def test_the_path_of_an_attachment_is_completed(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Seven bridges.", encoding="utf-8")
    emulator.always(echo())
    with at_terminal("chat", "--no-log", size=WIDE) as terminal:
        terminal.is_asked()
        terminal.types(f"/attach {tmp_path}/wor\t")
        sleep(0.5)
        terminal.types("\r")
        terminal.sees(f"attached to the next message: {tmp_path}/words.txt")
        terminal.enters("/quit")
        assert terminal.leaves() == 0


def test_an_answer_is_copied_by_the_terminal(emulator: Emulator) -> None:
    emulator.always(text("copy me"))
    with at_terminal("chat") as terminal:
        terminal.enters("hi")
        terminal.sees("copy me")
        terminal.enters("/copy")
        terminal.child.expect_exact(f"\x1b]52;c;{base64.b64encode(b'copy me').decode()}\x07")
        terminal.enters("/quit")
        assert terminal.leaves() == 0


@pytest.mark.parametrize(
    "arguments", [["models"], ["sessions", "list"], ["spend"], ["models", "show", "venice-1"]], ids=" ".join
)
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "200x50"])
def test_tables_are_no_wider_than_the_terminal(emulator: Emulator, size: tuple[int, int], arguments: list[str]) -> None:
    emulator.always(echo())
    run_forked("chat", "--session", "a-session-with-a-name-that-is-long", "word " * 60)
    with at_terminal(*arguments, size=size) as terminal:
        lines = _all(terminal)
    assert len(lines) > 1
    assert max(map(len, lines)) <= size[1]


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        pytest.param(100, "NAME LAST USED MESSAGES MODEL COST FIRST WORDS", id="100"),
        pytest.param(80, "NAME LAST USED MODEL COST FIRST WORDS", id="80"),
        pytest.param(40, "NAME FIRST WORDS", id="40"),
    ],
)
def test_a_narrow_list_of_sessions_still_shows_their_first_words(emulator: Emulator, columns: int, headings: str) -> None:
    emulator.always(echo())
    run_forked("chat", "word " * 60)
    with at_terminal("sessions", "list", size=(50, columns)) as terminal:
        first, second, *_ = _all(terminal)
    assert " ".join(first.split()) == headings
    assert "word wo" in second
    assert len(second) <= columns


def _all(terminal: Terminal) -> list[str]:
    terminal.child.expect(import_module("pexpect").EOF)
    return ESCAPES.sub("", terminal.child.before).splitlines()


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        pytest.param("one line", "", id="a line"),
        pytest.param("one\n\ntwo", "one\n\n", id="a paragraph"),
        pytest.param("one\n\n```\na\n\nb", "one\n\n", id="a fence is not whole"),
        pytest.param("```\na\n\nb\n```\n\nc", "```\na\n\nb\n```\n\n", id="a fence"),
        pytest.param("```\na\n\nb", "", id="a fence from the beginning"),
    ],
)
def test_the_end_of_the_finished_markdown_blocks_is_found(text: str, whole: str) -> None:
    assert text[: whole_blocks(text)] == whole


@pytest.mark.more
@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
@pytest.mark.parametrize(("rows", "columns"), [NARROW, WIDE])
def test_a_conversation_in_tmux_shows_each_paragraph_once(emulator: Emulator, tmp_path: Path, rows: int, columns: int) -> None:
    emulator.always(text("\n\n".join(f"Paragraph **{number}** " + "word " * 30 for number in range(20))))
    tmux = ["tmux", "-S", str(tmp_path / "tmux")]
    command = ["env", "TERM=screen-256color", *COMMAND, "chat"]
    subprocess.run([*tmux, "-f", "/dev/null", "new", "-d", "-x", str(columns), "-y", str(rows), *command], check=True)

    def screen() -> str:
        return subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout

    def until(words: str) -> str:
        deadline = monotonic() + PATIENCE_SECONDS
        while words not in (shown := screen()):
            assert monotonic() < deadline, shown
            sleep(0.1)
        return shown

    try:
        until("\n>")
        subprocess.run([*tmux, "send-keys", "hi", "Enter"], check=True)
        shown = until("Paragraph 19")
        assert "**" not in shown
        assert shown.count("Paragraph 19") == 1
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def test_an_interrupted_one_shot_answer_is_kept(emulator: Emulator) -> None:
    emulator.script(text("drip " * 100, chunk_delay=0.05))
    with at_terminal("chat", "leak") as terminal:
        terminal.sees("drip")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.leaves() == CTRL_C
    shown = run_forked("sessions", "show").out
    assert "drip" in shown
    assert "ended: stopped" in shown


def test_a_log_message_begins_a_line_of_its_own(emulator: Emulator) -> None:
    emulator.always(text("no line break at the end"))
    with at_terminal("chat", "--debug", "--no-log", "-m", "venice-1", "hi", term="dumb") as terminal:
        terminal.sees("at the end\r\nvenice-chat: POST ")
        terminal.leaves()


@pytest.mark.usefixtures("emulator")
def test_the_sources_stand_below_the_answer() -> None:
    with at_terminal("chat", "-m", "llama-3.3-70b", "--web-search", "on", "--no-log", "hi") as terminal:
        terminal.sees("[1] Venice, the emulated city, https://example.org/venice")
        terminal.leaves()


@pytest.mark.parametrize(
    ("columns", "headings", "without"),
    [
        pytest.param(200, "MODEL CONTEXT IN $/1M OUT $/1M PRIVACY NOTES CAPABILITIES", "", id="200"),
        pytest.param(80, "MODEL CONTEXT IN $/1M OUT $/1M PRIVACY", "CAPABILITIES, NOTES", id="80"),
        pytest.param(60, "MODEL CONTEXT IN $/1M OUT $/1M", "CAPABILITIES, NOTES, PRIVACY", id="60"),
        pytest.param(40, "MODEL IN $/1M OUT $/1M", "CAPABILITIES, NOTES, PRIVACY, CONTEXT", id="40"),
    ],
)
@pytest.mark.usefixtures("emulator")
def test_a_table_has_the_columns_for_which_there_is_room_and_names_the_others(
    columns: int, headings: str, without: str
) -> None:
    with at_terminal("models", size=(50, columns)) as terminal:
        shown = terminal.sees(f"not shown, for want of room: {without}\r\n" if without else "serenissima-frontier")
        terminal.leaves()
    assert " ".join(shown.splitlines()[0].split()) == headings
    assert max(map(len, shown.splitlines()[:-1])) <= columns


@pytest.mark.usefixtures("emulator")
def test_property_names_of_a_model_are_not_cut_on_a_narrow_terminal() -> None:
    with at_terminal("models", "show", "llama-3.3-70b", size=(50, 40)) as terminal:
        terminal.sees("capabilities.supportsFunctionCalling")
        terminal.leaves()
