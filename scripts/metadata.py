"""What the metadata of the package says of its repository: the README, whose links lead somewhere, and addresses.

An index shows the README without the files beside it. With the repository's address in `DOCS_REPOSITORY`, as for the pages,
relative links become absolute and the metadata has the addresses; without it, of a relative link the words are left.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = re.compile(r"(?P<picture>!?)\[(?P<words>[^\]]+)\]\((?!https?:|#)(?P<target>[^)\s]+)\)")


class CustomMetadataHook(MetadataHookInterface):
    """What hatchling asks for the fields that are dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Adds the README and the addresses."""
        repository = os.environ.get("DOCS_REPOSITORY", "").rstrip("/")
        text = Path(self.root, "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme(text, repository)}
        metadata["urls"] = urls(repository)


def readme(text: str, repository: str) -> str:
    """The README without relative links; they are absolute, or words alone if the repository has no address."""

    def absolute(link: re.Match[str]) -> str:
        if not repository:
            return link["words"]
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['words']}]({repository}/{kind}/HEAD/{link['target']})"

    return _RELATIVE.sub(absolute, text)


def urls(repository: str) -> dict[str, str]:
    """The project's addresses, by what an index calls them; none if the repository has no address."""
    if not repository:
        return {}
    return {"Repository": repository, "Issues": f"{repository}/issues", "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md"}
