"""The results of every web search in the emulator."""

from __future__ import annotations

import json

CITATIONS = [
    {
        "title": "Venice, the emulated city",
        "url": "https://example.org/venice",
        "content": "A city of <strong>118 islands</strong> &amp; many bridges.",
        "date": "2026-05-28",
    },
    {"title": "Lagoons, explained", "url": "https://example.org/lagoon", "content": "Shallow water.", "date": ""},
]

_MEMBERS = {"title": "title", "url": "url", "snippet": "content", "published_at": "date"}
_FOUND = [{name: page[said] for name, said in _MEMBERS.items()} for page in CITATIONS]
DOCUMENTS = json.dumps({"documents": [{"id": str(number), **page} for number, page in enumerate(_FOUND, start=1)]})
"""The results as the arguments of the tool call that `return_search_results_as_documents` asks for."""
