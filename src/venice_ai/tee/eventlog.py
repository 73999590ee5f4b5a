"""Replays the event log of a trust domain: every measurement register (RTMR) is the hash of the events that went into it.

    register = SHA384(register || digest), from 48 zero bytes

A runtime event's digest is recomputed from its name and payload, so that neither can be edited while the digest is kept; it
is over `name:payload`, so a name has no colon. The boot ends with the event `system-ready`: what containers add after it is
their own word, and stands apart. Source: dstack's guest agent, "cc-eventlog".
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple, cast

from .._core.json_values import items, members
from .canonical import canonical, parse

RUNTIME_EVENT: Final = 0x08000001
_RUNTIME_REGISTER: Final = 3
_DIGEST_BYTES: Final = 48
_MAX_EVENTS: Final = 10_000
_LAST_OF_BOOT: Final = "system-ready"


class ReplayError(ValueError):
    """A log that does not lead to the registers."""


class PayloadError(ValueError):
    """A runtime event that is not what its digest says, or that occurs twice."""


class Replay(NamedTuple):
    """The result of a replay: the four registers, the payloads of the boot's runtime events by name, and later events."""

    rtmrs: tuple[bytes, ...]
    payloads: dict[str, bytes]
    later: tuple[tuple[str, bytes], ...]  # names and payloads that containers added; a name may be there more than once


def replay(log: object) -> Replay:
    """The registers after every event of a log: a list of events, or its JSON text. It ends after the boot."""
    registers = [bytes(_DIGEST_BYTES)] * 4
    payloads: dict[str, bytes] = {}
    later: list[tuple[str, bytes]] = []
    for event in map(members, _events(log)):
        register, kind, digest = event.get("imr"), event.get("event_type"), _bytes(event.get("digest"))
        if type(register) is not int or not 0 <= register <= _RUNTIME_REGISTER or type(kind) is not int:
            raise ReplayError("an event of the log has no register or no type")
        if (kind == RUNTIME_EVENT) is not (register == _RUNTIME_REGISTER):
            raise PayloadError("a runtime event is in a register of the boot, or another event in that of runtime events")
        if kind == RUNTIME_EVENT:
            name, payload, booted = _name(event.get("event")), _bytes(event.get("event_payload")), _LAST_OF_BOOT in payloads
            digest = _runtime_digest(name, payload, digest, later=booted)
            if booted:
                later.append((name, payload))
            elif name in payloads:
                raise PayloadError(f"the event {name!r:.80} occurs twice")
            else:
                payloads[name] = payload
        elif len(digest) != _DIGEST_BYTES:
            raise ReplayError("an event of the boot has no digest of 48 bytes")
        registers[register] = hashlib.sha384(registers[register] + digest).digest()
    if _LAST_OF_BOOT not in payloads:
        raise PayloadError(f"the event log has no {_LAST_OF_BOOT}, so that nothing tells the boot from what containers add")
    return Replay(tuple(registers), payloads, tuple(later))


def _events(log: object) -> list[Any]:
    if isinstance(log, str):
        try:
            log = parse(log)
        except ValueError:
            raise ReplayError("the event log is not JSON") from None
    if not 0 < len(items(log)) <= _MAX_EVENTS:
        raise ReplayError("the event log is not a list of events")
    return items(log)


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise ReplayError("a runtime event has no name")
    if not name or ":" in name:
        raise PayloadError(f"the event {name!r:.80} has no name, or a colon in it, so that its digest is that of another, too")
    return name


def _runtime_digest(name: str, payload: bytes, given: bytes, *, later: bool) -> bytes:
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


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(cast("str", text or ""))
    except (ValueError, TypeError):
        raise ReplayError("a digest or a payload of the log is not hex") from None
