"""Evidence that is made to take long does not: costs grow with the length, and no more. The bounds are generous."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from venice_ai.tee import aci, signature
from venice_ai.tee.canonical import parse
from venice_ai.tee.workload import read_compose

from .enclave import MODEL, Enclave, client_of
from .evidence import capture, resigned

MOST_SECONDS = 10
"""Of work, not of waiting for a busy machine."""


def in_time(what: Callable[[], Any]) -> Any:
    began = time.process_time()
    try:
        return what()
    finally:
        assert time.process_time() - began < MOST_SECONDS


def keys(number: int) -> str:
    """That many keys, and the first one again."""
    return "{" + "".join(f'"{each:06}":0,' for each in range(number)) + '"000000":0}'


def test_a_key_that_comes_twice_is_found_among_very_many() -> None:
    with pytest.raises(ValueError, match="'000000' twice"):
        in_time(lambda: parse(keys(25_000)))


LONG: dict[str, Callable[[], str]] = {
    "keys": lambda: keys(300_000),
    "list": lambda: "[" + "0," * 2_000_000 + "0]",
    "text": lambda: '"' + "\\n" * 1_900_000 + '"',
}


@pytest.mark.parametrize("made", LONG.values(), ids=LONG)
def test_json_that_would_hold_up_every_thread_is_refused(made: Callable[[], str]) -> None:
    text = made()
    with pytest.raises(ValueError, match="more than 50000 values"):
        in_time(lambda: parse(text))


@pytest.mark.parametrize("piece", ["\n", "    -", "image:", " \t", "image: a\n", "-"])
def test_a_compose_file_is_read_in_time(piece: str) -> None:
    text = json.dumps({"docker_compose_file": piece * (120_000 // len(piece))})
    in_time(lambda: read_compose(text))


def test_a_compose_file_is_read_after_its_quote_was_verified() -> None:
    good = capture("gemma_3_27b_p")
    raw = bytearray(good.quote)
    raw[636] ^= 1  # of the signature
    read, unread = good.judged(), good.quoted(bytes(raw)).judged()

    assert read.workload is not None
    assert read.workload.images
    assert unread.check("compose_hash").status == "pass"  # type: ignore[union-attr]  # it is there
    assert not any("container" in warning for warning in unread.warnings)
    assert unread.workload is None or unread.workload.images == ()


GATEWAYS_KEYS: dict[str, Callable[[Any], Any]] = {
    "e2ee_public_keys": lambda keys: {"workload_keyset": {"e2ee_public_keys": keys}},
    "receipt_signing_keys": lambda keys: {"workload_keyset": {"receipt_signing_keys": keys}},
    "another kind": lambda keys: {"workload_keyset": {"others": keys}},
    "key_custody": lambda keys: {"evidence": {"key_custody": {"keys": keys}}},
}
"""Where a gateway's keys stand."""


@pytest.mark.parametrize("number", [65, 8_000])
@pytest.mark.parametrize("where", GATEWAYS_KEYS)
def test_more_keys_than_a_gateway_has_are_refused_beside_a_key_that_was_given_alone(where: str, number: int) -> None:
    case = resigned().bent(attestation=GATEWAYS_KEYS[where]([{"key_id": "k", "public_key": "04" + "11" * 64}] * number))

    report = in_time(case.judged)

    assert {check.id: check.status for check in in_time(lambda: aci.check(case.reply))} == {
        "aci_keyset": "fail",
        "aci_workload": "skip",
        "aci_endorsement": "skip",
        "aci_custody": "skip",
    }
    assert [check.id for check in report.failures] == ["aci_keyset"]
    assert "no gateway has more than 64" in report.failures[0].detail


@pytest.mark.parametrize("where", GATEWAYS_KEYS)
def test_as_many_keys_as_a_gateway_may_have_are_looked_at(where: str) -> None:
    case = resigned().bent(attestation=GATEWAYS_KEYS[where]([{"key_id": "k", "public_key": "04" + "11" * 64}] * 64))

    assert "fail" not in {check.status for check in aci.check(case.reply)}


@pytest.mark.parametrize("number", [65, 20_000])
def test_more_keys_than_a_gateway_has_are_refused(number: int) -> None:
    reply = resigned().bent(signing_public_key=None, signing_key=None, api_version="aci/1").reply
    key = {"public_key": "04" + "11" * 64}
    case = resigned().bent(
        **{**reply, "signing_public_key": None, "attestation": {"workload_keyset": {"e2ee_public_keys": [key] * number}}}
    )

    report = in_time(case.judged)
    assert {check.id for check in report.failures} & {"model_key", "transport"}
    assert [check.id for check in in_time(lambda: aci.check(case.reply)) if check.status == "fail"] == ["aci_keyset"]


def test_a_signed_text_is_short() -> None:
    assert in_time(lambda: signature.hashes(":" * 4_000_000)) is None


class Counting(ThreadPoolExecutor):
    """Threads that count what they are given."""

    given = 0

    def submit(self, *arguments: Any, **more: Any) -> Any:
        self.given += 1
        return super().submit(*arguments, **more)


@pytest.mark.parametrize(("length", "apart"), [(0, 0), (200_000, 1)])
async def test_a_long_reply_is_read_in_another_thread(length: int, apart: int) -> None:
    enclave, threads = Enclave(), Counting()
    asyncio.get_running_loop().set_default_executor(threads)
    enclave.attestation = lambda reply: {**reply, "more": "x" * length}

    reply = await client_of(enclave).tee.get_attestation(model=MODEL)

    assert (len(reply["more"]), threads.given) == (length, apart)


@pytest.mark.parametrize(("length", "apart"), [(0, 1), (200_000, 2)])
async def test_a_long_attestation_is_verified_in_another_thread_as_a_whole(length: int, apart: int) -> None:
    enclave, threads = Enclave(quoted=True), Counting()
    asyncio.get_running_loop().set_default_executor(threads)
    enclave.attestation = lambda reply: {**reply, "more": "x" * length}

    report = await client_of(enclave).tee.attest(MODEL)

    assert (report.ok, threads.given) == (True, apart)  # its platform, and all the rest
