"""Fetches the evidence that does not come from Venice: Intel's collateral, and tokens of NVIDIA's attestation service.

Both are asked for without the key, through the client's own transport, so that its proxy and its trust store count.
https://api.portal.trustedservices.intel.com/content/documentation.html
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote

from .._core.concurrency import SingleFlight, bounded_map
from .._core.json_values import members
from .._core.ports import Clock, Reply, Transport
from .._core.request import Request
from .._core.settings import Timeout
from .._version import __version__
from ..exceptions import APIConnectionError, InvalidRequestError
from ..tee import nras
from ..tee.canonical import members_of, shaped
from ..tee.collateral import FIELDS, window
from ..tee.types import Documents, Seen
from ..types.attestation import Tcb

logger: logging.Logger = logging.getLogger("venice_ai")

MAX_BODY_BYTES: Final = 1024 * 1024  # real documents have a few kilobytes
_LIMITS = Timeout(connect=5.0, first_chunk=15.0, idle=15.0)
_DEADLINE_SECONDS = 30.0
_REST_SECONDS = 60.0
_LONG_REST_SECONDS = 3600.0
_HIGHEST_EVALUATION = 1_000
_HIGHEST_LIST = 2**63
_PATHS = (
    "/tdx/certification/v4/tcb?fmspc={fmspc}",
    "/tdx/certification/v4/qe/identity",
    "/sgx/certification/v4/pckcrl?ca={ca}&encoding=der",
)
_SOURCES: Final = {
    "https://api.trustedservices.intel.com": "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
    "https://pccs.phala.network": "https://pccs.phala.network/sgx/certification/v4/rootcacrl",
}
"""Intel, and a mirror that can withhold what Intel signed and not forge it; and where each has the list of the root."""

_Document: TypeAlias = tuple[bytes, Mapping[str, str]]


class _Collateral(NamedTuple):
    collateral: Mapping[str, str]
    begins: float
    ends: float
    fetched: float

    def valid(self, now: float) -> bool:
        return self.begins <= now < self.ends


class Fetcher:
    """Intel's collateral by platform, asked for once a day, and kept (in `folder`, if any) until it expires."""

    def __init__(self, transport: Transport, clock: Clock, folder: Path | None = None) -> None:
        self._transport = transport
        self._clock = clock
        self._folder = folder
        self._values: dict[str, Any] = {}  # what is in the files, or would be, by their names
        self._failed: dict[str, float] = {}
        self._single_flight: SingleFlight[Mapping[str, str] | None] = SingleFlight()

    async def get(self, fmspc: str, ca: str, now: float, /) -> Mapping[str, str] | None:
        """The collateral of a platform; None if it cannot be had. If servers have nothing valid, it is given, and not kept."""
        name = f"{fmspc.upper()}-{ca}"
        if not re.fullmatch("[0-9A-F]{12}-(platform|processor)", name):
            return None
        cached = self._valid(name, now)
        rest = _REST_SECONDS if cached is None else _LONG_REST_SECONDS
        failed_lately = self._clock.now() - self._failed.get(name, -inf) < rest
        # What was revoked since yesterday is not in it.
        if failed_lately or (cached is not None and 0 <= now - cached.fetched < 86_400):
            return cached.collateral if cached else None
        return await self._single_flight.share(name, partial(self._renewed, name, now, cached))

    def forget(self, fmspc: str, ca: str) -> None:
        """Drops what is kept of a platform, for it turned out to be no good."""
        name = f"{fmspc.upper()}-{ca}"
        self._failed.pop(name, None)
        if self._values.pop(name, None) is not None and (path := self._file(name)) is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.info("%s cannot be removed: %s", path, error)

    @property
    def seen(self) -> Seen:
        """The highest numbers that `remember` has seen, also in earlier processes."""
        found, path = self._read("evaluation"), self._file("evaluation")
        fields = members(found) or {"evaluation": found}  # versions before this one kept the evaluation number alone
        numbers = {"": fields.get("evaluation"), **members(fields.get("revocation_lists"))}
        sane = {name: number for name, number in numbers.items() if type(number) is int and number >= 0}
        for name, number in sane.items():
            if number > (_HIGHEST_LIST if name else _HIGHEST_EVALUATION):
                raise InvalidRequestError(f"{path} holds the number {number}, which cannot be one of Intel's; remove the file")
        return Seen(sane.pop("", 0), sane, "" if path is None else str(path))

    def remember(self, tcb: Tcb) -> None:
        """Keeps the numbers of collateral that was verified; Intel never goes back to lower ones."""
        before = self.seen
        higher = {issuer: max(number, before.revocation_lists.get(issuer, 0)) for issuer, number in tcb.revocation_lists}
        lists = {**before.revocation_lists, **higher}
        evaluation = max(before.tcb_eval, tcb.eval_number or 0)
        if evaluation > _HIGHEST_EVALUATION or (evaluation, lists) == (before.tcb_eval, before.revocation_lists):
            return
        self._write("evaluation", {"evaluation": evaluation, "revocation_lists": lists})

    async def _renewed(self, name: str, now: float, before: _Collateral | None) -> Mapping[str, str] | None:
        fallback: Mapping[str, str] | None = None
        fmspc, ca = name.split("-")
        for origin, root_crl in _SOURCES.items():
            urls = [*(origin + path.format(fmspc=fmspc, ca=ca) for path in _PATHS), root_crl]
            try:
                found = _assembled(*await _fetched(self._transport, *((url, None) for url in urls)))
                cached = _Collateral(found, *window(found), now)
            except (APIConnectionError, ValueError) as error:
                logger.info("no collateral from %s: %s", origin, error)
                continue
            if cached.valid(now) and (before is None or cached.begins >= before.begins):
                self._failed.pop(name, None)
                self._write(name, {**found, "fetched": float(now)})
                return found
            fallback = fallback or found
        if fallback is None or before is not None:
            self._failed[name] = self._clock.now()
        return fallback if before is None else before.collateral

    def _valid(self, name: str, now: float) -> _Collateral | None:
        fields = dict(members(self._read(name)))
        fetched = fields.pop("fetched", 0.0)
        with suppress(ValueError):
            if fields.keys() == {*FIELDS}:
                cached = _Collateral(shaped(fields, dict[str, str], name), *window(fields), shaped(fetched, float, "fetched"))
                return cached if cached.valid(now) else None
        return None

    def _file(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / f"collateral-{name}.json"

    def _read(self, name: str) -> Any:
        """The JSON in a file, which is read once; None if the file is missing or broken: then it is renewed."""
        if name not in self._values and (path := self._file(name)) is not None:
            with suppress(OSError, ValueError, RecursionError):
                # A link leads elsewhere, and a pipe would be waited for: neither is a file of ours.
                handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
                with os.fdopen(handle, "rb") as file:
                    if stat.S_ISREG(os.fstat(handle).st_mode) and not path.is_symlink():
                        self._values[name] = json.loads(file.read(MAX_BODY_BYTES))
        return self._values.get(name)

    def _write(self, name: str, value: Any) -> None:
        """Writes a file as a whole or not at all. A few kilobytes, once a month: not worth a thread."""
        while len(self._values) >= 64:
            del self._values[next(each for each in self._values if each != "evaluation")]
        self._values[name] = value
        if (path := self._file(name)) is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                draft = Path(folder) / path.name
                draft.touch(mode=0o600)
                draft.write_text(json.dumps(value), "utf-8")
                draft.replace(path)
        except OSError as error:
            logger.info("collateral cannot be kept in %s: %s", path.parent, error)


async def _fetch(transport: Transport, asked: tuple[str, bytes | None]) -> _Document:
    """Body and headers of the answer to a GET, or to a POST of some JSON; a ValueError if it is not a 200, or is too long."""
    url, sent = asked
    kind = {} if sent is None else {"Content-Type": "application/json"}
    headers = {"Accept": "*/*", "User-Agent": f"venice-chat/{__version__}", **kind}
    # A stream, because the body of a plain reply is read whole before anybody can see how long it is.
    request = Request("GET" if sent is None else "POST", url, headers=headers, body=sent, timeout=_LIMITS, stream=True)
    request.deadline_seconds = _DEADLINE_SECONDS
    with closing(await transport.send(request)) as reply:
        if reply.status != 200:
            raise ValueError(f"{url} answered {reply.status}")
        body = await read_at_most(reply, MAX_BODY_BYTES)
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"{url} sends more than {MAX_BODY_BYTES} bytes")
        return body, reply.headers


async def _fetched(transport: Transport, *asked: tuple[str, bytes | None]) -> list[_Document]:
    return await bounded_map(partial(_fetch, transport), asked, limit=len(asked))


async def read_at_most(reply: Reply, most: int) -> bytes:
    """The body of a reply, or one byte more than `most` of it."""
    body = bytearray()
    async for piece in reply.pieces():
        body += piece
        if len(body) > most:
            break
    return bytes(body[: most + 1])


async def ask_nras(transport: Transport, payload: object) -> Documents | str:
    """The answer of NVIDIA's service about the evidence of a reply; why, if it gave none. The service learns of these GPUs."""
    try:
        (answer, _), (keys, _) = await _fetched(transport, (nras.ATTEST_URL, nras.question(payload)), (nras.KEYS_URL, None))
    except (APIConnectionError, ValueError) as error:
        return str(error)
    return Documents(answer, keys)


def _assembled(tcb: _Document, identity: _Document, pck_crl: _Document, root_crl: _Document) -> dict[str, str]:
    """Stored collateral from the answers of Intel's servers."""
    return {
        "pck_crl_issuer_chain": _chain(pck_crl, "sgx-pck-crl-issuer-chain"),
        "root_ca_crl": _crl(root_crl[0]).hex(),
        "pck_crl": _crl(pck_crl[0]).hex(),
        "tcb_info_issuer_chain": _chain(tcb, "tcb-info-issuer-chain"),
        **_signed(tcb, "tcbInfo", "tcb_info"),
        "qe_identity_issuer_chain": _chain(identity, "sgx-enclave-identity-issuer-chain"),
        **_signed(identity, "enclaveIdentity", "qe_identity"),
    }


def _chain(document: _Document, header: str) -> str:
    chain = unquote(document[1].get(header) or "")
    if "-----BEGIN CERTIFICATE-----" not in chain:
        raise ValueError(f"Intel's answer has no certificates in its header {header}")
    return chain


def _signed(document: _Document, name: str, stored: str) -> dict[str, str]:
    """The signed text in a body, as it stands there, and its signature in hex; both by the names they are stored under."""
    found = members_of(document[0].decode())
    if name not in found or "signature" not in found:
        raise ValueError(f"Intel's answer has no {name} with a signature")
    signature: str = shaped(json.loads(found["signature"]), str, "the signature in Intel's answer")
    return {stored: found[name], f"{stored}_signature": bytes.fromhex(signature).hex()}


def _crl(body: bytes) -> bytes:
    """A revocation list as DER; Intel gives it so, its mirrors in hex or PEM."""
    if body[:1] == b"\x30":
        return body
    text = body.decode("ascii").strip()
    if text.startswith("-----BEGIN X509 CRL-----"):
        return base64.b64decode("".join(text.splitlines()[1:-1]), validate=True)
    return bytes.fromhex(text)
