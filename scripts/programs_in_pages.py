"""Puts the programs of `examples` into the pages that show them, so that a page has them also where it is read as a file.

A page names a program by a comment such as `<!-- examples/tools.py -->`; the block of Python below it is that file.
`python -m scripts.programs_in_pages` writes the blocks anew, and prints the pages that it changed.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PLACE = re.compile(r"^<!-- (?P<file>examples/\w+\.py) -->\n(?:```python\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
"""The comment, and the block below it if there is one."""


def with_programs(page: str) -> str:
    """A page with each of its programs as its file is now."""

    def block(place: re.Match[str]) -> str:
        return f"<!-- {place['file']} -->\n```python\n{(ROOT / place['file']).read_text('utf-8')}```\n"

    return PLACE.sub(block, page)


def main() -> None:
    for page in PAGES:
        before = page.read_text("utf-8")
        if (after := with_programs(before)) != before:
            page.write_text(after, "utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
