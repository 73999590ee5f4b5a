"""The client of a command, and what is checked before it is asked."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from .._core.privacy import Privacy
from .._core.settings import KEY_VARIABLE, resolve_key
from ..exceptions import AuthenticationError, NotFoundError

if TYPE_CHECKING:
    from .._client import VeniceClient


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of Venice and the time limit; the key comes from the environment only, because arguments are public."""

    base_url: str | None
    timeout: float | None

    def client(self, *, max_retries: int = 2, floor: Privacy | None = None) -> VeniceClient:
        """A client for it; with a floor, nothing is sent but to an enclave whose hardware was verified."""
        from .._client import VeniceClient  # the help does without it

        if floor is None:
            return VeniceClient(base_url=self.base_url, timeout=self.timeout, max_retries=max_retries)
        from ..tee import TeeOptions

        need_confidential()
        tee = TeeOptions(verification="hardware")
        return VeniceClient(base_url=self.base_url, timeout=self.timeout, max_retries=max_retries, tee=tee, min_privacy=floor)

    def blocking_client(self) -> VeniceClient | None:
        """A client that sends from this thread, which halves the time to start; None where a proxy or the system forbids it."""
        from .._client import VeniceClient
        from .._http.blocking_transport import BlockingClock, BlockingTransport
        from .._http.routes import Routes

        transport = BlockingTransport(Routes())
        client = VeniceClient(base_url=self.base_url, timeout=self.timeout, transport=transport, clock=BlockingClock(transport))
        # On Windows, Ctrl-C interrupts no read of a socket.
        return client if sys.platform != "win32" and transport.reaches(client.base_url) else None


def need_key() -> None:
    """Makes sure that there is a key, where a chat would first ask for the catalogue, which needs none."""
    if resolve_key(None) is None:
        raise AuthenticationError(f"no API key: set {KEY_VARIABLE} (keys are made at https://venice.ai/settings/api)")


@contextmanager
def asking_for_models(client: VeniceClient) -> Generator[None]:
    """While the catalogue is asked for: an address that has none is no address of Venice."""
    try:
        yield
    except NotFoundError as error:
        if error.status_code is None:  # there is a catalogue, without this model
            raise
        why = f"{client.base_url} answers {error.status_code} when it is asked for its models"
        raise click.UsageError(f"{why}; check --base-url, which should end in /api/v1") from error


def need_confidential() -> None:
    try:
        from ..tee.extra import require_extra

        require_extra()
    except ImportError as error:
        raise click.UsageError(str(error)) from None
