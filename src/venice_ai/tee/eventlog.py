"""The event log of a trust domain, replayed: every measurement register is the hash of the events that went into it.

    register = SHA384(register || digest), from 48 zero bytes

A runtime event's digest is recomputed from its name and payload, so that neither can be edited while the digest is kept.
Source: dstack's guest agent, "cc-eventlog".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from .canonical import canonical, parse

RUNTIME_EVENT: Final = 0x08000001
_RUNTIME_REGISTER: Final = 3
_DIGEST_BYTES: Final = 48
_MAX_EVENTS: Final = 10_000


class ReplayError(ValueError):
    """A log that does not lead to the registers."""


class PayloadError(ValueError):
    """A runtime event that is not what its digest says, or that occurs twice."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a log comes to: the four registers, and the payloads of the runtime events by their names."""

    rtmrs: tuple[bytes, ...]
    payloads: dict[str, bytes]


def replay(log: object) -> Replay:
    """The registers after every event of a log (a list of events, or its JSON text).

    Raises:
        ReplayError: it is no log.
        PayloadError: a runtime event's digest is not that of its payload, or a name occurs twice.
    """
    registers = [bytes(_DIGEST_BYTES)] * 4
    payloads: dict[str, bytes] = {}
    for register, name, payload, digest in map(_event, _events(log)):
        if name is not None:
            if name in payloads:
                raise PayloadError(f"the event {name!r} occurs twice")
            payloads[name] = payload
        registers[register] = hashlib.sha384(registers[register] + digest).digest()
    return Replay(tuple(registers), payloads)


def _events(log: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(log, str):
        try:
            log = parse(log)
        except ValueError:
            raise ReplayError("the event log is not JSON") from None
    if not isinstance(log, list) or not 0 < len(cast("list[Any]", log)) <= _MAX_EVENTS:
        raise ReplayError("the event log is no list of events")
    for event in cast("list[Any]", log):
        if not isinstance(event, dict):
            raise ReplayError("an event of the log is no object")
        yield cast("dict[str, Any]", event)


def _event(event: Mapping[str, Any]) -> tuple[int, str | None, bytes, bytes]:
    """Register, name (None for an event of the boot), payload and digest of an event."""
    register, kind = event.get("imr"), event.get("event_type")
    if type(register) is not int or not 0 <= register <= _RUNTIME_REGISTER or type(kind) is not int:
        raise ReplayError("an event of the log has no register or no type")
    digest = _bytes(event.get("digest") or "")
    if kind != RUNTIME_EVENT:
        if register == _RUNTIME_REGISTER:
            raise PayloadError("an event of another kind is in the register of runtime events")
        if len(digest) != _DIGEST_BYTES:
            raise ReplayError("an event of the boot has no digest of 48 bytes")
        return register, None, b"", digest
    if register != _RUNTIME_REGISTER:
        raise PayloadError("a runtime event is in a register of the boot")
    name = event.get("event")
    if not isinstance(name, str):
        raise ReplayError("a runtime event has no name")
    payload = _bytes(event.get("event_payload") or "")
    return register, name, payload, _runtime_digest(name, payload, digest)


def _runtime_digest(name: str, payload: bytes, given: bytes) -> bytes:
    usual = hashlib.sha384(RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload).digest()
    if given in (b"", usual):
        return usual
    # The form of newer guests.
    other = hashlib.sha384(canonical({"name": name, "payload": payload.hex(), "type": RUNTIME_EVENT})).digest()
    if given != other:
        raise PayloadError(f"the digest of the event {name!r} is not that of its payload")
    return other


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(cast("str", text))
    except (ValueError, TypeError):
        raise ReplayError("a digest or a payload of the log is not hex") from None
