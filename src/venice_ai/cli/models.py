"""`venice-chat models`: lists the catalogue, or prints the model that `chat` would take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, get_args

import click

from .._core.json_values import items, members
from ..costs import rate
from ..resources.model_choice import CAPABILITIES, can, spec_of
from ..resources.models import ModelType
from ..types.api.models import ModelResponse, ModelSpec
from . import _output
from ._connection import Connection, asking_for_models, with_connection
from ._tables import screen_width, table
from .completion import model_ids

_FLAGS = {wish.removeprefix("require_").replace("_", "-"): flag for wish, flag in CAPABILITIES.items()}
_HEADINGS = ("MODEL", "CONTEXT", "IN $/1M", "OUT $/1M", "PRIVACY", "NOTES", "CAPABILITIES")
_NUMBERS = ("CONTEXT", "IN $/1M", "OUT $/1M")
_LEAVE_OUT = ("CAPABILITIES", "PRIVACY", "CONTEXT", "NOTES", "IN $/1M")

_EXAMPLES = """\b
venice-chat models llama --sort price
venice-chat models --capability vision --max-price 2 --private
venice-chat models show llama-3.3-70b
venice-chat models --resolve --capability function-calling
"""


@click.command(epilog=_EXAMPLES)
@click.argument("words", nargs=-1, metavar="[TEXT | show ID]", shell_complete=model_ids)
@click.option("--type", "kind", type=click.Choice(get_args(ModelType)), help="Kind of models.  [default: text]")
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    type=click.Choice(list(_FLAGS)),
    help="Only models that can do this; may be given often.",
)
@click.option("--max-price", type=float, metavar="USD", help="Only models of which 1,000,000 tokens cost no more than that.")
@click.option("--private", is_flag=True, help="Only models that keep nothing of what is sent.")
@click.option(
    "--sort", type=click.Choice(["price", "context", "name"]), help="The cheapest, the largest context or the first name first."
)
@click.option("--cheapest", is_flag=True, help="The same as --sort price; with --resolve, take the cheapest.")
@click.option("--resolve", is_flag=True, help="Print only the id of the model that 'chat' would take.")
@click.option("--json", "as_json", is_flag=True, help="Print the catalogue's entries as JSON.")
@with_connection
def models(connection: Connection, /, words: tuple[str, ...], **wanted: Any) -> None:
    """List the models whose ids or names have all of the TEXT, or 'show' all that is known of one.

    Prices are US dollars for 1,000,000 tokens; no key is needed.
    """
    elsewhere = words or wanted["as_json"] or any(wanted[name] is not None for name in ("kind", "max_price", "sort"))
    if wanted["resolve"] and elsewhere:
        raise click.UsageError("--resolve prints the id of a text model; it goes with --capability, --private and --cheapest")
    asyncio.run(_list(connection, words, wanted))


async def _list(connection: Connection, words: Sequence[str], wanted: Mapping[str, Any]) -> None:
    async with connection.client() as client:
        with asking_for_models(client):
            if wanted["resolve"]:
                wishes: dict[str, Any] = {f"require_{name.replace('-', '_')}": True for name in wanted["capabilities"]}
                wishes |= {"prefer": "cheapest" if wanted["cheapest"] else None, "require_private": wanted["private"]}
                _output.line(await client.models.resolve_chat(**wishes))
                return
            if shows := len(words) == 2 and words[0] == "show":
                found = [await client.models.retrieve(words[1])]
            else:
                listed = (await client.models.list(type=wanted["kind"])).data
                # The catalogue is believed as far as it goes: what is not an entry cannot be shown.
                found = [each for each in listed if isinstance(each, ModelResponse) and _fits(each, words, wanted)]
    if order := "price" if wanted["cheapest"] else wanted["sort"]:
        found.sort(key=_ORDERS[order])
    if wanted["as_json"]:
        entries = [model.model_dump() for model in found]
        _output.line(json.dumps(entries[0] if shows else entries, indent=2, ensure_ascii=False))
    elif shows:
        if gone := [note for note in _notes(spec_of(found[0])) if note.startswith("retires")]:
            _output.line(f"!! DEPRECATED: {found[0].id} {gone[0]}")
        _output.line(table([("WHAT", "VALUE"), *_facts(found[0].model_dump())], width=screen_width()))
    elif found:
        rows = [_HEADINGS, *map(_row, found)]
        _output.line(table(rows, numbers=_NUMBERS, leave_out=_LEAVE_OUT, width=screen_width()))
    else:
        _output.note("no model of the catalogue has all that")


def _facts(entry: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """Every value of an entry with the path to it, so that what is new in the catalogue is shown, too."""
    if parts := members(entry):
        for name, value in parts.items():
            yield from _facts(value, f"{path}.{name}" if path and path != "model_spec" else name)
    else:
        yield path, entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)


def _fits(model: ModelResponse, words: Sequence[str], wanted: Mapping[str, Any]) -> bool:
    spec = spec_of(model)
    text = f"{model.id} {spec.name}".lower()
    prices = [_usd(model, side) for side in ("input", "output")]
    return (
        all(word.lower() in text for word in words)
        and set(wanted["capabilities"]) <= set(abilities(model))
        and (not wanted["private"] or spec.privacy == "private")
        and (wanted["max_price"] is None or max(inf if each is None else each for each in prices) <= wanted["max_price"])
    )


def abilities(model: ModelResponse) -> list[str]:
    """What a model can do, in the names of `--capability`."""
    return [name for name, flag in _FLAGS.items() if can(model, flag)]


def _row(model: ModelResponse) -> list[str]:
    spec = spec_of(model)
    return [
        str(model.id),
        f"{_context(model):,}" if _context(model) else "-",
        *(_dollars(_usd(model, side)) for side in ("input", "output")),
        str(spec.privacy or "-"),
        ", ".join(_notes(spec)),
        " ".join(abilities(model)) or "-",
    ]


def _notes(spec: ModelSpec) -> Iterable[str]:
    yield from map(str, items(spec.traits))
    if spec.offline is True:
        yield "offline"
    if spec.betaModel is True or spec.beta is True:
        yield "beta"
    retirement = getattr(spec.deprecation, "date", None)
    if isinstance(retirement, str):
        yield f"retires {retirement[:10]}"


def _usd(model: ModelResponse, side: str) -> float | None:
    price = rate(spec_of(model).pricing, 0, side)
    return None if price is None else float(price)


def _dollars(price: float | None) -> str:
    return "-" if price is None else f"{price:.2f}" if price == round(price, 2) else f"{price:g}"


def _price(model: ModelResponse) -> float:
    prices = [_usd(model, side) for side in ("input", "output")]
    return sum(inf if price is None else price for price in prices)


def _context(model: ModelResponse) -> int:
    context = spec_of(model).availableContextTokens
    return context if isinstance(context, int) else 0


_ORDERS: dict[str, Callable[[ModelResponse], Any]] = {
    "price": _price,
    "context": lambda model: -_context(model),
    "name": lambda model: str(model.id),
}
