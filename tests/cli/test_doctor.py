"""`venice-chat doctor`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from venice_ai._core import packages
from venice_ai._core.packages import by_extra
from venice_ai.cli.doctor import extras
from venice_ai.emulator import Emulator, error

from .shell import Here, spawn


def test_with_a_key_and_a_server_doctor_finds_no_problem(here: Here) -> None:
    outcome = here("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    assert "(VENICE_BASE_URL)" in outcome.out
    assert "!!" not in outcome.out
    assert "VENICE_API_KEY is set and accepted" in outcome.out


def test_a_key_that_is_not_accepted_is_a_problem(emulator: Emulator, here: Here) -> None:
    emulator.script(error(401), path="/api_keys/rate_limits")
    outcome = here("doctor")
    assert outcome.code == 1
    assert "!!  key         VENICE_API_KEY is set, and is not accepted" in outcome.out
    assert "-> Venice answered 401" in outcome.out
    assert [request.path for request in emulator.requests] == ["/api/v1/api_keys/rate_limits", "/api/v1/models"]


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_that_does_not_say_whether_it_accepts_the_key_is_no_problem(
    emulator: Emulator, here: Here, status: int
) -> None:
    emulator.script(error(status), path="/api_keys/rate_limits")
    outcome = here("doctor")
    assert outcome.code == 0
    assert f"whether it is accepted is not known: Venice answered {status}" in outcome.out


def test_json_has_each_finding(here: Here) -> None:
    report = json.loads(here("doctor", "--json").out)
    assert report["ok"] is True
    assert all(finding["ok"] and finding["remedy"] is None for finding in report["findings"].values())


def test_a_missing_key_is_a_problem(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY")
    outcome = here("doctor")
    assert outcome.code == 1
    assert "!!  key" in outcome.out


def test_a_key_that_cannot_be_sent_is_a_problem_and_is_not_shown(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "half\nof-a-key")
    outcome = here("doctor")
    assert outcome.code == 1
    assert "of-a-key" not in outcome.out


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("http://127.0.0.1:1/api/v1", "cannot connect", id="nobody there"),
        pytest.param("example.org", "--base-url cannot be used", id="no address"),
        pytest.param("http://user:hidden@127.0.0.1/api/v1", "user name", id="with a password"),
    ],
)
def test_a_base_url_that_leads_nowhere(here: Here, url: str, message: str) -> None:
    outcome = here("doctor", "--base-url", url)
    assert outcome.code == 1
    assert message in outcome.out
    assert "hidden" not in outcome.out


def test_an_address_without_a_catalogue_is_named(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    root = os.environ["VENICE_BASE_URL"].removesuffix("/api/v1")
    monkeypatch.setenv("VENICE_BASE_URL", root)
    outcome = here("doctor")
    assert outcome.code == 1
    assert f"{root} answers 404" in outcome.out


def test_plain_http_to_another_machine_is_a_problem(here: Here) -> None:
    outcome = here("doctor", "--base-url", "http://192.0.2.1/api/v1", "--timeout", "0.05")
    assert "!!  TLS" in outcome.out


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "LOCALHOST", "venice.localhost"])
def test_plain_http_to_this_machine_is_no_problem(here: Here, host: str) -> None:
    outcome = here("doctor", "--base-url", f"http://{host}:1/api/v1", "--timeout", "0.05")
    assert "ok  TLS         none: plain HTTP to this machine" in outcome.out


def test_a_catalogue_that_is_refused_is_a_problem(emulator: Emulator, here: Here) -> None:
    emulator.script(error(500), path="/models")
    outcome = here("doctor")
    assert outcome.code == 1
    assert "Venice answered 500" in outcome.out


@pytest.mark.usefixtures("emulator")
def test_packages_with_our_import_name_are_a_problem(tmp_path: Path) -> None:
    for rival in ("venice-py", "venice-ai"):
        folder = tmp_path / f"{rival.replace('-', '_')}-2.9.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {rival}\nVersion: 2.9.0\n", encoding="utf-8")
    outcome = spawn("doctor", packages=tmp_path)
    assert outcome.code == 1
    assert "pip uninstall -y venice-py venice-ai venice-chat" in outcome.out


def test_each_extra_lists_its_distributions() -> None:
    requirements = [
        "aiohttp>=3.11",
        "click>=8.1; extra == 'cli'",
        'platformdirs>=4 ; extra == "cli"',
        "venice-chat[cli]; extra == 'local'",
        "xllamacpp==2026.10.11549; extra == 'local'",
    ]
    assert by_extra(requirements) == {"cli": ["click", "platformdirs"], "local": ["xllamacpp"]}


def test_the_extras_are_those_of_the_installed_package_and_what_is_installed_is_not_lacking() -> None:
    found = packages.extras()

    assert {"cli", "e2ee", "local", "ray"} <= found.keys()
    assert (found["cli"], found["e2ee"]) == ([], [])  # the tests need them
    for name in (name for lacking in found.values() for name in lacking):
        assert packages.installed(name) is None


def test_what_an_extra_lacks_comes_with_its_remedy() -> None:
    findings = extras({"cli": [], "local": ["xllamacpp"]})
    assert findings == "cli installed; local without xllamacpp (pip install 'venice-chat[local]')"
