"""The file of an enclave's evidence: what is written is read again, and what a file says counts where nobody says more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai.tee.evidence_file import as_file, from_file, members_as_written
from venice_ai.tee.types import END_OF_TIME, NVIDIA_ROOT_SHA256, CollectedEvidence, Documents, Seen, TeeOptions

NONCE = bytes(range(32))
REPLY = b' {"verified": true,  "n": 1.0} '
COLLATERAL = {"tcb_info": "x"}


def collected(**changes: Any) -> CollectedEvidence:
    given: dict[str, Any] = {"model": "m", "nonce": NONCE, "reply": REPLY, "now": 7.5, "seen": Seen(19, {"root": 3})}
    return CollectedEvidence(**{**given, **changes})


def read(raw: bytes, *, now: float | None = None, **options: Any) -> CollectedEvidence:
    options = {"clock": lambda: 99.0, "collateral": COLLATERAL, **options}
    found = from_file(raw, model="m", options=TeeOptions(**options), now=now)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "nras",
    [None, "it was busy", Documents(b'["a\xff"]', b'{"keys": []}')],
    ids=["not asked", "no answer", "an answer of any bytes"],
)
def test_an_evidence_file_is_read_back_as_written(nras: Any) -> None:
    found = read(as_file(collected(nras=nras)))

    assert found.reply == REPLY.strip()
    assert (found.model, found.nonce, found.now, found.seen) == ("m", NONCE, 7.5, Seen(19, {"root": 3}))
    assert found.nras == (nras._replace(root_sha256=NVIDIA_ROOT_SHA256) if isinstance(nras, Documents) else nras)
    assert found.collateral == COLLATERAL


def test_a_file_without_numbers_seen_before_starts_at_zero() -> None:
    assert read(as_file(collected(seen=None))).seen == Seen(0, {})


def test_nonce_and_time_of_the_caller_count_before_those_of_the_file() -> None:
    found = read(as_file(collected()), now=0.0, nonce="ab" * 32)

    assert (found.nonce.hex(), found.now) == ("ab" * 32, 0.0)


@pytest.mark.parametrize("reply", [b"[]", b"no JSON", b"\xff", b'{"a": 1, "a": 2}'])
def test_a_reply_that_is_no_object_is_a_file_of_its_own(reply: bytes) -> None:
    assert members_as_written(reply) == {}
    assert as_file(collected(reply=reply)) == reply
    assert from_file(reply, model="m", options=TeeOptions(), now=None) is None
    assert read(reply, nonce="ab" * 32).reply == reply


def test_a_file_that_holds_a_reply_alone_is_that_reply() -> None:
    for raw in (REPLY, b'{"attestation": {}}', b'{"_client_nonce": "00"}'):
        found = read(raw, nonce="ab" * 32)
        assert (found.reply, found.now, found.seen, found.nras) == (raw, 99.0, Seen(0, {}), None)
        assert from_file(raw, model="m", options=TeeOptions(), now=None) is None


ODD: dict[str, list[Any]] = {
    "_capture_epoch": [None, "7", True, -1, END_OF_TIME],
    "_min_tcb_eval": [None, "7", True, -1],
    "_revocation_lists": [None, [], {"root": "3"}, {"root": True}, {"root": 3.0}],
    "_nras": [None, 7, {}, {"answer": "a"}, {"answer": 7, "keys": "b"}, {"answer": "\u20ac", "keys": ""}],
}


@pytest.mark.parametrize(("member", "value"), [(member, value) for member, values in ODD.items() for value in values])
def test_a_malformed_member_is_read_as_absent(member: str, value: Any) -> None:
    held = {**json.loads(as_file(collected(nras="busy"))), member: value}
    found, usual = read(json.dumps(held).encode()), read(as_file(collected(nras="busy")))

    assert found.now == (99.0 if member == "_capture_epoch" else usual.now)
    assert found.nras == ("none was kept" if member == "_nras" else "busy")
    assert found.seen is not None
    assert found.seen.tcb_eval == (0 if member == "_min_tcb_eval" else 19)
    assert found.seen.revocation_lists == ({} if member == "_revocation_lists" else {"root": 3})


def test_a_file_needs_the_nonce_and_the_reply_and_nothing_else() -> None:
    found = read(b'{"_client_nonce": "%s", "attestation": %s}' % (NONCE.hex().encode(), REPLY))

    assert (found.nonce, found.reply, found.now, found.seen, found.nras) == (NONCE, REPLY.strip(), 99.0, Seen(0, {}), None)


def test_the_first_second_and_the_last_are_times() -> None:
    for now in (0, 0.0, END_OF_TIME - 1):
        assert read(as_file(collected(now=now))).now == now


def test_a_nonce_that_is_not_a_text_gives_no_evidence() -> None:
    held = {**json.loads(as_file(collected())), "_client_nonce": 7}
    assert from_file(json.dumps(held).encode(), model="m", options=TeeOptions(), now=None) is None
