"""`venice-chat doctor`: checks the installation, the key and the connection."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import click

from .._client import VeniceClient
from .._core.machine import is_loopback
from .._core.settings import BASE_URL_VARIABLE, KEY_VARIABLE, resolve_base_url, resolve_key
from .._version import __version__
from ..exceptions import AuthenticationError, PaymentRequiredError, VeniceError
from . import _output, _packages
from ._connection import Connection, asking_for_models, with_connection
from ._errors import in_our_words


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing; a problem comes with its remedy."""

    text: str
    remedy: str | None = None


@click.command(short_help="Check the installation, the key and the connection.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@with_connection
def doctor(connection: Connection, as_json: bool) -> int:
    """Check the installation, the key and the connection. Sends no prompt and never shows the key.

    The exit code is 1 if there is a problem.
    """
    found = examine(connection)
    well = not any(finding.remedy for finding in found.values())
    if as_json:
        findings = {name: {"ok": not finding.remedy, **asdict(finding)} for name, finding in found.items()}
        _output.line(json.dumps({"ok": well, "findings": findings}, indent=2))
    else:
        for name, finding in found.items():
            _output.line(f"{'!!' if finding.remedy else 'ok'}  {name:<10}  {finding.text}")
            if finding.remedy:
                _output.line(f"{'':<16}-> {finding.remedy}")
    return 0 if well else 1


def examine(connection: Connection) -> dict[str, Finding]:
    """Everything there is to find, by name."""
    where, rivals = _base_url(connection), _packages.rivals()
    mixed = f"{' and '.join(rivals)} installed 'venice_ai' too; files of both are mixed up"
    alone = Finding("no other package installs 'venice_ai'")
    return {
        "python": Finding(f"{platform.python_version()} ({platform.python_implementation()}, {platform.platform()})"),
        "package": Finding(f"{_packages.DISTRIBUTION} {__version__} in {Path(__file__).parent.parent}"),
        "conflicts": Finding(mixed, _packages.remedy(rivals)) if rivals else alone,
        "extras": Finding(extras(_packages.extras())),
        "key": _key() if where.remedy else asyncio.run(_accepted(connection)),
        "base URL": where,
        "TLS": Finding("not checked") if where.remedy else _tls(connection),
        "Venice": Finding("not asked") if where.remedy else asyncio.run(_reach(connection)),
    }


def extras(lacking: dict[str, list[str]]) -> str:
    """Which extras are complete."""
    install = f"pip install '{_packages.DISTRIBUTION}"
    told = [
        f"{name} without {', '.join(missing)} ({install}[{name}]')" if missing else f"{name} installed"
        for name, missing in lacking.items()
    ]
    return "; ".join(told) or "unknown, because the package itself is not installed"


async def _accepted(connection: Connection) -> Finding:
    """Whether Venice accepts the key. It asks for the rate limits, because the catalogue needs no key."""
    if (found := _key()).remedy:
        return found
    try:
        async with _client(connection) as client:
            await client.caller.call(client.build_request("GET", "/api_keys/rate_limits", needs_key=True))
    except (AuthenticationError, PaymentRequiredError) as error:
        return Finding(f"{KEY_VARIABLE} is set, and is not accepted", in_our_words(error))
    except VeniceError as error:
        reason = in_our_words(error).partition(". ")[0].rstrip(".")
        return Finding(f"{found.text}; whether it is accepted is not known: {reason}")
    return Finding(f"{found.text} and accepted")


def _client(connection: Connection) -> VeniceClient:
    return Connection(connection.base_url, connection.timeout or 10.0).client(max_retries=0)


def _key() -> Finding:
    try:
        if resolve_key(None):
            return Finding(f"{KEY_VARIABLE} is set")
    except VeniceError as error:
        return Finding(f"{KEY_VARIABLE} cannot be used", in_our_words(error))
    return Finding(f"{KEY_VARIABLE} is not set", "make a key at https://venice.ai/settings/api and export it")


def _base_url(connection: Connection) -> Finding:
    source = BASE_URL_VARIABLE if os.environ.get(BASE_URL_VARIABLE) else "the default"
    source = source if connection.base_url is None else "--base-url"
    try:
        return Finding(f"{resolve_base_url(connection.base_url)} ({source})")
    except VeniceError as error:
        return Finding(f"{source} cannot be used", in_our_words(error))


def _tls(connection: Connection) -> Finding:
    parts = urlsplit(resolve_base_url(connection.base_url))
    if parts.scheme == "https":
        return Finding(f"trusts what the operating system trusts (truststore {metadata.version('truststore')})")
    if is_loopback(parts.hostname or ""):
        return Finding("none: plain HTTP to this machine")
    return Finding("none: key and prompts travel unencrypted", "use an https address")


async def _reach(connection: Connection) -> Finding:
    began = monotonic()
    try:
        async with _client(connection) as client:
            with asking_for_models(client):
                models = (await client.models.list(type="all")).data
    except (VeniceError, click.UsageError) as error:
        return Finding("no catalogue of models", in_our_words(error))
    kinds = [getattr(model, "type", None) for model in models]
    return Finding(f"reached in {monotonic() - began:.2f} s; {len(kinds)} models, {kinds.count('text')} of them for text")
