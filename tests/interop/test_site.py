"""The pages in a browser: no error, no request to a third party, no broken link, and nothing too wide for a phone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from .environments import Script, python_env
from .servers import serving

pytestmark = [pytest.mark.interop, pytest.mark.more]

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
REPOSITORY = "https://git.example/venice/venice-chat"


@pytest.fixture(scope="module")
def browser() -> str:
    """Where a browser is; without one, the tests are skipped and say so."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is installed; Debian has it as the package chromium-headless-shell")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built as for a repository with an address."""
    pytest.importorskip("mkdocs", reason="`make docs` installs what builds the pages")
    folder = tmp_path_factory.mktemp("site")
    address = {"DOCS_REPOSITORY": REPOSITORY, "DOCS_EDIT_PATH": "edit/main/docs/"}
    settings = {**os.environ, "NO_MKDOCS_2_WARNING": "1", **address}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", env=settings, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def origin(site: Path) -> Generator[str]:
    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(site)]

    with serving(command, ready="/", folder=site) as server:
        yield f"{server.origin}/"


@pytest.fixture(scope="module")
def script(browser: str) -> Generator[Script]:  # noqa: ARG001  # without a browser, playwright is not installed for nothing
    with python_env("browser", ["playwright==1.65.*"]).running("browse.py") as script:
        yield script


SOUND = "# A page\n\nSee [the other page](other.md#a-heading).\n"


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        pytest.param(SOUND, None, id="sound"),
        pytest.param(SOUND.replace("other.md", "gone.md"), "gone.md", id="a link to a page that is not there"),
        pytest.param(SOUND.replace("a-heading", "no-heading"), "no-heading", id="a link to a heading that is not there"),
        pytest.param(f"{SOUND}\n[Text][venice_ai.Nothing]\n", "venice_ai.Nothing", id="a name that is not there"),
    ],
)
def test_the_pages_are_not_built_with_a_dead_link(tmp_path: Path, page: str, complaint: str | None) -> None:
    pytest.importorskip("mkdocs", reason="`make docs` installs what builds the pages")
    for name in ("Makefile", "pyproject.toml", "CHANGELOG.md"):
        shutil.copy2(ROOT / name, tmp_path)
    for name in ("scripts", "src", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("theme", "templates", "assets"):
        shutil.copytree(ROOT / "docs" / name, tmp_path / "docs" / name)
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    (tmp_path / "mkdocs.yml").write_text(settings.partition("\nnav:\n")[0] + "\n", "utf-8")
    (tmp_path / "docs" / "index.md").write_text(page, "utf-8")
    (tmp_path / "docs" / "other.md").write_text("# Another page\n\n## A heading\n", "utf-8")

    make = ["make", "--assume-old", ".venv/.tools", "--assume-old", ".venv/.docs", "docs"]  # what is installed is there
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)

    assert (done.returncode == 0) is (complaint is None), done.stderr
    assert complaint is None or complaint in done.stderr


class Visit(NamedTuple):
    """All pages, by their paths, and what the browser found on each."""

    origin: str
    pages: dict[str, Any]


@pytest.fixture(scope="module")
def visit(script: Script, browser: str, site: Path, origin: str) -> Visit:
    paths = [path.relative_to(site).as_posix().removesuffix("index.html") for path in sorted(site.rglob("*.html"))]
    pages: dict[str, Any] = {}
    for first in range(0, len(paths), 10):
        pages |= script.ask("opened", browser=browser, origin=origin, paths=paths[first : first + 10])
    return Visit(origin, pages)


def test_every_page_was_opened(visit: Visit) -> None:
    pages = len(list((ROOT / "docs").rglob("*.md")))

    assert len(visit.pages) == pages + 1  # and the page that says that there is none


def test_the_browser_complains_about_no_page(visit: Visit) -> None:
    assert {path: page["complaints"] for path, page in visit.pages.items() if page["complaints"]} == {}


def test_no_page_asks_a_third_party(visit: Visit) -> None:
    assert {path: page["elsewhere"] for path, page in visit.pages.items() if page["elsewhere"]} == {}


def test_every_link_between_pages_leads_somewhere(visit: Visit, site: Path) -> None:
    broken: list[str] = []
    for path, page in visit.pages.items():
        links: list[str] = page["links"]
        for link in links:
            target, anchor = urldefrag(link)
            if not target.startswith(visit.origin):
                continue
            target = unquote(target.removeprefix(visit.origin))
            is_there = target in visit.pages or (site / target).is_file()
            if not is_there or (anchor and unquote(anchor) not in visit.pages[target]["anchors"]):
                broken.append(f"{path}: {link}")

    assert broken == []


def test_every_other_link_is_encrypted_on_its_way(visit: Visit) -> None:
    links = {link for page in visit.pages.values() for link in page["links"] if not link.startswith(visit.origin)}

    assert {link for link in links if not link.startswith("https://")} == set()


def test_every_picture_is_shown(visit: Visit) -> None:
    pictures = [tuple(picture) for page in visit.pages.values() for picture in page["pictures"]]

    assert len(set(pictures)) > 5
    assert [source for source, is_shown in pictures if not is_shown] == []


def test_no_page_is_wider_than_the_screen_of_a_phone(visit: Visit) -> None:
    assert {path: page["overflow"] for path, page in visit.pages.items() if page["overflow"] > 0} == {}


def test_what_is_wider_than_the_screen_of_a_phone_scrolls_by_itself(visit: Visit) -> None:
    assert {path: page["wide"] for path, page in visit.pages.items() if page["wide"]} == {}


def test_each_page_leads_to_its_source_and_to_its_neighbours(visit: Visit) -> None:
    assert f"{REPOSITORY}/edit/main/docs/guide/tools.md" in visit.pages["guide/tools/"]["links"]
    assert f"{visit.origin}guide/structured/" in visit.pages["guide/tools/"]["links"]
    assert f"{visit.origin}guide/errors/" in visit.pages["guide/tools/"]["links"]
    assert all(f"{visit.origin}changelog/" in page["links"] for page in visit.pages.values())


EXPLAINED_ON = {
    "enable_web_search": "guide/web-search/",
    "reasoning_content": "guide/reasoning/",
    "logging": "guide/logging/",
    "proxy": "guide/proxies/",
    "max_retries": "guide/errors/",
    "timeout": "guide/time-limits/",
    "install": "guide/install/",
    "PDF": "guide/media/",
    "prompt_cache_key": "guide/conversations/",
    "citations": "guide/web-search/",
    "gunicorn": "guide/services/",
    "openai": "guide/from-openai/",
    "venice-py": "guide/from-venice-py/",
    "429": "guide/errors/",
    "retry": "guide/errors/",
    "budget": "guide/costs/",
    "seed": "guide/models/",
    "temperature": "guide/models/",
    "presence_penalty": "guide/models/",
    "context window": "guide/conversations/",
    "system prompt": "guide/conversations/",
    "JSON mode": "guide/structured/",
    "rate limit": "limits/",
    "tool_choice": "guide/tools/",
    "EventSource": "guide/services/",
    "Celery": "guide/services/",
    "character_slug": "guide/models/",
    "fallback_models": "guide/fallbacks/",
}


def test_the_search_finds_the_page_that_explains_a_word(script: Script, browser: str, origin: str) -> None:
    found: dict[str, list[str]] = script.ask("searched", browser=browser, origin=origin, words=list(EXPLAINED_ON))

    first = {word: [urlsplit(link).path.strip("/") + "/" for link in links[:3]] for word, links in found.items()}
    assert {word: pages for word, pages in first.items() if EXPLAINED_ON[word] not in pages} == {}


@pytest.mark.parametrize(
    ("system", "schemes"),
    [("light", ["default", "default", "slate", "slate", "default"]), ("dark", ["slate", "default", "slate", "slate", "slate"])],
)
def test_the_theme_follows_the_system_until_the_switch_is_pressed(
    system: str, schemes: list[str], script: Script, browser: str, origin: str
) -> None:
    # Pressed three times, and loaded anew after the second time: the system's, light, dark, dark still, the system's.
    assert script.ask("themed", browser=browser, origin=origin, system=system) == schemes
