"""The notebooks run as a newcomer would run them, against an emulator on a socket, and are kept without what a run leaves."""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from venice_ai.emulator import Emulator, run_in_thread

COLUMNS = 88
NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))
PRINTED = {
    "first_chat": ["tokens: ", "US dollars: 0.0", "(finish reason: stop)"],
    "classify_table": [
        "| id | comment | mood | topic |",
        "| 5 | The cabin smelled of paint. | ",
        "Counter({",
        "US dollars: 0.0",
    ],
}


def cells(notebook: Path) -> list[dict[str, Any]]:
    """The cells with code."""
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(notebook))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_code_of_a_notebook_fits_on_a_page(notebook: Path) -> None:
    lines = [line.rstrip("\n") for cell in cells(notebook) for line in cell["source"]]

    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Emulator]:
    """Where a notebook finds a Venice; and no settings of the user's for what runs notebooks."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    emulator = Emulator()
    with run_in_thread(emulator) as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.url)
        monkeypatch.setenv("VENICE_API_KEY", "any")
        yield emulator


def printed(notebook: Path) -> str:
    """What a run of a notebook prints and shows; an error if a cell raises one."""
    pytest.importorskip("ipykernel")
    nbclient: Any = pytest.importorskip("nbclient")
    nbformat: Any = pytest.importorskip("nbformat")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of what runs it
        run = nbclient.NotebookClient(nbformat.read(notebook, as_version=4), timeout=60).execute()
    outputs = [output for cell in run.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.get("data", {}) for output in outputs]
    texts = [output.get("text", "") or data.get("text/markdown", "") for output, data in zip(outputs, shown, strict=True)]
    return "\n".join(texts)


@pytest.mark.more
@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_notebook_runs_and_prints_what_it_should(notebook: Path) -> None:
    found = printed(notebook)

    for words in PRINTED[notebook.stem]:
        assert words in found
