"""The reference shows every field of the types of the API with its type, its range and its meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("griffe", reason="griffelib is not installed")

import griffe

from scripts import reference
from venice_ai.resources.chat.completions import ChatCompletions

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def types() -> dict[str, list[griffe.Class]]:
    """The classes of `venice_ai.types` that stand for JSON objects, by name."""
    package = griffe.load("venice_ai.types", search_paths=[str(ROOT / "src")])
    assert isinstance(package, griffe.Module)
    found: dict[str, list[griffe.Class]] = {}
    for cls in reference.classes(package):
        if reference.is_wire_type(cls):
            found.setdefault(cls.name, []).append(cls)
    return found


def shown(module: str) -> bool:
    """Whether a page of the reference shows a module as a whole."""
    return any(f"::: {module}\n" in page.read_text("utf-8") + "\n" for page in (ROOT / "docs" / "reference").glob("*.md"))


def test_every_field_of_every_type_has_a_meaning(types: dict[str, list[griffe.Class]]) -> None:
    known = reference.meanings()
    visible = [cls for each in types.values() for cls in each if shown(cls.module.path) or cls.name == "ChatParams"]

    silent = [
        f"{cls.name}.{field.name}" for cls in visible for field in reference.fields(cls) if not reference.meaning(field, known)
    ]

    assert len(visible) > 40
    assert silent == [], "describe them in docs/reference/fields.toml, or in docstrings below them"


def test_every_meaning_has_its_field(types: dict[str, list[griffe.Class]]) -> None:
    there = {name: {field.name for cls in each for field in reference.own_fields(cls)} for name, each in types.items()}

    stale = [
        f"{name}.{field}"
        for name, fields in reference.meanings().items()
        for field in fields
        if field not in there.get(name, ())
    ]

    assert stale == []


ALIASES = {"Temperature": "Annotated[float, Meta(ge=0, le=2)]", "Strings": "Sequence[str]"}


@pytest.mark.parametrize(
    ("annotation", "kind", "bounds"),
    [
        pytest.param("int | None", "int | None", [], id="no range"),
        pytest.param("Temperature | None", "float | None", ["0 to 2"], id="a range with a name"),
        pytest.param("Annotated[int, Meta(ge=1)]", "int", ["from 1"], id="from"),
        pytest.param("Annotated[int, Meta(gt=0)] | None", "int | None", ["above 0"], id="above"),
        pytest.param(
            "str | Annotated[Strings, Meta(min_length=1, max_length=4)]", "str | Sequence[str]", ["1 to 4 of them"], id="a list"
        ),
        pytest.param("Annotated[list[str], Meta(max_length=10)]", "list[str]", ["at most 10 of them"], id="a longest list"),
        pytest.param("Sequence[chat.Tool]", "Sequence[Tool]", [], id="a name of another module"),
    ],
)
def test_a_range_is_read_from_the_type(annotation: str, kind: str, bounds: list[str]) -> None:
    assert reference.read_type(annotation, ALIASES) == (kind, bounds)


def test_the_table_of_parameters_shows_types_ranges_and_meanings(types: dict[str, list[griffe.Class]]) -> None:
    (parameters,) = types["ChatParams"]

    rows = reference.described(parameters, {}).splitlines()

    (row,) = [row for row in rows if row.strip().startswith("temperature ")]
    assert row.strip().startswith("temperature (float | None): ")
    assert "0 to 2" in row


def test_a_part_of_the_client_is_shown_as_a_property() -> None:
    package = griffe.load("venice_ai", search_paths=[str(ROOT / "src")], extensions=griffe.load_extensions(reference.WireTypes))

    models = package["_client.VeniceClient.models"]

    assert isinstance(models, griffe.Attribute)
    assert str(models.annotation) == "Models"
    assert models.docstring is not None
    assert "::" not in package["resources.chat.completions.ChatCompletions.stream"].docstring.value


def test_a_see_also_of_a_docstring_is_a_link_on_the_site_alone() -> None:
    package = griffe.load("venice_ai", search_paths=[str(ROOT / "src")], extensions=griffe.load_extensions(reference.WireTypes))

    shown = package["resources.chat.calls.ChatCalls.create"].docstring.value

    assert "see [`ChatParams`][venice_ai.types.api.params.ChatParams]" in shown
    assert "see `ChatParams`" in (ChatCompletions.create.__doc__ or "")
    for path in reference.LINKS.values():
        assert package[path.removeprefix("venice_ai.")].is_class


def test_the_parts_of_a_client_and_objects_of_the_api_have_no_signature() -> None:
    package = griffe.load("venice_ai", search_paths=[str(ROOT / "src")], extensions=griffe.load_extensions(reference.WireTypes))
    assert isinstance(package, griffe.Module)

    without = {cls.name for cls in reference.classes(package) if cls.extra["venice_ai"].get("has_no_signature")}

    assert {"ChatCompletions", "Models", "Tee", "UserMessage", "ChatParams"} <= without
    assert without.isdisjoint({"VeniceClient", "Budget", "Journal"})


def test_a_list_of_exports_is_not_shown_and_its_names_are() -> None:
    package = griffe.load("venice_ai", search_paths=[str(ROOT / "src")], extensions=griffe.load_extensions(reference.WireTypes))
    assert isinstance(package, griffe.Module)

    assert [str(module.path) for module in reference.modules(package) if "__all__" in module.members] == []
    assert {"Emulator", "Account", "Step"} <= set(package["emulator"].members)
    assert "Emulator" in (package["emulator"].exports or ())


def test_a_default_with_a_private_name_is_not_shown() -> None:
    package = griffe.load("venice_ai", search_paths=[str(ROOT / "src")], extensions=griffe.load_extensions(reference.WireTypes))
    estimate = package["costs.ChatCostEstimate"]

    shown = [str(member.value) for member in estimate.members.values() if isinstance(member, griffe.Attribute)]
    defaults = [str(parameter.default) for parameter in estimate.parameters]

    assert "..." in shown
    assert [text for text in [*shown, *defaults] if text.startswith("_")] == []
