"""Replays the event log of a trust domain: every measurement register (RTMR) is the hash of the events that went into it.

    register = SHA384(register || digest), from 48 zero bytes

A runtime event's digest is recomputed from its name and payload, so that neither can be edited while the digest is kept; it
is over `name:payload`, so a name has no colon. The boot ends with the event `system-ready`: what containers add after it is
their own word, and stands apart. Source: dstack's guest agent, "cc-eventlog".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

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


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay: the four registers, the payloads of the boot's runtime events by name, and later events."""

    rtmrs: tuple[bytes, ...]
    payloads: dict[str, bytes]
    later: tuple[tuple[str, bytes], ...] = ()
    """Names and payloads that containers added; a name may be there more than once."""


def replay(log: object) -> Replay:
    """The registers after every event of a log: a list of events, or its JSON text. It ends after the boot."""
    registers = [bytes(_DIGEST_BYTES)] * 4
    payloads: dict[str, bytes] = {}
    later: list[tuple[str, bytes]] = []
    if isinstance(log, str):
        try:
            log = parse(log)
        except ValueError:
            raise ReplayError("the event log is not JSON") from None
    if not 0 < len(items(log)) <= _MAX_EVENTS:
        raise ReplayError("the event log is not a list of events")
    for event in map(_event, items(log)):
        if event.name is not None and _LAST_OF_BOOT in payloads:
            if event.ambiguous:  # the boot's names are known to have no colon, those that containers choose are not
                raise PayloadError(f"the digest of the later event {event.name!r:.80} could be that of another name, too")
            later.append((event.name, event.payload))
        elif event.name is not None:
            if event.name in payloads:
                raise PayloadError(f"the event {event.name!r:.80} occurs twice")
            payloads[event.name] = event.payload
        registers[event.register] = hashlib.sha384(registers[event.register] + event.digest).digest()
    if _LAST_OF_BOOT not in payloads:
        raise PayloadError(f"the event log has no {_LAST_OF_BOOT}, so that nothing tells the boot from what containers add")
    return Replay(tuple(registers), payloads, tuple(later))


class _Event(NamedTuple):
    """An event; `name` is None for one that the firmware or the kernel measured."""

    register: int
    name: str | None
    payload: bytes
    digest: bytes
    ambiguous: bool = False
    """Whether its digest is that of another name with another payload, too."""


def _event(given: object) -> _Event:
    event = members(given)
    register, kind = event.get("imr"), event.get("event_type")
    if type(register) is not int or not 0 <= register <= _RUNTIME_REGISTER or type(kind) is not int:
        raise ReplayError("an event of the log has no register or no type")
    digest = _bytes(event.get("digest") or "")
    if kind != RUNTIME_EVENT:
        if register == _RUNTIME_REGISTER:
            raise PayloadError("an event of another kind is in the register of runtime events")
        if len(digest) != _DIGEST_BYTES:
            raise ReplayError("an event of the boot has no digest of 48 bytes")
        return _Event(register, None, b"", digest)
    if register != _RUNTIME_REGISTER:
        raise PayloadError("a runtime event is in a register of the boot")
    name = event.get("event")
    if not isinstance(name, str):
        raise ReplayError("a runtime event has no name")
    if not name or ":" in name:
        raise PayloadError(f"the event {name!r:.80} has no name, or a colon in it, so that its digest is that of another, too")
    return _runtime_event(name, _bytes(event.get("event_payload") or ""), digest)


def _runtime_event(name: str, payload: bytes, given: bytes) -> _Event:
    usual = hashlib.sha384(RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload).digest()
    if given in (b"", usual):
        return _Event(_RUNTIME_REGISTER, name, payload, usual, b":" in payload)
    # The form of newer guests.
    other = hashlib.sha384(canonical({"name": name, "payload": payload.hex(), "type": RUNTIME_EVENT})).digest()
    if given != other:
        raise PayloadError(f"the digest of the event {name!r:.80} is not that of its payload")
    return _Event(_RUNTIME_REGISTER, name, payload, other)


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(cast("str", text))
    except (ValueError, TypeError):
        raise ReplayError("a digest or a payload of the log is not hex") from None
