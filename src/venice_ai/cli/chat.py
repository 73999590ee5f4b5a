"""`venice-chat chat`: one answer, or a conversation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import select
import sys
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from .._client import VeniceClient
from ..exceptions import AuthenticationError, VeniceError
from . import _output
from ._ask import AnswerPrinter, AskOptions, ask, chosen_model
from ._connection import Connection, need_confidential, need_key, with_connection
from ._errors import in_our_words
from ._input import prompt_from, require_text

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse

_PASTED_SECONDS = 0.05
_COMMAND = re.compile(r"/\S*(?=[^\n]*\Z)")
"""The beginning of a line that is a command, such as `/quit`. Several lines are never a command."""

_OPTIONS_OF_THEIR_OWN = {
    **{name: f"--{name.replace('_', '-')}" for name in ("model", "max_tokens", "timeout", "e2ee")},
    "messages": "the prompt and --system",
    "stream": "--no-stream",
    "stream_cls": "--no-stream",
}
_EXAMPLES = """\b
venice-chat chat What is a lagoon?
venice-chat chat "Summarise in one sentence:" < article.txt
venice-chat chat --web-search on --usage What happened in Venice today?
"""


@click.command(short_help="Ask a model, or talk with it.", epilog=_EXAMPLES)
@click.argument("prompt", nargs=-1)
@click.option("-m", "--model", metavar="ID", help="Model to ask.  [default: what 'models --resolve' says]")
@click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")
@click.option("--temperature", type=float, metavar="0..2", help="0 is focused, 2 is random.")
@click.option("--max-tokens", type=int, metavar="N", help="Most tokens of the answer, reasoning included.")
@click.option("--seed", type=int, metavar="N", help="Above 0; the same seed makes the same answer likelier.")
@click.option("--web-search", type=click.Choice(["auto", "on", "off"]), help="Let the model search the web.")
@click.option("--e2ee", is_flag=True, help="Encrypt end to end, to an enclave whose hardware is verified (extra 'e2ee').")
@click.option("--param", "params", multiple=True, metavar="KEY=JSON", help="Any other parameter; may be given often.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole response as JSON.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is complete.")
@click.option("--usage", is_flag=True, help="Tell tokens and cost on stderr.")
@click.option("--reasoning", is_flag=True, help="Show the model's reasoning on stderr.")
@with_connection
def chat(
    connection: Connection,
    /,
    prompt: tuple[str, ...],
    system: str | None,
    web_search: str | None,
    e2ee: bool,
    params: tuple[str, ...],
    no_stream: bool,
    **given: Any,
) -> None:
    """Ask a model and print its answer as it comes.

    The prompt is the arguments, followed by what is piped into stdin; '-' among the arguments says where that stands. At a
    terminal without a prompt it is a conversation: /quit or Ctrl-D ends it, Ctrl-C only the answer being given.
    """
    names = {"temperature": "temperature", "max_tokens": "max_completion_tokens", "seed": "seed"}
    named = {name: given.pop(option) for option, name in names.items()}
    sent = {name: value for name, value in named.items() if value is not None} | dict(map(parameter, params))
    switches: Any = sent.get("venice_parameters") or {}
    if web_search is not None and isinstance(switches, dict):  # else the library says what is wrong with them
        sent["venice_parameters"] = {**switches, "enable_web_search": web_search}
    options = AskOptions(params=sent, searches=web_search in {"auto", "on"}, stream=not no_stream, sealed=e2ee, **given)
    if system is not None:
        require_text("--system", system)
    text = prompt_from(prompt)
    if e2ee:
        need_confidential()
    if options.model is None and "extra_headers" not in sent:  # headers may hold the proof of a wallet instead
        need_key()
    opening = [{"role": "system", "content": system}] if system else []
    if text is not None:
        asyncio.run(_answer(connection, options, [*opening, {"role": "user", "content": text}]))
    elif options.as_json:
        raise click.UsageError("--json needs a prompt")
    else:
        _converse(connection, options, opening)


async def _answer(connection: Connection, options: AskOptions, messages: list[dict[str, Any]]) -> None:
    async with connection.client(sealed=options.sealed) as client:
        await ask(client, options, messages, AnswerPrinter(reasoning=options.reasoning))


def parameter(given: str) -> tuple[str, Any]:
    """The name and the value in `KEY=JSON`."""
    name, equals, value = given.partition("=")
    if not (name.isidentifier() and equals):
        raise click.UsageError(f"--param {given!r} is not KEY=JSON, such as --param top_p=0.9")
    if name == "self":  # what Python itself gives the call
        raise click.UsageError("--param self: Venice has no such parameter")
    if name in _OPTIONS_OF_THEIR_OWN:
        raise click.UsageError(f"--param {name}: use {_OPTIONS_OF_THEIR_OWN[name]}")
    try:
        return name, json.loads(value)
    except ValueError:
        raise click.UsageError(f"--param {name}: {value!r} is not JSON; text is --param '{name}=\"...\"'") from None


# -- a conversation ------------------------------------------------------------------------------------------------------


def _converse(connection: Connection, options: AskOptions, messages: list[dict[str, Any]]) -> None:
    """Asks what is typed, until /quit or the end of stdin; errors of an answer are printed, and it goes on."""
    with contextlib.suppress(ImportError):
        import_module("readline")  # gives `input` its line editing and history
    with asyncio.Runner() as runner:  # each answer is one run: Ctrl-C ends that run, and the session goes on
        client = connection.client(sealed=options.sealed)
        try:
            options = replace(options, model=runner.run(chosen_model(client, options)))
            _output.note(f"this is {options.model}; /quit or Ctrl-D ends, Ctrl-C stops an answer")
            while (text := _read()) is not None:
                if unknown := _COMMAND.match(text):
                    _output.note(f"there is no {unknown[0]}; /quit ends. To send a line that begins so, put a blank before it")
                elif text.strip():
                    messages.append({"role": "user", "content": text})
                    settle(messages, _turn(runner, client, options, messages), sealed=options.sealed)
        finally:
            runner.run(client.close())


def _turn(
    runner: asyncio.Runner, client: VeniceClient, options: AskOptions, messages: list[dict[str, Any]]
) -> ChatCompletionResponse | None:
    printer = AnswerPrinter(reasoning=options.reasoning)
    try:
        runner.run(ask(client, options, messages, printer))
    except KeyboardInterrupt:
        _output.note("stopped")
    except AuthenticationError:
        raise
    except VeniceError as error:
        _output.note(in_our_words(error))
    return printer.response


def settle(messages: list[dict[str, Any]], response: ChatCompletionResponse | None, *, sealed: bool = False) -> None:
    """Adds the model's answer, without tool calls; if `sealed`, its text alone. Without an answer, takes the question back."""
    if response is None or not response.text:
        messages.pop()
        return
    turn = response.choices[0].message.model_dump()
    kept = {"role", "content"} if sealed else turn.keys() - {"tool_calls"}
    messages.append({name: value for name, value in turn.items() if name in kept} | {"role": "assistant"})


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
