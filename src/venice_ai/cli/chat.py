"""`venice-chat chat`: one answer, or a conversation."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from .._core.privacy import Privacy, encryption_requested_in
from . import _options, _output, _signals
from ._ask import AskOptions, ask, best_printer
from ._conversations import Conversation, opened, session_names
from ._input import STDIN, needs_of, part_of, prompt_from, require_text, response_format, with_parts

_NOT_BY_PARAM = {name: f"use --{name.replace('_', '-')}" for name in ("model", "max_tokens", "timeout", "e2ee")}
_NOT_BY_PARAM.update({"messages": "use the prompt and --system", "response_format": "use --schema"})
_NOT_BY_PARAM.update(stream="use --no-stream", stream_cls="use --no-stream", self="Venice has no such parameter")
_EXAMPLES = """\b
venice-chat chat "What is a lagoon?"
venice-chat chat "Summarise in one sentence:" < article.txt
venice-chat chat -a photo.jpg --schema "place: str, people: int" "Where is this?"
venice-chat chat -c --web-search on --usage "And today?"
"""


@click.command(epilog=_EXAMPLES)
@click.argument("prompt", nargs=-1)
@_options.model
@_options.system
@click.option(
    "-a", "--attach", multiple=True, type=click.Path(), metavar="FILE|URL", help="Image, PDF, audio, text; '-': stdin."
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
@_options.with_endpoint
def chat(endpoint: _options.Endpoint, /, prompt: tuple[str, ...], **given: Any) -> None:
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
    sealed = floor == "e2ee" or encryption_requested_in(sent)
    attached = dict.fromkeys("-" if each in STDIN else each for each in given["attach"])
    parts = {each: part_of(each, sealed=sealed) for each in attached}
    schema = None if given["schema"] is None else response_format(given["schema"])
    if floor:
        _options.need_confidential()
    if given["model"] is None and "extra_headers" not in sent:  # headers may hold the proof of a wallet instead
        _options.need_key()
    if text is None and (given["as_json"] or schema is not None or sent.get("n", 1) != 1):
        raise click.UsageError("--json, --schema and --param n=... need a prompt; in a conversation each answer is one")
    conversation = opened(given, sealed=sealed)
    asked = next((each["asked"] for each in conversation.answers[::-1]), None)
    needs = needs_of(parts.values()) | ({"require_web_search": True} if given["web_search"] in {"auto", "on"} else {})
    shown = {name: given[name] for name in ("no_stream", "as_json", "usage", "reasoning")}
    options = AskOptions(asked if given["model"] is None else given["model"], sent, needs, schema, floor, **shown)
    _signals.handle(_signals.stop)
    if text is None:
        from ._interactive import converse

        converse(endpoint, options, conversation, parts)
    else:
        conversation.add("user", with_parts(text, parts.values()), [*parts])
        _answer(endpoint, options, conversation)


def _sent(given: dict[str, Any]) -> dict[str, Any]:
    named = {name: given[name.replace("completion_", "")] for name in ("temperature", "max_completion_tokens", "seed")}
    sent = parameters(given["params"], named)
    switches: Any = sent.get("venice_parameters") or {}
    if given["web_search"] is not None and isinstance(switches, dict):  # else the library says what is wrong with them
        sent["venice_parameters"] = {**switches, "enable_web_search": given["web_search"]}
    return sent


def _answer(endpoint: _options.Endpoint, options: AskOptions, conversation: Conversation) -> None:
    printer = best_printer(reasoning=options.reasoning)
    blocking = None if conversation.private else endpoint.blocking_client()  # encryption asks several servers at once
    client = blocking or endpoint.client(floor=options.floor)

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
        conversation.settle(printer.response, printer.asked, stopped=isinstance(sys.exception(), KeyboardInterrupt))


def parameters(given: Iterable[str], named: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `--param`, with those that have an option of their own; a UsageError for one that is given twice."""
    sent = {name: value for name, value in named.items() if value is not None}
    for each in given:
        name, equals, value = each.partition("=")
        if not (name.isidentifier() and equals):
            raise click.UsageError(f"--param {each!r} is not KEY=JSON, such as --param top_p=0.9")
        if name in _NOT_BY_PARAM:
            raise click.UsageError(f"--param {name}: {_NOT_BY_PARAM[name]}")
        if name in sent:
            option = f"--{name.replace('completion_', '').replace('_', '-')}" if name in named else "another one like it"
            raise click.UsageError(f"--param {name}=... and {option} say the same thing; leave one of them out")
        try:
            sent[name] = json.loads(value)
        except ValueError:
            raise click.UsageError(f"--param {name}: {value!r} is not JSON; text is --param '{name}=\"...\"'") from None
    return sent
