"""Reads JSON of unknown shape: the members of what may be an object, the items of what may be an array."""

from __future__ import annotations

from typing import Any, cast


def members(value: object) -> dict[str, Any]:
    """The members of an object; none of anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """The items of an array; none of anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []
