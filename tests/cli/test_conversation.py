"""The conversation at a terminal, which here is a pseudo-terminal."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import pytest

from venice_ai import ChatCompletionChunk, ChatCompletionResponse
from venice_ai.cli._conversations import Conversation
from venice_ai.cli._output import AnswerPrinter
from venice_ai.emulator import Emulator, echo, error, text

from .forks import Fork
from .shell import PATIENCE_SECONDS

terminals = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


class Terminal:
    """A person at a terminal, who types and reads."""

    def __init__(self, process: Fork, descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._unread = ""

    def types(self, line: str) -> None:
        os.write(self._descriptor, line.encode())

    def sees(self, words: str) -> str:
        """Reads as far as these words; gives what was read."""
        deadline = monotonic() + PATIENCE_SECONDS
        while words not in self._unread:
            assert select.select([self._descriptor], [], [], deadline - monotonic())[0], self._unread
            self._unread += os.read(self._descriptor, 4096).decode()
        before, _, self._unread = self._unread.partition(words)
        return before + words

    def leaves(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def at_terminal(*arguments: str, term: str = "dumb") -> Generator[Terminal]:
    """The command with a terminal for stdin, stdout and stderr."""
    import pty

    ours, theirs = pty.openpty()
    try:
        process = Fork(arguments, (theirs, theirs, theirs), {"TERM": term})
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(ours)


def said(emulator: Emulator) -> list[tuple[str, str]]:
    """The messages of the last request."""
    return [(message["role"], message["content"]) for message in emulator.requests[-1].body["messages"]]


@terminals
def test_the_whole_conversation_is_sent_with_each_message(emulator: Emulator) -> None:
    emulator.script(echo(), text("second answer"))
    with at_terminal("chat", "--system", "Be brief.") as terminal:
        terminal.sees("this is llama-3.3-70b")
        terminal.sees("> ")
        terminal.types("one\n")
        terminal.sees("> ")
        terminal.types("two\n")
        terminal.sees("second answer")
        terminal.types("/quit\n")
        assert terminal.leaves() == 0
    assert said(emulator) == [("system", "Be brief."), ("user", "one"), ("assistant", "one"), ("user", "two")]


@terminals
def test_ctrl_c_stops_an_answer_but_not_the_session(emulator: Emulator) -> None:
    emulator.script(text("drip " * 100, chunk_delay=0.05), text("still here"))
    with at_terminal("chat") as terminal:
        terminal.sees("> ")
        terminal.types("leak\n")
        terminal.sees("drip")
        terminal.process.send_signal(signal.SIGINT)
        terminal.sees("stopped")
        terminal.sees("> ")
        terminal.types("hello?\n")
        terminal.sees("still here")
        terminal.sees("> ")
        sleep(0.5)  # a dumb terminal is given the prompt before its keys are taken one by one
        terminal.types("\x04")
        assert terminal.leaves() == 0
    roles = [role for role, _ in said(emulator)]
    assert roles == ["user", "assistant", "user"]
    assert said(emulator)[1][1].startswith("drip")


@terminals
def test_a_question_that_failed_is_taken_back(emulator: Emulator) -> None:
    emulator.script(error(409), text("fine"))
    with at_terminal("chat") as terminal:
        terminal.sees("> ")
        terminal.types("one\n")
        terminal.sees("venice-chat: Venice answered 409")
        terminal.sees("> ")
        terminal.types("two\n")
        terminal.sees("fine")
        terminal.types("/quit\n")
        assert terminal.leaves() == 0
    assert said(emulator) == [("user", "two")]


@terminals
def test_a_refused_key_prints_an_error_and_the_conversation_continues(emulator: Emulator) -> None:
    emulator.script(error(401), text("fine"))
    with at_terminal("chat") as terminal:
        terminal.sees("> ")
        terminal.types("one\n")
        terminal.sees("venice-chat: Venice answered 401")
        terminal.sees("> ")
        terminal.types("two\n")
        terminal.sees("fine")
        terminal.types("/quit\n")
        assert terminal.leaves() == 0


@terminals
def test_retry_asks_again_what_failed_and_what_instructions_follow(emulator: Emulator) -> None:
    emulator.script(text("first"), error(409), text("second"), text("third"))
    with at_terminal("chat") as terminal:
        for line, seen in (
            ("one", "first"),
            ("two", "409"),
            ("/retry", "second"),
            ("/system Be brief.", "\n"),
            ("/retry", "third"),
        ):
            terminal.sees("> ")
            terminal.types(f"{line}\n")
            terminal.sees(seen)
        terminal.sees("> ")
        terminal.types("/quit\n")
        assert terminal.leaves() == 0
    assert said(emulator) == [("user", "one"), ("assistant", "first"), ("system", "Be brief."), ("user", "two")]


@terminals
def test_a_terminal_is_not_given_control_characters(emulator: Emulator) -> None:
    emulator.script(text("a\x1b[2Jb\x07c\r\nd"))
    with at_terminal("chat", "hi") as terminal:
        assert terminal.sees("d\r\n") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c\r\nd\r\n"
        assert terminal.leaves() == 0


@terminals
@pytest.mark.parametrize(
    ("term", "before"), [pytest.param("xterm", "\x1b[2m", id="a terminal"), pytest.param("dumb", "", id="a dumb one")]
)
def test_reasoning_is_dim_where_the_terminal_can(emulator: Emulator, term: str, before: str) -> None:
    emulator.script(text("42", reasoning="Hm"))
    with at_terminal("chat", "--reasoning", "hi", term=term) as terminal:
        assert terminal.sees("Hm") == f"{before}Hm"
        terminal.sees("42")
        assert terminal.leaves() == 0


@terminals
def test_several_pasted_lines_are_one_message(emulator: Emulator) -> None:
    emulator.script(text("seen"))
    with at_terminal("chat") as terminal:
        terminal.sees("> ")
        terminal.types("/* one\n\n  two\n/quit\n")
        terminal.sees("seen")
        terminal.types("/quit\n")
        assert terminal.leaves() == 0
    assert said(emulator) == [("user", "/* one\n\n  two\n/quit")]


@terminals
def test_a_word_that_begins_like_a_command_is_not_sent(emulator: Emulator) -> None:
    emulator.script(text("seen"))
    with at_terminal("chat") as terminal:
        terminal.sees("> ")
        terminal.types("/hepl me\n")
        terminal.sees("there is no /hepl; /help lists")
        terminal.sees("> ")
        terminal.types(" /etc/hosts is what?\n")
        terminal.sees("seen")
        terminal.types("/quit\n")
        assert terminal.leaves() == 0
    assert said(emulator) == [("user", " /etc/hosts is what?")]


def answered(**message: Any) -> ChatCompletionResponse:
    return ChatCompletionResponse.model_validate({"choices": [{"index": 0, "message": {"role": "assistant", **message}}]})


def settled(response: ChatCompletionResponse | None, *, private: bool = False) -> Conversation:
    """A conversation of one question that came to this."""
    conversation = Conversation(None, None, [], private=private)
    conversation.add("user", "a")
    conversation.settle(response, "m")
    return conversation


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"content": "b"}, id="text"),
        pytest.param({"content": "  b\r\n\n"}, id="byte for byte"),
        pytest.param({"content": [{"type": "text", "text": "b"}]}, id="parts"),
        pytest.param(
            {"content": "b", "reasoning_content": "Hm", "reasoning_details": [{"type": "x", "signature": "s"}], "new": None},
            id="the whole message",
        ),
    ],
)
def test_the_answer_of_the_model_is_sent_back_unchanged(message: dict[str, Any]) -> None:
    messages = settled(answered(**message)).messages
    assert messages == [{"role": "user", "content": "a"}, {"role": "assistant", **message}]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}


def test_tool_calls_without_results_are_kept_and_not_sent_back() -> None:
    conversation = settled(answered(content="b", tool_calls=[CALL]))
    assert conversation.records[-1]["message"]["tool_calls"] == [CALL]
    assert conversation.messages[-1] == {"role": "assistant", "content": "b"}


@pytest.mark.parametrize("message", [{"tool_calls": [CALL]}, {"content": "", "reasoning_content": "Hm"}], ids=repr)
def test_a_question_whose_answer_has_no_text_is_kept_and_not_sent_again(message: dict[str, Any]) -> None:
    conversation = settled(answered(**message))
    assert [each["message"]["role"] for each in conversation.records] == ["user", "assistant"]
    assert conversation.messages == []


def test_of_a_private_answer_only_what_can_be_encrypted_is_sent_back() -> None:
    conversation = settled(answered(content="b", reasoning_content="Hm"), private=True)
    assert conversation.messages[-1] == {"role": "assistant", "content": "b"}


@pytest.mark.parametrize("response", [None, answered(content=None), answered(content="")], ids=repr)
def test_a_question_without_an_answer_is_taken_back(response: ChatCompletionResponse | None) -> None:
    assert settled(response).records == []


def test_an_answer_is_shown_without_looking_at_what_was_shown_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", written := io.StringIO())
    screen = AnswerPrinter(reasoning=False)
    delta = ChatCompletionChunk.model_validate({"choices": [{"index": 0, "delta": {"content": "drip "}}]})
    for _ in range(2_000):
        screen.show(delta)
    assert written.getvalue() == "drip " * 2_000
    assert "drip" not in repr(vars(screen))
