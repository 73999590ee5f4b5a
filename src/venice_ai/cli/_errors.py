"""Errors at the command line: an exit code, and a message that advises options where the library advises Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
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
    129: "SIGHUP: the window was closed",
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
    return next((code for code, known in _CODES if known & {each.__name__ for each in kind.__mro__}), 1)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Suggests the known names that are like a wrong one, as the end of a sentence."""
    names = {name.lower(): name for name in known}
    begun = [name for name in names if given and name.startswith(given.lower())]
    return "".join(f"; did you mean {names[name]!r}?" for name in (begun or get_close_matches(given.lower(), names))[:1])


def listed(codes: Mapping[int, str]) -> str:
    return "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in codes.items())


# Patterns. The first that fits a place counts: what is more telling stands first.
_IN_OUR_WORDS: Final[tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]] = (
    (r" What had come is in `partial`\.|; `partial` has the answer|; pass None for no limit| or pass ca_bundle=\.\.\.", ""),
    (r", or (?:send it|give the format) as .*strict=False.*|\bTeeOptions\(tcb_statuses=[^)]*\), or (?=--allow-status)", ""),
    (r"client\.models\.resolve_chat\((.*?)\)", lambda found: f"venice-chat models --resolve {found[1]}".rstrip()),
    (r"client\.models\.list\(\)", "venice-chat models"),
    (r"with client\.chat\.completions\.stream\(\.\.\.\)", "without --no-stream"),
    (r"client\.chat\.completions\.stream\(\.\.\.\)", "a stream: leave out --no-stream"),
    (r"timeout=Timeout\(\w+=\.\.\.\), here or on the client", "--timeout"),
    (r"\btimeout=(?=\S+ must be)", "--timeout "),
    ("move it away, and give.*", "OUT keeps its answers; --journal NEW with another OUT begins anew, and pays again"),
    ("give its own key or key_file", "the command opens none that is; Journal(path, key_file=...).rows() does"),
    ("pass api_key=... or set ", "set "),
    ("or port=0", "or --port 0"),
    ("in allow_hosts", "with --allow-host"),
    ("; token=True makes one", "; leave out --token and --no-token, and one is made"),
    (r"path='(.*)' is something else than the file of a session file.*", r"\1 is not a session file; move it to begin anew"),
    ("and give the session file a new one, which knows nothing of the past", "to begin anew"),
    (r"(cannot connect to \S+\.(?:nvidia|intel)\.com: .*?)\. Is base_url right.*?\?", r"\1"),
    (r"with response_format=.* Each needs its own file", "for another --schema, or none; give a new --journal and OUT"),
    ("base_url", "--base-url"),
    ("expected_completion_tokens", "--expected"),
    ("(?<!--param )max_completion_tokens", "--max-tokens"),
    (r"Check proxy=\.\.\. or the \*_PROXY variables", "Check the *_PROXY variables"),
    (r"; (?:it|what had come) is in `(?:partial` and `)?(?:raw_text|response)`", ""),
    (r"See `tool_calls`; run_with_tools\(\.\.\.\) runs them", "--json shows the calls"),
    (r", by the catalogue; this client has min_privacy='tee'", "; 'venice-chat models --capability tee' lists those that do"),
    (r"this client has min_privacy='(\w+)'", r"--min-privacy \1 forbids that"),
    (r"(?:a client with )?min_privacy='(\w+)'", r"--min-privacy \1"),
    ("pass e2ee=True", "add --e2ee"),
    (r"TeeOptions\(allow_dev_image=False\) refuses it", "--refuse-dev-image refuses it"),
    (r"TeeOptions\(verification='hardware'\) refuses that", "'venice-chat attest' demands more"),
    (r"preferred_models=\['([^']*)'\]", r"-m \1"),
    (r"([^']*)' is not one of '(.*)'\.", lambda found: found[0][:-1] + did_you_mean(found[1], found[2].split("', '"))),
    (r"\brequire_(\w+)=True", lambda found: f"--capability {found[1].replace('_', '-')}"),
)


def in_our_words(message: object) -> str:
    """The text of a library's error or warning, with remedies that can be typed."""
    text = str(message)
    for theirs, ours in _IN_OUR_WORDS:
        text = re.sub(theirs, ours, text)
    return text
