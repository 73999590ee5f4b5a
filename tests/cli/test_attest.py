"""`venice-chat attest`: offline with captured evidence, and online with a server that replays it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ScriptedReply, ScriptedTransport
from tests.shared import shared, shared_path
from tests.tee.test_nras import KEYS, Answer
from venice_ai.cli.attest import EXIT_CODES
from venice_ai.exceptions import APIConnectionError
from venice_ai.resources.tee_evidence import ask_nras
from venice_ai.tee.attestation import verify
from venice_ai.tee.evidence_file import as_file
from venice_ai.tee.types import CollectedEvidence, TeeOptions

from .shell import Here, Outcome, spawn

CAPTURES = {
    "gemma_3_27b_p": ("e2ee-gemma-3-27b-p", 1780598249),
    "glm_5_1": ("e2ee-glm-5-1", 1780598249),
    "live_evidence": ("e2ee-venice-uncensored-24b-p", 1784573023),
}
GLM, JUNE = CAPTURES["glm_5_1"]
TODAY = "1795375060"
Change = Callable[[dict[str, Any]], Any]


def path(kind: str, name: str = "glm_5_1") -> str:
    return str(shared_path(f"tee/{kind}_{name}.json"))


def captured(name: str = "glm_5_1") -> dict[str, Any]:
    found: dict[str, Any] = shared(f"tee/attestation_{name}.json")
    return found


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Here:
    """Runs the command in this process, without a key, and with a cache of its own."""
    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith("VENICE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Here(monkeypatch, capsys)


def offline(here: Here, *more: str, name: str = "glm_5_1", evidence: Path | None = None, collateral: bool = True) -> Outcome:
    """Verifies a capture, or a changed one."""
    with_collateral = ["--collateral", path("collateral", name)] if collateral else []
    given = str(evidence) if evidence else path("attestation", name)
    return here("attest", CAPTURES[name][0], "--offline", "--evidence", given, *with_collateral, *more)


def changed(folder: Path, change: Change) -> Path:
    found = captured()
    change(found["attestation"])
    file = folder / "changed.json"
    file.write_text(json.dumps(found))
    return file


# -- offline -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAPTURES)
def test_each_capture_is_hardware_at_its_time_with_its_collateral(here: Here, name: str) -> None:
    outcome = offline(here, name=name)

    assert outcome.code == 0, outcome.out + outcome.err
    assert "at level hardware" in outcome.out
    assert offline(here, "--now", str(CAPTURES[name][1]), name=name) == outcome


@pytest.mark.parametrize("name", CAPTURES)
def test_each_capture_fails_today_because_its_collateral_has_expired(here: Here, name: str) -> None:
    outcome = offline(here, "--now", TODAY, name=name)

    assert outcome.code == 1
    assert "TCBInfo expired" in outcome.out
    assert "REFUSED" in outcome.out


@pytest.mark.parametrize("name", CAPTURES)
def test_without_collateral_the_intel_chain_still_verifies_today(here: Here, name: str) -> None:
    below = offline(here, "--now", TODAY, name=name, collateral=False)
    enough = offline(here, "--now", TODAY, "--level", "quote", name=name, collateral=False)

    assert (below.code, enough.code) == (4, 0)
    assert "'quote' was reached, and 'hardware' was asked for" in below.err
    assert "SKIP  collateral" in below.out


def test_one_line_a_check_with_what_it_stops_and_a_verdict(here: Here) -> None:
    lines = offline(here).out.splitlines()

    checks = [line for line in lines if line.startswith(("PASS", "FAIL", "SKIP", "WARN"))]
    assert len(checks) >= 25
    assert all("stops: " in line for line in checks)
    assert lines[0] == f"{GLM}, judged at 2026-06-04 18:37:29 UTC (1780598249)"
    assert lines[-1].startswith("verdict: ")
    assert any(line.startswith("TCB: UpToDate") for line in lines)
    assert len([line for line in lines if line.startswith("GPU: GH100")]) == 8


def test_json_is_the_report(here: Here) -> None:
    outcome = offline(here, "--json")
    report = json.loads(outcome.out)

    assert (report["ok"], report["level"], report["model"], report["trust_root"]) == (True, "hardware", GLM, "intel")
    assert {check["status"] for check in report["checks"]} <= {"pass", "warn"}
    assert report["tcb"]["status"] == "UpToDate"


def test_the_raw_reply_is_evidence_too(here: Here, tmp_path: Path) -> None:
    found = captured()
    file = tmp_path / "reply.json"
    file.write_text(json.dumps(found["attestation"]))

    without = offline(here, "--now", str(JUNE), evidence=file)
    with_nonce = offline(here, "--now", str(JUNE), "--nonce", found["_client_nonce"].upper(), evidence=file)

    assert without.code == 2
    assert "--nonce" in without.err
    assert with_nonce.code == 0


def test_another_nonce_is_refused(here: Here) -> None:
    outcome = offline(here, "--nonce", "00" * 32)

    assert outcome.code == 1
    assert "FAIL  report_data_nonce" in outcome.out


def test_another_model_is_refused(here: Here) -> None:
    outcome = here("attest", "e2ee-other", "--offline", "--evidence", path("attestation"), "--collateral", path("collateral"))

    assert outcome.code == 1
    assert "FAIL  model" in outcome.out


def case(change: Change, check: str, *, name: str) -> Any:
    return pytest.param(change, check, id=name)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        case(lambda it: it.update(verified="true"), "server_verified", name="a text for true"),
        case(lambda it: it.update(signing_public_key="04" + "11" * 64), "model_key", name="another key"),
        case(lambda it: it.update(nvidia_payload='{"evidence_list":[]}'), "gpu_evidence", name="no GPU in the evidence"),
    ],
)
def test_changed_evidence_is_refused(here: Here, tmp_path: Path, change: Change, check: str) -> None:
    outcome = offline(here, evidence=changed(tmp_path, change))

    assert outcome.code == 1
    assert f"FAIL  {check}" in outcome.out


@pytest.mark.parametrize("reply", [b"", b"[]", b"hello", b"\xff", b'{"verified":false,"verified":true}'])
def test_a_file_that_holds_no_evidence_is_refused(here: Here, tmp_path: Path, reply: bytes) -> None:
    file = tmp_path / "reply"
    file.write_bytes(reply)

    assert offline(here, "--now", "1780598249", "--nonce", "00" * 32, evidence=file).code == 1


@pytest.mark.parametrize("epoch", ["NaN", "Infinity", "1e999", "-1", "true", '"today"', "1" + "0" * 400])
@pytest.mark.parametrize("member", ["_capture_epoch", "_min_tcb_eval", "_revocation_lists", "_nras"])
def test_malformed_evidence_is_an_error_without_a_traceback(here: Here, tmp_path: Path, member: str, epoch: str) -> None:
    found = captured()
    about = {"_client_nonce": json.dumps(found["_client_nonce"]), "_capture_epoch": str(JUNE), member: epoch}
    members = {"attestation": json.dumps(found["attestation"]), **about}
    file = tmp_path / "evidence.json"
    file.write_text("{" + ",".join(f'"{name}": {value}' for name, value in members.items()) + "}")

    outcome = offline(here, evidence=file)

    # What is not JSON holds no nonce. Judged now, its collateral has expired; no statement of NVIDIA's is a failed check.
    code = 0 if member in {"_min_tcb_eval", "_revocation_lists"} else 1
    assert outcome.code == (2 if epoch in {"NaN", "Infinity"} else code)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no model"),
        pytest.param(["m", "--offline"], id="no evidence"),
        pytest.param(["m", "--evidence", path("attestation")], id="evidence, but not offline"),
        pytest.param(["m", "--offline", "--evidence", "nowhere.json"], id="no such file"),
        pytest.param(["m", "--offline", "--evidence", path("attestation"), "--nras"], id="asking, but offline"),
        pytest.param(["m", "--level", "perfect"], id="no such level"),
        pytest.param(["m", "--level", "pinned"], id="no pins"),
        pytest.param(["m", "--nonce", "12"], id="a short nonce"),
        pytest.param(["m", "--allow-status", "Revoked"], id="a status that cannot be accepted"),
        pytest.param(["m", "--collateral", __file__], id="malformed collateral"),
        pytest.param(["m", "--pin", path("attestation")], id="malformed pins"),
        pytest.param(["m", "--now", "today"], id="not a time"),
        pytest.param(["m", "--now", "nan"], id="no number"),
        pytest.param(["m", "--now", "1e30"], id="beyond the calendar"),
        pytest.param(["m", "--base-url", "nowhere"], id="no address"),
        pytest.param([" "], id="an empty model"),
        pytest.param(["m", "--nras", "--gpu", "off"], id="NVIDIA's word about GPUs that are left out"),
    ],
)
def test_wrong_arguments_of_attest_exit_with_2_and_a_message(here: Here, arguments: list[str]) -> None:
    outcome = here("attest", *arguments)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("venice-chat: ")


# -- GPUs, images and what a manager did ---------------------------------------------------------------------------------


def test_evidence_of_gpus_can_be_required_or_left_out(here: Here, tmp_path: Path) -> None:
    without = changed(tmp_path, lambda reply: reply.pop("nvidia_payload"))

    assert "WARN  gpu_evidence" in offline(here, evidence=without).out
    required, left = (offline(here, "--gpu", policy, evidence=without) for policy in ("require", "off"))
    assert (required.code, left.code) == (1, 0)
    assert "FAIL  gpu_evidence" in required.out
    assert "gpu_" not in left.out


@pytest.mark.parametrize(("more", "code"), [([], 0), (["--refuse-dev-image"], 1)])
def test_an_image_for_development_can_be_refused(here: Here, more: list[str], code: int) -> None:
    outcome = offline(here, *more, name="live_evidence")

    assert outcome.code == code
    assert f"{'FAIL' if more else 'WARN'}  dev_image" in outcome.out


def test_every_image_and_every_action_of_a_manager_is_shown(here: Here) -> None:
    lines = offline(here).out.splitlines()

    images = [line for line in lines if line.startswith("container image: ")]
    actions = [line for line in lines if line.startswith("manager's action: ")]
    assert images
    assert all("@sha256:" in line or "NO digest" in line for line in images)
    assert len(actions) == len(captured()["attestation"]["compose_manager_attestation"]["actions"])
    assert "compose_down" in actions[0]


def test_the_command_that_verifies_again_repeats_what_was_demanded(here: Here, tmp_path: Path) -> None:
    with replaying(Replay(body())) as replay:
        outcome = online(here, replay, "--gpu", "require", "--refuse-dev-image", "--save-evidence", str(tmp_path / "kept"))

    assert "--gpu require --refuse-dev-image" in outcome.err
    assert verdict_of(again(here, outcome)) == verdict_of(outcome)


# -- pins ----------------------------------------------------------------------------------------------------------------


def test_the_software_of_an_enclave_can_be_pinned(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "pins.json"

    first = offline(here, "--write-pin", str(file))
    again = offline(here, "--pin", str(file), "--level", "pinned")

    assert (first.code, again.code) == (0, 0)
    assert "trust on first use" in first.err
    measured = shared("tee/measurements.json")
    text = json.dumps(measured)
    pins = json.loads(file.read_text())
    assert set(pins) == {"mrtd", "rtmr1", "rtmr2", "os_image_hash", "compose_hash"}
    assert all(len(values) == 1 and values[0] in text for values in pins.values())


def test_other_software_than_the_pinned_is_refused(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    offline(here, "--write-pin", str(file))

    outcome = offline(here, "--pin", str(file), name="gemma_3_27b_p")

    assert outcome.code == 1
    assert "FAIL  pins" in outcome.out


def test_nothing_is_pinned_that_was_not_verified(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "pins.json"

    assert offline(here, "--now", TODAY, "--write-pin", str(file)).code == 1
    assert not file.exists()


# -- online --------------------------------------------------------------------------------------------------------------


class Replay:
    """A server that answers every request with the same reply, and keeps what it was asked."""

    def __init__(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.body, self.status, self.headers = body, status, headers or {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = ""


@contextmanager
def replaying(replay: Replay) -> Generator[Replay]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            replay.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(replay.status)
            for name, value in replay.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(replay.body)))
            self.end_headers()
            self.wfile.write(replay.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        replay.url = f"http://127.0.0.1:{server.server_port}/api/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield replay
        finally:
            server.shutdown()
            thread.join()


def online(here: Here, replay: Replay, *more: str, collateral: bool = True) -> Outcome:
    """Asks a server that answers with the capture of a nonce, at the time of that capture."""
    given = ["--base-url", replay.url, "--nonce", captured()["_client_nonce"], "--now", str(JUNE)]
    with_collateral = ["--collateral", path("collateral")] if collateral else []
    return here("attest", GLM, *given, *with_collateral, *more)


def body() -> bytes:
    """A reply as a server writes it: unusual blanks, to be kept."""
    return json.dumps(captured()["attestation"], indent=3).encode()


def test_online_it_asks_once_without_a_key(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "VENICE_INFERENCE_KEY_0123456789abcdef")
    with replaying(Replay(body())) as replay:
        outcome = online(here, replay)

    assert outcome.code == 0, outcome.out + outcome.err
    ((target, headers),) = replay.asked
    assert target == f"/api/v1/tee/attestation?model={GLM}&nonce={captured()['_client_nonce']}"
    assert "authorization" not in headers


def test_kept_evidence_has_the_same_verdict_offline(here: Here, tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "here"
    with replaying(Replay(body())) as replay:
        first = online(here, replay, "--json", "--save-evidence", str(folder))
    files = {"evidence": folder / "evidence.json", "collateral": folder / "collateral.json"}
    again = here(
        "attest", GLM, "--json", "--offline", *(part for name, file in files.items() for part in (f"--{name}", str(file)))
    )

    assert first.code == again.code == 0
    assert first.out == again.out
    assert json.loads((folder / "report.json").read_text()) == json.loads(first.out)
    assert body() in files["evidence"].read_bytes()
    assert "--offline" in first.err


def again(here: Here, first: Outcome) -> Outcome:
    """Runs the command that was printed."""
    return here(*shlex.split(first.err.rpartition("to verify it again: ")[2])[1:])


def verdict_of(outcome: Outcome) -> tuple[int, list[str]]:
    """The exit code, and the checks that failed."""
    return outcome.code, [line.split()[1] for line in outcome.out.splitlines() if line.startswith("FAIL")]


def test_pins_are_kept_with_the_evidence(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    offline(here, "--write-pin", str(file))
    level = ["--level", "pinned", "--pin", str(file), "--save-evidence", str(tmp_path / "kept")]
    with replaying(Replay(body())) as replay:
        first = online(here, replay, *level)
    file.unlink()

    assert verdict_of(first) == verdict_of(again(here, first)) == (0, [])


def test_kept_evidence_fails_pins_offline_as_it_did_online(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    offline(here, "--write-pin", str(file), name="gemma_3_27b_p")
    with replaying(Replay(body())) as replay:
        first = online(here, replay, "--pin", str(file), "--save-evidence", str(tmp_path / "kept"))

    assert verdict_of(first) == verdict_of(again(here, first)) == (1, ["pins"])


@pytest.mark.parametrize(
    ("numbers", "check"), [("20", "tcb_eval"), ('{"evaluation": 19, "revocation_lists": {"root": 2}}', "revocation")]
)
def test_evaluation_numbers_seen_before_are_kept_with_the_evidence(
    here: Here, tmp_path: Path, numbers: str, check: str
) -> None:
    remembered = tmp_path / "cache" / "venice-chat" / "collateral-evaluation.json"
    remembered.parent.mkdir(parents=True)
    remembered.write_text(numbers)
    with replaying(Replay(body())) as replay:
        first = online(here, replay, "--save-evidence", str(tmp_path / "kept"))
    remembered.unlink()

    assert verdict_of(first) == verdict_of(again(here, first)) == (1, [check])


def test_a_missing_answer_of_nvidia_is_kept_with_the_evidence(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # so that nobody can be reached
    with replaying(Replay(body())) as replay:
        first = online(here, replay, "--nras", "--save-evidence", str(tmp_path / "kept"))

    assert verdict_of(first) == verdict_of(again(here, first)) == (1, ["gpu_nras"])


def nvidia(**claims: Any) -> ScriptedReply:
    answer = Answer(8, nonce=captured()["_client_nonce"], now=JUNE)
    answer.overall.update(claims)
    return ScriptedReply(bytes(answer))


@pytest.mark.parametrize(
    ("answer", "keys"),
    [
        pytest.param(nvidia(), ScriptedReply(KEYS), id="attested"),
        pytest.param(nvidia(exp=JUNE), ScriptedReply(KEYS), id="expired"),
        pytest.param(nvidia(), ScriptedReply(b'{"keys": "\xff"}'), id="keys that are not text"),
        pytest.param(nvidia(), ScriptedReply(KEYS, status=500), id="keys that were refused"),
        pytest.param(nvidia(), ScriptedReply(KEYS, APIConnectionError("reset")), id="keys that broke off"),
        pytest.param(nvidia(), ScriptedReply(KEYS, b" " * 2**20), id="too long"),
    ],
)
def test_the_answer_of_nvidia_is_judged_the_same_from_the_file(
    here: Here, tmp_path: Path, answer: ScriptedReply, keys: ScriptedReply
) -> None:
    found = asyncio.run(ask_nras(ScriptedTransport(answer, keys), captured()["attestation"]["nvidia_payload"]))
    nonce = bytes.fromhex(captured()["_client_nonce"])
    evidence = CollectedEvidence(
        model=GLM, nonce=nonce, reply=body(), now=JUNE, collateral=shared("tee/collateral_glm_5_1.json"), nras=found
    )
    check = verify(evidence, TeeOptions(gpu="nras")).check("gpu_nras")
    file = tmp_path / "evidence.json"
    file.write_bytes(as_file(evidence))

    outcome = offline(here, evidence=file)

    assert check is not None
    assert f"{'WARN' if check.status == 'pass' else 'FAIL'}  gpu_nras" in outcome.out
    assert ("the keys are the file's own" in outcome.out) is (check.status == "pass")
    assert not isinstance(found, str) or found in outcome.out, "the reason why there is no answer is kept, too"
    assert outcome.code == (0 if check.status == "pass" else 1)


def test_evidence_of_a_refused_attestation_is_kept(here: Here, tmp_path: Path) -> None:
    forged = captured()["attestation"] | {"verified": False}
    with replaying(Replay(json.dumps(forged).encode())) as replay:
        first = online(here, replay, "--save-evidence", str(tmp_path))
    again = here("attest", GLM, "--offline", "--evidence", str(tmp_path / "evidence.json"))

    assert (first.code, again.code) == (1, 1)
    assert "FAIL  server_verified" in again.out


def test_a_reply_that_is_not_json_is_kept_unchanged(here: Here, tmp_path: Path) -> None:
    with replaying(Replay(b'{"verified":false,"verified":true}')) as replay:
        outcome = online(here, replay, "--save-evidence", str(tmp_path))

    assert outcome.code == 1
    assert (tmp_path / "evidence.json").read_bytes() == replay.body
    assert f"--nonce {captured()['_client_nonce']}" in outcome.err


@pytest.mark.parametrize("status", [400, 404, 429, 500, 502])
def test_an_error_status_of_the_attestation_exits_with_3(here: Here, status: int) -> None:
    with replaying(Replay(b'{"error":"no"}', status, {"retry-after": "0"})) as replay:
        outcome = online(here, replay)

    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith("venice-chat: ")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--write-pin", "nowhere/x.json"], id="a file in a folder that is not there"),
        pytest.param(["--write-pin", "."], id="a folder for a file"),
        pytest.param(["--save-evidence", "/proc/x"], id="a folder that cannot be made"),
        pytest.param(["--save-evidence", "a_file/x"], id="a folder in a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_sent(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    (tmp_path / "a_file").touch()
    monkeypatch.chdir(tmp_path)
    with replaying(Replay(body())) as replay:
        outcome = online(here, replay, *arguments)

    assert (outcome.code, outcome.out, replay.asked) == (2, "", [])
    assert arguments[0] in outcome.err


@pytest.mark.parametrize(("now", "code"), [(JUNE, 2), (TODAY, 1)])
def test_a_failure_to_keep_evidence_is_printed_after_the_report(here: Here, tmp_path: Path, now: object, code: int) -> None:
    (tmp_path / "report.json").mkdir()

    outcome = offline(here, "--now", str(now), "--save-evidence", str(tmp_path))

    assert outcome.code == code
    assert "verdict: " in outcome.out
    assert "not everything was kept" in outcome.err


def test_attest_without_a_connection_exits_with_3(here: Here) -> None:
    outcome = here("attest", GLM, "--base-url", "http://127.0.0.1:1/api/v1", "--timeout", "1")

    assert outcome.code == 3


def test_attest_without_an_answer_in_time_exits_with_3(here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api/v1"
        outcome = here("attest", GLM, "--base-url", url, "--timeout", "0.2")

    assert outcome.code == 3
    assert "within 0.2 s" in outcome.err


def test_a_redirect_is_not_followed(here: Here) -> None:
    with replaying(Replay(b"", 302, {"location": "https://elsewhere.example/"})) as replay:
        outcome = online(here, replay)

    assert outcome.code == 1
    assert len(replay.asked) == 1


def test_without_intel_the_level_is_quote(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # so that nobody can be reached
    with replaying(Replay(body())) as replay:
        outcome = online(here, replay, collateral=False)

    assert outcome.code == 4, outcome.out + outcome.err
    assert "SKIP  collateral" in outcome.out


def test_help_lists_the_exit_codes(here: Here) -> None:
    help_text = here("attest", "--help").out

    assert all(f"{code:>3}  {meaning}" in help_text for code, meaning in EXIT_CODES.items())
    assert here("attest", "-h").out == help_text
    assert "attest" in here("--help").out


def test_attest_runs_in_a_process_of_its_own() -> None:
    outcome = spawn("attest", GLM, "--offline", "--evidence", path("attestation"), "--collateral", path("collateral"))

    assert outcome.code == 0, outcome.err
    assert outcome.err == ""


def test_with_json_an_error_is_a_line_of_json_and_advises_what_can_be_typed(here: Here) -> None:
    with replaying(Replay(b'{"error":"no"}', 404)) as replay:
        outcome = online(here, replay, "--json")

    assert (outcome.code, outcome.out) == (3, "")
    error_line = json.loads(outcome.err)
    assert (error_line["error"]["status_code"], error_line["exit_code"]) == (404, 3)
    assert "venice-chat models" in error_line["error"]["message"]
