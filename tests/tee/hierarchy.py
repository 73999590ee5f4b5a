"""A certificate hierarchy like Intel's, from the emulator, valid at the time of the tests. A test names what shall differ.

`Intel().collateral(status="OutOfDate")`; times are Unix time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from typing import Any, Final

from venice_ai.emulator.enclave import hardware
from venice_ai.emulator.enclave.attestation import Domain
from venice_ai.emulator.enclave.hardware import FMSPC, QE_SVN, Authority

NOW: Final = 1_795_000_000
_TIMES = ("issued", "expires", "crl_issued", "crl_expires")
_NAMES = {"pck": "platform"}


@cache
def _made(label: str, fmspc: str, qe_isvsvn: int) -> hardware.Intel:
    """A hierarchy has one root, however many quotes: a certificate that is made anew has another signature."""
    return hardware.Intel(f"tests/tee/{label}", fmspc, qe_isvsvn)


@dataclass(frozen=True)
class Intel:
    """One hierarchy; another label is another one."""

    label: str = "intel"
    fmspc: str = FMSPC
    qe_isvsvn: int = QE_SVN
    body: bytes = field(default=b"", repr=False)
    """The 584 bytes of the trust domain's report; empty for one that is all right."""

    @property
    def _own(self) -> hardware.Intel:
        return _made(self.label, self.fmspc, self.qe_isvsvn)

    @property
    def root(self) -> Authority:
        return self._own.root

    @property
    def ca(self) -> Authority:
        return self._own.ca

    @property
    def platform(self) -> Authority:
        return self._own.platform

    @property
    def signer(self) -> Authority:
        return self._own.signer

    @property
    def root_der(self) -> bytes:
        return self.root.der

    @cached_property
    def quote(self) -> bytes:
        """A quote by this platform."""
        signed = Domain().signed(bytes(64))
        if self.body:
            signed[48:] = self.body
        return self._own.quote(bytes(signed))

    def collateral(self, **changes: Any) -> dict[str, str]:
        """What Intel publishes of such platforms, with changes. The same each time."""
        return dict(self._collateral(**changes))

    @lru_cache(maxsize=256)  # noqa: B019  # signatures are random, and there are few hierarchies
    def _collateral(self, **changes: Any) -> dict[str, str]:
        """`revoked` names certificates: pck, ca, signer."""
        relative = {name: changes.pop(name) - NOW for name in _TIMES if name in changes}
        revoked = tuple(_NAMES.get(name, name) for name in changes.pop("revoked", ()))
        return self._own.collateral(NOW, **relative, revoked=revoked, **changes)
