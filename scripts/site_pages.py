"""What the site shows otherwise than the folder `docs` does. `mkdocs.yml` names this file as a hook.

- The page of the changelog is CHANGELOG.md itself, to which a reader of the folder follows the page's link.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def on_page_markdown(markdown: str, *, page: Any = None, path: str = "", **_: Any) -> str:
    """The text that a page is built from.

    Args:
        markdown: the text of its file.
        page: the page, as mkdocs has it.
        path: its path below `docs`, without a `page`.
    """
    if (path or page.file.src_uri) == "changelog.md":
        return CHANGELOG.read_text("utf-8")
    return markdown
