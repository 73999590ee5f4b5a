"""Writes a table into the page that shows it, between two marks, so that the page cannot differ from what was measured."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of a benchmark's arguments, with `--write FILE`."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--write", type=Path, metavar="FILE", help="the page to write the table into, such as docs/limits.md")
    return made


def write(page: Path, name: str, lines: Sequence[str]) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- end of name -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    text = page.read_text("utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise SystemExit(f"{page} has no place for the table: it needs one {begin} and one {end}")
    page.write_text(pattern.sub(lambda _: "\n\n".join((begin, "\n".join(lines), end)), text), "utf-8")
