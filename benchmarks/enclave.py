"""A server with an enclave: it attests at the lowest level, and seals the same answer to everyone who asks sealed.

Run as a process of its own: `python -m benchmarks.enclave`. It prints its port, and stops when its input ends.
"""

import asyncio
import re
import sys
from urllib.parse import parse_qs, urlsplit

from benchmarks.envelopes import ENCLAVE_SECRET
from benchmarks.pinning import pin_to_last_core
from benchmarks.replies import json_reply, short_completion, short_pieces, stream_of
from venice_ai.tee.crypto import Sealer, address
from venice_ai.tee.curve import KINDS

_PUBLIC = KINDS[0](ENCLAVE_SECRET).public_key
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_CLIENT_KEY = re.compile(rb"x-venice-tee-client-pub-key:\s*(\w+)", re.IGNORECASE)
_PLAIN = json_reply(short_completion())


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if length := _LENGTH.search(head):
                await reader.readexactly(int(length[1]))
            writer.write(_reply(head))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _reply(head: bytes) -> bytes:
    if head.startswith(b"GET"):
        return json_reply(_attestation(head.split()[1].decode()))
    key = _CLIENT_KEY.search(head)
    if key is None:
        return _PLAIN
    sealer = Sealer(bytes.fromhex(key[1].decode()))
    return stream_of(sealer.seal(piece.encode()) for piece in short_pieces())


def _attestation(target: str) -> dict[str, object]:
    asked = parse_qs(urlsplit(target).query)
    return {
        "verified": True,
        "model": asked["model"][0],
        "nonce": asked["nonce"][0],
        "nonce_source": "client",
        "signing_address": address(_PUBLIC),
        "signing_public_key": _PUBLIC.hex(),
        "signing_algo": "ecdsa",
        "tee_hardware": "intel-tdx",
    }


async def main() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1")
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    pin_to_last_core()
    asyncio.run(main())
