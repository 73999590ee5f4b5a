"""What errors are at the command line: an exit code, and a message that advises options where the library advises Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

FAILED_ROWS: Final = 9
EXIT_CODES: Final = {
    0: "all went well",
    1: "any other failure",
    2: "wrong usage, or an invalid request",
    3: "the key is missing, refused, not permitted or out of credit",
    4: "no such model",
    5: "rate limited, or the model is overloaded or offline",
    6: "no connection, or no answer in time",
    7: "the stream broke off before its end",
    8: "the budget is used up",
    FAILED_ROWS: "rows of a batch failed",
    130: "Ctrl-C",
    143: "SIGTERM",
}

# The first that fits counts: a stream that ran out of time is an interrupted stream. The help does without the classes.
_CODES: Final = (
    (8, {"BudgetExceededError"}),
    (7, {"StreamInterruptedError"}),
    (6, {"APIConnectionError", "GatewayTimeoutError"}),
    (5, {"ServiceUnavailableError", "RateLimitError"}),
    (4, {"NotFoundError", "ModelGoneError", "NoMatchingModelError"}),
    (3, {"AuthenticationError", "PermissionDeniedError", "PaymentRequiredError"}),
    (2, {"InvalidRequestError", "InvalidArgumentError", "SchemaNotStrictError"}),
)


def code_of(kind: type[BaseException]) -> int:
    """The exit code that stands for a kind of error."""
    names = {each.__name__ for each in kind.__mro__}
    return next((code for code, known in _CODES if names & known), 1)


def listed(codes: Mapping[int, str]) -> str:
    """Exit codes as help shows them."""
    return "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in codes.items())


_CLOCKS = ("connect", "first_chunk", "idle", "progress", "deadline")

# The first that fits a place counts: what is more telling stands first.
_IN_OUR_WORDS = (
    ("client.models.resolve_chat(require_e2ee=True)", "venice-chat models --resolve --capability e2ee"),
    ("client.models.resolve_chat()", "venice-chat models --resolve"),
    ("client.models.list()", "venice-chat models"),
    ("with client.chat.completions.stream(...)", "without --no-stream and --json"),
    *((f"timeout=Timeout({clock}=...), here or on the client", "--timeout") for clock in _CLOCKS),
    (" What had come is in `partial`.", ""),
    ("; it is in `response`", ""),
    ("; `partial` has the answer", ""),
    ("client.chat.completions.stream(...)", "a stream: leave out --no-stream and --json"),
    (" or pass ca_bundle=...", ""),
    ("pass api_key=... or set ", "set "),
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
