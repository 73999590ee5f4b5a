"""`venice-chat models`: lists the catalogue, or prints the model that `chat` would take; `venice-chat cost`: what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any, get_args

import click

from .._core.json_values import items, members
from ..costs import rate
from ..resources.model_choice import CAPABILITIES, can, spec_of
from ..resources.models import ModelType
from ..types.api.models import ModelResponse, ModelSpec
from . import _options, _output
from ._input import prompt_from

_COLUMNS = {"MODEL": "{id}", "CONTEXT": "{context}", "IN $/1M": "{input}", "OUT $/1M": "{output}", "PRIVACY": "{privacy}"}
_COLUMNS.update({"NOTES": "{notes}", "CAPABILITIES": "{abilities}"})
_FLAGS = {wish.removeprefix("require_").replace("_", "-"): flag for wish, flag in CAPABILITIES.items()}
_EXAMPLES = """\b
venice-chat models llama --sort price
venice-chat models --capability vision --max-price 2 --private
venice-chat models show llama-3.3-70b
venice-chat models --resolve --capability function-calling
"""


@click.command(epilog=_EXAMPLES)
@click.argument("words", nargs=-1, metavar="[TEXT | show ID]", shell_complete=_options.model_ids)
@click.option("--type", "kind", type=click.Choice(get_args(ModelType)), help="Kind of models.  [default: text]")
@click.option("--capability", "capabilities", multiple=True, type=click.Choice([*_FLAGS]), help="Only models that can do this.")
@click.option("--max-price", type=float, metavar="USD", help="Only models whose tokens cost at most that a million.")
@click.option("--private", is_flag=True, help="Only models that keep nothing of what is sent.")
@click.option("--sort", type=click.Choice(["price", "context", "name"]), help="The cheapest, largest or first name first.")
@click.option("--cheapest", is_flag=True, help="The same as --sort price; with --resolve, take the cheapest.")
@click.option("--resolve", is_flag=True, help="Print only the id of the model that 'chat' would take.")
@_options.json
@_options.with_endpoint
async def models(endpoint: _options.Endpoint, /, words: Sequence[str], **options: Any) -> None:
    """List the models whose ids or names have all of the TEXT, or 'show' all that is known of one.

    Prices are US dollars for 1,000,000 tokens; no key is needed.
    """
    if not (options["max_price"] or 0) >= 0:  # NaN is neither
        raise click.UsageError(f"--max-price {options['max_price']} is not an amount of 0 or more US dollars")
    if options["cheapest"] and options["sort"] not in {None, "price"}:
        raise click.UsageError(f"--cheapest is --sort price, not --sort {options['sort']}")
    if options["resolve"] and (words or any(options[name] is not None for name in ("kind", "max_price", "sort"))):
        raise click.UsageError("--resolve prints the id of a text model; it goes with --capability, --private and --cheapest")
    if words == ("list",) or (words[:1] == ("show",) and len(words) != 2):
        raise click.UsageError("'models show' takes the id of a model; 'models' alone lists all")
    async with endpoint.client() as client, _options.finding(client, *words[1:2]):
        if options["resolve"]:
            wishes: dict[str, Any] = {f"require_{name.replace('-', '_')}": True for name in options["capabilities"]}
            wishes |= {"prefer": "cheapest" if options["cheapest"] else None, "require_private": options["private"]}
            chosen = await client.models.resolve_chat(**wishes)
            _output.write_json({"id": chosen}) if options["as_json"] else _output.line(chosen)
            return
        if words[:1] == ("show",):
            model, as_json = await client.models.retrieve(words[1]), options["as_json"]
            retires = next((note for note in _notes(spec_of(model)) if note.startswith("retires")), None)
            if retires and not as_json:
                _output.line(f"!! DEPRECATED: {model.id} {retires}")
            facts = model.model_dump() if as_json else [*_facts(model.model_dump())]
            _output.table(facts, {"WHAT": "{what}", "VALUE": "{value}"}, as_json=as_json)
            return
        listed = (await client.models.list(type=options["kind"])).data
    # The catalogue is believed as far as it goes: what is not an entry cannot be shown.
    found = [each for each in listed if isinstance(each, ModelResponse) and _fits(each, words, options)]
    if order := "price" if options["cheapest"] else options["sort"]:
        found.sort(key=lambda each: {"price": sum(_prices(each)), "context": -_context(each), "name": str(each.id)}[order])
    rows = [each.model_dump() if options["as_json"] else _row(each) for each in found]
    leave_out = ("CAPABILITIES", "NOTES", "PRIVACY", "CONTEXT", "IN $/1M")
    _output.table(rows, _COLUMNS, leave_out, as_json=options["as_json"], empty="no model of the catalogue has all that")


def _facts(entry: Any, path: str = "") -> Iterable[dict[str, str]]:
    """Every value of an entry with the path to it, so that what is new in the catalogue is shown, too."""
    if parts := members(entry):
        for name, value in parts.items():
            yield from _facts(value, f"{path}.{name}" if path and path != "model_spec" else name)
    else:
        yield {"what": path, "value": entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)}


def _fits(model: ModelResponse, words: Sequence[str], options: Mapping[str, Any]) -> bool:
    spec = spec_of(model)
    return (
        all(word.lower() in f"{model.id} {spec.name}".lower() for word in words)
        and set(options["capabilities"]) <= set(_abilities(model))
        and (not options["private"] or spec.privacy == "private")
        and (options["max_price"] is None or max(_prices(model)) <= options["max_price"])
    )


def _abilities(model: ModelResponse) -> list[str]:
    return [name for name, flag in _FLAGS.items() if can(model, flag)]


def _row(model: ModelResponse) -> dict[str, Any]:
    spec, context = spec_of(model), _context(model)
    row: dict[str, Any] = {"id": model.id, "context": f"{context:,}" if context else "-", "privacy": spec.privacy or "-"}
    prices = ("-" if price == inf else f"{price:.2f}" if price == round(price, 2) else f"{price:g}" for price in _prices(model))
    row["input"], row["output"] = prices
    return row | {"notes": ", ".join(_notes(spec)), "abilities": " ".join(_abilities(model)) or "-"}


def _notes(spec: ModelSpec) -> Iterable[str]:
    yield from map(str, items(spec.traits))
    marks = {"offline": spec.offline, "beta": spec.betaModel is True or spec.beta}
    yield from (mark for mark, on in marks.items() if on is True)
    if isinstance(retirement := getattr(spec.deprecation, "date", None), str):
        yield f"retires {retirement[:10]}"


def _prices(model: ModelResponse) -> list[float]:
    """The prices of a million tokens of input and of output in US dollars; infinite where the catalogue does not say."""
    prices = [rate(spec_of(model).pricing, 0, side) for side in ("input", "output")]
    return [inf if price is None else float(price) for price in prices]


def _context(model: ModelResponse) -> int:
    return context if isinstance(context := spec_of(model).availableContextTokens, int) else 0


@click.command(epilog="venice-chat cost --model llama-3.3-70b --expected 1500 < article.txt")
@click.argument("prompt", nargs=-1)
@_options.model
@click.option("--expected", type=int, default=500, show_default=True, metavar="N", help="Tokens of the answer.")
@_options.json
@_options.with_endpoint
async def cost(endpoint: _options.Endpoint, /, prompt: Sequence[str], model: str | None, **given: Any) -> None:
    """Estimate the cost of an answer, without sending the prompt, which is given as that of 'chat'. No key is needed."""
    if (text := prompt_from(prompt)) is None:
        raise click.UsageError("give the prompt as arguments or on stdin")
    async with endpoint.client() as client, _options.finding(client, model or ""):
        entry = await client.models.find(await client.models.resolve_chat() if model is None else model)
        ask = client.chat.completions.estimate_cost
        estimate = await ask(model=str(entry.id), messages=text, expected_completion_tokens=given["expected"])
    shown = (
        f"{estimate.model}: likely ${estimate.likely:.6f} (from ${estimate.low:.6f} to ${estimate.high:.6f})\n"
        f"by the words alone, without Venice's own system prompt: ${estimate.total_cost_usd:.6f}\n"
        f"  prompt      {estimate.prompt_tokens:>8,} tokens  ${estimate.prompt_cost_usd:.6f}\n"
        f"  completion  {estimate.expected_completion_tokens:>8,} tokens  ${estimate.completion_cost_usd:.6f}"
    )
    _output.write_json(asdict(estimate)) if given["as_json"] else _output.line(shown)
