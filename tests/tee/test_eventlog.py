"""The event log leads to the registers: which digests an event may have, and what containers may add."""

from __future__ import annotations

import hashlib
import json
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


def digest_of(name: str, payload: bytes = b"") -> str:
    return hashlib.sha384(RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload).hexdigest()


def extended(*digests: str) -> bytes:
    register = bytes(48)
    for digest in digests:
        register = hashlib.sha384(register + bytes.fromhex(digest)).digest()
    return register


@pytest.mark.parametrize("written", [list, json.dumps], ids=["list", "text"])
def test_each_register_is_the_hash_of_its_events(written: Any) -> None:
    app = {"imr": 3, "event_type": RUNTIME_EVENT, "event": "app-id", "event_payload": "0a0b"}
    log = [BOOT, {**BOOT, "imr": 2, "digest": "cd" * 48}, app, {**BOOT, "digest": "ef" * 48}, READY]
    found = replay(written(log))

    assert found.rtmrs == (
        extended("ab" * 48, "ef" * 48),
        bytes(48),
        extended("cd" * 48),
        extended(digest_of("app-id", b"\x0a\x0b"), digest_of("system-ready")),
    )
    assert found.payloads == {"app-id": b"\x0a\x0b", "system-ready": b""}
    assert found.later == ()


@pytest.mark.parametrize(
    ("log", "trouble"),
    [
        pytest.param([BOOT], "has no system-ready", id="no end of the boot"),
        pytest.param([READY, {**BOOT, "imr": 3}], "a runtime event is in a register", id="an event of the boot in RTMR3"),
        pytest.param([READY, {**READY, "imr": 0}], "a runtime event is in a register", id="a runtime event in RTMR0"),
        pytest.param([{**READY, "event": ""}, READY], "has no name, or a colon", id="no name"),
        pytest.param([{**READY, "event": "a:b"}, READY], "has no name, or a colon", id="a colon in the name"),
        pytest.param([{**READY, "event": "a"}] * 2 + [READY], "the event 'a' occurs twice", id="twice"),
        pytest.param([{**READY, "digest": "00" * 48}], "is not that of its payload", id="another digest"),
        pytest.param([{**READY, "digest": "ff" * 48}], "is not that of its payload", id="another digest, a greater one"),
        pytest.param([{**READY, "event_payload": "zz"}], "a payload of the log is not hex", id="a payload that is not hex"),
        pytest.param([{**BOOT, "digest": "zz"}, READY], "a digest of the log is not hex", id="a digest that is not hex"),
        pytest.param([{**BOOT, "digest": None}, READY], "no digest of 48 bytes", id="no digest"),
    ],
)
def test_a_malformed_log_is_refused_with_the_reason(log: Any, trouble: str) -> None:
    with pytest.raises(ValueError, match=trouble):
        replay(log)


@pytest.mark.parametrize("log", [[], {}, 7, "[]", [7], [{**BOOT, "imr": -1}], [{**BOOT, "imr": 4}], [{"imr": 0}]], ids=repr)
def test_a_log_of_another_shape_is_refused(log: Any) -> None:
    with pytest.raises(ValueError, match="the event log does not have the shape"):
        replay(log)


def test_a_log_has_up_to_ten_thousand_events() -> None:
    assert replay([BOOT] * 9_999 + [READY]).payloads == {"system-ready": b""}
    with pytest.raises(ValueError, match="10000"):
        replay([BOOT] * 10_000 + [READY])


def test_an_event_of_a_container_may_have_the_name_of_one_before_and_no_digest() -> None:
    again = {**READY, "event": "job", "event_payload": "07"}
    assert replay([READY, again, again]).later == (("job", b"\7"), ("job", b"\7"))
