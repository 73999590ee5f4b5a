"""Error messages for values of a wrong type: where (by msgspec's path), why, and what the schema of its type allows there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from math import isfinite
from typing import Any, Final, NoReturn, TypeAlias, cast

import msgspec

from ..exceptions import InvalidRequestError

Place: TypeAlias = tuple[str | int, ...]  # the names and indexes that lead to a value; `"*"` for a key without a name

NOT_JSON: Final = (TypeError, ValueError, RecursionError, OverflowError)  # what `as_json` raises for what it cannot write
_DEEPEST = 20
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


def _unknown(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__!r} is not a type that JSON knows")


as_json: Final = msgspec.json.Encoder(enc_hook=_unknown, decimal_format="number").encode


def learn(*kinds: Any) -> None:
    """Lets msgspec 0.22 describe types to itself at import: threads that do that at the same time end the process."""
    for kind in kinds:
        msgspec.json.Decoder(kind)


def explained(error: msgspec.ValidationError, kind: Any, value: Any) -> tuple[str, Any, str]:
    """Where a value is no such kind, what is there, and why, with what is allowed."""
    reason, place = objection(error)
    return ".".join(map(str, place)), _at(value, place), f"{reason[:1].lower()}{reason[1:]}{_allowed(kind, place, value)}"


def objection(error: msgspec.ValidationError) -> tuple[str, Place]:
    """The reason of a validation error, and the place it names: `$.stop[1]` is `("stop", 1)`."""
    reason, _, path = str(error).replace(" - at `key` in `$", " as a key - at `$").partition(" - at `$")
    return reason.replace("`", ""), tuple(int(place) if place.isdigit() else name or "*" for name, place in _STEP.findall(path))


def place(body: Any, depth: int = 0) -> str:
    """Where in a body the first value is that cannot be JSON, with a colon; empty if it is the body itself."""
    for key, inner in _items(body) if depth < _DEEPEST else ():
        try:
            as_json(inner)
        except NOT_JSON:
            return f"{key}{'.' if (within := place(inner, depth + 1)) else ': '}{within}"
    return ""


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value).items()
    return enumerate(cast("list[Any]", value)) if isinstance(value, list) else ()


def refuse_endless(name: str, value: Any, *, echo: bool = True) -> None:
    """JSON has no infinity and no not-a-number, and null would mean something else. Without `echo` only `name` is named."""
    if isinstance(value, (dict, list)):
        for key, inner in _items(value):
            if inner.__class__ is not str:
                refuse_endless(f"{name}.{key}" if echo else name, inner, echo=echo)
    elif isinstance(value, (float, Decimal)) and not isfinite(value):
        shown, why = (
            (f"{name}={value!r}", "JSON has no such number") if echo else (name, "it holds a number that JSON does not have")
        )
        raise InvalidRequestError(f"{shown} is not allowed: {why}")


def _at(value: Any, place: Place) -> Any:
    for step in place:
        if isinstance(value, dict) and step in value:
            value = cast("dict[Any, Any]", value)[step]
        elif isinstance(value, list) and isinstance(step, int):
            value = cast("list[Any]", value)[step]
    return cast("Any", value)


def _allowed(kind: Any, place: Place, value: Any) -> str:
    """The values, or the range, that are allowed at a place in a value; nothing where the reason says it all."""
    schema, definitions = _schema(kind)
    nodes = _alternatives(schema, definitions)
    for step in place:
        meant = [node for node in nodes if _is_meant(node, value)] or nodes
        inner = [node.get("items") if isinstance(step, int) else node.get("properties", {}).get(step) for node in meant]
        nodes = [found for each in inner if isinstance(each, dict) for found in _alternatives(cast("Any", each), definitions)]
        value = _at(value, (step,))
    if values := dict.fromkeys(value for node in nodes for value in node.get("enum", [])):
        by_strength = sorted(values, key=lambda each: "none minimal low medium high xhigh max".find(str(each)))
        return f"; one of {', '.join(map(repr, by_strength))}"
    bounds = dict.fromkeys(bound for node in nodes for bound in _bounds(node))
    return f"; allowed is {' or '.join(bounds)}" if bounds else ""


@cache  # a program that sends wrong parameters may do so often, and a schema takes 8 ms; there are few kinds
def _schema(kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    (schema,), definitions = msgspec.json.schema_components([kind])
    return schema, definitions


def _is_meant(node: dict[str, Any], value: Any) -> bool:
    """Whether a value is of the kind that a schema describes, going by the fields that have one value there: role, type."""
    if not isinstance(value, dict) or node.get("type") != "object":
        return False
    given, fields = cast("dict[str, Any]", value), cast("dict[str, Any]", node.get("properties", {}))
    return all(given.get(name) in enum for name, field in fields.items() if len(enum := field.get("enum", ())) == 1)


def _bounds(node: dict[str, Any]) -> Iterator[str]:
    for what, unit in (("imum", ""), ("Items", "item"), ("Length", "character")):
        least, most = f"min{what}", f"max{what}"
        if least in node:
            yield f"{node[least]:g} to {_count(node[most], unit)}" if most in node else f"{_count(node[least], unit)} or more"
        elif most in node:
            yield f"up to {_count(node[most], unit)}"


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}" if unit else f"{number:g}"


def _alternatives(node: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _alternatives(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in node:
        return [inner for choice in node["anyOf"] for inner in _alternatives(choice, definitions)]
    return [node]
