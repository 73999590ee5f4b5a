"""`venice-chat cost`: estimates what an answer costs, without sending the prompt."""

from __future__ import annotations

from dataclasses import asdict

import click

from . import _options, _output
from ._input import prompt_from
from ._options import Connection


@click.command(epilog="venice-chat cost --model llama-3.3-70b --expected 1500 < article.txt")
@click.argument("prompt", nargs=-1)
@_options.model
@click.option("--expected", type=int, default=500, show_default=True, metavar="N", help="Tokens of the answer.")
@_options.json
@_options.with_connection
async def cost(connection: Connection, prompt: tuple[str, ...], model: str | None, expected: int, as_json: bool) -> None:
    """Estimate the cost of an answer, without sending the prompt. No key is needed.

    The prompt is the arguments, followed by what is piped into stdin; '-' among the arguments says where that stands.
    """
    if (text := prompt_from(prompt)) is None:
        raise click.UsageError("give the prompt as arguments or on stdin")
    async with connection.client() as client, _options.finding(client, model or ""):
        entry = await client.models.find(await client.models.resolve_chat() if model is None else model)
        ask = client.chat.completions.estimate_cost
        estimate = await ask(model=str(entry.id), messages=text, expected_completion_tokens=expected)
    shown = (
        f"{estimate.model}: likely ${estimate.likely:.6f} (from ${estimate.low:.6f} to ${estimate.high:.6f})\n"
        f"by the words alone, without Venice's own system prompt: ${estimate.total_cost_usd:.6f}\n"
        f"  prompt      {estimate.prompt_tokens:>8,} tokens  ${estimate.prompt_cost_usd:.6f}\n"
        f"  completion  {estimate.expected_completion_tokens:>8,} tokens  ${estimate.completion_cost_usd:.6f}"
    )
    _output.write_json(asdict(estimate)) if as_json else _output.line(shown)
