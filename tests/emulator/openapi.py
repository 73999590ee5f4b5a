"""Venice's OpenAPI document as JSON schemas that `jsonschema` understands."""

from __future__ import annotations

from typing import Any, cast

from jsonschema import Draft202012Validator

from ..shared import shared


def document() -> dict[str, Any]:
    return dict(shared("openapi-chat.json"))


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value, by a schema of the document."""
    whole = {**_converted(schema), "components": _converted(document()["components"])}
    errors: Any = Draft202012Validator(whole).iter_errors(value)  # pyright: ignore[reportUnknownMemberType]
    return [f"{error.json_path}: {error.message}" for error in errors]


def response_schema(path: str, method: str, status: int = 200) -> dict[str, Any]:
    """The schema of an answer."""
    answer: dict[str, Any] = document()["paths"][path][method]["responses"][str(status)]
    schema: dict[str, Any] = answer["content"]["application/json"]["schema"]
    return schema


def component(name: str) -> dict[str, Any]:
    """A schema by its name."""
    schema: dict[str, Any] = document()["components"]["schemas"][name]
    return schema


def _converted(node: Any) -> Any:
    """OpenAPI 3.0's own keywords in the words of JSON schema: `nullable`, and exclusive bounds that are booleans."""
    if isinstance(node, list):
        return [_converted(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema = {key: _converted(value) for key, value in cast("dict[str, Any]", node).items() if key != "example"}
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if schema.get(exclusive) is True:
            schema[exclusive] = schema.pop(bound)
    if schema.pop("nullable", None) is True and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema
