"""Evidence that is changed at random, for every parser of it: malformed evidence is refused by the documented error.

    python -m tests.tee.mutations --cases 100000 --seed 1

Bytes are changed, and members of JSON, in the real captures, in the synthetic one, and in what NVIDIA's service says. A case
is an escape if anything but the documented error comes out, or if bent evidence passes for the genuine one with another key. It
hangs if it takes longer than `--patience` seconds. The exit code is 0 if there was neither.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, cast

from venice_ai.exceptions import TeeEncryptionError
from venice_ai.tee import TeeOptions, TeeSession, aci, collateral, eventlog, gpu, nras, quote, signature, workload
from venice_ai.tee.attestation import evidence, subjects
from venice_ai.tee.canonical import canonical, members_of, parse
from venice_ai.tee.certificates import load
from venice_ai.tee.crypto import EnvelopeError, Opener, public_key_bytes, seal
from venice_ai.tee.types import CollectedEvidence, Documents
from venice_ai.types.attestation import Check

from .enclave import chunk
from .evidence import CAPTURES, Case, capture, managed, synthetic
from .test_nras import KEYS, NONCE, NOW, Answer, payload_of
from .test_session import REPORT
from .test_signature import KEY
from .test_signature import reply as signed_reply

ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**63, 2**70, -(2**70), 1.5, 1e308, 1e999, "", " ", "0", "00", "x" * 5_000, "\ud800"),
    *(
        "\n" * 50,
        "a\nb",
        "\u2028",
        "{}",
        "[]",
        '{"a":1,"a":2}',
        "[" * 500,
        "=" * 10,
        "0x",
        "é",
        [],
        {},
        [[]],
        [None],
        {"": None},
    ),
)


@dataclass
class Chance:
    """Bends bytes and JSON values, always in the same way for the same seed."""

    random: random.Random

    def octets(self, raw: bytes) -> bytes:
        for _ in range(self.random.choice((1, 1, 1, 2, 5))):
            raw = self.random.choice((self._flip, self._drop, self._insert, self._repeat, self._cut))(raw)
        return raw

    def _at(self, raw: bytes) -> int:
        return self.random.randrange(len(raw) + 1)

    def _flip(self, raw: bytes) -> bytes:
        at = self._at(raw)
        return raw[:at] + bytes([raw[at] ^ 1 << self.random.randrange(8)]) + raw[at + 1 :] if at < len(raw) else raw

    def _drop(self, raw: bytes) -> bytes:
        at = self._at(raw)
        return raw[:at] + raw[at + self.random.choice((1, 2, 16, 48)) :]

    def _insert(self, raw: bytes) -> bytes:
        at = self._at(raw)
        return raw[:at] + self.random.choice((b"\0", b'"', b"\\", b"{", b"]", b",", b"\n", b"\xff", b"0")) + raw[at:]

    def _repeat(self, raw: bytes) -> bytes:
        first, last = sorted((self._at(raw), self._at(raw)))
        return raw[:last] + raw[first : min(last, first + 200)] + raw[last:]

    def _cut(self, raw: bytes) -> bytes:
        return raw[: self._at(raw)] if self.random.random() < 0.2 else self._flip(raw)

    def json(self, value: Any) -> Any:
        """A copy with some member, however deep, another one than it was."""
        whole = {"": copy.deepcopy(value)}
        for _ in range(self.random.choice((1, 1, 1, 2, 4))):
            holder, key = self._place(whole)
            held = holder[key]
            if holder is not whole and self.random.random() < 0.15:
                del holder[key]
            elif isinstance(held, str) and held and self.random.random() < 0.6:
                holder[key] = self.text(held)
            else:
                holder[key] = copy.deepcopy(self.random.choice((*ODD, [held], {"x": held})))
        return whole[""]

    def _place(self, whole: dict[str, Any]) -> tuple[Any, Any]:
        holder: Any = whole
        key: Any = ""
        while True:
            held = holder[key]
            inside = _keys_of(held)
            if not inside or (holder is not whole and self.random.random() < 0.15):
                return holder, key
            holder, key = held, self.random.choice(inside)

    def text(self, text: str) -> str:
        """A text in which something is another; what is JSON itself is bent as that."""
        if text[0] in "{[" and self.random.random() < 0.7:
            try:
                return json.dumps(self.json(json.loads(text)))
            except (ValueError, RecursionError):
                pass
        return self.octets(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def _keys_of(value: Any) -> list[Any]:
    """What leads to the values in a JSON object or list."""
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value))
    return list(range(len(cast("list[Any]", value)))) if isinstance(value, list) else []


@dataclass(frozen=True)
class Target:
    """A parser: feeds it one bent input; what it raises besides `allowed` has escaped."""

    name: str
    weight: int
    feed: Callable[[Chance], Any]
    allowed: tuple[type[Exception], ...] = ()


class Genuine:
    """A reply that verifies, and the key that it proves."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.raw = _written(case.reply)
        report = case.judged()
        assert report.reaches("quote"), report.failures
        self.key = report.model_public_key

    def bent_bytes(self, chance: Chance) -> None:
        self._judge(chance.octets(self.raw))

    def bent_json(self, chance: Chance) -> None:
        self._judge(_written(chance.json(self.case.reply)))

    def bent_collateral(self, chance: Chance) -> None:
        found = chance.json(self.case.collateral)
        self._judge(self.raw, collateral=found if isinstance(found, dict) else None)

    def _judge(self, reply: bytes, **arguments: Any) -> None:
        report = self.case.judged(reply=reply, **arguments)
        lines = report.summary().splitlines()
        report.to_json()
        assert report.ok == (report.level is not None) == (report.model_public_key is not None)
        assert not report.reaches("quote") or report.model_public_key == self.key, "another key passes for the genuine one"
        assert [line for line in lines if line.startswith("verdict:")] == lines[-1:], "a line was forged"


def _written(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _opened(chance: Chance) -> None:
    session = TeeSession(REPORT)
    key = bytes.fromhex(session.headers["X-Venice-TEE-Client-Pub-Key"])
    session.open(chance.json(chunk(seal(key, b"an answer"), role="assistant", reasoning_content=seal(key, b"why"))))
    session.end(done=True)


def _signed(chance: Chance) -> None:
    given = chance.json({**signed_reply(), "api_version": "aci/1", "receipt": {"chat_id": "chatcmpl-1", "event_log": []}})
    if isinstance(given, dict):
        found = cast("dict[str, Any]", given)
        signature.verify(found, public_key=KEY, request_id="chatcmpl-1", received=b"")


def said(answer: bytes, keys: bytes, *, nonce: bytes, now: float) -> list[Check]:
    """What NVIDIA's word about two GPUs comes to."""
    return [nras.check(Documents(answer, keys), payload=payload_of(2), nonce=nonce, now=now)]


def collected(reply: bytes) -> CollectedEvidence:
    return CollectedEvidence(model="m", nonce=NONCE, reply=reply, now=0)


def targets() -> list[Target]:
    """Every parser of evidence, and how often it has its turn."""
    genuine = [Genuine(case) for case in (*map(capture, CAPTURES), synthetic(), managed())]
    gemma, glm, live = (each.case for each in genuine[:3])
    raw, compose = gemma.quote, gemma.reply["info"]["tcb_info"]["app_compose"]
    parsed = quote.parse(raw)
    answer, opener = Answer(), Opener()
    envelope = seal(opener.public_key, b"a text")
    wrong = (ValueError,)
    # The evidence of eight GPUs takes a tenth of a second: it comes less often.
    whole = [
        Target(f"{what} of reply {number}", 1 if each.case is glm else 4, bend)
        for number, each in enumerate(genuine)
        for what, bend in (("bytes", each.bent_bytes), ("members", each.bent_json))
    ]
    log = gemma.reply["info"]["tcb_info"]["event_log"]
    return [
        *whole,
        Target("collateral", 10, genuine[0].bent_collateral),
        Target("subjects", 10, lambda chance: subjects(chance.octets(genuine[0].raw))),
        Target("evidence", 10, lambda chance: evidence(collected(chance.octets(genuine[0].raw))), wrong),
        Target("JSON", 40, lambda chance: parse(chance.octets(genuine[2].raw)), wrong),
        Target("members", 20, lambda chance: members_of(chance.octets(genuine[2].raw).decode()), wrong),
        Target("canonical", 30, lambda chance: canonical(chance.json(live.reply["attestation"])), wrong),
        Target("quote", 60, lambda chance: quote.parse(chance.octets(raw)), wrong),
        Target("quote as text", 20, lambda chance: quote.decode(chance.json(raw.hex())), wrong),
        Target("certificates", 20, lambda chance: load(chance.octets(parsed.chain), 3), wrong),
        Target("event log", 30, lambda chance: eventlog.replay(chance.json(log)), wrong),
        Target(
            "GPUs",
            8,
            lambda chance: gpu.check(chance.json(json.loads(gemma.reply["nvidia_payload"])), gemma.nonce, TeeOptions()),
        ),
        Target("NVIDIA's answer", 20, lambda chance: said(chance.octets(bytes(answer)), KEYS, nonce=NONCE, now=NOW)),
        Target("NVIDIA's claims", 20, lambda chance: said(_written(chance.json(answer.parts)), KEYS, nonce=NONCE, now=NOW)),
        Target(
            "NVIDIA's keys",
            20,
            lambda chance: said(bytes(answer), _written(chance.json(json.loads(KEYS))), nonce=NONCE, now=NOW),
        ),
        Target("a gateway", 20, lambda chance: _gateway(chance, live.reply)),
        Target("compose file", 30, lambda chance: _compose(chance, compose)),
        Target("a signature", 30, _signed),
        Target("an answer", 60, _opened, (TeeEncryptionError,)),
        Target("an envelope", 40, lambda chance: opener.open(chance.text(envelope)), (EnvelopeError,)),
        Target("a key", 30, lambda chance: public_key_bytes(chance.json(KEY.hex())), wrong),
        Target("collateral of another kind", 10, lambda chance: _collateral(chance, raw, gemma)),
    ]


def _gateway(chance: Chance, reply: dict[str, Any]) -> None:
    given = chance.json(reply)
    if isinstance(given, dict):
        aci.check(cast("dict[str, Any]", given))


def _compose(chance: Chance, text: str) -> None:
    workload.read_compose(chance.text(text))


def _collateral(chance: Chance, raw: bytes, case: Case) -> None:
    collateral.check(chance.octets(raw), case.collected(), TeeOptions())


@dataclass
class Figures:
    """What a run came to."""

    cases: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    escapes: list[str] = field(default_factory=list[str])
    slowest: tuple[float, str] = (0.0, "")

    def __str__(self) -> str:
        rows = [f"{name:28} {count:7} cases, {self.refused[name]:7} raised as documented" for name, count in self.cases.items()]
        total = (
            f"{sum(self.cases.values())} cases, {len(self.escapes)} escapes or hangs; the slowest took {self.slowest[0]:.2f} s"
        )
        return "\n".join([*rows, *self.escapes[:20], f"{total} ({self.slowest[1]})"])


class HungError(BaseException):
    """A parser did not come back. No `Exception`: none of them may catch it."""


def _hung(*_: object) -> NoReturn:
    raise HungError


def run(cases: int, seed: int = 1, patience: float = 10.0) -> Figures:
    """Bends evidence so often, and feeds it to the parsers."""
    figures, chance = Figures(), Chance(random.Random(seed))  # for the same cases each time
    parsers = targets()
    weights = [each.weight for each in parsers]
    before = signal.signal(signal.SIGALRM, _hung)
    try:
        for number in range(cases):
            (target,) = chance.random.choices(parsers, weights)
            began = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, patience)
            _feed(target, chance, figures, f"case {number} of seed {seed}, {target.name}")
            signal.setitimer(signal.ITIMER_REAL, 0)
            figures.slowest = max(figures.slowest, (time.perf_counter() - began, target.name))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return figures


def _feed(target: Target, chance: Chance, figures: Figures, which: str) -> None:
    figures.cases[target.name] += 1
    try:
        target.feed(chance)
    except target.allowed:
        figures.refused[target.name] += 1
    except (Exception, HungError) as error:  # noqa: BLE001  # that is what is looked for
        figures.escapes.append(f"{which}: {type(error).__name__}: {error!s:.200}")


def main() -> int:
    """Runs what the command line asks for, and prints what it came to."""
    parser = argparse.ArgumentParser(prog="python -m tests.tee.mutations", description="Bent evidence for every parser.")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=10.0, help="seconds after which a case hangs")
    given = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = run(given.cases, given.seed, given.patience)
    print(figures)
    return 1 if figures.escapes else 0


if __name__ == "__main__":
    sys.exit(main())
