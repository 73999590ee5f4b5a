"""What came of a request of a batch: which failures set it aside for good, and which are sent again by the next run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from venice_ai import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BatchItem,
    BudgetExceededError,
    ConnectError,
    InternalServerError,
    InvalidRequestError,
    ModelGoneError,
    NoMatchingModelError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
)
from venice_ai.batches.items import is_for_good


@pytest.mark.parametrize("kind", [InvalidRequestError, ValueError, TypeError])
@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_a_request_that_is_wrong_itself_is_set_aside_though_it_was_never_sent(kind: type[Exception], attempts: int) -> None:
    assert is_for_good(kind("wrong"), attempts)


@pytest.mark.parametrize("kind", [InternalServerError, APIConnectionError, APITimeoutError, RuntimeError, BudgetExceededError])
def test_any_other_failure_sets_aside_what_was_sent(kind: type[Exception]) -> None:
    assert is_for_good(kind("failed"), 1)
    assert not is_for_good(kind("failed"), 0)


@pytest.mark.parametrize(
    "kind",
    [
        AuthenticationError,
        PaymentRequiredError,
        PermissionDeniedError,
        NotFoundError,
        ModelGoneError,
        NoMatchingModelError,
        ConnectError,
        asyncio.CancelledError,
        KeyboardInterrupt,
    ],
)
@pytest.mark.parametrize("attempts", [0, 1])
def test_a_request_is_not_blamed_for_its_account_its_model_or_a_run_that_ended(
    kind: type[BaseException], attempts: int
) -> None:
    assert not is_for_good(kind("not to blame"), attempts)


def test_an_item_says_nothing_that_it_was_not_given() -> None:
    item = BatchItem[Any](0)
    assert (item.custom_id, item.request, item.response, item.error, item.parsed) == (None, {}, None, None, None)
    assert (item.attempts, item.cost_usd, item.replayed, item.maybe_billed_before, item.kept) == (0, None, False, False, False)


def test_an_item_can_be_made_of_its_parametrised_class() -> None:
    item = BatchItem[Any](0, "a", parsed=7)
    assert (item.parsed, item.kept) == (7, False)
    with pytest.raises(AttributeError):
        item.kept = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_the_request_of_an_item_stays_out_of_its_repr() -> None:
    assert "secret" not in repr(BatchItem[Any](0, request={"messages": "secret"}))
