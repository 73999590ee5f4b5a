"""`venice-chat doctor`: checks the installation, the key and the connection."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from .._core import packages
from .._core.json_values import items, members
from .._core.machine import is_loopback
from .._core.settings import BASE_URL_VARIABLE, KEY_VARIABLE, resolve_base_url, resolve_key
from .._version import __version__
from .._wire.reply_body import json_object
from ..exceptions import AuthenticationError, NoMatchingModelError, NotFoundError, PaymentRequiredError, VeniceError
from ..tee import TeeOptions
from . import _options, _output
from ._errors import in_our_words


class Finding(NamedTuple):
    text: str
    remedy: str | None = None


@click.command()
@_options.json
@_options.with_endpoint
async def doctor(endpoint: _options.Endpoint, as_json: bool) -> int:
    """Check the installation, the key and the connection. Sends no prompt and never shows the key.

    The exit code is 1 if there is a problem.
    """
    found = await _examine(_options.Endpoint(endpoint.base_url, endpoint.timeout or 10.0))
    well = not any(finding.remedy for finding in found.values())
    if as_json:
        findings = {name: {"ok": not finding.remedy, **finding._asdict()} for name, finding in found.items()}
        _output.write_json({"ok": well, "findings": findings})
    for name, finding in () if as_json else found.items():
        remedy = f"\n{'':<16}-> {finding.remedy}" if finding.remedy else ""
        _output.line(f"{'!!' if finding.remedy else 'ok'}  {name:<10}  {finding.text}{remedy}")
    return 0 if well else 1


async def _examine(endpoint: _options.Endpoint) -> dict[str, Finding]:
    (where, tls), rivals = _address(endpoint), packages.rivals()
    key = await _key(endpoint, ask=not where.remedy)
    mixed = f"{' and '.join(rivals)} installed 'venice_ai' too; files of both are mixed up"
    return {
        "python": Finding(f"{platform.python_version()} ({platform.python_implementation()}, {platform.platform()})"),
        "package": Finding(f"{packages.DISTRIBUTION} {__version__} in {Path(__file__).parent.parent}"),
        "conflicts": Finding(mixed, packages.remedy(rivals)) if rivals else Finding("no other package installs 'venice_ai'"),
        "extras": Finding(extras(packages.extras())),
        "key": key,
        "base URL": where,
        "TLS": tls,
        "Venice": Finding("not asked") if where.remedy else await _reach(endpoint),
        "e2ee": Finding("not tried") if where.remedy or key.remedy else await _encrypts(endpoint),
    }


def extras(lacking: dict[str, list[str]]) -> str:
    """Says which extras are complete."""
    lacks = "{0} without {1} (pip install '" + packages.DISTRIBUTION + "[{0}]')"
    states = (lacks.format(name, ", ".join(no)) if no else f"{name} installed" for name, no in lacking.items())
    return "; ".join(states) or "unknown, because the package itself is not installed"


async def _key(endpoint: _options.Endpoint, *, ask: bool) -> Finding:
    """Whether there is a key, and Venice accepts it. It asks for the rate limits, because the catalogue needs no key."""
    try:
        if not resolve_key(None):
            return Finding(f"{KEY_VARIABLE} is not set", "make a key at https://venice.ai/settings/api and export it")
    except VeniceError as error:
        return Finding(f"{KEY_VARIABLE} cannot be used", in_our_words(error))
    if not ask:
        return Finding(f"{KEY_VARIABLE} is set")
    try:
        async with endpoint.client(max_retries=0) as client:
            request = client.build_request("GET", "/api_keys/rate_limits", needs_key=True)
            account = await client.caller.read(request, json_object)
    except (AuthenticationError, PaymentRequiredError) as error:
        return Finding(f"{KEY_VARIABLE} is set, and is not accepted", in_our_words(error))
    except VeniceError as error:
        reason = in_our_words(error).partition(". ")[0].rstrip(".")
        return Finding(f"{KEY_VARIABLE} is set; whether it is accepted is not known: {reason}")
    return Finding(f"{KEY_VARIABLE} is set and accepted{''.join(f'; {fact}' for fact in account_facts(account))}")


def account_facts(reply: Any) -> Iterable[str]:
    """The tier, the balances and the limits of a key, as far as `/api_keys/rate_limits` tells them."""
    data = members(members(reply).get("data"))
    if tier := members(data.get("apiTier")).get("id"):
        yield f"tier {tier}"
    if balances := members(data.get("balances")):
        yield "balance " + ", ".join(f"{amount} {unit}" for unit, amount in balances.items())
    limits = [members(limit) for model in items(data.get("rateLimits")) for limit in items(members(model).get("rateLimits"))]
    for kind in dict.fromkeys(str(limit.get("type")) for limit in limits):
        known = {limit["amount"] for limit in limits if limit.get("type") == kind and isinstance(limit.get("amount"), int)}
        if known:
            yield f"{kind} {min(known):,}" + (f" to {max(known):,} by model" if len(known) > 1 else "")


async def _encrypts(endpoint: _options.Endpoint) -> Finding:
    """Whether an enclave proves itself and its key takes messages: all of end-to-end encryption but the prompt."""
    try:
        async with endpoint.client(max_retries=0) as client:
            model = await client.models.resolve_chat(require_e2ee=True)
            session = await client.tee.open_session(model=model, options=TeeOptions(verification="hardware"))
            session.close()
    except (ImportError, NotFoundError, NoMatchingModelError) as error:
        return Finding(f"not available: {in_our_words(error).partition('. ')[0]}")
    except VeniceError as error:
        return Finding("no enclave proved itself", in_our_words(error))
    return Finding(f"{model} was verified at level {session.attestation.level}; nothing was sent to it")


def _address(endpoint: _options.Endpoint) -> tuple[Finding, Finding]:
    given = endpoint.base_url is not None
    source = "--base-url" if given else BASE_URL_VARIABLE if os.environ.get(BASE_URL_VARIABLE) else "the default"
    try:
        parts = urlsplit(url := resolve_base_url(endpoint.base_url))
    except VeniceError as error:
        return Finding(f"{source} cannot be used", in_our_words(error)), Finding("not checked")
    tls = Finding("none: key and prompts travel unencrypted", "use an https address")
    if parts.scheme == "https":
        tls = Finding(f"trusts what the operating system trusts (truststore {metadata.version('truststore')})")
    elif is_loopback(parts.hostname or ""):
        tls = Finding("none: plain HTTP to this machine")
    return Finding(f"{url} ({source})"), tls


async def _reach(endpoint: _options.Endpoint) -> Finding:
    began = monotonic()
    try:
        async with endpoint.client(max_retries=0) as client, _options.finding(client):
            kinds = [getattr(model, "type", None) for model in (await client.models.list(type="all")).data]
    except (VeniceError, click.UsageError) as error:
        return Finding("no catalogue of models", in_our_words(error))
    return Finding(f"reached in {monotonic() - began:.2f} s; {len(kinds)} models, {kinds.count('text')} of them for text")
