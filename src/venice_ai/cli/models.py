"""`venice-chat models`: lists the catalogue, or prints the model that `chat` would take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import click

from .._core.json_values import items
from ..costs import rate
from ..resources.model_choice import CAPABILITIES, can, spec_of
from ..resources.models import ModelType
from ..types.api.models import ModelResponse, ModelSpec
from . import _output
from ._connection import Connection, asking_for_models, with_connection

_FLAGS = {wish.removeprefix("require_").replace("_", "-"): flag for wish, flag in CAPABILITIES.items()}
_HEADINGS = ("MODEL", "CONTEXT", "IN $/1M", "OUT $/1M", "PRIVACY", "NOTES", "CAPABILITIES")
_NUMBERS = frozenset({"CONTEXT", "IN $/1M", "OUT $/1M"})

_EXAMPLES = """\b
venice-chat models --capability vision --cheapest
venice-chat models --resolve --capability function-calling
"""


@click.command(short_help="List the models and their prices.", epilog=_EXAMPLES)
@click.option("--type", "kind", type=click.Choice(get_args(ModelType)), help="Kind of models.  [default: text]")
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    type=click.Choice(list(_FLAGS)),
    help="Only models that can do this; may be given often.",
)
@click.option("--cheapest", is_flag=True, help="Cheapest first; with --resolve, take the cheapest.")
@click.option("--resolve", is_flag=True, help="Print only the id of the model that 'chat' would take.")
@click.option("--json", "as_json", is_flag=True, help="Print the catalogue's entries as JSON.")
@with_connection
def models(connection: Connection, /, **wanted: Any) -> None:
    """List the models. Prices are US dollars for 1,000,000 tokens; no key is needed."""
    if wanted["resolve"] and (wanted["kind"] is not None or wanted["as_json"]):
        raise click.UsageError("--resolve prints the id of a text model; leave out --type and --json")
    asyncio.run(_list(connection, **wanted))


async def _list(
    connection: Connection, kind: ModelType | None, resolve: bool, as_json: bool, capabilities: Sequence[str], cheapest: bool
) -> None:
    async with connection.client() as client:
        with asking_for_models(client):
            if resolve:
                wishes: dict[str, Any] = {f"require_{name.replace('-', '_')}": True for name in capabilities}
                _output.line(await client.models.resolve_chat(prefer="cheapest" if cheapest else None, **wishes))
                return
            listed = (await client.models.list(type=kind)).data
    # The catalogue is believed as far as it goes: what is not an entry cannot be shown.
    found = [each for each in listed if isinstance(each, ModelResponse) and set(capabilities) <= set(abilities(each))]
    if cheapest:
        found.sort(key=_price)
    if as_json:
        import json

        _output.line(json.dumps([model.model_dump() for model in found], indent=2, ensure_ascii=False))
    elif found:
        _output.line("\n".join(table([_HEADINGS, *map(_row, found)])))
    else:
        _output.note("no model of the catalogue has all that")


def abilities(model: ModelResponse) -> list[str]:
    """What a model can do, in the names of `--capability`."""
    return [name for name, flag in _FLAGS.items() if can(model, flag)]


def table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Rows as lines with aligned columns, the first row being headings."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(rows[0], row, widths, strict=True)
        yield "  ".join(cell.rjust(width) if head in _NUMBERS else cell.ljust(width) for head, cell, width in cells).rstrip()


def _row(model: ModelResponse) -> list[str]:
    spec = spec_of(model)
    context: Any = spec.availableContextTokens
    return [
        str(model.id),
        f"{context:,}" if isinstance(context, int) else "-",
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
    return float("inf") if None in prices else sum(filter(None, prices))
