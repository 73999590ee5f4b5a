"""What a shell completes that only the catalogue, or the emulator, knows."""

from __future__ import annotations

import asyncio

import click
from click.shell_completion import CompletionItem

from ..exceptions import VeniceError

_SECONDS = 2.0


def model_ids(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The models of the catalogue whose ids begin so; none where it cannot be had in time."""
    from ._connection import Connection

    async def ids() -> list[str]:
        async with Connection(None, _SECONDS).client(max_retries=0) as client:
            return [str(model.id) for model in (await client.models.list()).data]

    try:
        return [CompletionItem(name) for name in asyncio.run(ids()) if name.startswith(begun)]
    except VeniceError:
        return []


def tee_faults(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The attacks on an enclave that the emulator plays."""
    from ..emulator.enclave.faults import FAULTS

    return [CompletionItem(name) for name in FAULTS if name.startswith(begun)]
