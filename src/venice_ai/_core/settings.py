"""Settings: argument, else environment, else default. Nothing here reads a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import EllipsisType

from ..exceptions import AuthenticationError, InvalidRequestError

TYPE_CHECKING = False  # start-up: what a client is made of does without `typing`
if TYPE_CHECKING:
    from typing import Final
    from urllib.parse import SplitResult

DEFAULT_BASE_URL: Final = "https://api.venice.ai/api/v1"
KEY_VARIABLE: Final = "VENICE_API_KEY"
BASE_URL_VARIABLE: Final = "VENICE_BASE_URL"
LOG_VARIABLE: Final = "VENICE_LOG"

_STREAM_IDLE_SECONDS = 60.0
_PLAIN_SECONDS = 300.0
_ENDLESS_SECONDS = 1e9  # some clocks of operating systems do not count much further
_CONTROLS = frozenset(map(chr, [*range(32), 127])) - {"\t"}
_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_HOST_CHARACTERS = _ALPHANUMERIC | set("-._")
_TOKEN_CHARACTERS = _ALPHANUMERIC | set("!#$%&'*+-.^_`|~")  # RFC 9110, 5.6.2
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def _seconds(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < _ENDLESS_SECONDS:
        allowed = f"a number of seconds above 0 and below {_ENDLESS_SECONDS:g}; pass None for no limit"
        raise InvalidRequestError(f"{name}={value!r} must be {allowed}")
    return float(value)


class Timeout:
    """The time limits of a call, in seconds, each above 0; None is not a limit.

    Args:
        connect: until the connection is made.
        first_chunk: from sending the request to the first byte of a stream's body.
        idle: between two reads of a stream (60 by default); for plain calls, from the request to the end of the reply
            (300 by default, or the deadline if that is longer).
        progress: between two pieces of content in a stream; comments and empty or unfinished chunks do not count.
        deadline: for the whole call, with its retries and pauses, and with the whole stream.
        queue: for each wait until the limits of the account let a request pass. By default a call waits as long as others are
            ahead of it, but not where it is known that nothing will pass for 90 s.

    Raises:
        InvalidRequestError: a limit is not a positive number.
    """

    __slots__ = ("connect", "deadline", "first_chunk", "idle", "plain", "progress", "queue")

    def __init__(
        self,
        *,
        connect: float | None = 10.0,
        first_chunk: float | None = 300.0,
        idle: float | EllipsisType | None = ...,
        progress: float | None = 300.0,
        deadline: float | None = None,
        queue: float | None = None,
    ) -> None:
        self.connect: float | None = _seconds("connect", connect)
        self.first_chunk: float | None = _seconds("first_chunk", first_chunk)
        self.idle: float | None = _STREAM_IDLE_SECONDS if isinstance(idle, EllipsisType) else _seconds("idle", idle)
        self.progress: float | None = _seconds("progress", progress)
        self.deadline: float | None = _seconds("deadline", deadline)
        self.plain: float | None = max(_PLAIN_SECONDS, self.deadline or 0.0) if isinstance(idle, EllipsisType) else self.idle
        """Seconds from the request to the end of the reply, for a plain call."""
        self.queue: float | None = _seconds("queue", queue)

    def with_deadline(self, seconds: float | None) -> Timeout:
        """The same limits with another deadline."""
        return Timeout(**{**self._given(), "deadline": seconds})

    def _given(self) -> dict[str, float | None]:
        """The arguments that make the same; `idle` is one of them only if it was given."""
        clocks = {name: getattr(self, name) for name in ("connect", "first_chunk", "progress", "deadline", "queue")}
        return clocks if self.idle != self.plain else {**clocks, "idle": self.idle}

    def __repr__(self) -> str:
        return f"Timeout({', '.join(f'{name}={seconds!r}' for name, seconds in self._given().items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeout) and self._given() == other._given()

    def __hash__(self) -> int:
        return hash(repr(self))

    def left(self, elapsed: float) -> float | None:
        """Seconds left of the deadline; never 0, so that the last attempt is made and fails because the time ran out."""
        return None if self.deadline is None else max(self.deadline - elapsed, 0.001)


DEFAULT_TIMEOUT: Final = Timeout()


def timeout_for(value: float | Timeout | None, default: Timeout = DEFAULT_TIMEOUT, *, stream: bool) -> Timeout:
    """The clocks of one call. A number is the deadline of a plain call; of a stream, `first_chunk`, `idle` and `progress`."""
    if value is None:
        return default
    if isinstance(value, Timeout):
        return value
    seconds = _seconds("timeout", value)
    if stream:
        unchanged = {"connect": default.connect, "deadline": default.deadline, "queue": default.queue}
        return Timeout(**unchanged, first_chunk=seconds, idle=seconds, progress=seconds)
    return default.with_deadline(seconds)


def resolve_key(argument: str | None) -> str | None:
    """The API key from the argument or `VENICE_API_KEY`, or None; an AuthenticationError if no header can carry it."""
    value = os.environ.get(KEY_VARIABLE) if argument is None else argument
    if value is not None and not isinstance(value, str):
        raise AuthenticationError(f"api_key must be text, not {type(value).__name__}")
    if not (key := (value or "").strip()):
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        problem = "the API key has blanks or characters that a header cannot carry"
        raise AuthenticationError(f"{problem}; copy it again ({KEY_VARIABLE} or api_key=)")
    return key


def resolve_base_url(argument: str | None) -> str:
    """The root of the API from the argument, `VENICE_BASE_URL` or the default, without a trailing slash; checked."""
    given = argument if argument is not None else os.environ.get(BASE_URL_VARIABLE, "").strip() or DEFAULT_BASE_URL
    if not isinstance(given, str):
        raise InvalidRequestError(f"base_url must be text, not {type(given).__name__}")
    if (value := given.strip()) == DEFAULT_BASE_URL:  # start-up: most clients load nothing that reads addresses
        return value
    hint = f"pass base_url=... or set {BASE_URL_VARIABLE}, for example {DEFAULT_BASE_URL!r}"
    if (parts := _parts(value)) is None:
        shown = "***@" + value.rpartition("@")[2] if "@" in value else value
        raise InvalidRequestError(f"base_url={shown!r} is not an absolute http(s) address; {hint}")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidRequestError(f"base_url must not hold a user name, a query or a fragment; {hint}")
    host = len(f"{parts.scheme}://{parts.netloc}")  # in lower case: what is the same server has one limiter
    return value[:host].lower() + value[host:].rstrip("/")


def _parts(address: str) -> SplitResult | None:
    """The parts of an absolute http(s) address; None if it is not one."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and _is_host(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable and not any(map(str.isspace, address)) else None


def _is_host(host: str | None) -> bool:
    """Whether it can be a host's name (RFC 1035, 2.3.4), or is an IP address; a ValueError for what is like neither."""
    if not host or not host.isprintable():
        return False
    if ":" in host:  # an IPv6 address; whoever split it from its brackets has looked at it
        return True
    name = host if host.isascii() else host.encode("idna").decode()
    labels = name.removesuffix(".").split(".")
    if not (_HOST_CHARACTERS.issuperset(name) and all(0 < len(label) < 64 for label in labels)):
        return False
    if labels[-1].isdigit():  # numbers alone are not a name, and short forms of addresses are read by some resolvers only
        from ipaddress import IPv4Address

        IPv4Address(".".join(labels))
    return True


def no_proxy(setting: str) -> InvalidRequestError:
    """The error for a setting that is not the address of a proxy."""
    expected = "the address of an HTTP proxy, such as 'http://proxy.example:8080' (SOCKS is not supported)"
    return InvalidRequestError(f"{setting} must be {expected}")


def proxy_address(value: object) -> str | None:
    """The address of an HTTP proxy; None if the value is not one."""
    given = value.strip() if isinstance(value, str) else ""
    address = given if "://" in given else f"http://{given}"
    return None if _parts(address) is None else address


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of additional headers; an InvalidRequestError for what cannot stand in an HTTP header."""
    if headers is not None and not hasattr(headers, "items"):
        raise InvalidRequestError(f"headers must be a mapping of names to values, not {type(headers).__name__}")
    checked: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not name or not _TOKEN_CHARACTERS.issuperset(name):
            raise InvalidRequestError(f"{name!r} is not the name of an HTTP header")
        if name.lower() in _FRAMING:
            raise InvalidRequestError(f"the header {name!r} follows from the request's body, and cannot be set")
        if not isinstance(value, str) or _CONTROLS.intersection(value):
            raise InvalidRequestError(f"the value of the header {name!r} must be text: no line breaks or control characters")
        checked[name] = value
    return checked


def merged(*headers: Mapping[str, str]) -> dict[str, str]:
    """Headers from several sources; of one name, in whatever case, the last counts."""
    return dict({name.lower(): (name, value) for source in headers for name, value in source.items()}.values())


def start_log() -> None:
    """Heeds `VENICE_LOG`: what the package logs goes to stderr, or to the handlers that the program has set up."""
    if not (level := os.environ.get(LOG_VARIABLE, "").strip().lower()):
        return
    import logging  # start-up: most programs ask for no log here

    if level not in {"info", "debug"}:
        raise InvalidRequestError(f"{LOG_VARIABLE}={level!r} must be 'info' or 'debug'")
    logger = logging.getLogger("venice_ai")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
