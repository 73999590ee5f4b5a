"""`venice-chat gateway`: serves any program that speaks OpenAI's chat API, through one client."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import click

from .._limits.budget import Budget
from ..exceptions import InvalidArgumentError, InvalidRequestError
from ..tee.types import MeasurementPins, TeeOptions
from . import _options, _output
from .attest import read_object
from .serve import until_stopped

_LEAST = "The least for every chat; 'none' lets requests for e2ee-* models ask for less.  [default: e2ee for e2ee-* models]"
_LEVEL = click.Choice(["quote", "hardware", "pinned"])
_EXAMPLES = "\b\nvenice-chat gateway --min-privacy e2ee\nvenice-chat gateway --budget 5 --rpm 60 --fallback llama-3.3-70b"


@click.command(epilog=_EXAMPLES)
@_options.host
@_options.port(default=8788)
@click.option("--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="Let other machines call it by this name.")
@click.option("--token", envvar="VENICE_GATEWAY_TOKEN", help="What programs give as API key.  [default: a new one, printed]")
@click.option("--no-token", is_flag=True, help="Let any program on this machine ask.")
@click.option("--min-privacy", type=click.Choice(["e2ee", "tee", "none"]), help=_LEAST)
@click.option("--level", type=_LEVEL, default="hardware", show_default=True, help="What an enclave must prove beforehand.")
@click.option("--pin", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The software to accept: a pin file.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), metavar="USD", help="The most that all chats may cost.")
@click.option("--fallback", "fallbacks", multiple=True, metavar="MODEL", help="A model to ask in place of one that fails.")
@click.option("--sealed-tools", is_flag=True, help="Let encrypted chats have tools, in sealed messages.")
@click.option("--rpm", type=click.IntRange(1), metavar="N", help="How many chats may begin in a minute.")
@_options.json
@_options.with_endpoint
def gateway(endpoint: _options.Endpoint, /, token: str | None, no_token: bool, **given: Any) -> None:
    """Serve an OpenAI-compatible API on this machine: verified end-to-end encryption, limits and budgets for any program.

    Its address, a new token and a line for shells are printed on stdout. Ctrl-C, or SIGTERM, ends it after its last answer.
    """
    if token and no_token:
        raise click.UsageError("--token and --no-token exclude each other")
    if (given["level"] == "pinned") != (given["pin"] is not None):
        raise click.UsageError("--level pinned and --pin FILE need each other; venice-chat attest --write-pin makes a FILE")
    if given["min_privacy"] in {"e2ee", "tee"}:
        _options.need_confidential()
    _options.need_key()
    logging.getLogger("venice_ai.gateway").setLevel(logging.INFO)
    try:
        until_stopped(_run(endpoint, None if no_token else token or True, **given))
    except (InvalidRequestError, InvalidArgumentError) as error:
        raise click.UsageError(str(error)) from None


async def _run(endpoint: _options.Endpoint, token: Any, **given: Any) -> None:
    from .. import gateway as served

    pins = None if given["pin"] is None else MeasurementPins.from_dict(read_object(given["pin"]))
    client = endpoint.client(
        tee=TeeOptions(verification=given["level"], pins=pins),
        min_privacy=None if given["min_privacy"] == "none" else given["min_privacy"],
        budget=None if given["budget"] is None else Budget(usd=given["budget"]),
        fallback_models=given["fallbacks"],
    )
    options = {name: given[name] for name in ("host", "port", "allow_hosts", "sealed_tools", "rpm")}
    options["clear_on_request"] = given["min_privacy"] == "none"
    for name in given["fallbacks"]:
        async with _options.finding(client, name):
            await client.models.find(name)
    async with client, served.serve(client, token=token, **options) as running:
        made = running.token if token is True else None
        words = f"Venice gateway on {running.url}" + (f"\ntoken: {made}" if made else "")
        key = made or ("any" if token is None else '"$VENICE_GATEWAY_TOKEN"')
        words += f"\nexport OPENAI_BASE_URL={running.url} OPENAI_API_KEY={key}"
        _output.line(json.dumps({"url": running.url, "token": made}) if given["as_json"] else words)
        await asyncio.Event().wait()
