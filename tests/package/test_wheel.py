"""The wheel: the same bytes from the same files wherever and whenever it is built, and nothing in it that does not belong."""

from __future__ import annotations

import email
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hatchling")
pytest.importorskip("cyclonedx")

ROOT = Path(__file__).parents[2]
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "scripts/sbom.py", "scripts/metadata.py")


def built(source: Path, folder: Path, repository: str = "") -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    settings = {**os.environ, "DOCS_REPOSITORY": repository}
    subprocess.run(command, cwd=source, check=True, capture_output=True, env=settings)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("first"))


def test_two_builds_in_two_places_give_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
    for name in NEEDED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)

    assert built(copy, tmp_path / "second").read_bytes() == wheel.read_bytes()


def test_it_contains_the_package_and_its_metadata_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert {name.partition("/")[0] for name in names} == {"venice_ai", f"{wheel.name.partition('-py3')[0]}.dist-info"}
    assert not [name for name in names if "__pycache__" in name]


def test_its_bill_of_materials_names_every_dependency(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if ".dist-info/sboms/" in each]
        bom: Any = json.loads(archive.read(name))
        (metadata,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    named = {line.split(": ")[1].split("[")[0].split(";")[0].split("<")[0].split(">")[0].split("=")[0].strip()
             for line in lines if line.startswith("Requires-Dist")}  # fmt: skip

    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["name"] == "venice-chat"
    assert "timestamp" not in bom["metadata"]
    assert {each["name"].lower().replace("_", "-") for each in bom["components"]} == {
        each.lower().replace("_", "-") for each in named - {"venice-chat"}
    }


REPOSITORY = "https://git.example/venice/venice-chat"
LINK = re.compile(r"(!?)\[[^\]]+\]\(([^)]+)\)")


def metadata_of(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return email.message_from_string(archive.read(name).decode())


def test_its_metadata_names_the_repository_and_its_readme_links_to_files_there(tmp_path: Path) -> None:
    metadata = metadata_of(built(ROOT, tmp_path, REPOSITORY))
    links = LINK.findall(metadata.get_payload())
    ours = [target.removeprefix(REPOSITORY) for _, target in links if target.startswith(REPOSITORY)]

    assert f"Repository, {REPOSITORY}" in metadata.get_all("Project-URL")
    assert [target for _, target in links if not target.startswith("https://")] == []
    assert {picture for picture, target in links if "/raw/HEAD/" in target} == {"!"}
    assert len(ours) > 20
    assert [path for path in ours if not (ROOT / path.split("/HEAD/")[1].split("#")[0]).exists()] == []


def test_its_readme_has_no_relative_link_where_the_repository_has_no_address(wheel: Path) -> None:
    metadata = metadata_of(wheel)

    assert metadata.get_all("Project-URL") is None
    assert [target for _, target in LINK.findall(metadata.get_payload()) if not target.startswith("https://")] == []
    assert "encrypts chats" in metadata.get_payload()
