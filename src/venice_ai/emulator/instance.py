"""JSON that fits a JSON schema.

Understood are `type`, `const`, `enum`, `$ref` within the document (recursion too), `anyOf`, `oneOf`, `allOf`, the bounds of
numbers, strings, arrays and objects, `multipleOf`, `pattern` where it is simple, the common `format`s, `properties`,
`required`, `additionalProperties`, `items`, `prefixItems`, `uniqueItems`. Other keywords are passed over.

Near the root every property is filled in; deeper down only what is required, and of a union the member that ends soonest,
so that recursive schemas come to an end. Names and numbers from the conversation are used where they fit (`Hints`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from . import chance
from .loose import items, members
from .pattern import match

Schema = Mapping[str, Any]

_DEEP = 4
_DEEPEST = 40
_MOST = 20_000
_LARGEST = 10_000


class Unsatisfiable(ValueError):
    """Nothing fits the schema, or nothing that is found in reasonable time."""


class Hints:
    """Texts and numbers worth using, each once: quoted words, names, numbers."""

    def __init__(self, text: str = "") -> None:
        text = text[:2_000]
        quoted = re.findall(r'"([^"]{1,80})"', text)
        # One capital letter at the start of a sentence makes no name.
        names = re.findall(r"[A-Z]\w*(?: [A-Z]\w*)+|(?<![.!?\"] )(?<!^)\b[A-Z]\w*", text)
        self._texts = list(dict.fromkeys([*quoted, *names]))
        self._numbers = [float(number) for number in re.findall(r"(?<![\w.])-?\d{1,9}(?:\.\d{1,6})?", text)]

    def text(self, fits: Callable[[str], bool]) -> str | None:
        """The next text that fits."""
        found = next(filter(fits, self._texts), None)
        if found is not None:
            self._texts.remove(found)
        return found

    def number(self, fits: Callable[[float], bool]) -> float | None:
        """The next number that fits."""
        found = next(filter(fits, self._numbers), None)
        if found is not None:
            self._numbers.remove(found)
        return found


def instance(schema: Any, *, salt: object = "", hints: Hints | None = None) -> Any:
    """A value that fits the schema; the same salt and hints give the same value.

    Raises:
        Unsatisfiable: there is none, or it is not found.
    """
    try:
        return _Maker(schema, salt, hints or Hints()).make(schema, "$", 0)
    except Unsatisfiable:
        raise
    except (RecursionError, TypeError, AttributeError, ArithmeticError, LookupError, ValueError) as error:
        # A schema that is none: strings where numbers belong, and the like.
        raise Unsatisfiable(f"the schema cannot be read: {error}") from error


class _Maker:
    def __init__(self, root: Any, salt: object, hints: Hints) -> None:
        self._root = root
        self._salt = salt
        self._hints = hints
        self._made = 0

    def make(self, schema: Any, path: str, depth: int) -> Any:
        self._made += 1
        if self._made > _MOST or depth > _DEEPEST:
            raise Unsatisfiable(f"{path}: the schema has no end")
        if schema is False:
            raise Unsatisfiable(f"{path}: nothing is allowed here")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise Unsatisfiable(f"{path}: this is no schema")
        plain = self._flat(cast("Schema", schema), path)
        if "const" in plain:
            return plain["const"]
        if "enum" in plain:
            return chance.pick([value for value in plain["enum"] if _is_type(value, plain.get("type"))], self._salt, path)
        for union in ("anyOf", "oneOf"):
            if union in plain:
                return self._one_of(plain, union, path, depth)
        return self._typed(plain, path, depth)

    # -- choosing ------------------------------------------------------------------------------------------------------

    def _flat(self, schema: Schema, path: str) -> dict[str, Any]:
        """The schema with its reference and its `allOf` folded in."""
        flat = dict(schema)
        for _ in range(_DEEPEST):
            if "$ref" in flat:
                flat = _merged(members(self._resolve(flat.pop("$ref"), path)), flat)
            elif "allOf" in flat:
                for part in flat.pop("allOf"):
                    flat = _merged(flat, self._flat(members(part), path))
            else:
                return flat
        raise Unsatisfiable(f"{path}: the reference leads in a circle")

    def _resolve(self, reference: str, path: str) -> Any:
        if not reference.startswith("#"):
            raise Unsatisfiable(f"{path}: {reference!r} is not within the schema")
        node: Any = self._root
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            node = items(cast("object", node))[int(key)] if isinstance(node, list) else members(node)[key]
        return node

    def _one_of(self, schema: dict[str, Any], union: str, path: str, depth: int) -> Any:
        rest = {key: value for key, value in schema.items() if key != union}
        options: list[Any] = [option for option in schema[union] if option is not False]
        # A null ends at once; elsewhere something is nicer than nothing.
        options.sort(key=lambda option: _is_null(option) == (depth < _DEEP))
        reason = Unsatisfiable(f"{path}: {union} is empty")
        for option in options:
            try:
                return self.make(_merged(rest, {} if option is True else self._flat(option, path)), path, depth + 1)
            except Unsatisfiable as error:
                reason = error
        raise reason

    def _typed(self, schema: dict[str, Any], path: str, depth: int) -> Any:
        kinds = schema.get("type", _implied(schema))
        if isinstance(kinds, list):
            names = cast("list[str]", kinds)
            names = sorted(names, key=lambda name: (name == "null") == (depth < _DEEP))
        else:
            names = [kinds]
        makers: dict[str, Callable[[dict[str, Any], str, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
            "boolean": lambda _schema, at, _depth: chance.number(self._salt, at) % 2 == 0,
            "null": lambda _schema, _at, _depth: None,
        }
        for name in names:
            if name in makers:
                return makers[name]({**schema, "type": name}, path, depth)
        raise Unsatisfiable(f"{path}: there is no type {kinds!r}")

    # -- making --------------------------------------------------------------------------------------------------------

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        names = [name for name in properties if properties[name] is not False and (name in required or depth < _DEEP)]
        most = schema.get("maxProperties", _LARGEST)
        names = sorted(names, key=lambda name: name not in required)[:most]
        names = [name for name in properties if name in names]
        made = {name: self.make(properties[name], f"{path}.{name}", depth + 1) for name in names}
        other = schema.get("additionalProperties", True)
        for name in required:
            if name not in made:
                made[name] = self.make(other, f"{path}.{name}", depth + 1)
        for name in self._further(schema, made):
            made[name] = self.make(properties.get(name, other), f"{path}.{name}", depth + 1)
        return made

    def _further(self, schema: dict[str, Any], made: dict[str, Any]) -> list[str]:
        """Names to add until there are as many properties as there must be."""
        missing = min(schema.get("minProperties", 0), _LARGEST) - len(made)
        declared = [name for name, inner in schema.get("properties", {}).items() if name not in made and inner is not False]
        invented = (name for name in map("key{}".format, range(_LARGEST)) if name not in made and name not in declared)
        return [name for _, name in zip(range(missing), _chained(declared, invented), strict=False)]

    def _array(self, schema: dict[str, Any], path: str, depth: int) -> list[Any]:
        heads: list[Any] = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", _LARGEST)
        length = max(least, len(heads) + (rest is not False and depth < _DEEP) if depth < _DEEP else 0)
        length = min(length, most if rest is not False else min(most, len(heads)))
        if length < least or least > _LARGEST:
            raise Unsatisfiable(f"{path}: no array can be so long")
        items: list[Any] = []
        for index in range(length):
            inner = heads[index] if index < len(heads) else rest
            items.append(self._item(inner, f"{path}[{index}]", depth, items if schema.get("uniqueItems") else []))
        return items

    def _item(self, schema: Any, path: str, depth: int, others: list[Any]) -> Any:
        """An item unlike the others."""
        taken = {json.dumps(item, sort_keys=True) for item in others}
        for attempt in range(100):
            item = self.make(schema, f"{path}{'+' * attempt}", depth + 1)
            if json.dumps(item, sort_keys=True) not in taken:
                return item
        raise Unsatisfiable(f"{path}: there are not enough different items")

    def _number(self, schema: dict[str, Any], path: str, _depth: int) -> int | float:
        whole = schema["type"] == "integer"
        step = schema.get("multipleOf") or (1 if whole else None)
        if step is not None and whole:
            step = step if float(step).is_integer() else 1
        low, high = _bounds(schema)
        hint = self._hints.number(lambda number: _fits_number(number, schema, step))
        if hint is not None:
            return int(hint) if hint.is_integer() and (whole or step is None) else hint
        return _spread(low, high, step, chance.number(self._salt, path), path, schema)

    def _string(self, schema: dict[str, Any], path: str, _depth: int) -> str:
        shortest = schema.get("minLength", 0)
        longest = schema.get("maxLength")
        if shortest > 1_000_000 or (longest is not None and shortest > longest):
            raise Unsatisfiable(f"{path}: no text can be so long")
        if "pattern" in schema:
            text = match(schema["pattern"], shortest=int(shortest), longest=longest)
            if text is None:
                raise Unsatisfiable(f"{path}: the pattern {schema['pattern']!r} is beyond this emulator")
            return text
        if (form := _FORMATS.get(schema.get("format", ""))) is not None:
            return form(chance.number(self._salt, path))
        hint = self._hints.text(lambda text: shortest <= len(text) <= (len(text) if longest is None else longest))
        if hint is not None:
            return hint
        name = re.sub(r"\W.*", "", path.rsplit(".", 1)[-1].lower())
        return _sized(_KNOWN.get(name) or chance.pick(_WORDS, self._salt, path), int(shortest), longest)


# -- rules ---------------------------------------------------------------------------------------------------------------

_WORDS = (
    "a quiet canal",
    "the morning tide",
    "a stone bridge",
    "a glass lantern",
    "the long lagoon",
    "a painted mask",
    "the bell tower",
    "a narrow street",
)
_KNOWN = {
    "name": "Marco Polo",
    "first_name": "Marco",
    "last_name": "Polo",
    "city": "Venice",
    "location": "Venice",
    "country": "Italy",
    "language": "Italian",
    "currency": "EUR",
    "unit": "celsius",
    "title": "A walk through Venice",
    "email": "marco@example.org",
    "url": "https://example.org/venice",
}
_FORMATS: dict[str, Callable[[int], str]] = {
    "date": lambda salt: f"2026-{salt % 12 + 1:02}-{salt % 28 + 1:02}",
    "time": lambda salt: f"{salt % 24:02}:{salt % 60:02}:00Z",
    "date-time": lambda salt: f"2026-{salt % 12 + 1:02}-{salt % 28 + 1:02}T{salt % 24:02}:{salt % 60:02}:00Z",
    "duration": lambda salt: f"PT{salt % 59 + 1}M",
    "uuid": lambda salt: f"{salt % 16**8:08x}-0000-4000-8000-{salt % 16**12:012x}",
    "email": lambda salt: f"marco{salt % 100}@example.org",
    "idn-email": lambda salt: f"marco{salt % 100}@example.org",
    "hostname": lambda salt: f"host{salt % 100}.example.org",
    "uri": lambda salt: f"https://example.org/{salt % 100}",
    "uri-reference": lambda salt: f"/{salt % 100}",
    "iri": lambda salt: f"https://example.org/{salt % 100}",
    "ipv4": lambda salt: f"192.0.2.{salt % 254 + 1}",
    "ipv6": lambda salt: f"2001:db8::{salt % 9999 + 1:x}",
    "json-pointer": lambda salt: f"/{salt % 100}",
    "regex": lambda _salt: "^a$",
    "binary": lambda _salt: "QQ==",
    "byte": lambda _salt: "QQ==",
}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def _is_type(value: Any, kinds: Any) -> bool:
    names = cast("list[str]", kinds) if isinstance(kinds, list) else [kinds]
    return kinds is None or any(name in _TYPES and _TYPES[name](value) for name in names)


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "null"


def _implied(schema: dict[str, Any]) -> str:
    """The type of a schema that names none."""
    if schema.keys() & {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}:
        return "array"
    if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
        return "number"
    if schema.keys() & {"minLength", "maxLength", "pattern", "format"}:
        return "string"
    return "object"


def _merged(first: Schema, second: Schema) -> dict[str, Any]:
    """A schema that is both: what fits it fits each of them (for the keywords where that is simple)."""
    merged = dict(first)
    for key, value in second.items():
        if key not in merged:
            merged[key] = value
        elif key == "properties":
            both = merged[key].keys() & value.keys()
            merged[key] = {**merged[key], **value, **{name: {"allOf": [merged[key][name], value[name]]} for name in both}}
        elif key == "required":
            merged[key] = list(dict.fromkeys([*merged[key], *value]))
        elif key in _LOWER:
            merged[key] = max(merged[key], value)
        elif key in _UPPER:
            merged[key] = min(merged[key], value)
        elif key == "enum":
            merged[key] = [item for item in merged[key] if item in value]
        elif key == "additionalProperties":
            merged[key] = merged[key] and value
        else:
            merged[key] = value
    return merged


def _limits(schema: Schema) -> tuple[Any, Any, Any, Any]:
    """The bounds of a number: from, above, to, below. OpenAPI 3.0 has true and false for the open ones."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    return (
        None if above is True else low,
        low if above is True else None if above is False else above,
        None if below is True else high,
        high if below is True else None if below is False else below,
    )


def _bounds(schema: Schema) -> tuple[float | None, float | None]:
    low, above, high, below = _limits(schema)
    return max(_numbers(low, above), default=None), min(_numbers(high, below), default=None)


def _numbers(*values: Any) -> list[float]:
    return [value for value in values if _TYPES["number"](value)]


def _fits_number(number: float, schema: Schema, step: float | None) -> bool:
    low, above, high, below = _limits(schema)
    return (
        (low is None or number >= low)
        and (above is None or number > above)
        and (high is None or number <= high)
        and (below is None or number < below)
        and (step is None or (number / step).is_integer())
    )


def _spread(
    low: float | None, high: float | None, step: float | None, salt: int, path: str, schema: dict[str, Any]
) -> int | float:
    """A number between the bounds, at a multiple of the step."""
    for candidate in _candidates(low, high, step, salt):
        if _fits_number(candidate, schema, step):
            return candidate
    raise Unsatisfiable(f"{path}: there is no such number")


def _candidates(low: float | None, high: float | None, step: float | None, salt: int) -> Iterator[int | float]:
    if step is None:
        base = low if low is not None else (high - 100 if high is not None else 0)
        span = (high if high is not None else base + 100) - base
        yield round(base + span * (salt % 97 + 1) / 99, 2)
        yield base + span * (salt % 97 + 1) / 99
        yield base
        yield base + span / 2
        return
    base_index = math.ceil(low / step) if low is not None else (math.floor(high / step) - 99 if high is not None else 1)
    last = math.floor(high / step) if high is not None else base_index + 99
    width = min(max(last - base_index, 0), 99) + 1
    for offset in range(width + 2):
        yield (base_index + (salt + offset) % (width + 2)) * step


def _sized(text: str, shortest: int, longest: int | None) -> str:
    while len(text) < shortest:
        text += f" {text}"[: max(shortest - len(text), 1)]
    return text if longest is None else text[: int(longest)]


def _chained(first: list[str], second: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from second
