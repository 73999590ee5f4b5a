"""The options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click

from .._core.settings import BASE_URL_VARIABLE
from ..exceptions import VeniceError
from ._connection import Connection

P = ParamSpec("P")
R = TypeVar("R")
COMPLETION_VARIABLE: Final = "_VENICE_CHAT_COMPLETE"
_SECONDS: Final = 2.0


def model_ids(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The models of the catalogue whose ids begin so; none where it cannot be had in time."""
    import asyncio

    async def ids() -> list[str]:
        async with Connection(None, _SECONDS).client(max_retries=0) as client:
            return [str(model.id) for model in (await client.models.list()).data]

    try:
        return [name for name in asyncio.run(ids()) if name.startswith(begun)]
    except VeniceError:
        return []


def _debug(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        import logging

        logging.getLogger("venice_ai").setLevel(logging.INFO)


_DEBUG: Any = {"is_flag": True, "expose_value": False, "callback": _debug}
debug_option = click.option("--debug", **_DEBUG, help="Show retries, and the traceback of errors.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON; errors, too.")
model_option = click.option("-m", "--model", metavar="ID", shell_complete=model_ids, help="Model to ask.")
system_option = click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")
param_option = click.option("--param", "params", multiple=True, metavar="KEY=JSON", help="Another parameter; may be repeated.")
_SCHEMA = "What answers are: MODULE:CLASS, FILE.json or 'name: str, age: int'."
schema_option = click.option("--schema", metavar="WHAT", help=_SCHEMA)
host_option = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


def port_option(default: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The option `--port` of a server."""
    return click.option("--port", type=click.IntRange(0, 65535), default=default, show_default=True, help="0 takes a free one.")


def with_connection(command: Callable[Concatenate[Connection, P], R]) -> Callable[..., R]:
    """Gives a command its options `--base-url`, `--timeout` and `--debug`, and its first argument."""

    @click.option("--base-url", metavar="URL", help=f"Root of the API.  [default: {BASE_URL_VARIABLE}, or Venice]")
    @click.option("--timeout", type=float, metavar="SECONDS", help="How long to wait for the answer, or between its parts.")
    @debug_option
    @functools.wraps(command)
    def connected(base_url: str | None, timeout: float | None, *args: P.args, **options: P.kwargs) -> R:
        return command(Connection(base_url, timeout), *args, **options)

    return connected
