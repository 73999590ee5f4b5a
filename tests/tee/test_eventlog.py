"""The event log leads to the registers: which digests an event may have, and what containers may add."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from venice_ai.tee.canonical import canonical
from venice_ai.tee.eventlog import RUNTIME_EVENT, PayloadError, replay

BOOT = {"imr": 0, "event_type": 1, "digest": "ab" * 48}
READY = {"imr": 3, "event_type": RUNTIME_EVENT, "event": "system-ready", "event_payload": ""}


def added(name: str, payload: bytes, *, newer: bool) -> dict[str, Any]:
    """An event that a container adds, with the digest of older or of newer guests."""
    older = RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload
    text = canonical({"name": name, "payload": payload.hex(), "type": RUNTIME_EVENT}) if newer else older
    digest = hashlib.sha384(text).hexdigest()
    return {"imr": 3, "event_type": RUNTIME_EVENT, "event": name, "event_payload": payload.hex(), "digest": digest}


@pytest.mark.parametrize("newer", [False, True])
def test_a_container_may_add_events_with_either_digest(newer: bool) -> None:
    assert replay([BOOT, READY, added("job", b"done", newer=newer)]).later == (("job", b"done"),)


def test_a_colon_in_what_a_container_adds_is_refused_where_the_digest_could_be_of_another_name() -> None:
    assert replay([READY, added("job", b"a:b", newer=True)]).later == (("job", b"a:b"),)
    with pytest.raises(PayloadError, match="another name"):
        replay([READY, added("job", b"a:b", newer=False)])


@pytest.mark.parametrize("size", [0, 47, 49])
def test_an_event_of_the_boot_has_a_digest_of_48_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="48 bytes"):
        replay([{**BOOT, "digest": "ab" * size}, READY])
