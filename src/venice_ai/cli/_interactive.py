"""The conversation at a terminal: what is typed is a message, or a command such as `/model`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

import click
from platformdirs import user_data_path
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import NestedCompleter, PathCompleter, WordCompleter, merge_completers
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import DummyOutput, create_output
from prompt_toolkit.utils import is_dumb_terminal

from .._client import VeniceClient
from ..exceptions import VeniceError
from ..resources.model_choice import CAPABILITIES, can
from ..types.api.chat import content_text
from . import _output, _signals
from ._ask import AskOptions, ask, best_printer, chosen_model
from ._conversations import Conversation, SessionStore
from ._errors import did_you_mean, in_our_words
from ._input import needs_of, part_of, with_parts
from ._options import Endpoint
from .sessions import markdown

_COMMAND = re.compile(r"(/\S*)[ \t]*([^\n]*)\Z")  # several lines are never one, nor is what begins with a blank


def converse(endpoint: Endpoint, options: AskOptions, conversation: Conversation, parts: dict[str, Any]) -> None:
    """Asks what is typed, until /quit or the end of stdin. An error of an answer, or Ctrl-C, ends that answer alone."""
    with _output.quiet(sys.stdin), asyncio.Runner() as runner, contextlib.suppress(EOFError):
        client = endpoint.client(floor=options.floor)
        try:
            options = replace(options, model=runner.run(chosen_model(client, options)))
            _Talk(runner, client, options, conversation, parts).go_on()
        finally:
            runner.run(client.close())


@dataclass
class _Talk:
    runner: asyncio.Runner
    client: VeniceClient
    options: AskOptions
    conversation: Conversation
    parts: dict[str, Any]  # what is attached to the next message, by its name
    failed: Any = None  # the last question, if there was no answer to it

    def go_on(self) -> None:
        models = list[str]()
        with contextlib.suppress(VeniceError):  # they are for completion alone
            models = [str(model.id) for model in self.runner.run(self.client.models.list()).data]
        session = _session(models, keeps=self.conversation.store is not None and not self.conversation.private)
        stored_as = f"session {self.conversation.name}" if self.conversation.store else "not kept"
        _output.note(f"this is {self.options.model}, {stored_as}; /help lists commands, Ctrl-D ends, Ctrl-C stops an answer")
        for each in self.conversation.records[-2:] if self.conversation.answers else ():
            _output.aside(f"{each['message']['role']}: {shorten(content_text(each['message'].get('content')) or '', 200)}\n")
        if self.parts:
            _output.note(self.attach(""))
        marking = DummyOutput() if is_dumb_terminal() else session.output
        try:
            while not _signals.received:
                with contextlib.suppress(KeyboardInterrupt):
                    # Of what was typed while an answer came each line is a message or a command. `_send` knows its ends by
                    # their missing text.
                    while keys := session.input.read_keys():
                        ahead = (KeyPress(key.key, "") if key.key in {Keys.ControlM, Keys.ControlJ} else key for key in keys)
                        store_typeahead(session.input, [*ahead])
                    text = session.prompt("> ").rstrip()
                    marking.enable_bracketed_paste()  # what is pasted while an answer comes is one message, too
                    marking.flush()
                    if command := _COMMAND.match("/quit" if text in {"exit", "quit"} else text):
                        self._obey(command[1], command[2].strip())
                    elif text.strip() or self.parts:
                        self._ask(text, self.parts)
        finally:
            marking.disable_bracketed_paste()
            marking.flush()

    def _ask(self, content: Any, parts: dict[str, Any]) -> None:
        """Asks something with attachments; without any answer these are attached to the next message again."""
        self.conversation.add("user", with_parts(content, parts.values()), [*parts])
        screen, self.failed = best_printer(reasoning=self.options.reasoning), None
        self.parts, stopped = {} if parts is self.parts else self.parts, False
        try:
            self.runner.run(ask(self.client, self.options, self.conversation.messages, screen))
        except (VeniceError, click.UsageError, KeyboardInterrupt) as error:
            stopped = isinstance(error, KeyboardInterrupt)
            _output.note(in_our_words(error) or "stopped")  # Ctrl-C says nothing of itself
        finally:
            if not self.conversation.settle(screen.response, screen.asked, stopped=stopped):
                self.failed, self.parts = content, parts | self.parts
        if self.failed is not None and self.parts:
            _output.note(self.attach(""))

    def _obey(self, name: str, rest: str) -> None:
        words, act = _COMMANDS.get(name, ("", None))
        text = f"there is no {name}; /help lists commands. To send a line that begins so, put a blank before it"
        try:
            if act and rest and words[0].islower():
                text = f"{name} takes nothing after it, so nothing was done; leave out {rest!r}"
            else:
                text = act(self, rest) if act else text + did_you_mean(name, _COMMANDS)
        except (VeniceError, OSError, click.UsageError) as error:
            text = in_our_words(error)
        if text:
            _output.note(text)

    def help(self, _: str) -> str:
        _output.line("\n".join(f"{name:<8} {words}" for name, (words, _) in _COMMANDS.items()))
        return "Alt-Enter begins a new line; what is pasted is one message"

    def model(self, name: str) -> str:
        if name:
            found, floor = self.runner.run(self.client.models.find(name)), self.options.floor
            if floor and not can(found, CAPABILITIES[f"require_{floor}"]):
                return f"{found.id} cannot answer in private (--{floor}), so this is still {self.options.model}"
            self.options = replace(self.options, model=str(found.id))
        return f"this is {self.options.model}"

    def system(self, text: str) -> str:
        if text:
            self.conversation.add("system", "" if text == "none" else text)
        instructions = next((each["content"] for each in self.conversation.messages if each["role"] == "system"), "none")
        return f"the instructions from here on: {instructions}"

    def attach(self, given: str) -> str:
        if given == "none":
            self.parts = {}
        elif given:
            if not Path(given).expanduser().exists():
                with contextlib.suppress(ValueError):  # a quote that is not closed
                    given = " ".join(shlex.split(given))  # a terminal into which a file is dropped quotes its name
            self.parts[given] = part_of(given, sealed=self.conversation.private and self.options.floor != "tee")
        note, model = f"attached to the next message: {', '.join(self.parts) or 'nothing'}", self.options.model
        if needs := needs_of(self.parts.values()):
            alternative = replace(self.options, model=None, needs={"preferred_models": [model], **needs})
            with contextlib.suppress(VeniceError):  # it is a hint alone
                if (able := self.runner.run(chosen_model(self.client, alternative))) != model:
                    note += f"; {model} cannot take it, '/model {able}' can"
        return note

    def save(self, name: str) -> str:
        if not self.conversation.answers:
            return "there is no answer to keep"
        if name:
            path = Path(name).expanduser()
            if path.exists():
                return f"{name} is there already; give another FILE"
            path.touch(0o600)
            path.write_text("\n".join(map(markdown, self.conversation.records)), encoding="utf-8")
        elif self.conversation.store is None and not self.conversation.private:
            return "nothing is kept of this conversation; '/save FILE' writes it to a Markdown file"
        elif self.conversation.store is None:
            self.conversation.store = SessionStore()
            self.conversation.keep()
        return f"saved: {name or self.conversation.name}"

    def copy(self, _: str) -> str:
        text = content_text(self.conversation.answers[-1]["message"].get("content")) if self.conversation.answers else None
        if not text or not sys.stdout.isatty():
            return "there is no answer to copy, or no terminal to copy it"
        # OSC 52: the terminal puts it into the clipboard, also over SSH. https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
        sys.stdout.write(f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode()}\a")
        sys.stdout.flush()  # before the next prompt, which is written past this buffer
        return "copied, if the terminal allows it"

    def again(self, _: str) -> str:
        question, parts = (self.conversation.undo(), {}) if self.failed is None else (self.failed, self.parts)
        if question is not None:
            self._ask(question, parts)
        return "there is nothing to ask again" if question is None else ""

    def undo(self, _: str) -> str:
        return "took the last question and its answer back" if self.conversation.undo() else "there is nothing to take back"

    def cost(self, _: str) -> str:
        back, paid = len(self.conversation.taken_back), [*self.conversation.answers, *self.conversation.taken_back]
        tokens, cost = (sum(each[what] or 0 for each in paid) for what in ("tokens", "cost_usd"))
        totals = f"{len(paid)} answer{'s' * (len(paid) != 1)}{f' ({back} of them taken back)' * bool(back)}, {tokens:,} tokens"
        unknown = sum(each["cost_usd"] is None for each in paid)
        return f"{totals}, ${cost:.6f}" + f"; without the cost of {unknown}, which did not tell it" * bool(unknown)

    def end(self, _: str) -> str:
        raise EOFError


_COMMANDS: Final[dict[str, tuple[str, Callable[[_Talk, str], str]]]] = {
    "/help": ("list what can be typed", _Talk.help),
    "/model": ("[ID] show or change the model", _Talk.model),
    "/system": ("[TEXT|none] show, replace or drop the instructions", _Talk.system),
    "/attach": ("[FILE|URL|none] show, add to or drop what goes with the next message", _Talk.attach),
    "/save": ("[FILE] write it to a new Markdown file, or keep a private conversation", _Talk.save),
    "/copy": ("copy the last answer", _Talk.copy),
    "/retry": ("ask the last question again", _Talk.again),
    "/undo": ("take the last question and its answer back", _Talk.undo),
    "/cost": ("what this conversation cost", _Talk.cost),
    "/quit": ("end; so does Ctrl-D", _Talk.end),
}


def _session(models: list[str], *, keeps: bool) -> PromptSession[str]:
    history: History = InMemoryHistory()
    with contextlib.suppress(OSError):
        if keeps:
            path = user_data_path("venice-chat", ensure_exists=True) / "history"
            path.touch(0o600)
            history = FileHistory(path)
    words = WordCompleter([*_COMMANDS, *(f"/model {name}" for name in models)], sentence=True)
    files = NestedCompleter(dict.fromkeys(("/attach", "/save"), PathCompleter(expanduser=True)))
    keys = KeyBindings()

    @keys.add("enter")
    @keys.add("c-j")
    def _send(event: KeyPressEvent) -> None:
        # A dumb terminal does not mark what is pasted: more keys are there at once, and nobody types so fast.
        pasted = is_dumb_terminal() and event.data and event.key_processor.input_queue
        event.current_buffer.insert_text("\n") if pasted else event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    # The prompt is not part of an answer that goes to a file.
    options: dict[str, Any] = {"output": None if sys.stdout.isatty() else create_output(sys.stderr), "key_bindings": keys}
    options["completer"] = merge_completers([words, files], deduplicate=True)
    return PromptSession(history=history, multiline=True, complete_while_typing=False, **options)
