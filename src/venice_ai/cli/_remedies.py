"""Rewrites the advice in error messages for the command line: the library advises Python code, the command its options."""

from __future__ import annotations

import re

from .._core.settings import KEY_VARIABLE

_CLOCKS = ("connect", "first_chunk", "idle", "progress", "deadline")

# The first that fits a place counts: what is more telling stands first.
_IN_OUR_WORDS = (
    ("client.models.resolve_chat(require_e2ee=True)", "venice-chat models --resolve --capability e2ee"),
    ("client.models.resolve_chat()", "venice-chat models --resolve"),
    ("client.models.list()", "venice-chat models"),
    ("with client.chat.completions.stream(...)", "without --no-stream and --json"),
    *((f"timeout=Timeout({clock}=...), here or on the client", "--timeout") for clock in _CLOCKS),
    (" What had come is in `partial`.", ""),
    ("; `partial` has the answer", ""),
    ("client.chat.completions.stream(...)", "a stream: leave out --no-stream and --json"),
    (" or pass ca_bundle=...", ""),
    (f"pass api_key=... or set {KEY_VARIABLE}", f"set {KEY_VARIABLE}"),
    ("or port=0", "or --port 0"),
    ("in allow_hosts", "with --allow-host"),
    ("; token=True makes one", "; leave out --token and --no-token, and one is made"),
    ("base_url", "--base-url"),
    ("expected_completion_tokens", "--expected"),
    ("max_completion_tokens", "--max-tokens"),
    ("Check proxy=... or the *_PROXY variables", "Check the *_PROXY variables"),
    ("TeeOptions(verification='hardware') refuses that", "'venice-chat attest' demands more"),
)
_PATTERNS = (
    (re.compile(r"preferred_models=\['([^']*)'\]"), r"-m \1"),
    (re.compile(r"\bTeeOptions\(tcb_statuses=[^)]*\), or (?=--allow-status)"), ""),
)
_CAPABILITY = re.compile(r"\brequire_(\w+)=True")


def in_our_words(said: object) -> str:
    """What the library says, in an error or a warning, with remedies that can be typed."""
    text = str(said)
    for theirs, ours in _IN_OUR_WORDS:
        text = text.replace(theirs, ours)
    for pattern, words in _PATTERNS:
        text = pattern.sub(words, text)
    return _CAPABILITY.sub(lambda found: f"--capability {found[1].replace('_', '-')}", text)
