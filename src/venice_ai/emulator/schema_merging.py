"""Merges two JSON schemas into one that fits what both fit (`allOf`), for the keywords where that is simple."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from venice_ai._core.json_values import members

from .schema_validation import Schema, Unsatisfiable, names_of, resolved

_DEEPEST = 40


def flat(schema: Schema, root: Any, path: str) -> dict[str, Any]:
    """The schema with its reference and its `allOf` folded in; Unsatisfiable if the reference leads nowhere, or in a circle."""
    found = dict(schema)
    for _ in range(_DEEPEST):
        if "$ref" in found:
            found = merged(members(resolved(root, found.pop("$ref"))), found)
        elif "allOf" in found:
            for part in found.pop("allOf"):
                found = merged(found, flat(members(part), root, path))
        else:
            return found
    raise Unsatisfiable(f"{path}: the reference leads in a circle")


def merged(first: Schema, second: Schema) -> dict[str, Any]:
    """A schema that is both. Of a keyword not in `_MERGES` the second is taken: what is made of it is validated by both."""
    both = {key: _MERGES[key](first[key], second[key]) for key in first.keys() & second.keys() & _MERGES.keys()}
    return {**first, **second, **both}


def _all_of(first: Any, second: Any) -> Any:
    return False if False in (first, second) else {"allOf": [first, second]}


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "properties": lambda first, second: {
        **first,
        **second,
        **{name: _all_of(first[name], second[name]) for name in first.keys() & second.keys()},
    },
    "required": lambda first, second: list(dict.fromkeys([*first, *second])),
    "additionalProperties": _all_of,
    "type": lambda first, second: [kind for kind in names_of(first) if kind in names_of(second)],
}
