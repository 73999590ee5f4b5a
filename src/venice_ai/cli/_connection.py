"""The options that every command which talks to Venice has."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import click

from .._client import VeniceClient
from .._config import BASE_URL_VARIABLE

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where Venice is and how long to wait; the key comes from the environment only, because arguments are public."""

    base_url: str | None
    timeout: float | None

    def client(self, *, max_retries: int = 2, sealed: bool = False) -> VeniceClient:
        """A client for it; a `sealed` one sends nothing but to an enclave whose hardware was verified."""
        if not sealed:
            return VeniceClient(base_url=self.base_url, timeout=self.timeout, max_retries=max_retries)
        from ..tee import TeeOptions

        need_confidential()
        tee = TeeOptions(verification="hardware")
        return VeniceClient(base_url=self.base_url, timeout=self.timeout, max_retries=max_retries, tee=tee, min_privacy="e2ee")


def need_confidential() -> None:
    """Makes sure that confidential compute is installed.

    Raises:
        click.UsageError: it is not; the message says how to install it.
    """
    from ..tee.extra import require_extra

    try:
        require_extra()
    except ImportError as error:
        raise click.UsageError(str(error)) from None


def with_connection(command: Callable[Concatenate[Connection, P], R]) -> Callable[..., R]:
    """Gives a command its options `--base-url`, `--timeout` and `--debug`, and its first argument."""

    @click.option("--base-url", metavar="URL", help=f"Root of the API.  [default: {BASE_URL_VARIABLE}, or Venice]")
    @click.option("--timeout", type=float, metavar="SECONDS", help="How long to wait for the answer, or between its parts.")
    @debug_option
    @functools.wraps(command)
    def connected(base_url: str | None, timeout: float | None, *args: P.args, **options: P.kwargs) -> R:
        return command(Connection(base_url, timeout), *args, **options)

    return connected


def debug_option(command: Callable[P, R]) -> Callable[P, R]:
    """Gives a command its option `--debug`."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_debug,
        help="Show retries, and the traceback of errors.",
    )(command)


def _debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        import logging

        context.meta["debug"] = True
        logging.getLogger("venice_ai").setLevel(logging.INFO)
