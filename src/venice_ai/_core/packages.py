"""Which extras are installed, and which other packages overwrite ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata

DISTRIBUTION = "venice-chat"
_RIVALS = ("venice-py", "venice-ai")
_REQUIREMENT = re.compile(r"""(?P<name>[A-Za-z0-9._-]+)[^;]*;.*\bextra\s*==\s*['"](?P<extra>[^'"]+)['"]""")


def rivals() -> list[str]:
    """The installed distributions whose import package is `venice_ai` too: they and we overwrite each other's files."""
    return [name for name in _RIVALS if installed(name)]


def remedy(found: Iterable[str]) -> str:
    """The commands that repair an environment with such distributions."""
    return f"pip uninstall -y {' '.join(found)} {DISTRIBUTION}, then pip install '{DISTRIBUTION}[cli]'"


def installed(distribution: str) -> str | None:
    """The version of a distribution; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def extras() -> dict[str, list[str]]:
    """Our extras, and what each still lacks. None are known when the package runs without being installed."""
    known = by_extra(metadata.requires(DISTRIBUTION) or () if installed(DISTRIBUTION) else ())
    return {extra: [name for name in names if installed(name) is None] for extra, names in known.items()}


def by_extra(requirements: Iterable[str]) -> dict[str, list[str]]:
    """The distributions that each extra asks for, from the lines of a distribution's metadata."""
    found: dict[str, list[str]] = {}
    for match in filter(None, map(_REQUIREMENT.match, requirements)):
        if match["name"] != DISTRIBUTION:
            found.setdefault(match["extra"], []).append(match["name"])
    return found
