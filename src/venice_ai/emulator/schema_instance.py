"""Makes a JSON value that fits a JSON schema, for the emulated model's structured output and tool calls.

Understood are `type`, `const`, `enum`, `$ref` within the document (recursion too), `anyOf`, `oneOf`, `allOf`, the bounds of
numbers, strings, arrays and objects, `multipleOf`, `pattern` where it is simple, the common `format`s, `properties`,
`required`, `additionalProperties`, `patternProperties`, `items`, `prefixItems`, `contains`, `uniqueItems`. For other
keywords a few variants are tried; what comes out is validated (`schema_validation.py`) before it is used.

Near the root every property is filled in; deeper down only what is required, and of a union the member that ends soonest,
so that recursive schemas come to an end. Names and numbers from the conversation are used where they fit (`Hints`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any, cast

from . import repeatable
from .regex_sample import match
from .schema_merging import all_of, flat, merged
from .schema_validation import (
    Schema,
    SchemaValidator,
    Unsatisfiable,
    fraction,
    implied_type,
    is_number,
    limits,
    property_schemas,
)

__all__ = ["Hints", "Unsatisfiable", "instance"]

_DEEP = 4
_DEEPEST = 40
_MOST = 20_000
_LARGEST = 10_000
_VARIANTS = 12


class Hints:
    """Texts and numbers worth using, each once: quoted words, names, numbers."""

    def __init__(self, text: str = "") -> None:
        text = text[:2_000]
        quoted = re.findall(r'"([^"]{1,80})"', text)
        # One capital letter at the start of a sentence makes no name.
        names = re.findall(r"[A-Z]\w*(?: [A-Z]\w*)+|(?<![.!?\"] )(?<!^)\b[A-Z]\w*", text)
        self._texts = list(dict.fromkeys([*quoted, *names]))
        self._numbers = [float(number) for number in re.findall(r"(?<![\w.])-?\d{1,9}(?:\.\d{1,6})?(?![\d])", text)]

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
        Unsatisfiable: no value fits, or none is found.
    """
    try:
        return _instance(schema, salt, hints or Hints())
    except Unsatisfiable:
        raise
    except (RecursionError, TypeError, AttributeError, ArithmeticError, LookupError, ValueError) as error:
        # It is not a schema: strings where numbers belong, and the like.
        raise Unsatisfiable(f"the schema cannot be read: {error}") from error


def _instance(schema: Any, salt: object, hints: Hints) -> Any:
    validator = SchemaValidator(schema)
    for variant in range(_VARIANTS):
        # Every second one has only what is required: a property that is not there breaks no condition.
        made = _Maker(schema, (salt, variant) if variant else salt, hints).make(schema, "$", _DEEP * (variant % 2))
        if validator.fits(made, schema):
            return made
    raise Unsatisfiable("no answer was found that fits the whole schema")


class _Maker:
    def __init__(self, root: Any, salt: object, hints: Hints) -> None:
        self._root = root
        self._validator = SchemaValidator(root)
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
            raise Unsatisfiable(f"{path}: this is not a schema")
        plain = flat(cast("Schema", schema), self._root, path)
        if "const" in plain or "enum" in plain:
            return self._listed(plain, path)
        for union in ("anyOf", "oneOf"):
            if union in plain:
                return self._one_of(plain, union, path, depth)
        return self._typed(plain, path, depth)

    # -- choosing ------------------------------------------------------------------------------------------------------

    def _listed(self, schema: dict[str, Any], path: str) -> Any:
        """One of the values that are listed."""
        listed = [schema["const"]] if "const" in schema else schema["enum"]
        fitting = [value for value in listed if self._validator.fits(value, schema)]
        if not fitting:
            raise Unsatisfiable(f"{path}: none of the values fits the rest of the schema")
        return repeatable.pick(fitting, self._salt, path)

    def _one_of(self, schema: dict[str, Any], union: str, path: str, depth: int) -> Any:
        rest = {key: value for key, value in schema.items() if key != union}
        options: list[Any] = [option for option in schema[union] if option is not False]
        # A null ends at once; elsewhere something is nicer than nothing.
        options.sort(key=lambda option: _is_null(option) == (depth < _DEEP))
        reason = Unsatisfiable(f"{path}: {union} is empty")
        for option in options:
            try:
                made = self.make(merged(rest, {} if option is True else flat(option, self._root, path)), path, depth + 1)
                if self._validator.fits(made, schema):
                    return made
                reason = Unsatisfiable(f"{path}: no answer was found that fits the whole {union}")
            except Unsatisfiable as error:
                reason = error
        raise reason

    def _typed(self, schema: dict[str, Any], path: str, depth: int) -> Any:
        kinds = schema.get("type", implied_type(schema) or "object")
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
            "boolean": lambda _schema, at, _depth: repeatable.number(self._salt, at) % 2 == 0,
            "null": lambda _schema, _at, _depth: None,
        }
        reason = Unsatisfiable(f"{path}: there is no type {kinds!r}")
        for name in filter(makers.__contains__, names):
            try:
                return makers[name]({**schema, "type": name}, path, depth)
            except Unsatisfiable as error:
                reason = error
        raise reason

    # -- making --------------------------------------------------------------------------------------------------------

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        names = [name for name in properties if properties[name] is not False and (name in required or depth < _DEEP)]
        most = schema.get("maxProperties", _LARGEST)
        names = sorted(names, key=lambda name: name not in required)[:most]
        names = [name for name in properties if name in names]
        made = {name: self._property(schema, name, path, depth) for name in dict.fromkeys([*names, *required])}
        for name in self._further(schema, made):
            made[name] = self._property(schema, name, path, depth)
        return made

    def _property(self, schema: dict[str, Any], name: str, path: str, depth: int) -> Any:
        return self.make(all_of(property_schemas(schema, name)), f"{path}.{name}", depth + 1)

    def _further(self, schema: dict[str, Any], made: dict[str, Any]) -> list[str]:
        """Names to add until there are as many properties as there must be."""
        missing = min(schema.get("minProperties", 0), _LARGEST) - len(made)
        declared = [name for name, inner in schema.get("properties", {}).items() if name not in made and inner is not False]
        invented = (name for name in map("key{}".format, range(_LARGEST)) if name not in made and name not in declared)
        return [name for _, name in zip(range(missing), chain(declared, invented), strict=False)]

    def _array(self, schema: dict[str, Any], path: str, depth: int) -> list[Any]:
        heads: list[Any] = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", _LARGEST)
        length = max(least, len(heads) + (rest is not False and depth < _DEEP) if depth < _DEEP else 0)
        wanted = schema.get("minContains", 1) if "contains" in schema else 0
        length = min(max(length, wanted), most if rest is not False else min(most, len(heads)))
        if length < least or least > _LARGEST:
            raise Unsatisfiable(f"{path}: no array can be so long")
        items: list[Any] = []
        for index in range(length):
            inner = heads[index] if index < len(heads) else rest
            if length - index <= wanted:
                inner = all_of([inner, schema["contains"]])
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
        step = _step(schema.get("multipleOf"), whole=whole)
        alone = {key: schema[key] for key in _OF_NUMBERS & schema.keys()}
        # An integer without bounds may say how often something is done.
        most = _MOST_UNBOUNDED if whole and not alone.keys() & _BOUNDS else math.inf
        hint = self._hints.number(lambda number: abs(number) <= most and self._validator.fits(number, alone))
        if hint is not None:
            return int(hint) if hint.is_integer() and (whole or step is None) else hint
        for candidate in _candidates(*_bounds(schema), step, repeatable.number(self._salt, path)):
            if self._validator.fits(candidate, alone):
                return candidate
        raise Unsatisfiable(f"{path}: there is no such number")

    def _string(self, schema: dict[str, Any], path: str, _depth: int) -> str:
        shortest = schema.get("minLength", 0)
        longest = schema.get("maxLength")
        if shortest > 1_000_000 or (longest is not None and shortest > longest):
            raise Unsatisfiable(f"{path}: no text can be so long")
        if (form := _FORMATS.get(schema.get("format", ""))) is not None:
            return self._formatted(form, {key: value for key, value in schema.items() if key in _OF_TEXTS}, path)
        if "pattern" in schema:
            text = match(schema["pattern"], shortest=int(shortest), longest=longest)
            if text is None:
                raise Unsatisfiable(f"{path}: the pattern {schema['pattern']!r} is beyond this emulator")
            return text
        hint = self._hints.text(lambda text: shortest <= len(text) <= (len(text) if longest is None else longest))
        if hint is not None:
            return hint
        name = re.sub(r"\W.*", "", path.rsplit(".", 1)[-1].lower())
        return _sized(_KNOWN.get(name) or repeatable.pick(_WORDS, self._salt, path), int(shortest), longest)

    def _formatted(self, form: Callable[[int], str], schema: dict[str, Any], path: str) -> str:
        texts = (form(repeatable.number(self._salt, f"{path}{'+' * attempt}")) for attempt in range(100))
        text = next((text for text in texts if self._validator.fits(text, schema)), None)
        if text is None:
            raise Unsatisfiable(f"{path}: no text of the format {schema.get('format')!r} was found that fits")
        return text


_WORDS = (
    *("a quiet canal", "the morning tide", "a stone bridge", "a glass lantern"),
    *("the long lagoon", "a painted mask", "the bell tower", "a narrow street"),
)
_PERSON = {"name": "Marco Polo", "first_name": "Marco", "last_name": "Polo", "email": "marco@example.org"}
_PLACE = {"city": "Venice", "location": "Venice", "country": "Italy", "language": "Italian", "currency": "EUR"}
_PAGE = {"title": "A walk through Venice", "url": "https://example.org/venice"}
_KNOWN = {**_PERSON, **_PLACE, **_PAGE, "unit": "celsius"}
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
_MOST_UNBOUNDED = 10_000
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_OF_NUMBERS = frozenset({"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_OF_TEXTS = frozenset({"type", "minLength", "maxLength", "pattern", "format"})


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "null"


def _bounds(schema: Schema) -> tuple[float | None, float | None]:
    low, above, high, below = limits(schema)
    return max(_numbers(low, above), default=None), min(_numbers(high, below), default=None)


def _numbers(*values: Any) -> list[float]:
    return [value for value in values if is_number(value)]


def _step(given: float | None, *, whole: bool) -> Fraction | None:
    """What a number is a multiple of. The whole multiples of 3/2 are those of 3."""
    if given is None:
        return Fraction(1) if whole else None
    step = fraction(given)
    return Fraction(step.numerator) if whole else step


def _candidates(low: float | None, high: float | None, step: Fraction | None, salt: int) -> Iterator[int | float]:
    """Numbers between the bounds, at multiples of the step."""
    if step is None:
        base = low if low is not None else (high - 100 if high is not None else 0)
        span = (high if high is not None else base + 100) - base
        yield round(base + span * (salt % 97 + 1) / 99, 2)
        yield base + span * (salt % 97 + 1) / 99
        yield base
        yield base + span / 2
        return
    last = None if high is None else math.floor(fraction(high) / step)
    first = math.ceil(fraction(low) / step) if low is not None else 1 if last is None else last - 99
    width = 100 if last is None else min(max(last - first, 0), 99) + 1
    for offset in range(width + 2):
        multiple = (first + (salt + offset) % (width + 2)) * step
        yield int(multiple) if multiple.denominator == 1 else float(multiple)


def _sized(text: str, shortest: int, longest: int | None) -> str:
    while len(text) < shortest:
        text += f" {text}"[: max(shortest - len(text), 1)]
    return text if longest is None else text[: int(longest)]
