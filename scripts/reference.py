"""What the reference in the documentation shows of the types of the API: each field with its type, its range and its meaning.

An extension of griffe, which reads the source for mkdocstrings (`mkdocs.yml` names this file). It does the following:

- The fields of a class become one table below the class's docstring, in place of a heading for each field. The meaning of a
  field is its docstring, or its line in `docs/reference/fields.toml`.
- A range is read from the type, as the client checks it: `Annotated[float, Meta(ge=0, le=2)]` shows as `float`, with "0 to 2".
- Names of types, such as `Effort`, are shown as what they stand for.
- What `made_once` makes of a method is shown as the property that it is.
- Overloads for mypy alone are left out: they repeat the others. So are the marks `::` before examples: Markdown needs none.
- What a docstring tells the reader to see, as in "see `ChatParams`", is a link to it.
- A default that is a private name, such as `_LIKE_TOTAL`, shows as `...`.
- Parts of a client have no signature: nobody makes one.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

REPOSITORY = Path(__file__).parents[1]
FIELDS = REPOSITORY / "docs" / "reference" / "fields.toml"
BASES = {"Model", "TypedDict"}
"""Classes whose subclasses stand for JSON objects."""


def meanings() -> dict[str, dict[str, str]]:
    """What the fields mean that have no docstring, by class and field."""
    return tomllib.loads(FIELDS.read_text("utf-8"))


def is_wire_type(cls: griffe.Class) -> bool:
    """Whether a class stands for a JSON object that is sent or received."""
    named = {str(base).split("[")[0].rpartition(".")[2] for base in cls.bases}
    return not named.isdisjoint(BASES) or any(map(is_wire_type, base_classes(cls)))


def base_classes(cls: griffe.Class) -> list[griffe.Class]:
    """The bases of a class that stand in the package."""
    return [base for base in cls.resolved_bases if isinstance(base, griffe.Class)]


def own_fields(cls: griffe.Class) -> list[griffe.Attribute]:
    """The fields that a class declares itself."""
    attributes = [member for member in cls.members.values() if isinstance(member, griffe.Attribute)]
    return [
        each
        for each in attributes
        if each.annotation is not None and not each.name.startswith("_") and "property" not in each.labels
    ]


def fields(cls: griffe.Class) -> list[griffe.Attribute]:
    """The fields of a class, those of its bases first."""
    found = {field.name: field for base in base_classes(cls) for field in fields(base)}
    return list((found | {field.name: field for field in own_fields(cls)}).values())


def meaning(field: griffe.Attribute, known: dict[str, dict[str, str]]) -> str:
    """What a field means; empty if nobody has written it down. One that has one value alone says so itself."""
    if field.docstring:
        return " ".join(field.docstring.value.split())
    if str(field.annotation) == f"Literal[{field.value}]":
        return f"Always `{field.value}`."
    return known.get(field.parent.name if field.parent else "", {}).get(field.name, "")


# -- types and their ranges ------------------------------------------------------------------------------------------------


def read_type(annotation: str, aliases: dict[str, str]) -> tuple[str, list[str]]:
    """A type without what only bounds it, and its bounds in words.

    Args:
        annotation: the type as it stands in the source.
        aliases: what the names of types stand for that the same module defines, such as `Temperature`.
    """
    bounds: list[str] = []
    tree = _Unbounded(aliases, bounds).visit(ast.parse(annotation, mode="eval"))
    return ast.unparse(tree), bounds


class _Unbounded(ast.NodeTransformer):
    """Replaces names by the types that they stand for, and `Annotated[...]` by what it bounds; collects the bounds."""

    def __init__(self, aliases: dict[str, str], bounds: list[str]) -> None:
        self.aliases = aliases
        self.bounds = bounds

    def visit_Name(self, node: ast.Name) -> ast.AST:
        meant = self.aliases.get(node.id)
        return node if meant is None else self.visit(ast.parse(meant, mode="eval").body)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Name(node.attr)  # `chat.Tool` is `Tool`

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if ast.unparse(node.value) != "Annotated" or not isinstance(node.slice, ast.Tuple):
            return self.generic_visit(node)
        bounded, *marks = node.slice.elts
        for mark in marks:
            if isinstance(mark, ast.Call):
                self.bounds += in_words({each.arg: ast.unparse(each.value) for each in mark.keywords if each.arg})
        plain: ast.AST = self.visit(bounded)
        return plain


def in_words(bounds: dict[str, str]) -> Iterator[str]:
    """The bounds of a value in words: `{"ge": "0", "le": "2"}` is "0 to 2"."""
    yield from _between(bounds.get("ge"), bounds.get("le"), "")
    if "gt" in bounds:
        yield f"above {bounds['gt']}"
    if "lt" in bounds:
        yield f"below {bounds['lt']}"
    yield from _between(bounds.get("min_length"), bounds.get("max_length"), " long" if "pattern" in bounds else " of them")


def _between(least: str | None, most: str | None, unit: str) -> Iterator[str]:
    if least is not None and most is not None:
        yield f"{least} to {most}{unit}"
    elif least is not None:
        yield f"from {least}" if not unit else f"at least {least}{unit}"
    elif most is not None:
        yield f"at most {most}{unit}"


def described(cls: griffe.Class, known: dict[str, dict[str, str]]) -> str:
    """The lines of a table of the fields of a class, in the style of Google's docstrings."""
    lines: list[str] = []
    for field in fields(cls):
        kind, bounds = read_type(str(field.annotation), aliases(field.module))
        text = meaning(field, known)
        missing = [bound for bound in bounds if bound not in text]
        extent = f" Range: {', '.join(missing)}." if missing else ""
        lines.append(f"    {field.name} ({kind}): {text}{extent}")
    return "\n".join(lines)


def aliases(module: griffe.Module) -> dict[str, str]:
    """What the names of types stand for that a module defines."""
    return {
        name: str(member.value)
        for name, member in module.members.items()
        if isinstance(member, griffe.Attribute) and str(member.annotation) == "TypeAlias"
    }


# -- the extension ---------------------------------------------------------------------------------------------------------


def modules(of: griffe.Module) -> Iterator[griffe.Module]:
    """A module and every module below it."""
    yield of
    for member in of.members.values():
        if isinstance(member, griffe.Module):
            yield from modules(member)


def classes(of: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    """Every class below a module, those of its modules included."""
    for member in of.members.values():
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, (griffe.Module, griffe.Class)):
            yield from classes(member)


class WireTypes(griffe.Extension):
    """Shows the fields of wire types as tables."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Changes what was read of the package, before it is shown."""
        known = meanings()
        for module in modules(pkg):
            module.members.pop("__all__", None)  # its names are shown, and `members: true` of a page would show it, too
            without_marks(module)
            for member in module.members.values():
                if isinstance(member, griffe.Function):
                    with_links(member)
        wire_types = {cls: described(cls, known) for cls in classes(pkg) if is_wire_type(cls)}
        for cls in classes(pkg):
            without_marks(cls)
            without_private_defaults(cls)
            for member in list(cls.members.values()):
                if isinstance(member, griffe.Function):
                    show_method(cls, member)
        for cls in classes(pkg):
            if is_part_of_a_client(cls):
                cls.extra["venice_ai"]["has_no_signature"] = True
        for cls, table in wire_types.items():
            show_fields(cls, table)


def is_part_of_a_client(cls: griffe.Class) -> bool:
    """Whether a class is a part such as `client.models`, or its base."""
    return cls.name == "APIResource" or any(map(is_part_of_a_client, base_classes(cls)))


def show_fields(cls: griffe.Class, table: str) -> None:
    """Puts a table of the fields into the docstring of a class, in place of the fields themselves."""
    docstring = cls.docstring or cls.package.docstring
    assert docstring is not None, "the package has a docstring"
    text = cls.docstring.value if cls.docstring else ""
    if table:
        text += f"\n\nAttributes:\n{table}\n"
    cls.docstring = griffe.Docstring(text, parent=cls, parser=docstring.parser, parser_options=docstring.parser_options)
    cls.extra["venice_ai"]["has_no_signature"] = True
    for field in own_fields(cls):
        cls.del_member(field.name)


def show_method(cls: griffe.Class, method: griffe.Function) -> None:
    """Shows a method as it is used, without what readers of the reference do not need."""
    without_marks(method)
    with_links(method)
    if method.overloads:
        method.overloads = [each for each in method.overloads if not _is_for_mypy(each)]
    if any(str(each.value) == "made_once" for each in method.decorators):
        part = griffe.Attribute(method.name, annotation=method.returns, docstring=method.docstring, lineno=method.lineno)
        part.labels.add("property")
        cls.set_member(method.name, part)


def without_marks(of: griffe.Module | griffe.Class | griffe.Function) -> None:
    """Takes the marks `::` that stand before examples out of a docstring."""
    if of.docstring:
        text = re.sub(r"^::$", "", of.docstring.value, flags=re.MULTILINE)
        of.docstring.value = re.sub(r"::$", ":", text, flags=re.MULTILINE)


LINKS = {
    "ChatParams": "venice_ai.types.api.params.ChatParams",
    "ToolLoopOptions": "venice_ai.resources.chat.arguments.ToolLoopOptions",
    "Options": "venice_ai.gateway.Options",
    "ChatCompletions": "venice_ai.resources.chat.completions.ChatCompletions",
}
"""Where the reference has what docstrings tell to see."""


def with_links(of: griffe.Function) -> None:
    """Makes links of what a docstring tells to see, in Markdown alone: `help()` shows the docstring as it is."""

    def link(found: re.Match[str]) -> str:
        name, dot, member = found[1].partition(".")
        return f"see [`{found[1]}`][{LINKS[name]}{dot}{member}]" if name in LINKS else found[0]

    if of.docstring:
        of.docstring.value = re.sub(r"\bsee `([\w.]+)`", link, of.docstring.value)


def without_private_defaults(cls: griffe.Class) -> None:
    """Shows `...` for defaults that are names of the module alone."""
    for member in cls.members.values():
        if isinstance(member, griffe.Attribute) and str(member.value).startswith("_"):
            member.value = "..."
        if isinstance(member, griffe.Function):
            for parameter in member.parameters:
                if str(parameter.default).startswith("_"):
                    parameter.default = "..."


def _is_for_mypy(overload: griffe.Function) -> bool:
    return any("OnlyForMypy" in str(parameter.annotation) for parameter in overload.parameters)
