"""A pydantic class becomes a JSON schema that Venice's strict mode takes, or the path that cannot be.

Strict mode wants every object closed (`additionalProperties: false`) and every property required; what is optional is a
union with null (https://docs.venice.ai/guides/structured-responses).
"""

from __future__ import annotations

from typing import Any, cast

from .exceptions import SchemaNotStrictError


def response_format(model: type, *, name: str | None = None, strict: bool = True) -> dict[str, Any]:
    """The `response_format` that asks for JSON of this class.

    Raises:
        SchemaNotStrictError: strict mode cannot express the class; it names the path.
        TypeError: it is not a pydantic model class.
    """
    from pydantic import BaseModel

    if not issubclass(model, BaseModel):
        raise TypeError(f"response_format={model.__name__} is not a pydantic model class")
    schema = model.model_json_schema()
    return {
        "type": "json_schema",
        "json_schema": {
            "name": name or model.__name__,
            "strict": strict,
            "schema": strict_schema(schema) if strict else schema,
        },
    }


def strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema with every object closed and every property required.

    Raises:
        SchemaNotStrictError: an object takes keys that are not named.
    """
    return cast("dict[str, Any]", _strict(schema, "$"))


def _strict(node: Any, path: str) -> Any:
    if isinstance(node, list):
        return [_strict(item, f"{path}[{index}]") for index, item in enumerate(cast("list[Any]", node))]
    if not isinstance(node, dict):
        return node
    given = cast("dict[str, Any]", node)
    if given.get("type") == "object" and ("properties" not in given or given.get("additionalProperties") not in {None, False}):
        raise SchemaNotStrictError(
            f"{path} is an object with keys that are not named, which strict mode cannot express; name its fields, or use a "
            "list of key and value pairs"
        )
    strict: dict[str, Any] = {}
    for key, value in given.items():
        if key in {"properties", "$defs"}:
            strict[key] = {name: _strict(inner, f"{path}.{name}") for name, inner in value.items()}
        elif key in {"items", "anyOf", "oneOf", "allOf", "prefixItems"}:
            strict[key] = _strict(value, path)
        elif key != "default":
            strict[key] = value
    if "properties" in strict:
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    return strict
