"""A simulated account: what a key may send a minute, and what its limits look like from outside.

Accounts differ in ways that a client does not know. `Emulator(account=...)` plays any of them, on the emulator's clock.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

from .._core.window import Window
from . import contract
from .sending import HTTPReply

_MINUTE = 60.0
_TOTAL = re.compile(rb'"total_tokens":\s*(\d+)')
_BLOCK_SECONDS = 30.0
_BLOCKED = "Too many failed attempts (> {0}) resulting in a non-success status code. Please wait 30s and try again."


@dataclass(kw_only=True, eq=False, repr=False)
class Account:
    """One account. Attributes may be changed at any time, as an operator would.

    Args:
        rpm: requests a minute; None: no limit.
        tpm: tokens a minute, as the answers count them; None: no limit.
        window: `"fixed"` minutes, in which everything comes back at once; `"sliding"`, in which a request comes back a minute
            after it was sent; or a `"bucket"` that fills steadily.
        burst: how many seconds of filling the bucket holds.
        headers: `"honest"`; `"lying"`, which always say that nearly everything is left; or `"missing"`.
        unit: how the resets are given: `"seconds"` from now, `"unix"` seconds, or `"milliseconds"` of Unix time.
        retry_after: what a refusal asks to wait, in seconds; True: as long as is needed; False: it does not say.
        max_failures: failed requests in 30 s after which everything is refused for 30 s; None: no such block.
    """

    rpm: int | None = None
    tpm: int | None = None
    window: Literal["fixed", "sliding", "bucket"] = "fixed"
    burst: float = _MINUTE
    headers: Literal["honest", "lying", "missing"] = "honest"
    unit: Literal["seconds", "unix", "milliseconds"] = "seconds"
    retry_after: float | bool = True
    max_failures: int | None = 20
    accepted: list[float] = field(default_factory=list[float], init=False)  # when requests were let through, in Unix time
    refused: list[float] = field(default_factory=list[float], init=False)  # when requests were refused because of a limit
    failures: list[float] = field(default_factory=list[float], init=False)  # when requests failed, for whatever reason
    blocked_until: float = field(default=0.0, init=False)
    """Until when everything is refused because too many requests failed."""
    _used: defaultdict[str, Window] = field(default_factory=lambda: defaultdict(lambda: Window(_MINUTE)), init=False)
    _full_at: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float), init=False)  # a bucket, if unused

    def admit(self, now: float) -> HTTPReply | None:
        """The refusal of a request that arrives now; None: it may be answered."""
        if now < self.blocked_until:
            return self._refuse(now, self.blocked_until - now, _BLOCKED.format(self.max_failures))
        waits = [self._wait(name, limit, now) for name, limit in self._limits() if self._left(name, limit, now) < 1]
        if waits:
            return self._refuse(now, max(waits), "Rate limit exceeded")
        self.accepted.append(now)
        self._use("requests", now, 1)
        return None

    def counted(self, reply: HTTPReply, now: float) -> HTTPReply:
        """A reply with the headers of this account, which counts its tokens and whether it failed."""
        body = reply.body
        if not isinstance(body, AsyncIterator):  # a backend's answer counts no tokens
            body = tuple(body)
            sent = b"".join(act for act in body if isinstance(act, bytes))
            self._use("tokens", now, max(map(int, _TOTAL.findall(sent)), default=0))
        if reply.status >= 400:  # an error
            self._fail(now)
        others = {name: value for name, value in reply.headers.items() if not name.lower().startswith("x-ratelimit-")}
        return replace(reply, headers={**others, **self.rate_limit_headers(now)}, body=body)

    def rate_limit_headers(self, now: float) -> dict[str, str]:
        """The `x-ratelimit-*` headers of a reply that is sent now."""
        headers: dict[str, str] = {}
        for name, limit in self._limits() if self.headers != "missing" else ():
            left = limit - 1 if self.headers == "lying" else max(self._left(name, limit, now), 0)
            at = self._wait(name, limit, now) + (0.0 if self.unit == "seconds" else now)
            reset = f"{at * 1000:.0f}" if self.unit == "milliseconds" else f"{at:.3f}"
            values = {"limit": limit, "remaining": int(left), "reset": reset}
            headers |= {f"x-ratelimit-{what}-{name}": str(value) for what, value in values.items()}
        return headers

    def _limits(self) -> list[tuple[str, int]]:
        return [(name, limit) for name, limit in (("requests", self.rpm), ("tokens", self.tpm)) if limit is not None]

    def _refuse(self, now: float, wait: float, words: str) -> HTTPReply:
        self.refused.append(now)
        self._fail(now)
        headers = self.rate_limit_headers(now)
        if self.retry_after is not False:
            headers["retry-after"] = f"{wait if self.retry_after is True else self.retry_after:.3f}"
        return contract.refused(429, words, headers=headers)

    def _fail(self, now: float) -> None:
        self.failures.append(now)
        recent = [at for at in self.failures[-(self.max_failures or 0) - 1 :] if at > now - _BLOCK_SECONDS]
        if self.max_failures is not None and len(recent) > self.max_failures:
            self.blocked_until = now + _BLOCK_SECONDS

    def _use(self, name: str, now: float, units: float) -> None:
        self._used[name].add(now // _MINUTE * _MINUTE if self.window == "fixed" else now, units)
        if limit := dict(self._limits()).get(name):
            self._full_at[name] = max(self._full_at[name], now) + units * _MINUTE / limit

    def _left(self, name: str, limit: int, now: float) -> float:
        if self.window == "bucket":
            return (self.burst - max(self._full_at[name] - now, 0.0)) * limit / _MINUTE
        return limit - self._used[name].count(now)

    def _wait(self, name: str, limit: int, now: float) -> float:
        """Seconds until units come back: all of them in a fixed window, else the next one."""
        if self.window == "fixed":
            return (now // _MINUTE + 1) * _MINUTE - now
        if self.window == "sliding":
            return at - now if (at := self._used[name].when(1)) < inf else 0.0
        return max(1 - self._left(name, limit, now), 0.0) * _MINUTE / limit
