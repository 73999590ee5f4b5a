"""Every program on the pages runs without a key and a network, and prints what the page says that it prints.

A program that brings no emulator of its own finds one by the environment. Not run are blocks that need names from elsewhere
(those with a preamble, see `test_snippets.py`), programs that do not end, and those of `examples`, which run as files.

A block of text right below a program is its output. A line `...` in it stands for any lines, and ` ...` at the end of a line
for the rest of that line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import runpy
from collections.abc import Generator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from venice_ai.emulator import Emulator, error, rate_limited, run_in_thread, serve, text, usual

from ..scripted_server import PATIENCE_SECONDS, SILENCE, Step, serving

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PROGRAM = re.compile(
    r"(?P<hidden>^-->\n|^<!-- examples/\w+\.py -->\n)?"
    r"^```python[^\n]*\n(?P<code>.*?)^```$(?:\n\n^```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


def is_program(code: str) -> bool:
    """Whether a block is a program that ends by itself."""
    signs = ("venice_ai.emulator", "asyncio.run(main())", "import tool_from_function", "def shortened(")
    return any(sign in code for sign in signs) and "gateway.serve" not in code


PROGRAMS = {
    f"{page.relative_to(ROOT / 'docs').as_posix()}:{number}": (found["code"], found["output"])
    for page in PAGES
    for number, found in enumerate(PROGRAM.finditer(page.read_text("utf-8")), 1)
    if not found["hidden"] and is_program(found["code"])
}
"""The programs and what they print, by their pages and their numbers there."""


def fits(output: str, shown: str) -> bool:
    """Whether a program's output is the one that a page shows."""
    patterns = [
        r"(?:.*\n)*" if line == "..." else re.sub(r"\\ \\\.\\\.\\\.$", " .*", re.escape(line)) + r"\n"
        for line in shown.splitlines()
    ]
    return re.fullmatch("".join(patterns), output) is not None


@pytest.fixture(autouse=True)
def logging_as_before() -> Generator[None]:
    """What a program sets in the logger of the package does not last."""
    logger = logging.getLogger("venice_ai")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.parametrize(("code", "output"), PROGRAMS.values(), ids=PROGRAMS)
def test_the_program_runs_and_prints_what_the_page_says(
    code: str, output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "enclave" in code:
        pytest.importorskip("cryptography")
    program = tmp_path / "program.py"
    program.write_text(code, "utf-8")
    monkeypatch.chdir(tmp_path)

    with run_in_thread(Emulator()) if "VeniceClient()" in code else nullcontext() as server:
        if server is not None:
            monkeypatch.setenv("VENICE_BASE_URL", server.url)
            monkeypatch.setenv("VENICE_API_KEY", "any")
        runpy.run_path(str(program), run_name="__main__")

    printed, complaints = capsys.readouterr()
    assert complaints == ""
    if output is not None:
        assert fits(printed, output), printed


def test_the_tutorial_shows_what_each_step_prints() -> None:
    outputs = [output for name, (_, output) in PROGRAMS.items() if name.startswith("tutorial.md")]

    assert len(outputs) == 6
    assert all(outputs)


@pytest.mark.parametrize(
    ("output", "shown", "does_fit"),
    [
        pytest.param("a\nb\n", "a\nb\n", True, id="the same"),
        pytest.param("a\nb\n", "a\n", False, id="more than shown"),
        pytest.param("a\nx\ny\nb\n", "a\n...\nb\n", True, id="lines left out"),
        pytest.param("a\nb\n", "a\nc\n", False, id="other words"),
        pytest.param("a and so on\nb\n", "a ...\nb\n", True, id="the rest of a line left out"),
        pytest.param("an end\nb\n", "a ...\nb\n", False, id="another word before the rest"),
    ],
)
def test_an_output_fits_what_is_shown(output: str, shown: str, does_fit: bool) -> None:
    assert fits(output, shown) is does_fit


FOR_VENICE = {
    page: found["code"]
    for page in ("tutorial.md", "confidential.md")
    for found in PROGRAM.finditer((ROOT / "docs" / page).read_text("utf-8"))
    if found["hidden"] and "asyncio.run(main())" in found["code"] and "emulator" not in found["code"]
}
"""The encrypted programs for Venice itself, whose enclaves alone they accept."""


@pytest.mark.parametrize("code", FOR_VENICE.values(), ids=FOR_VENICE)
def test_the_program_for_venice_comes_as_far_as_the_evidence_of_the_enclave(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    from venice_ai.emulator.enclave import Enclave
    from venice_ai.tee import TeeAttestationError

    program = tmp_path / "program.py"
    program.write_text(code, "utf-8")
    with run_in_thread(Emulator(tee=Enclave())) as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.url)
        monkeypatch.setenv("VENICE_API_KEY", "any")
        with pytest.raises(TeeAttestationError, match="root"):
            runpy.run_path(str(program), run_name="__main__")


def test_the_tutorial_and_the_page_on_encryption_have_a_program_for_venice() -> None:
    assert FOR_VENICE.keys() == {"tutorial.md", "confidential.md"}


SERVICE = next(code for code, _ in PROGRAMS.values() if "FastAPI(" in code)
SHORT_SERVICE = ROOT / "benchmarks" / "programs" / "fastapi_stream" / "venice.py"


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("pieces", [1, 3, 1000])
async def test_the_service_closes_its_request_when_the_reader_leaves(tmp_path: Path, spec: str, pieces: int) -> None:
    service = loaded(SERVICE, tmp_path)
    received: list[bytes] = []
    left = asyncio.Event()
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (request := next(requests, None)) is not None:
            return request
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        received.append(message.get("body", b""))
        if len(received) > pieces:
            left.set()
            if spec == "2.4":  # from this version on, servers say so in this way
                raise OSError("the reader left")
            await asyncio.sleep(0.01)

    with suppress(ClientDisconnect):
        await service["app"](scope_of("/ask", b"question=Hello", spec), receive, send)

    assert (len(received) == pieces + 1) is (pieces < 1000)
    assert [model.limits.in_flight for model in service["client"].limits.snapshot().models] == [0]


def loaded(code: str, folder: Path) -> dict[str, Any]:
    """The names that a program defines."""
    program = folder / "service.py"
    program.write_text(code, "utf-8")
    return runpy.run_path(str(program))


WITH_VENICE = re.compile(r"^# With Venice: (client = .*)\nclient = .*$", re.MULTILINE)
BUSY = b"HTTP/1.1 429 Busy\r\nRetry-After: 30\r\nContent-Length: 2\r\n\r\n{}"
SERVICES = {"the page": WITH_VENICE.sub(r"\1", SERVICE), "benchmarks/programs": SHORT_SERVICE.read_text("utf-8")}


@pytest.mark.parametrize("code", SERVICES.values(), ids=SERVICES)
@pytest.mark.parametrize(
    "reply",
    [pytest.param([BUSY], id="during the pause after a 429"), pytest.param([SILENCE], id="during the wait for the head")],
)
async def test_the_service_ends_a_call_whose_reader_leaves_before_the_answer_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reply: list[Step]
) -> None:
    left = asyncio.Event()
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (request := next(requests, None)) is not None:
            return request
        await left.wait()
        return {"type": "http.disconnect"}

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with serving(reply) as venice:
        monkeypatch.setenv("VENICE_BASE_URL", venice.url)
        monkeypatch.setenv("VENICE_API_KEY", "any")
        service = loaded(code, tmp_path)
        async with service["client"] as client:
            scope = scope_of("/ask", b"question=Hello", "2.3")
            reader = asyncio.create_task(service["app"](scope, receive, send))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (venice.silent.is_set() or (venice.received and client.limits.snapshot().models[0].waiting)):
                    await asyncio.sleep(0.01)
                left.set()
                await reader
                if venice.silent.is_set():
                    await venice.left.wait()  # the connection that the call used is closed, though the client is not
            assert [model.limits.in_flight for model in client.limits.snapshot().models] == [0]

    assert sent[0]["status"] == 499
    assert len(venice.received) == 1


@pytest.mark.parametrize(
    ("step", "status", "retry_after"),
    [
        pytest.param(error(400), 422, None, id="a question that cannot be asked"),
        pytest.param(rate_limited(61), 429, "61", id="a limit of the account"),
        pytest.param(error(401), 502, None, id="a fault of the service's own"),
    ],
)
async def test_the_status_of_the_service_says_whose_fault_an_error_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Any, status: int, retry_after: str | None
) -> None:
    emulator = Emulator()
    emulator.script(step)

    sent, headers = await answered_by(SERVICES["the page"], emulator, tmp_path, monkeypatch)

    assert (sent[0]["status"], headers.get("retry-after")) == (status, retry_after)


async def test_the_service_is_not_available_while_its_budget_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = SERVICES["the page"].replace("VeniceClient()", "VeniceClient(budget=Budget(usd=0.000001))")

    sent, _ = await answered_by(f"from venice_ai import Budget\n{code}", Emulator(), tmp_path, monkeypatch)

    assert sent[0]["status"] == 503


PAGE_OF_SERVICES = (ROOT / "docs" / "guide" / "services.md").read_text("utf-8")
EVENTS = next(found["code"] for found in PROGRAM.finditer(PAGE_OF_SERVICES) if "text/event-stream" in found["code"])


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        pytest.param([text("one\ntwo")], "event: done\ndata: {}", id="whole"),
        pytest.param([usual(cut_at=3000)], 'event: failed\ndata: "StreamInterruptedError"', id="broken off"),
    ],
)
async def test_the_service_sends_events_whose_last_says_how_the_answer_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[Any], last: str
) -> None:
    before, _, rest = SERVICES["the page"].partition("async def pieces")
    emulator = Emulator()
    emulator.script(*steps)

    sent, headers = await answered_by(
        f"{before}{EVENTS}\n\nasync def cancel{rest.partition('async def cancel')[2]}", emulator, tmp_path, monkeypatch
    )

    *events, end, nothing = b"".join(each.get("body", b"") for each in sent).decode().split("\n\n")
    assert headers["content-type"].startswith("text/event-stream")
    assert (end, nothing) == (last, "")
    assert events
    assert all(isinstance(json.loads(event.removeprefix("data: ")), str) for event in events)


async def answered_by(
    code: str, emulator: Emulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What a service sends to a reader who stays, and its headers; an emulator on a socket is its Venice."""
    sent: list[dict[str, Any]] = []
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(requests, None) or await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with serve(emulator) as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.url)
        monkeypatch.setenv("VENICE_API_KEY", "any")
        service = loaded(code, folder)
        async with service["client"], asyncio.timeout(PATIENCE_SECONDS):
            await service["app"](scope_of("/ask", b"question=Hello", "2.3"), receive, send)
    return sent, {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def scope_of(path: str, query: bytes, spec: str) -> dict[str, Any]:
    """A GET request as ASGI has it."""
    addresses = {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)}
    asgi = {"version": "3.0", "spec_version": spec}
    target: dict[str, Any] = {
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [],
    }
    return {"type": "http", "http_version": "1.1", "scheme": "http", "asgi": asgi, **target, **addresses}
