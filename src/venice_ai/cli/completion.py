"""`venice-chat completion`: the script with which a shell completes commands, options, model ids and attacks."""

from __future__ import annotations

import asyncio

import click
from click.shell_completion import get_completion_class

from ..exceptions import VeniceError
from . import _output

_SECONDS = 2.0


@click.command(epilog='\b\neval "$(venice-chat completion bash)"  # in ~/.bashrc')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes commands, options, model ids and attacks (--tee-fault)."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows all three"
    _output.line(kind(context.find_root().command, {}, "venice-chat", "_VENICE_CHAT_COMPLETE").source())


def model_ids(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The models of the catalogue whose ids begin so; none where it cannot be had in time."""
    from ._connection import Connection

    async def ids() -> list[str]:
        async with Connection(None, _SECONDS).client(max_retries=0) as client:
            return [str(model.id) for model in (await client.models.list()).data]

    try:
        return [name for name in asyncio.run(ids()) if name.startswith(begun)]
    except VeniceError:
        return []


def tee_faults(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The attacks on an enclave that the emulator plays."""
    from ..emulator.enclave.faults import FAULTS

    return [name for name in FAULTS if name.startswith(begun)]
