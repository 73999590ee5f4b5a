"""When the limits of a simulated account come back."""

from __future__ import annotations

import pytest

from venice_ai.emulator import Account


@pytest.mark.parametrize(
    ("window", "at", "back_at"),
    [
        pytest.param("fixed", 60.0, 120.0, id="a request at the very beginning of a minute belongs to it"),
        pytest.param("fixed", 119.9, 120.0, id="all that was sent in a minute comes back at its end"),
        pytest.param("sliding", 119.9, 179.9, id="each request comes back a minute after it was sent"),
    ],
)
def test_what_was_used_comes_back_at_the_time_that_the_headers_name(window: str, at: float, back_at: float) -> None:
    account = Account(rpm=1, window=window)  # type: ignore[arg-type]  # one of its literals
    assert account.admit(at) is None

    assert float(account.rate_limit_headers(at)["x-ratelimit-reset-requests"]) == pytest.approx(back_at - at)
    assert account.admit(back_at - 0.001) is not None
    assert account.admit(back_at) is None


def test_a_reply_without_tokens_does_not_count_for_the_time_at_which_tokens_come_back() -> None:
    account = Account(tpm=100, window="sliding")
    account._use("tokens", 0.0, 0)
    assert account.rate_limit_headers(1.0)["x-ratelimit-reset-tokens"] == "0.000"
    account._use("tokens", 20.0, 5)

    assert account.rate_limit_headers(30.0)["x-ratelimit-reset-tokens"] == "50.000"
