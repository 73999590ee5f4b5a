"""Optional tool arguments in strict mode: the model sends null for them, and the null is removed again before the call.

Strict mode wants every property answered. So a property that has a default and takes no null itself becomes a union with null
in the schema; models without strict mode send null for such properties, too. What the model answers then loses these nulls and
no others: where null is a value of its own, it stays. Which is which is read from the schema as pydantic writes it, in which
only what has no default is `required`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

_NULL = {"type": "null"}
_UNIONS = ("anyOf", "oneOf", "allOf")
_DEFINITIONS = "#/$defs/"


class Omissions:
    """The properties that may be left out.

    Args:
        schema: that of an object, as pydantic writes it.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})

    def schema_with_nulls(self) -> dict[str, Any]:
        """The schema with null for whatever may be left out."""
        definitions = {name: self._told(node) for name, node in self._definitions.items()}
        return {**self._told(self._schema), "$defs": definitions}

    def _told(self, node: Any) -> Any:
        if not isinstance(node, Mapping):
            return node
        told = dict(cast("Mapping[str, Any]", node))
        for key in ({"items", "additionalProperties"}) & told.keys():
            told[key] = self._told(told[key])
        for key in {*_UNIONS, "prefixItems"} & told.keys():
            told[key] = [self._told(inner) for inner in told[key]]
        if "properties" in told:
            omissible = set(self._omissible(told))
            told["properties"] = {
                name: _or_null(self._told(inner)) if name in omissible else self._told(inner)
                for name, inner in told["properties"].items()
            }
        return told

    def taken_out(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments without the nulls for what was left out."""
        return cast("dict[str, Any]", self._taken_out(dict(arguments), self._schema))

    def _taken_out(self, value: Any, node: Any) -> Any:
        shape = self._shape(node, value)
        if isinstance(value, dict):
            fields, omissible = shape.get("properties", {}), set(self._omissible(shape))
            return {
                name: self._taken_out(inner, fields.get(name, {}))
                for name, inner in cast("dict[str, Any]", value).items()
                if inner is not None or name not in omissible
            }
        if isinstance(value, list):
            items, heads = cast("list[Any]", value), shape.get("prefixItems", [])
            nodes = [*heads, *[shape.get("items", {})] * (len(items) - len(heads))]
            return [self._taken_out(item, inner) for item, inner in zip(items, nodes, strict=False)]
        return value

    def _omissible(self, node: Mapping[str, Any]) -> Iterator[str]:
        required = node.get("required", [])
        for name, inner in node.get("properties", {}).items():
            # A constant is asked for as it is: it tells the members of a union apart.
            if name not in required and "const" not in inner and not any(_fits(shape, None) for shape in self._shapes(inner)):
                yield name

    # -- which of a node's shapes a value has --------------------------------------------------------------------------------

    def _shape(self, node: Any, value: Any) -> Mapping[str, Any]:
        """The first shape that a value can have; one without rules if no shape can have it."""
        return next((shape for shape in self._shapes(node) if _fits(shape, value)), dict[str, Any]())

    def _shapes(self, node: Any) -> Iterator[Mapping[str, Any]]:
        """What a node can be, without references and unions."""
        if not isinstance(node, Mapping):
            return
        given = cast("Mapping[str, Any]", node)
        if "$ref" in given:
            yield from self._shapes(self._definitions.get(given["$ref"].removeprefix(_DEFINITIONS)))
        elif union := [inner for key in _UNIONS for inner in given.get(key, [])]:
            for inner in union:
                yield from self._shapes(inner)
        else:
            yield given


def _or_null(node: dict[str, Any]) -> dict[str, Any]:
    """A node that may be null, with its description in front."""
    said = {"description": node["description"]} if "description" in node else {}
    bare = {key: value for key, value in node.items() if key not in {"default", "description"}}
    return {"anyOf": [*(bare["anyOf"] if bare.keys() == {"anyOf"} else [bare]), _NULL], **said}


def _fits(shape: Mapping[str, Any], value: Any) -> bool:
    """Whether a value may be of a shape, as far as is needed to tell the members of a union apart."""
    if "const" in shape:
        return bool(value == shape["const"])
    if "enum" in shape:
        return value in shape["enum"]
    if value is None:
        return "null" in _kinds(shape) or "type" not in shape
    if isinstance(value, dict):
        return _has_fields(shape, cast("dict[str, Any]", value))
    return not isinstance(value, list) or "array" in _kinds(shape)


def _has_fields(shape: Mapping[str, Any], value: dict[str, Any]) -> bool:
    fields: Mapping[str, Any] = shape.get("properties", {})
    if not set(shape.get("required", [])) <= value.keys():
        return False
    if not shape.get("additionalProperties") and not value.keys() <= fields.keys():
        return False
    return all(_fits(fields[name], inner) for name, inner in value.items() if "const" in fields.get(name, {}))


def _kinds(shape: Mapping[str, Any]) -> list[str]:
    kinds: Any = shape.get("type", [])
    return cast("list[str]", kinds) if isinstance(kinds, list) else [kinds]
