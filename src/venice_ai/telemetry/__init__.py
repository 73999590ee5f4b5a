"""Spans and metrics for OpenTelemetry, which `spans.py` alone imports: where there is no telemetry, nothing does."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .spans import OpenSpan

T = TypeVar("T")


def followed(span: OpenSpan | None, work: Coroutine[Any, Any, T], *, opens: bool = False) -> Coroutine[Any, Any, T]:
    """The work within a span, where there is one; see `OpenSpan.follow`."""
    return work if span is None else span.follow(work, opens=opens)
