"""Replays the event log of a trust domain: every measurement register (RTMR) is the hash of the events that went into it.

A runtime event's digest is recomputed from its name and payload, which a colon separates, so a name has none. The boot ends
with the event `system-ready`: what containers add is their own word. Source: dstack's guest agent, "cc-eventlog".
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec

from .._wire.invalid_values import learn
from .canonical import canonical, from_hex, parse, shaped
from .checks import fail_if

RUNTIME_EVENT: Final = 0x08000001
_RUNTIME_REGISTER: Final = 3
_DIGEST_BYTES: Final = 48
_LAST_OF_BOOT: Final = "system-ready"


class PayloadError(ValueError):
    """A runtime event that is not what its digest says, or that occurs twice."""


class ReplayedLog(NamedTuple):
    """The result of a replay: the four registers, the payloads of the boot's runtime events by name, and later events."""

    rtmrs: tuple[bytes, ...]
    payloads: dict[str, bytes]
    later: tuple[tuple[str, bytes], ...]  # names and payloads that containers added; a name may be there more than once


class _Event(msgspec.Struct):
    imr: Annotated[int, msgspec.Meta(ge=0, le=_RUNTIME_REGISTER)]
    event_type: int
    digest: str | None = None  # in hex, as the payload
    event: str = ""
    event_payload: str | None = None


_Log: TypeAlias = Annotated[list[_Event], msgspec.Meta(min_length=1, max_length=10_000)]
learn(_Event)


def replay(log: object) -> ReplayedLog:
    """The registers after every event of a log: a list of events, or its JSON text. It ends after the boot."""
    registers = [bytes(_DIGEST_BYTES)] * 4
    payloads: dict[str, bytes] = {}
    later: list[tuple[str, bytes]] = []
    events: list[_Event] = shaped(parse(log) if isinstance(log, str) else log, _Log, "the event log")
    for event in events:
        digest, is_runtime = from_hex(event.digest or "", "a digest of the log"), event.event_type == RUNTIME_EVENT
        if is_runtime is not (event.imr == _RUNTIME_REGISTER):
            raise PayloadError("a runtime event is in a register of the boot, or another event in that of runtime events")
        if is_runtime:
            name, payload = event.event, from_hex(event.event_payload or "", "a payload of the log")
            booted = _LAST_OF_BOOT in payloads
            digest = _runtime_digest(name, payload, digest, later=booted)
            if booted:
                later.append((name, payload))
            elif name in payloads:
                raise PayloadError(f"the event {name!r:.80} occurs twice")
            else:
                payloads[name] = payload
        fail_if(len(digest) != _DIGEST_BYTES, "an event of the boot has no digest of 48 bytes")
        registers[event.imr] = hashlib.sha384(registers[event.imr] + digest).digest()
    if _LAST_OF_BOOT not in payloads:
        raise PayloadError(f"the event log has no {_LAST_OF_BOOT}, so that nothing tells the boot from what containers add")
    return ReplayedLog(tuple(registers), payloads, tuple(later))


def _runtime_digest(name: str, payload: bytes, given: bytes, *, later: bool) -> bytes:
    if not name or ":" in name:
        raise PayloadError(f"the event {name!r:.80} has no name, or a colon in it, so that its digest is that of another, too")
    usual = hashlib.sha384(RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload).digest()
    if given in (b"", usual):
        if later and b":" in payload:  # the boot's names are known to have no colon, those that containers choose are not
            raise PayloadError(f"the digest of the later event {name!r:.80} could be that of another name, too")
        return usual
    # The form of newer guests.
    other = hashlib.sha384(canonical({"name": name, "payload": payload.hex(), "type": RUNTIME_EVENT})).digest()
    if given != other:
        raise PayloadError(f"the digest of the event {name!r:.80} is not that of its payload")
    return other
