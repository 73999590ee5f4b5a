"""The enclave's key pair (secp256k1): clients encrypt to it, and it signs responses."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from venice_ai.tee.crypto import address
from venice_ai.tee.curve import ORDER, Key, PrivateKey, recover
from venice_ai.tee.signature import digest


class EnclaveKey:
    def __init__(self) -> None:
        secret = (secrets.randbelow(ORDER - 1) + 1).to_bytes(32, "big")
        self.private: PrivateKey = Key(secret)  # for opening what was sealed
        self.public: bytes = self.private.public_key
        self.address: str = address(self.public)
        self._signing = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256K1())

    def sign(self, text: str) -> str:
        """The signature of a text, as wallets sign one: 0x, and r, s and v in hex."""
        signed = digest(text)
        r, s = utils.decode_dss_signature(self._signing.sign(signed, ec.ECDSA(utils.Prehashed(SHA256()))))
        both = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        recovery = next(v for v in (27, 28) if recover(signed, both + bytes([v])) == self.public)
        return "0x" + (both + bytes([recovery])).hex()
