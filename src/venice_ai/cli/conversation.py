"""A conversation at the terminal.

One event loop serves the session, and each answer is one run of it: Ctrl-C ends that run, and the session goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import select
import sys
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._client import VeniceClient
from ..exceptions import AuthenticationError, VeniceError
from . import _output, _remedies
from ._ask import AnswerPrinter, AskOptions, ask, chosen_model
from ._connection import Connection

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse

_PASTED_SECONDS = 0.05
_COMMAND = re.compile(r"/\S*(?=[^\n]*\Z)")
"""The beginning of a line that is a command, such as `/quit`. Several lines are never a command."""


def opening(system: str | None) -> list[dict[str, Any]]:
    """The first messages of a conversation: the system prompt, if there is one."""
    return [{"role": "system", "content": system}] if system else []


class Conversation:
    """What was said so far, without questions that have no answer; if `sealed`, nothing but the texts can be sent back."""

    def __init__(self, system: str | None, *, sealed: bool = False) -> None:
        self._sealed = sealed
        self.messages: list[dict[str, Any]] = opening(system)

    def ask(self, text: str) -> None:
        """Adds the user's message to the history."""
        self.messages.append({"role": "user", "content": text})

    def settle(self, response: ChatCompletionResponse | None) -> None:
        """Adds the model's answer to the history, without tool calls; without an answer, takes the question back."""
        if response is None or not response.text:
            self.messages.pop()
            return
        turn = response.choices[0].message.model_dump()
        kept = {"role", "content"} if self._sealed else turn.keys() - {"tool_calls"}
        self.messages.append({name: value for name, value in turn.items() if name in kept} | {"role": "assistant"})


def converse(connection: Connection, options: AskOptions, system: str | None) -> None:
    """Asks what is typed, until /quit or the end of stdin; errors of an answer are printed, and it goes on."""
    with contextlib.suppress(ImportError):
        import_module("readline")  # gives `input` its line editing and history
    conversation = Conversation(system, sealed=options.sealed)
    with asyncio.Runner() as runner:
        client = connection.client(sealed=options.sealed)
        try:
            model = runner.run(chosen_model(client, options))
            _output.note(f"this is {model}; /quit or Ctrl-D ends, Ctrl-C stops an answer")
            while (text := _read()) is not None:
                if unknown := _COMMAND.match(text):
                    _output.note(f"there is no {unknown[0]}; /quit ends. To send a line that begins so, put a blank before it")
                elif text.strip():
                    _turn(runner, client, replace(options, model=model), conversation, text)
        finally:
            runner.run(client.close())


def _turn(runner: asyncio.Runner, client: VeniceClient, options: AskOptions, conversation: Conversation, text: str) -> None:
    conversation.ask(text)
    printer = AnswerPrinter(reasoning=options.reasoning)
    try:
        runner.run(ask(client, options, conversation.messages, printer))
    except KeyboardInterrupt:
        _output.note("stopped")
    except AuthenticationError:
        raise
    except VeniceError as error:
        _output.note(_remedies.in_our_words(error))
    conversation.settle(printer.response)


def _read() -> str | None:
    """What is typed next: a line, or all the lines that were pasted; empty after Ctrl-C; None at the end."""
    prompt = "> "
    if not sys.stdout.isatty():  # the prompt is no part of an answer that goes to a file
        _output.aside(prompt)
        prompt = ""
    try:
        lines = [input(prompt)]
        with contextlib.suppress(EOFError):  # after a text; it comes again
            # More lines came with the last one, being pasted: nobody types so fast. Windows lets nobody ask a console.
            while sys.platform != "win32" and select.select([sys.stdin], [], [], _PASTED_SECONDS)[0]:
                lines.append(input())
    except KeyboardInterrupt:
        _output.aside("\n")
        return ""
    except EOFError:
        _output.aside("\n")
        return None
    text = "\n".join(lines).rstrip()
    return None if text in {"/quit", "/exit"} else text
