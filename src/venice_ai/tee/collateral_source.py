"""The addresses of Intel's collateral, and how the four documents that servers give there are put together.

Intel's servers answer without an account, and so does a mirror, which can withhold what Intel signed, and not forge it.
https://api.portal.trustedservices.intel.com/content/documentation.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote

from .canonical import Malformed, members_of

_PATHS = {
    "tcb": "/tdx/certification/v4/tcb?fmspc={fmspc}",
    "qe": "/tdx/certification/v4/qe/identity",
    "pck_crl": "/sgx/certification/v4/pckcrl?ca={ca}&encoding=der",
}


class Source(NamedTuple):
    """A server that gives Intel's documents."""

    name: str
    origin: str
    root_crl: str

    def urls(self, fmspc: str, ca: str) -> dict[str, str]:
        """The addresses of the four documents about a platform: `tcb`, `qe`, `pck_crl`, `root_crl`."""
        return {part: self.origin + path.format(fmspc=fmspc, ca=ca) for part, path in _PATHS.items()} | {
            "root_crl": self.root_crl
        }


SOURCES: Final = (
    Source(
        "Intel", "https://api.trustedservices.intel.com", "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
    ),
    Source("Phala's mirror", "https://pccs.phala.network", "https://pccs.phala.network/sgx/certification/v4/rootcacrl"),
)


class Document(NamedTuple):
    """What a server answered: the body, and its headers in lower case."""

    body: bytes
    headers: Mapping[str, str]


def assemble(documents: Mapping[str, Document]) -> dict[str, str]:
    """Stored collateral from the answers of Intel's servers. What is signed is taken from the body as it stands."""
    tcb_info, tcb_signature = _signed(documents["tcb"].body, "tcbInfo")
    identity, identity_signature = _signed(documents["qe"].body, "enclaveIdentity")
    return {
        "pck_crl_issuer_chain": _chain(documents["pck_crl"], "sgx-pck-crl-issuer-chain"),
        "root_ca_crl": _crl(documents["root_crl"].body).hex(),
        "pck_crl": _crl(documents["pck_crl"].body).hex(),
        "tcb_info_issuer_chain": _chain(documents["tcb"], "tcb-info-issuer-chain"),
        "tcb_info": tcb_info,
        "tcb_info_signature": tcb_signature,
        "qe_identity_issuer_chain": _chain(documents["qe"], "sgx-enclave-identity-issuer-chain"),
        "qe_identity": identity,
        "qe_identity_signature": identity_signature,
    }


def _chain(document: Document, header: str) -> str:
    chain = unquote(document.headers.get(header) or "")
    if "-----BEGIN CERTIFICATE-----" not in chain:
        raise ValueError(f"Intel's answer has no certificates in its header {header}")
    return chain


def _signed(body: bytes, name: str) -> tuple[str, str]:
    """The signed text in a body, cut out of it, and its signature in hex."""
    members = members_of(body.decode())
    if name not in members or "signature" not in members:
        raise ValueError(f"Intel's answer has no {name} with a signature")
    signature = json.loads(members["signature"])
    if not isinstance(signature, str):
        raise Malformed("the signature in Intel's answer is not a string")
    return members[name], bytes.fromhex(signature).hex()


def _crl(body: bytes) -> bytes:
    """A revocation list as DER; Intel gives it so, its mirrors in hex or PEM."""
    if body[:1] == b"\x30":
        return body
    text = body.decode("ascii").strip()
    if text.startswith("-----BEGIN X509 CRL-----"):
        return base64.b64decode("".join(text.splitlines()[1:-1]), validate=True)
    return bytes.fromhex(text)
