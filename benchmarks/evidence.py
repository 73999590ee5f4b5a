"""What it costs to judge an attestation that is made to cost, by its length, and how long the event loop has to wait meanwhile.

    python -m benchmarks.evidence                      256 KiB to 4 MiB, of every kind
    python -m benchmarks.evidence --only compose lists the kinds whose name has one of these words

Every reply comes to a whole client, which judges it. A second task of the same loop sleeps a millisecond at a time and measures
by how much it is late: that is how long the loop was blocked. Both are told in CPU time of this process, which is the same
whatever else the machine does. The exit code is 1 if the loop was blocked for more than 50 ms, or if a length costs more than
four times as much for a byte as a quarter of it.
"""

import argparse
import asyncio
import contextlib
import json
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Iterator

from venice_ai import VeniceClient, VeniceError
from venice_ai._core.request import WholeReply
from venice_ai.emulator.enclave import Enclave
from venice_ai.emulator.enclave.attestation import Domain, Draft, compose
from venice_ai.transport import Request
from venice_ai.types.response_meta import Headers

_MODEL = "e2ee-m"
_SIZES = [2**18, 2**20, 2**22]
_MOST_BLOCKED = 0.05
_MOST_GROWTH = 4.0
_LEAST_SECONDS = 0.05
"""Below that, what does not depend on the length is most of it."""
_ROUNDS = 3
Made = Callable[[Draft, int], bytes]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="the kinds whose name has such a word")
    words = parser.parse_args().only
    warnings.simplefilter("ignore")
    slow = False
    print(f"{'evidence':24} {'bytes':>9} {'ms':>8} {'us/KiB':>8} {'blocked ms':>11}")
    for name, made in _KINDS.items():
        if any(word in name for word in words):
            slow |= _measure(name, made)
    return int(slow)


def _measure(name: str, made: Made) -> bool:
    """Prints a line for each length; gives whether one of them is too slow."""
    enclave, slow, before = Enclave(), False, 0.0
    for size in _SIZES:
        length, results = 0, list[tuple[float, float]]()
        for _ in range(_ROUNDS):
            nonce = secrets.token_bytes(32)
            body = made(Draft(enclave.key, enclave.intel, enclave.nvidia, _MODEL, nonce), size)
            length = len(body)
            results.append(asyncio.run(_attested(enclave, nonce, body)))
        seconds, blocked = (min(each) for each in zip(*results, strict=True))
        rate = seconds / length
        slow |= blocked > _MOST_BLOCKED or (seconds > _LEAST_SECONDS and bool(before) and rate > _MOST_GROWTH * before)
        before = rate
        print(f"{name:24} {length:9} {seconds * 1e3:8.1f} {rate * 2**10 * 1e6:8.2f} {blocked * 1e3:11.1f}", flush=True)
    return slow


async def _attested(enclave: Enclave, nonce: bytes, body: bytes) -> tuple[float, float]:
    """Seconds that an attestation takes, and the longest time that the loop was blocked."""
    late: list[float] = []
    options = enclave.options(nonce=nonce.hex())
    async with VeniceClient(api_key="k", transport=_Server(body), tee=options) as client:
        assert client.tee  # what is imported when it is first used is no evidence
        ticking = asyncio.create_task(_tick(late))
        await asyncio.sleep(0.02)
        late.clear()
        began = time.process_time()
        with contextlib.suppress(VeniceError):  # a refusal is an answer, too
            await client.tee.attest(_MODEL)
        seconds = time.process_time() - began
        await asyncio.sleep(0.005)
        ticking.cancel()
    return seconds, max(late)


async def _tick(late: list[float]) -> None:
    while True:
        began, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(0.001)
        late.append(min(time.perf_counter() - began - 0.001, time.process_time() - used))


class _Server:
    """Answers with one reply."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def send(self, request: Request) -> WholeReply:
        return WholeReply(200, Headers([("content-type", "application/json")]), self._body)

    async def aclose(self) -> None:
        pass


def _ordinary(draft: Draft, _size: int = 0) -> bytes:
    draft.measure()
    draft.answer()
    return draft.written()


def _beside(value: Callable[[int], str]) -> Made:
    """An ordinary reply with one more member, whose JSON text has about a length."""

    def made(draft: Draft, size: int) -> bytes:
        ordinary = _ordinary(draft)
        return b'{"more":' + value(size - len(ordinary) - 20).encode() + b"," + ordinary[1:]

    return made


def _repeated(text: str, *, ends: str = "[]", last: str = "0") -> Callable[[int], str]:
    return lambda size: ends[0] + text * (size // len(text)) + last + ends[1]


def _keys(size: int, last: str = "z") -> str:
    return "{" + "".join(f'"{number:09}":0,' for number in range(size // 14)) + f'"{last}":0}}'


def _signed_compose(services: str) -> Made:
    def made(draft: Draft, size: int) -> bytes:
        draft.domain = Domain(compose(services * (size // 2 // len(services.encode("unicode_escape")))))
        return _ordinary(draft)

    return made


def _gateway_keys(draft: Draft, size: int) -> bytes:
    _ordinary(draft)
    key = {"public_key": draft.key.public.hex()[:-1] + "0"}
    draft.reply["signing_public_key"] = None
    draft.reply["attestation"] = {"workload_keyset": {"e2ee_public_keys": [key] * (size // len(json.dumps(key)))}}
    return draft.written()


def _events(draft: Draft, size: int) -> bytes:
    _ordinary(draft)
    one = draft.domain.log[0]
    draft.show_log([one] * (size // 3 // len(json.dumps(one))))
    return draft.written()


def _quote(draft: Draft, size: int) -> bytes:
    _ordinary(draft)
    draft.reply["quote"] = draft.reply["intel_quote"] = draft.quote.hex() + "00" * (size // 4)
    return draft.written()


def _certificates(draft: Draft, size: int) -> bytes:
    """A quote with very many certificates, whose lengths add up."""
    _ordinary(draft)
    raw = draft.quote
    first = raw.index(b"-----BEGIN")
    chain = raw[first:].rstrip(b"\0")
    more = chain * (size // 4 // len(chain))
    grown = bytearray(raw[:first] + chain + more)
    for at in (632, 766, first - 4):
        grown[at : at + 4] = (int.from_bytes(grown[at : at + 4], "little") + len(more)).to_bytes(4, "little")
    draft.show_quote(bytes(grown))
    return draft.written()


def _kinds() -> Iterator[tuple[str, Made]]:
    yield "an ordinary reply", _ordinary
    yield "one long text", _beside(lambda size: '"' + "x" * size + '"')
    yield "escapes", _beside(lambda size: '"' + r"\u0041" * (size // 6) + '"')
    yield "half characters", _beside(lambda size: '"' + r"\ud83d\ude00" * (size // 12) + '"')
    yield "distinct keys", _beside(_keys)
    yield "a key that comes twice", _beside(lambda size: _keys(size, "000000000"))
    yield "49,000 keys, one twice", _beside(lambda size: _keys(min(size, 12_000 * 14), "000000000"))
    yield "numbers", _beside(_repeated("0,"))
    yield "fractions", _beside(_repeated("1e1,"))
    yield "lists", _beside(_repeated("[],"))
    yield "objects", _beside(_repeated("{},"))
    yield "nested lists", _beside(lambda size: "[" * (size // 2) + "]" * (size // 2))
    yield "gateway keys", _gateway_keys
    yield "events", _events
    yield "a long quote", _quote
    yield "many certificates", _certificates
    yield "compose, line breaks", _signed_compose("\n")
    yield "compose, images", _signed_compose("image: a\n")
    yield "compose, blanks", _signed_compose("    \t - ")


_KINDS: dict[str, Made] = dict(_kinds())

if __name__ == "__main__":
    sys.exit(main())
