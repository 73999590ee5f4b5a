"""What the site shows otherwise than the folder `docs` does. `mkdocs.yml` names this file as a hook.

- The page of the changelog is CHANGELOG.md itself, to which a reader of the folder follows the page's link.
- The verdicts of the scoreboard have a class each, by which `docs/assets/site.css` colours them.
- The search puts the pages that explain before the reference, and leaves out the scoreboard's evidence, which names every
  status and every error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"
_VERDICT = re.compile(r"\[(right|refused|wrong error|lost|cut taken for whole|invented|sent too often|hung)\b[^\]]*\]\([^)]*\)")


def text_of(path: str, markdown: str) -> str:
    """The text that a page is built from; the path is the one below `docs`."""
    if path == "changelog.md":
        return CHANGELOG.read_text("utf-8")
    if path == "scoreboard.md":
        return _VERDICT.sub(lambda found: f"{found[0]}{{ .verdict .{found[1].replace(' ', '-')} }}", markdown)
    return markdown


def search_of(path: str) -> dict[str, Any]:
    """How the search treats a page: `boost` multiplies its score, and `exclude` leaves it out."""
    if path.startswith("scoreboard/"):
        return {"exclude": True}
    if path.startswith(("reference/", "explanations/")):
        return {}
    is_about_the_project = path in {
        "decisions.md",
        "changelog.md",
        "architecture.md",
        "soak.md",
        "scoreboard.md",
        "performance.md",
    }
    return {"boost": 0.2 if is_about_the_project else 4}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The text of a page, before it becomes HTML; mkdocs calls this."""
    page.meta.setdefault("search", search_of(page.file.src_uri))
    return text_of(page.file.src_uri, markdown)
