"""`venice-chat chat`: one answer, or a conversation."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import click

from .._core.privacy import Privacy, encryption_requested_in
from . import _options, _output, _signals
from ._ask import AskOptions, ask, best_printer
from ._conversations import Conversation, opened, session_names
from ._input import needs_of, part_of, prompt_from, require_text, response_format, with_parts

_NOT_BY_PARAM = {name: f"use --{name.replace('_', '-')}" for name in ("model", "max_tokens", "timeout", "e2ee")}
_NOT_BY_PARAM.update({"messages": "use the prompt and --system", "response_format": "use --schema"})
_NOT_BY_PARAM.update(dict.fromkeys(("stream", "stream_cls"), "use --no-stream"))
_NOT_BY_PARAM["self"] = "Venice has no such parameter"  # what Python itself gives the call
_EXAMPLES = """\b
venice-chat chat What is a lagoon?
venice-chat chat "Summarise in one sentence:" < article.txt
venice-chat chat -a photo.jpg --schema "place: str, people: int" "Where is this?"
venice-chat chat -c --web-search on --usage And today?
"""


@click.command(epilog=_EXAMPLES)
@click.argument("prompt", nargs=-1)
@_options.model
@_options.system
@click.option(
    "-a", "--attach", multiple=True, type=click.Path(), metavar="FILE|URL", help="Image, PDF, audio, text; - is stdin."
)
@_options.schema
@click.option("--temperature", type=click.FloatRange(0, 2), metavar="0..2", help="0 is focused, 2 is random.")
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Most tokens of the answer, reasoning included.")
@click.option("--seed", type=click.IntRange(1), metavar="N", help="Above 0; the same seed makes the same answer likelier.")
@click.option("--web-search", type=click.Choice(["auto", "on", "off"]), help="Let the model search the web.")
@click.option("--e2ee", is_flag=True, help="Encrypt end to end, to an enclave whose hardware is verified (extra 'e2ee').")
@click.option("--min-privacy", type=click.Choice(["tee", "e2ee"]), help="Ask only in such an enclave; 'e2ee' is --e2ee.")
@_options.param
@click.option("-c", "--continue", "go_on", is_flag=True, help="Go on with the last session.")
@click.option("--session", metavar="NAME", shell_complete=session_names, help="Go on with this session, or begin it.")
@click.option("--save", is_flag=True, help="Keep a private conversation (--e2ee, --min-privacy), too: encrypted.")
@click.option("--no-log", is_flag=True, help="Keep nothing of this conversation.")
@_options.json
@click.option("--no-stream", is_flag=True, help="Print the answer when it is complete.")
@click.option("--usage", is_flag=True, help="Tell tokens and cost on stderr.")
@click.option("--reasoning", is_flag=True, help="Show the model's reasoning.")
@_options.with_connection
def chat(connection: _options.Connection, /, prompt: tuple[str, ...], **given: Any) -> None:
    """Ask a model and print its answer as it comes.

    The prompt is the arguments, followed by what is piped into stdin; '-' among the arguments says where that stands. At a
    terminal without a prompt it is a conversation: /help lists what else can be typed there.

    Conversations are kept in a file that only you may read ('venice-chat sessions'), but for private ones.
    """
    if sys.__stdout__ is None:
        raise click.ClickException("stdout is closed, and so no answer could be written")
    sent = _sent(given)
    floor: Privacy | None = "e2ee" if given["e2ee"] else given["min_privacy"]
    for name in ("system", "session"):
        require_text(f"--{name}", given[name] or "")
    text = prompt_from(prompt, given["attach"])
    parts = [part_of(each) for each in given["attach"]]
    schema = None if given["schema"] is None else response_format(given["schema"])
    if floor:
        _options.need_confidential()
    if given["model"] is None and "extra_headers" not in sent:  # headers may hold the proof of a wallet instead
        _options.need_key()
    if text is None and (given["as_json"] or schema is not None):
        raise click.UsageError("--json and --schema need a prompt")
    conversation = opened(given, private=floor is not None or encryption_requested_in(sent))
    asked = next((each["asked"] for each in conversation.answers[::-1]), None)
    needs = needs_of(parts) | ({"require_web_search": True} if given["web_search"] in {"auto", "on"} else {})
    shown = {name: given[name] for name in ("no_stream", "as_json", "usage", "reasoning")}
    options = AskOptions(asked if given["model"] is None else given["model"], sent, needs, schema, floor, **shown)
    _signals.handle(_signals.stop)
    if text is None:
        from ._interactive import converse

        converse(connection, options, conversation, parts)
    else:
        conversation.add("user", with_parts(text, parts))
        _answer(connection, options, conversation)


def _sent(given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the request."""
    named = {name: given[name.replace("completion_", "")] for name in ("temperature", "max_completion_tokens", "seed")}
    sent = {name: value for name, value in named.items() if value is not None} | dict(map(parameter, given["params"]))
    switches: Any = sent.get("venice_parameters") or {}
    if given["web_search"] is not None and isinstance(switches, dict):  # else the library says what is wrong with them
        sent["venice_parameters"] = {**switches, "enable_web_search": given["web_search"]}
    return sent


def _answer(connection: _options.Connection, options: AskOptions, conversation: Conversation) -> None:
    printer = best_printer(reasoning=options.reasoning)
    blocking = None if conversation.private else connection.blocking_client()  # encryption asks several servers at once
    client = blocking or connection.client(floor=options.floor)

    async def asked() -> None:
        async with client:
            await ask(client, options, conversation.messages, printer)

    try:
        with _output.quiet(sys.stdout), asyncio.Runner() as runner:
            # `run` would let the read of a socket go on after Ctrl-C.
            (runner.get_loop().run_until_complete if blocking else runner.run)(asked())
    except KeyboardInterrupt as stopped:
        vars(stopped)["partial"] = printer.response
        raise
    finally:  # after Ctrl-C, too: what came is kept
        conversation.settle(printer.response, printer.asked)


def parameter(given: str) -> tuple[str, Any]:
    """The name and the value in `KEY=JSON`."""
    name, equals, value = given.partition("=")
    if not (name.isidentifier() and equals):
        raise click.UsageError(f"--param {given!r} is not KEY=JSON, such as --param top_p=0.9")
    if name in _NOT_BY_PARAM:
        raise click.UsageError(f"--param {name}: {_NOT_BY_PARAM[name]}")
    try:
        return name, json.loads(value)
    except ValueError:
        raise click.UsageError(f"--param {name}: {value!r} is not JSON; text is --param '{name}=\"...\"'") from None
