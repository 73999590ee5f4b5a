"""Where collateral comes from: Intel's servers as they answer, behind the transport port."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from platformdirs import user_cache_path

from tests.fakes import KEY, RecordingClock, ScriptedReply
from tests.shared import shared
from venice_ai import VeniceClient
from venice_ai.emulator.enclave.hardware import DAY, FMSPC
from venice_ai.exceptions import (
    APIConnectionError,
    APITimeoutError,
    InvalidRequestError,
    TeeAttestationError,
    TeeDowngradeWarning,
)
from venice_ai.resources.tee import USED_NONCES
from venice_ai.resources.tee_evidence import MAX_BODY_BYTES, Fetcher
from venice_ai.tee import collateral
from venice_ai.tee.types import CollateralProvider, CollectedEvidence, Seen, TeeOptions, TrustRoots
from venice_ai.transport import Request
from venice_ai.types.attestation import AttestationReport, Tcb

from .hierarchy import NOW, Intel

INTEL = Intel()
JUNE = 1780598249
API = "api.trustedservices.intel.com"
CERTIFICATES = "certificates.trustedservices.intel.com"
MIRROR = "pccs.phala.network"


def documents(given: Mapping[str, str]) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Bodies and headers as Intel's servers send them, by path."""

    def signed(name: str, text: str, signature: str) -> bytes:
        return f'{{"{name}":{text},"signature":"{signature}"}}'.encode()

    def chain(name: str, field: str) -> dict[str, str]:
        return {name: quote(given[field])}

    return {
        "/tdx/certification/v4/tcb": (
            signed("tcbInfo", given["tcb_info"], given["tcb_info_signature"]),
            chain("TCB-Info-Issuer-Chain", "tcb_info_issuer_chain"),
        ),
        "/tdx/certification/v4/qe/identity": (
            signed("enclaveIdentity", given["qe_identity"], given["qe_identity_signature"]),
            chain("SGX-Enclave-Identity-Issuer-Chain", "qe_identity_issuer_chain"),
        ),
        "/sgx/certification/v4/pckcrl": (
            bytes.fromhex(given["pck_crl"]),
            chain("SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain"),
        ),
        "/IntelSGXRootCA.der": (bytes.fromhex(given["root_ca_crl"]), {}),
        "/sgx/certification/v4/rootcacrl": (given["root_ca_crl"].encode(), {}),
    }


class Servers:
    """Intel's servers and the mirror. A host without collateral cannot be reached; `instead` answers in place of a path."""

    def __init__(self, intel: Mapping[str, str] | None = None, mirror: Mapping[str, str] | None = None) -> None:
        self.hosts: dict[str, Mapping[str, str] | None] = {API: intel, CERTIFICATES: intel, MIRROR: mirror}
        self.instead: dict[str, ScriptedReply | BaseException] = {}
        self.requests: list[Request] = []
        self.replies: list[ScriptedReply] = []

    def serve(self, given: Mapping[str, str]) -> None:
        """From now on every host has this."""
        for host in self.hosts:
            self.hosts[host] = given

    async def send(self, request: Request) -> ScriptedReply:
        self.requests.append(request)
        await asyncio.sleep(0)
        parts = urlsplit(request.url)
        found = self.hosts[parts.hostname or ""]
        if found is None:
            raise APIConnectionError(f"cannot connect to {parts.hostname}")
        answer = self.instead.get(parts.path)
        if isinstance(answer, BaseException):
            raise answer
        if answer is None:
            body, headers = documents(found)[parts.path]
            answer = ScriptedReply(body[:10], body[10:], headers=headers)
        self.replies.append(answer)
        return answer

    async def aclose(self) -> None:
        pass

    @property
    def asked(self) -> list[str]:
        return [urlsplit(request.url).hostname or "" for request in self.requests]


def fetcher(servers: Servers, folder: Path | None = None, clock: RecordingClock | None = None) -> Fetcher:
    return Fetcher(servers, clock or RecordingClock(), folder)


async def test_collateral_is_assembled_from_intels_four_answers() -> None:
    given = INTEL.collateral()
    servers = Servers(given)

    assert await fetcher(servers).get(FMSPC.lower(), "platform", NOW) == given

    assert sorted(request.url for request in servers.requests) == [
        "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
        "https://api.trustedservices.intel.com/tdx/certification/v4/qe/identity",
        f"https://api.trustedservices.intel.com/tdx/certification/v4/tcb?fmspc={FMSPC}",
        "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
    ]
    assert all(reply.closed for reply in servers.replies)


async def test_a_real_quote_verifies_with_what_was_assembled() -> None:
    stored = shared("tee/collateral_glm_5_1.json")
    raw = bytes.fromhex(shared("tee/attestation_glm_5_1.json")["attestation"]["intel_quote"])

    found = await fetcher(Servers(stored)).get("90C06F000000", "platform", JUNE)

    assert found == {field: value for field, value in stored.items() if field != "pck_certificate_chain"}
    collected = CollectedEvidence(model="", nonce=b"", reply=b"", now=JUNE, collateral=found)
    assert [check.status for check in collateral.check(raw, collected, TeeOptions())[0]] == ["pass"] * 4


async def test_no_key_of_venice_and_nothing_about_the_user_is_sent() -> None:
    servers = Servers(INTEL.collateral())
    await fetcher(servers).get(FMSPC, "platform", NOW)

    for request in servers.requests:
        assert request.secret == b""
        assert request.body is None
        assert set(request.headers) == {"Accept", "User-Agent"}


async def test_signed_members_are_cut_out_byte_for_byte() -> None:
    given = INTEL.collateral()
    spaced = json.dumps(json.loads(given["tcb_info"]), indent=2)
    servers = Servers(given)
    body = f' {{ "signature" : "{given["tcb_info_signature"].upper()}" ,\n "tcbInfo" :\t{spaced} }}\n'.encode()
    servers.instead["/tdx/certification/v4/tcb"] = ScriptedReply(
        body, headers={"tcb-info-issuer-chain": quote(given["tcb_info_issuer_chain"])}
    )

    found = await fetcher(servers).get(FMSPC, "platform", NOW)

    assert found is not None
    assert found["tcb_info"] == spaced
    assert found["tcb_info_signature"] == given["tcb_info_signature"]


async def test_the_mirror_answers_where_intel_does_not() -> None:
    given = INTEL.collateral()
    servers = Servers(None, given)

    assert await fetcher(servers).get(FMSPC, "platform", NOW) == given
    assert set(servers.asked) == {API, CERTIFICATES, MIRROR} or set(servers.asked) == {API, MIRROR}


BAD_ANSWERS: dict[str, ScriptedReply | BaseException] = {
    "39-a redirect": ScriptedReply(b"", status=302, headers={"location": "https://elsewhere.example/tcb"}),
    "39-an oversized body": ScriptedReply(*[b" " * 65536] * (MAX_BODY_BYTES // 65536 + 2)),
    "a refusal": ScriptedReply(b"no", status=404),
    "a broken connection": APIConnectionError("the connection broke"),
    "a time limit": APITimeoutError("too late"),
    "a body that breaks off": ScriptedReply(b'{"tcbInfo":', APIConnectionError("the connection broke")),
    "no JSON": ScriptedReply(b"<html>"),
    "no UTF-8": ScriptedReply(b"\xff"),
    "another object": ScriptedReply(b'{"something":1}'),
    "a list": ScriptedReply(b"[]"),
    "an object that does not end": ScriptedReply(b'{"tcbInfo":{},"signature":"00"'),
    "a member twice": ScriptedReply(b'{"tcbInfo":{},"tcbInfo":{},"signature":"00"}'),
    "a signature that is not a string": ScriptedReply(b'{"tcbInfo":{},"signature":7}'),
    "a signature that is not hex": ScriptedReply(b'{"tcbInfo":{},"signature":"zz"}'),
    "no certificates": ScriptedReply(b'{"tcbInfo":{},"signature":"00"}'),
    "nesting without end": ScriptedReply(b'{"tcbInfo":' + b"[" * 100_000),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_a_bad_answer_means_that_there_is_no_collateral(name: str) -> None:
    made = BAD_ANSWERS[name]
    bad = made if isinstance(made, BaseException) else ScriptedReply(*made.script, status=made.status, headers=made.headers)
    servers = Servers(INTEL.collateral(), None)
    servers.instead["/tdx/certification/v4/tcb"] = bad

    assert await fetcher(servers).get(FMSPC, "platform", NOW) is None
    assert all(reply.closed for reply in servers.replies)
    assert {host for host in servers.asked if host.endswith(".example")} == set()
    if isinstance(bad, ScriptedReply):
        assert bad.given * 65536 <= MAX_BODY_BYTES + 65536


@pytest.mark.parametrize("status", [201, 206, 302, 404])
@pytest.mark.attack(39)
async def test_a_reply_with_another_status_than_200_is_not_used_as_collateral(status: int) -> None:
    given, path = INTEL.collateral(), "/tdx/certification/v4/tcb"
    servers = Servers(given, None)
    body, headers = documents(given)[path]
    servers.instead[path] = ScriptedReply(body, status=status, headers=headers)

    assert await fetcher(servers).get(FMSPC, "platform", NOW) is None


@pytest.mark.parametrize("path", ["/sgx/certification/v4/pckcrl", "/IntelSGXRootCA.der"])
@pytest.mark.parametrize("body", [b"", b"zz", b"\xff\xfe", b"\x30\x03\x02\x01\x00", b"-----BEGIN X509 CRL-----\n!\n-----END"])
async def test_a_bad_revocation_list_means_that_there_is_no_collateral(path: str, body: bytes) -> None:
    servers = Servers(INTEL.collateral())
    servers.instead[path] = ScriptedReply(body, headers={"sgx-pck-crl-issuer-chain": "-----BEGIN CERTIFICATE-----"})

    assert await fetcher(servers).get(FMSPC, "platform", NOW) is None


async def test_revocation_lists_may_be_pem() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_crl

    given = INTEL.collateral()
    servers = Servers(given)
    text = load_der_x509_crl(bytes.fromhex(given["root_ca_crl"])).public_bytes(Encoding.PEM)
    servers.instead["/IntelSGXRootCA.der"] = ScriptedReply(text)

    assert await fetcher(servers).get(FMSPC, "platform", NOW) == given


@pytest.mark.parametrize(
    ("fmspc", "ca"),
    [
        ("90C06F00000", "platform"),
        ("90C06F00000G", "platform"),
        ("../../etc/pw", "platform"),
        ("90C06F000000", "root"),
        ("", ""),
    ],
)
async def test_nothing_is_fetched_for_a_malformed_platform(fmspc: str, ca: str, tmp_path: Path) -> None:
    servers = Servers(INTEL.collateral())

    assert await fetcher(servers, tmp_path).get(fmspc, ca, NOW) is None
    assert servers.requests == []


# -- keeping it ----------------------------------------------------------------------------------------------------------


async def test_collateral_is_fetched_once_and_again_when_it_expires() -> None:
    servers = Servers(INTEL.collateral(crl_expires=NOW + DAY))
    one = fetcher(servers)

    for now in (NOW, NOW + 1, NOW + DAY - 1):
        assert await one.get(FMSPC, "platform", now) is not None
    assert len(servers.requests) == 4

    later = INTEL.collateral(issued=NOW + DAY, crl_issued=NOW + DAY)
    servers.serve(later)
    assert await one.get(FMSPC, "platform", NOW + DAY) == later
    assert len(servers.requests) == 8


async def test_platforms_are_kept_apart() -> None:
    servers = Servers(INTEL.collateral())
    one = fetcher(servers)
    await one.get(FMSPC, "platform", NOW)
    await one.get(FMSPC, "processor", NOW)
    await one.get("20A06F000000", "platform", NOW)

    assert len(servers.requests) == 12
    assert {request.url.rpartition("=")[2] for request in servers.requests if "fmspc" in request.url} == {FMSPC, "20A06F000000"}


async def test_concurrent_callers_share_one_fetch() -> None:
    given = INTEL.collateral()
    servers = Servers(given)
    one = fetcher(servers)

    assert await asyncio.gather(*(one.get(FMSPC, "platform", NOW) for _ in range(20))) == [given] * 20
    assert len(servers.requests) == 4


async def test_a_cancelled_caller_does_not_cancel_the_shared_fetch() -> None:
    given = INTEL.collateral()
    one = fetcher(Servers(given))
    tasks = [asyncio.ensure_future(one.get(FMSPC, "platform", NOW)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()

    assert await asyncio.gather(*tasks[1:]) == [given] * 2


def test_one_fetcher_serves_one_event_loop_after_another() -> None:
    given = INTEL.collateral()
    one = fetcher(Servers(given))

    async def ask() -> list[Any]:
        return list(await asyncio.gather(one.get(FMSPC, "platform", NOW), one.get(FMSPC, "processor", NOW)))

    assert asyncio.run(ask()) == asyncio.run(ask()) == [given] * 2


async def test_after_a_failure_nothing_is_fetched_for_a_minute() -> None:
    servers, clock = Servers(), RecordingClock()
    one = fetcher(servers, clock=clock)

    assert await asyncio.gather(*(one.get(FMSPC, "platform", NOW) for _ in range(5))) == [None] * 5
    tried = len(servers.requests)
    servers.serve(INTEL.collateral())
    clock.passed += 59
    assert await one.get(FMSPC, "platform", NOW) is None
    assert len(servers.requests) == tried
    clock.passed += 2
    assert await one.get(FMSPC, "platform", NOW) is not None


async def test_expired_collateral_is_returned_for_the_verdict_and_not_cached(tmp_path: Path) -> None:
    old = INTEL.collateral(issued=NOW - 40 * DAY, expires=NOW - DAY)
    servers = Servers(old, old)
    one = fetcher(servers, tmp_path)

    assert await one.get(FMSPC, "platform", NOW) == old
    assert list(tmp_path.iterdir()) == []
    assert MIRROR in servers.asked

    servers.hosts[MIRROR] = INTEL.collateral()
    assert await one.get(FMSPC, "platform", NOW) == INTEL.collateral()


async def test_refused_collateral_is_removed_from_the_cache(tmp_path: Path) -> None:
    servers = Servers(Intel("attacker").collateral())
    one = fetcher(servers, tmp_path)
    assert await one.get(FMSPC, "platform", NOW) is not None

    servers.serve(INTEL.collateral())
    one.forget(FMSPC, "platform")
    one.forget(FMSPC, "platform")

    assert list(tmp_path.iterdir()) == []
    assert await one.get(FMSPC, "platform", NOW) == INTEL.collateral()


# -- on disk -------------------------------------------------------------------------------------------------------------


async def test_the_next_process_finds_collateral_on_disk(tmp_path: Path) -> None:
    folder, given = tmp_path / "new" / "folder", INTEL.collateral()
    await fetcher(Servers(given), folder).get(FMSPC, "platform", NOW)

    nowhere = Servers()
    assert await fetcher(nowhere, folder).get(FMSPC, "platform", NOW) == given
    assert nowhere.requests == []


async def test_the_file_holds_what_intel_publishes_and_nothing_else(tmp_path: Path) -> None:
    given = INTEL.collateral()
    await fetcher(Servers(given), tmp_path).get(FMSPC, "platform", NOW)

    (file,) = tmp_path.iterdir()
    assert file.name == f"collateral-{FMSPC}-platform.json"
    assert json.loads(file.read_bytes()) == {**given, "fetched": NOW}
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) & 0o022 == 0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param('{"tcb_info": "', id="cut off"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="nothing in it"),
        pytest.param(json.dumps({**INTEL.collateral(), "tcb_info": 7}), id="of another type"),
        pytest.param(json.dumps({**INTEL.collateral(), "tcb_info": "{}"}), id="without dates"),
        pytest.param(json.dumps({**INTEL.collateral(), "pck_crl": "00"}), id="with a broken list"),
        pytest.param(json.dumps({**INTEL.collateral(), "more": ""}), id="with more"),
        pytest.param(json.dumps(INTEL.collateral(issued=NOW - 40 * DAY, expires=NOW - DAY)), id="expired"),
        pytest.param("[" * 100_000, id="nested without end"),
    ],
)
async def test_a_broken_or_expired_file_is_renewed(tmp_path: Path, text: str) -> None:
    file = tmp_path / f"collateral-{FMSPC}-platform.json"
    file.write_text(text)
    given = INTEL.collateral()

    assert await fetcher(Servers(given), tmp_path).get(FMSPC, "platform", NOW) == given
    assert json.loads(file.read_bytes()) == {**given, "fetched": NOW}


@pytest.mark.skipif(os.name != "posix", reason="there are no FIFOs, and links need rights")
@pytest.mark.parametrize("kind", ["a FIFO", "a link"])
async def test_a_fifo_or_link_in_place_of_the_cache_file_is_not_read(tmp_path: Path, kind: str) -> None:
    file, given, elsewhere = tmp_path / f"collateral-{FMSPC}-platform.json", INTEL.collateral(), tmp_path / "elsewhere"
    elsewhere.write_text(json.dumps({**given, "fetched": NOW}))
    if kind == "a FIFO":
        os.mkfifo(file)
    else:
        file.symlink_to(elsewhere)
    servers = Servers(given)

    assert await fetcher(servers, tmp_path).get(FMSPC, "platform", NOW) == given
    assert len(servers.requests) == 4
    assert not file.is_symlink()
    assert json.loads(elsewhere.read_bytes()) == json.loads(file.read_bytes())


async def test_collateral_is_renewed_after_a_day_where_the_server_answers(tmp_path: Path) -> None:
    old, new = INTEL.collateral(), INTEL.collateral(crl_number=2)
    clock, servers = RecordingClock(), Servers(old)
    one = fetcher(servers, tmp_path, clock)
    await one.get(FMSPC, "platform", NOW)

    assert await one.get(FMSPC, "platform", NOW + DAY - 1) == old
    assert len(servers.requests) == 4
    servers.hosts = dict.fromkeys(servers.hosts)
    assert await one.get(FMSPC, "platform", NOW + DAY) == old
    asked = len(servers.requests)
    servers.serve(new)
    clock.passed += 3599
    assert await one.get(FMSPC, "platform", NOW + DAY) == old
    assert len(servers.requests) == asked
    clock.passed += 1
    assert await one.get(FMSPC, "platform", NOW + DAY) == new
    assert await fetcher(Servers(), tmp_path).get(FMSPC, "platform", NOW + DAY) == new


async def test_older_collateral_does_not_replace_the_cached_one() -> None:
    new, older = INTEL.collateral(), INTEL.collateral(issued=NOW - 9 * DAY, crl_issued=NOW - 9 * DAY)
    servers = Servers(new)
    one = fetcher(servers)
    await one.get(FMSPC, "platform", NOW)
    servers.serve(older)

    assert await one.get(FMSPC, "platform", NOW + DAY) == new


async def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    occupied = tmp_path / "a file"
    occupied.write_text("")
    one = fetcher(Servers(INTEL.collateral()), occupied)

    assert await one.get(FMSPC, "platform", NOW) == INTEL.collateral()
    one.remember(Tcb("UpToDate", eval_number=19))
    one.forget(FMSPC, "platform")
    assert one.seen.tcb_eval == 19


@pytest.mark.attack(24)
def test_the_highest_numbers_are_remembered_beside_the_collateral(tmp_path: Path) -> None:
    one = fetcher(Servers(), tmp_path)
    assert one.seen.tcb_eval == 0
    for number in (19, 21, 20, -5, 10**9, None):
        one.remember(Tcb("UpToDate", eval_number=number, revocation_lists=(("root", number or 0), ("platform", 3))))

    for each in (one, fetcher(Servers(), tmp_path)):
        assert each.seen == Seen(21, {"root": 21, "platform": 3}, str(tmp_path / "collateral-evaluation.json"))


def test_the_evaluation_number_that_earlier_versions_kept_still_counts(tmp_path: Path) -> None:
    (tmp_path / "collateral-evaluation.json").write_text("21")

    assert fetcher(Servers(), tmp_path).seen.tcb_eval == 21


@pytest.mark.parametrize("text", ["", "true", '"19"', "-3", "1e9", "19.5", "{}", '{"revocation_lists": 7}'])
def test_a_broken_evaluation_file_counts_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "collateral-evaluation.json").write_text(text)

    assert fetcher(Servers(), tmp_path).seen.tcb_eval == 0


@pytest.mark.parametrize("text", ["10000000000", '{"evaluation": 1001}', '{"revocation_lists": {"root": 9223372036854775809}}'])
def test_a_remembered_number_that_is_impossibly_high_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "collateral-evaluation.json"
    file.write_text(text)

    with pytest.raises(InvalidRequestError, match=re.escape(str(file))):
        fetcher(Servers(), tmp_path).seen  # noqa: B018  # it raises


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = fetcher(Servers(INTEL.collateral()))
    asyncio.run(one.get(FMSPC, "platform", NOW))
    one.remember(Tcb("UpToDate", eval_number=20))

    assert list(tmp_path.iterdir()) == []


def test_a_fetcher_can_be_given_as_the_source_of_collateral() -> None:
    assert isinstance(fetcher(Servers()), CollateralProvider)


# -- with the rest of an attestation -------------------------------------------------------------------------------------


class Venice(Servers):
    """A Venice that answers with a capture, beside Intel's servers."""

    def __init__(self, intel: Mapping[str, str] | None = None) -> None:
        super().__init__(intel)
        self.capture = shared("tee/attestation_glm_5_1.json")

    async def send(self, request: Request) -> ScriptedReply:
        if "/tee/attestation" not in request.url:
            return await super().send(request)
        return ScriptedReply(json.dumps(self.capture["attestation"]).encode())

    async def attested(self, **options: Any) -> AttestationReport:
        chosen = TeeOptions(nonce=self.capture["_client_nonce"], clock=lambda: JUNE, **options)
        USED_NONCES.clear()  # the capture answers one nonce, and each attestation is to be the first one with it
        async with VeniceClient(transport=self, clock=RecordingClock(), api_key=KEY) as client:
            return await client.tee.attest("e2ee-glm-5-1", chosen)


async def test_an_attestation_fetches_its_collateral_without_the_key() -> None:
    venice = Venice(shared("tee/collateral_glm_5_1.json"))

    report = await venice.attested(verification="hardware")

    assert report.level == "hardware"
    assert len(venice.requests) == 4
    assert {request.secret for request in venice.requests} == {b""}


async def test_collateral_that_was_refused_is_not_kept() -> None:
    good = shared("tee/collateral_glm_5_1.json")
    forged = "".join(reversed(good["tcb_info_signature"]))
    venice = Venice({**good, "tcb_info_signature": forged})
    options = TeeOptions(nonce=venice.capture["_client_nonce"], clock=lambda: JUNE)

    async with VeniceClient(transport=venice, clock=RecordingClock(), api_key=KEY) as client:
        for _ in range(2):
            with pytest.raises(TeeAttestationError, match="collateral"):
                await client.tee.attest("e2ee-glm-5-1", options)

    assert len(venice.requests) == 8


async def test_collateral_is_kept_beyond_a_client_where_the_command_keeps_it() -> None:
    venice = Venice(shared("tee/collateral_glm_5_1.json"))

    for _ in range(2):
        assert (await venice.attested(verification="hardware")).level == "hardware"

    assert len(venice.requests) == 4
    assert {path.name for path in user_cache_path("venice-chat", appauthor=False).iterdir()} == {
        "collateral-90C06F000000-platform.json",
        "collateral-evaluation.json",
    }


async def test_collateral_under_a_test_root_is_not_written_to_disk() -> None:
    venice = Venice(shared("tee/collateral_glm_5_1.json"))

    with pytest.raises(TeeAttestationError):
        await venice.attested(trust=TrustRoots(INTEL.root_der))

    assert not user_cache_path("venice-chat", appauthor=False).exists()


async def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert (await Venice(shared("tee/collateral_glm_5_1.json")).attested()).level == "hardware"


class Provider:
    """A provider that gives what it was told to, or raises it."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def get(self, _fmspc: str, _ca: str, _now: float, /) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("found", "why"), [(OSError("disk on fire"), "disk on fire"), (KeyError("x"), "KeyError"), ([], "list"), ("text", "str")]
)
async def test_a_provider_that_fails_leaves_the_level_to_decide(found: Any, why: str) -> None:
    with pytest.warns(TeeDowngradeWarning, match=why):
        report = await Venice().attested(collateral=Provider(found))
    assert report.level == "quote"
    with pytest.raises(TeeAttestationError, match=why):
        await Venice().attested(collateral=Provider(found), verification="hardware")


@pytest.mark.parametrize("name", [name for name in BAD_ANSWERS if name.startswith("39-")])
@pytest.mark.attack(39)
async def test_without_collateral_the_level_decides(name: str) -> None:
    made = BAD_ANSWERS[name]
    assert isinstance(made, ScriptedReply)

    def venice() -> Venice:
        found = Venice(shared("tee/collateral_glm_5_1.json"))
        found.instead["/tdx/certification/v4/tcb"] = ScriptedReply(*made.script, status=made.status, headers=made.headers)
        return found

    with pytest.warns(TeeDowngradeWarning, match="no collateral"):
        report = await venice().attested()
    assert report.level == "quote"
    with pytest.raises(TeeAttestationError, match="'quote', and 'hardware' was asked for"):
        await venice().attested(verification="hardware")


@pytest.mark.attack(20)
async def test_forged_collateral_is_refused_at_every_level() -> None:
    forged = Intel("attacker").collateral(issued=JUNE - DAY, expires=JUNE + DAY, crl_issued=JUNE - DAY, crl_expires=JUNE + DAY)
    for level in ("auto", "quote", "hardware"):
        with pytest.raises(TeeAttestationError, match="collateral"):
            await Venice(forged).attested(verification=level)


@pytest.mark.attack(61)
async def test_a_clock_ten_years_ahead_is_refused_at_every_level() -> None:
    venice = Venice(shared("tee/collateral_glm_5_1.json"))
    chosen = TeeOptions(nonce=venice.capture["_client_nonce"], clock=lambda: JUNE + 3650 * DAY)
    async with VeniceClient(transport=venice, clock=RecordingClock()) as client:
        with pytest.raises(TeeAttestationError):
            await client.tee.attest("e2ee-glm-5-1", chosen)
