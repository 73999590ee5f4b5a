"""A conversation at the terminal.

One event loop serves the whole session, and each answer is one run of it: Ctrl-C ends that run, which closes the stream,
and the session goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import replace
from importlib import import_module
from typing import Any

from .._client import VeniceClient
from ..exceptions import AuthenticationError, VeniceError
from . import _output, _remedies
from ._asking import Manner, Screen, ask, chosen_model
from ._connection import Connection


def opening(system: str | None) -> list[dict[str, Any]]:
    """How a conversation begins."""
    return [{"role": "system", "content": system}] if system else []


class Conversation:
    """What was said so far. A question without any answer is taken back."""

    def __init__(self, system: str | None) -> None:
        self.messages: list[dict[str, Any]] = opening(system)

    def ask(self, text: str) -> None:
        """The user says something."""
        self.messages.append({"role": "user", "content": text})

    def settle(self, answer: str) -> None:
        """The model has said this, or nothing."""
        if answer:
            self.messages.append({"role": "assistant", "content": answer})
        else:
            self.messages.pop()


def converse(connection: Connection, manner: Manner, system: str | None) -> None:
    """Asks what is typed, until /quit or the end of stdin.

    Raises:
        VeniceError: the catalogue could not be had, or the key is not accepted. Other failures are told, and it goes on.
    """
    with contextlib.suppress(ImportError):
        import_module("readline")  # gives `input` its line editing and history
    conversation = Conversation(system)
    with asyncio.Runner() as runner:
        client = connection.client(sealed=manner.sealed)
        try:
            model = runner.run(chosen_model(client, manner))
            _output.note(f"this is {model}; /quit or Ctrl-D ends, Ctrl-C stops an answer")
            while (text := _read()) is not None:
                if text:
                    _turn(runner, client, replace(manner, model=model), conversation, text)
        finally:
            runner.run(client.close())


def _turn(runner: asyncio.Runner, client: VeniceClient, manner: Manner, conversation: Conversation, text: str) -> None:
    conversation.ask(text)
    screen = Screen(reasoning=manner.reasoning)
    try:
        runner.run(ask(client, manner, conversation.messages, screen))
    except KeyboardInterrupt:
        _output.note("stopped")
    except AuthenticationError:
        raise
    except VeniceError as error:
        _output.note(_remedies.message(error))
    conversation.settle(screen.text)


def _read() -> str | None:
    """The next line; empty after Ctrl-C; None at the end."""
    prompt = "> "
    if not sys.stdout.isatty():  # the prompt is no part of an answer that goes to a file
        _output.aside(prompt)
        prompt = ""
    try:
        text = input(prompt).strip()
    except KeyboardInterrupt:
        _output.aside("\n")
        return ""
    except EOFError:
        _output.aside("\n")
        return None
    return None if text in {"/quit", "/exit"} else text
