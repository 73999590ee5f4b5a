"""JSON schemas: validates values by them, and makes a value that fits one, for structured output and tool calls.

`format` is left to whoever makes the text, as the specification has it. The keywords in `_BEYOND` are refused by name: an
answer that may be wrong is worse than an error. Of what is made, every property is filled in near the root; deeper down only
what is required, and of a union the member that ends soonest, so that recursive schemas come to an end.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from importlib import import_module
from itertools import chain, combinations, islice, repeat
from typing import Any, Final, TypeAlias, TypeVar

from venice_ai._core.json_values import members
from venice_ai.types._base import is_array, is_object

from . import repeatable

T = TypeVar("T")
Schema: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Any, Any, Schema, Any], bool]
"""Judges a value by what a keyword says. Then come its schema, and the document that references lead into."""

_BEYOND: Final = (
    *("$dynamicRef", "$recursiveRef", "contains", "dependencies", "dependentRequired", "dependentSchemas"),
    *("if", "then", "else", "not", "patternProperties", "unevaluatedItems", "unevaluatedProperties"),
)
BOUNDS: Final = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "object": is_object,
    "array": is_array,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: _TYPES["number"](value) and value == value // 1,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}


class Unsatisfiable(ValueError):
    """Nothing fits the schema, or nothing that is found in reasonable time."""


def fits(value: Any, schema: Any, root: Any) -> bool:
    """Whether a value fits a schema that stands in the document `root`; Unsatisfiable if a keyword of it is beyond this."""
    if isinstance(schema, bool):
        return schema
    if not is_object(schema):
        raise Unsatisfiable("this is not a schema")
    if beyond := [keyword for keyword in _BEYOND if schema.get(keyword, True) is not True]:
        raise Unsatisfiable(f"{beyond[0]!r} is beyond this emulator; leave it out, and check it in the answer")
    found = [rules for kind, rules in _RULES.items() if kind == "any" or _TYPES[kind](value)]
    return all(rules[name](value, schema[name], schema, root) for rules in found for name in rules if name in schema)


_RULES: Final[dict[str, dict[str, Rule]]] = {
    "any": {
        "$ref": lambda value, reference, _, root: fits(value, resolved(root, reference), root),
        "type": lambda value, kinds, _, __: any(name in _TYPES and _TYPES[name](value) for name in names_of(kinds)),
        "const": lambda value, one, _, __: same(value, one),
        "enum": lambda value, listed, _, __: any(same(value, one) for one in listed),
        "allOf": lambda value, parts, _, root: all(fits(value, part, root) for part in parts),
        "anyOf": lambda value, parts, _, root: any(fits(value, part, root) for part in parts),
        "oneOf": lambda value, parts, _, root: sum(fits(value, part, root) for part in parts) == 1,
    },
    "object": {
        "required": lambda value, names, _, __: value.keys() >= set(names),
        "minProperties": lambda value, least, _, __: len(value) >= least,
        "maxProperties": lambda value, most, _, __: len(value) <= most,
        "properties": lambda value, parts, _, root: all(fits(value[key], parts[key], root) for key in parts if key in value),
        "additionalProperties": lambda value, rest, schema, root: all(
            fits(value[name], rest, root) for name in value.keys() - schema.get("properties", {}).keys()
        ),
        "propertyNames": lambda value, part, _, root: all(fits(name, part, root) for name in value),
    },
    "array": {
        "minItems": lambda value, least, _, __: len(value) >= least,
        "maxItems": lambda value, most, _, __: len(value) <= most,
        "prefixItems": lambda value, parts, _, root: all(fits(*pair, root) for pair in zip(value, parts, strict=False)),
        "items": lambda value, rest, schema, root: all(
            fits(item, rest, root) for item in value[len(schema.get("prefixItems", ())) :]
        ),
        "uniqueItems": lambda value, unique, _, __: not (unique and any(same(*pair) for pair in combinations(value, 2))),
    },
    "string": {
        "minLength": lambda value, least, _, __: len(value) >= least,
        "maxLength": lambda value, most, _, __: len(value) <= most,
        "pattern": lambda value, pattern, _, __: re.search(pattern, value) is not None,
        "format": lambda _, __, ___, ____: True,
    },
    "number": {
        "minimum": lambda value, least, _, __: fraction(value) >= fraction(least),
        "exclusiveMinimum": lambda value, bound, _, __: fraction(value) > fraction(bound),
        "maximum": lambda value, most, _, __: fraction(value) <= fraction(most),
        "exclusiveMaximum": lambda value, bound, _, __: fraction(value) < fraction(bound),
        # Some validators divide in floating point, where 0.3 is not a multiple of 0.1: so it has to be one for both.
        "multipleOf": lambda value, step, _, __: fraction(value) % fraction(step) == 0 and float(value / step).is_integer(),
    },
}
"""The keywords by the type of the values that they judge."""


def resolved(root: Any, reference: Any) -> Any:
    """The schema that a reference within the schema `root` leads to; Unsatisfiable if it leads out of it."""
    if reference != "#" and not str(reference).startswith("#/"):
        raise Unsatisfiable(f"{reference!r} is not a path within the schema")
    node: Any = root
    for step in str(reference)[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if is_array(node) else node[key]
    return node


def names_of(kinds: Any) -> list[Any]:
    return kinds if is_array(kinds) else [str(kinds)]


def implied_type(schema: Schema) -> str | None:
    """The type of which the keywords of a schema speak that names none."""
    return next((kind for kind, rules in _RULES.items() if kind != "any" and rules.keys() & schema.keys()), None)


def same(one: Any, other: Any) -> bool:
    """Whether JSON has them for equal: 1 and 1.0 are, 1 and true are not."""
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if is_array(one) and is_array(other):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def fraction(number: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(str(number))


def flat(schema: Schema, root: Any, path: str) -> dict[str, Any]:
    """The schema with its reference and its `allOf` folded in; Unsatisfiable if the reference leads nowhere, or in a circle."""
    found = dict(schema)
    for _ in range(40):
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


_MERGES: Final[dict[str, Callable[[Any, Any], Any]]] = {
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

_DEEP = 4
_LARGEST = 10_000


class Hints:
    """Words of a conversation that values use where they fit, each once: quoted words, names, numbers."""

    def __init__(self, text: str = "") -> None:
        text = text[:2_000]
        quoted = re.findall(r'"([^"]{1,80})"', text)
        # One capital letter at the start of a sentence makes no name.
        names = re.findall(r"[A-Z]\w*(?: [A-Z]\w*)+|(?<![.!?\"] )(?<!^)\b[A-Z]\w*", text)
        self.texts: list[str] = list(dict.fromkeys([*quoted, *names]))
        numbers = map(float, re.findall(r"(?<![\w.])-?\d{1,9}(?:\.\d{1,6})?(?![\d])", text))
        self.numbers: list[float] = [int(number) if number.is_integer() else number for number in numbers]


def instance(schema: Any, *, salt: object = "", hints: Hints | None = None) -> Any:
    """A value that fits the schema, the same for the same salt and hints; Unsatisfiable if none does, or none is found."""
    try:
        made = _Maker(schema, salt, hints or Hints()).make(schema, "$", 0)
        if fits(made, schema, schema):
            return made
    except Unsatisfiable:
        raise
    except (RecursionError, TypeError, AttributeError, ArithmeticError, LookupError, ValueError, re.error) as error:
        # It is not a schema: strings where numbers belong, and the like.
        raise Unsatisfiable(f"the schema cannot be read: {error}") from error
    raise Unsatisfiable("no answer was found that fits the whole schema")


class _Maker:
    def __init__(self, root: Any, salt: object, hints: Hints) -> None:
        self._root = root
        self.salt = salt
        self._hints = hints
        self._made = 0

    def make(self, schema: Any, path: str, depth: int) -> Any:
        self._made += 1
        if self._made > 20_000 or depth > 40:
            raise Unsatisfiable(f"{path}: the schema has no end")
        if schema is True:
            return {}
        if not is_object(schema):
            raise Unsatisfiable(f"{path}: {'nothing is allowed here' if schema is False else 'this is not a schema'}")
        plain = flat(schema, self._root, path)
        if "const" in plain or "enum" in plain:
            listed = [plain["const"]] if "const" in plain else plain["enum"]
            fitting = [value for value in listed if fits(value, plain, self._root)]
            if not fitting:
                raise Unsatisfiable(f"{path}: none of the values fits the rest of the schema")
            return repeatable.pick(fitting, self.salt, path)
        kinds = names_of(plain.get("type", implied_type(plain) or "object"))
        union = next((name for name in ("anyOf", "oneOf") if name in plain), None)
        if union is None and len(kinds) > 1:
            union, plain = "anyOf", {**plain, "type": kinds, "anyOf": [{"type": kind} for kind in kinds]}
        if union is not None:
            return self._one_of(plain, union, path, depth)
        if kinds and kinds[0] in _MAKERS:
            return _MAKERS[kinds[0]](self, {**plain, "type": kinds[0]}, path, depth)
        raise Unsatisfiable(f"{path}: there is no type {plain.get('type')!r}")

    def _one_of(self, schema: dict[str, Any], union: str, path: str, depth: int) -> Any:
        rest = {key: value for key, value in schema.items() if key != union}
        # A null ends at once; elsewhere something is nicer than nothing.
        options = [members(option) for option in schema[union] if option is not False]
        options.sort(key=lambda option: (option.get("type") == "null") == (depth < _DEEP))
        reason = Unsatisfiable(f"{path}: no answer was found that fits the whole {union}")
        for option in options:
            try:
                made = self.make(merged(rest, flat(option, self._root, path)), path, depth + 1)
                if fits(made, schema, self._root):
                    return made
            except Unsatisfiable as error:
                reason = error
        raise reason

    def make_object(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        few = depth >= _DEEP or "maxProperties" in schema
        chosen = (name for name, inner in properties.items() if name in required or not (few or inner is False))
        names = dict.fromkeys([*chosen, *required])
        missing = min(schema.get("minProperties", 0), _LARGEST) - len(names)
        further = (name for name in chain(properties, map("key{}".format, range(_LARGEST))) if name not in names)
        return {
            name: self.make(properties.get(name, schema.get("additionalProperties", True)), f"{path}.{name}", depth + 1)
            for name in [*names, *islice(further, max(missing, 0))]
        }

    def make_array(self, schema: dict[str, Any], path: str, depth: int) -> list[Any]:
        heads: list[Any] = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        least, most = schema.get("minItems", 0), schema.get("maxItems", _LARGEST)
        usual = len(heads) + (rest is not False) if depth < _DEEP else 0
        length = min(max(least, usual), most if rest is not False else min(most, len(heads)))
        if length < least or least > _LARGEST:
            raise Unsatisfiable(f"{path}: no array can be so long")
        made: list[Any] = []
        for index, inner in enumerate(islice(chain(heads, repeat(rest)), length)):
            attempts = (self.make(inner, f"{path}[{index}]{'+' * attempt}", depth + 1) for attempt in range(100))
            others = made if schema.get("uniqueItems") else []
            fresh = (item for item in attempts if not any(same(item, other) for other in others))
            made.append(_first(fresh, f"{path}: there are not enough different items"))
        return made

    def make_number(self, schema: dict[str, Any], path: str, _depth: int) -> int | float:
        # An integer without bounds may say how often something is done.
        most = math.inf if schema.keys() & BOUNDS or schema["type"] != "integer" else _LARGEST
        hints = [number for number in self._hints.numbers if abs(number) <= most]
        candidates = chain(hints, _candidates(schema, repeatable.number(self.salt, path)))
        return self._fitting(candidates, self._hints.numbers, schema, path)

    def make_string(self, schema: dict[str, Any], path: str, _depth: int) -> str:
        shortest, longest = int(schema.get("minLength", 0)), schema.get("maxLength")
        if shortest > 1_000_000 or (longest is not None and shortest > longest):
            raise Unsatisfiable(f"{path}: no text can be so long")
        if (form := _FORMATS.get(schema.get("format", ""))) is not None:
            salts = (repeatable.number(self.salt, f"{path}{'+' * attempt}") for attempt in range(100))
            return self._fitting(map(form, salts), [], schema, path)
        if "pattern" in schema:
            if (text := match(schema["pattern"], shortest=shortest, longest=longest)) is None:
                raise Unsatisfiable(f"{path}: the pattern {schema['pattern']!r} is beyond this emulator")
            return text
        name = re.sub(r"\W.*", "", path.rsplit(".", 1)[-1].lower())
        text = _KNOWN.get(name) or repeatable.pick(_WORDS, self.salt, path)
        text = (text + f" {text}" * (shortest // len(text)))[: None if longest is None else int(longest)]
        return self._fitting([*self._hints.texts, text], self._hints.texts, schema, path)

    def _fitting(self, candidates: Iterable[T], hints: list[T], schema: dict[str, Any], path: str) -> T:
        fitting = (each for each in candidates if fits(each, schema, self._root))
        made = _first(fitting, f"{path}: no {schema['type']} was found that fits {schema}")
        if made in hints:
            hints.remove(made)
        return made


_MAKERS: dict[str, Callable[[_Maker, dict[str, Any], str, int], Any]] = {
    "object": _Maker.make_object,
    "array": _Maker.make_array,
    "string": _Maker.make_string,
    "integer": _Maker.make_number,
    "number": _Maker.make_number,
    "boolean": lambda maker, _schema, path, _depth: repeatable.number(maker.salt, path) % 2 == 0,
    "null": lambda _maker, _schema, _path, _depth: None,
}


def _first(found: Iterable[T], otherwise: str) -> T:
    for each in found:
        return each
    raise Unsatisfiable(otherwise)


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
    "base64": lambda salt: b64encode(_WORDS[salt % len(_WORDS)].encode()).decode(),
    "uuid": lambda salt: f"{salt % 16**8:08x}-0000-4000-8000-{salt % 16**12:012x}",
    "email": lambda salt: f"marco{salt % 100}@example.org",
    "hostname": lambda salt: f"host{salt % 100}.example.org",
    "uri": lambda salt: f"https://example.org/{salt % 100}",
    "ipv4": lambda salt: f"192.0.2.{salt % 254 + 1}",
    "ipv6": lambda salt: f"2001:db8::{salt % 9999 + 1:x}",
}


def _candidates(schema: Schema, salt: int) -> Iterator[int | float]:
    """Numbers between the bounds: a hundred multiples of the step, and others where whole ones do not fit."""
    low = max((schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema), default=None)
    high = min((schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema), default=None)
    step = fraction(schema.get("multipleOf", 1 if schema["type"] == "integer" else 0.25))
    if schema["type"] == "integer":
        step = Fraction(step.numerator)  # the whole multiples of 3/2 are those of 3
    last = None if high is None else math.floor(fraction(high) / step)
    first = math.ceil(fraction(low) / step) if low is not None else 1 if last is None else last - 99
    width = 102 if last is None else min(max(last - first, 0), 99) + 3
    for offset in range(width):
        multiple = (first + (salt + offset) % width) * step
        yield int(multiple) if multiple.denominator == 1 else float(multiple)
    if low is not None and high is not None:
        yield from (low, low + (high - low) * (salt % 97 + 1) / 99)


# They have no public names, and no types. They read what `re` reads: a reader of our own would be a second opinion.
_parser: Any = import_module("re._parser")
_compiler: Any = import_module("re._compiler")

_SAMPLES = "aA1 0bBzZ9_-.,:/@#+*!?\n" + "".join(map(chr, range(33, 127))) + "\u00e9\u4e00"


def match(pattern: str, *, shortest: int = 0, longest: int | None = None) -> str | None:
    """A text of a length in the range in which the pattern is found; None if none is found quickly."""
    try:
        compiled = re.compile(pattern)
        candidates = [_written(_parser.parse(pattern), extra) for extra in (0, 1, 2, 3, shortest)]
    except (re.error, ValueError, LookupError, RecursionError, OverflowError):
        return None
    padded = [text + text[-1:] * (shortest - len(text)) for text in candidates]
    for text in [*candidates, *padded]:
        if shortest <= len(text) <= (len(text) if longest is None else longest) and compiled.search(text):
            return text
    return None


def _written(tree: Any, extra: int) -> str:
    """A match, with `extra` more repetitions where they are allowed."""
    return "".join(_item(tree.state, item, extra) for item in tree)


def _item(state: Any, item: Any, extra: int) -> str:
    kind, value = str(item[0]), item[1]
    match kind:
        case "LITERAL":
            text = chr(value)
        case "NOT_LITERAL" | "IN":
            # A character that the class names, if it can be.
            parts = (each for _, each in (value if kind == "IN" else ()) if each is not None)
            named = [chr(each if isinstance(each, int) else each[0]) for each in parts]
            is_member = _compiler.compile(_parser.SubPattern(state, [item])).fullmatch
            text = next(filter(is_member, [*named, *_SAMPLES]), "")
        case "ANY":
            text = "a"
        case "AT" | "ASSERT" | "ASSERT_NOT":
            text = ""
        case "BRANCH" | "SUBPATTERN":
            text = _written(value[1][0] if kind == "BRANCH" else value[-1], extra)
        case "MAX_REPEAT" | "MIN_REPEAT":
            low, high, inner = value
            text = _written(inner, extra) * int(min(low + min(extra, 64), high))
        case _:
            raise ValueError(kind)
    return text
