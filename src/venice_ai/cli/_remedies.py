"""What the library advises, in the words of the command: the library speaks of Python, and here nobody writes any."""

from __future__ import annotations

from .._config import KEY_VARIABLE

_CLOCKS = ("connect", "first_chunk", "idle", "progress", "deadline")

# The first that fits a place counts: what is more telling stands first.
_IN_OUR_WORDS = (
    ("client.models.resolve_chat(require_e2ee=True)", "venice-chat models --resolve --capability e2ee"),
    ("client.models.resolve_chat()", "venice-chat models --resolve"),
    ("client.models.list()", "venice-chat models"),
    ("with client.chat.completions.stream(...)", "without --no-stream and --json"),
    *((f"timeout=Timeout({clock}=...), here or on the client", "--timeout") for clock in _CLOCKS),
    ("What had come is in `partial`.", "What had come was printed."),
    (" or pass ca_bundle=...", ""),
    (f"pass api_key=... or set {KEY_VARIABLE}", f"set {KEY_VARIABLE}"),
    ("or port=0", "or --port 0"),
    ("base_url", "--base-url"),
)


def message(error: Exception) -> str:
    """What an error says, with remedies that can be typed."""
    text = str(error)
    for theirs, ours in _IN_OUR_WORDS:
        text = text.replace(theirs, ours)
    return text
