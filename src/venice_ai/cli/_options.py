"""The options that several commands share; and the client of a command, with what is checked before it is asked."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate

import click

from .._core.privacy import Privacy
from .._core.settings import BASE_URL_VARIABLE, KEY_VARIABLE, resolve_key
from ..exceptions import AuthenticationError, NoMatchingModelError, NotFoundError, VeniceError
from ._errors import did_you_mean

if TYPE_CHECKING:
    from .._client import VeniceClient


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of Venice and the time limit; the key comes from the environment only, because arguments are public."""

    base_url: str | None
    timeout: float | None

    def client(self, *, floor: Privacy | None = None, **settings: Any) -> VeniceClient:
        """A client for it; with a floor, nothing is sent but to an enclave whose hardware was verified."""
        from .._client import VeniceClient  # the help does without it

        if floor is not None:
            from ..tee import TeeOptions

            settings |= {"tee": TeeOptions(verification="hardware"), "min_privacy": floor}
        return VeniceClient(base_url=self.base_url, timeout=self.timeout, **settings)

    def blocking_client(self) -> VeniceClient | None:
        """A client that sends from this thread, which halves the time to start; None where a proxy or the system forbids it."""
        from .._http.blocking_transport import BlockingClock, BlockingTransport
        from .._http.routes import Routes

        transport = BlockingTransport(Routes())
        client = self.client(transport=transport, clock=BlockingClock(transport))
        # On Windows, Ctrl-C interrupts no read of a socket.
        return client if sys.platform != "win32" and transport.reaches(client.base_url) else None


def need_key() -> None:
    if resolve_key(None) is None:
        raise AuthenticationError(f"no API key: set {KEY_VARIABLE} (keys are made at https://venice.ai/settings/api)")


@asynccontextmanager
async def finding(client: VeniceClient, model: str = "") -> AsyncGenerator[None]:
    """While a model is asked for: tells which may have been meant, and that an address without models is not Venice's."""
    try:
        yield
    except (NotFoundError, NoMatchingModelError) as error:
        try:
            known = {str(each.id): str(each.type) for each in (await client.models.list(type="all")).data}
        except NotFoundError as failure:
            why = f"{client.base_url} answers {failure.status_code} when it is asked for its models"
            raise click.UsageError(f"{why}; check --base-url, which should end in /api/v1") from error
        kind = f"; {model!r} is a model of type {known.get(model)!r}, and no chat model"
        hint = did_you_mean(model, known) if model not in known else "" if known[model] == "text" else kind
        error.args = (f"{str(error).rstrip('.')}{hint}",)
        raise


def need_confidential() -> None:
    try:
        from ..tee.extra import require_extra

        require_extra()
    except ImportError as error:
        raise click.UsageError(str(error)) from None


def model_ids(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from .._sync.client import SyncVeniceClient

    with suppress(VeniceError), SyncVeniceClient(timeout=2.0, max_retries=0) as client:
        return [name for name in (str(model.id) for model in client.models.list().data) if name.startswith(begun)]
    return []


debug = click.option("--debug", is_flag=True, expose_value=False, help="Show retries, and the traceback of errors.")
json = click.option("--json", "as_json", is_flag=True, help="Print JSON; errors, too.")
model = click.option("-m", "--model", metavar="ID", shell_complete=model_ids, help="Model to ask.")
system = click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")
param = click.option("--param", "params", multiple=True, metavar="KEY=JSON", help="Another parameter; may be repeated.")
schema = click.option("--schema", type=click.Path(), metavar="WHAT", help="Answers fit MODULE:CLASS, FILE.json or 'a: str'.")
port = functools.partial(click.option, "--port", type=click.IntRange(0, 65535), show_default=True, help="0 takes a free one.")
host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


def with_endpoint(command: Callable[Concatenate[Endpoint, ...], Any]) -> Callable[..., Any]:
    """Gives a command, which may be a coroutine, its options `--base-url`, `--timeout`, `--debug`, and its first argument."""

    @click.option("--base-url", metavar="URL", help=f"Root of the API.  [default: {BASE_URL_VARIABLE}, or Venice]")
    @click.option("--timeout", type=float, metavar="SECONDS", help="How long to wait for the answer, or between its parts.")
    @debug
    @functools.wraps(command)
    def connected(base_url: str | None, timeout: float | None, **options: Any) -> Any:
        import asyncio  # `sessions` does without it

        done = command(Endpoint(base_url, timeout), **options)
        return asyncio.run(done) if asyncio.iscoroutine(done) else done

    return connected
