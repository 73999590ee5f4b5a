"""Docstrings: what of them describes a tool, and what its parameters."""

from __future__ import annotations

import pytest

from venice_ai.tools.docstrings import Documentation

CITY = {"city": "Name of the city,\nin English."}


@pytest.mark.parametrize(
    ("doc", "description", "parameters"),
    [
        pytest.param(
            """The weather.

            Args:
                city: Name of the city,
                    in English.

            Note:
                Only in Europe.

            Ask for one city at a time.

            Returns:
                Nothing.

            Warning: not at night.
            """,
            "The weather.\n\nNote:\n    Only in Europe.\n\nAsk for one city at a time.\n\nWarning: not at night.",
            CITY,
            id="what stands after the arguments",
        ),
        pytest.param(
            """The weather.

            Args:
                city: Name of the city,
                in English.

                Note: only in Europe.
            """,
            "The weather.\n\nNote: only in Europe.",
            CITY,
            id="a note among the arguments",
        ),
        pytest.param(
            """The weather.

            Args:
                city: Name of the city,
                in English.

                Ask for one city
                at a time.
            """,
            "The weather.\n\nAsk for one city\nat a time.",
            CITY,
            id="a paragraph among the arguments",
        ),
        pytest.param(
            """The weather.

            Args:
                `city`: Name of the city,
                    in English.

            Keyword Args:
                ``days`` (dict[str, int], optional): How many: 1 to 7.
                a, b: Both.
            """,
            "The weather.",
            CITY | {"days": "How many: 1 to 7.", "a": "Both.", "b": "Both."},
            id="keyword arguments, and names in backticks",
        ),
        pytest.param(
            """Args:
                city: Name of the city,
                    in English.
                days: How many.
            """,
            None,
            CITY | {"days": "How many."},
            id="nothing but arguments",
        ),
        pytest.param(
            """Args:
                city: Name of the city,
                    in English.

            Only in Europe.
            """,
            "Only in Europe.",
            CITY,
            id="arguments first",
        ),
        pytest.param(
            """The weather.

            :param str city: Name of the city,
                in English.
            :type city: str
            :raises ValueError: never.
            :return: Nothing.

            Only in Europe.
            """,
            "The weather.\n\nOnly in Europe.",
            CITY,
            id="Sphinx, with text after the fields",
        ),
        pytest.param(
            """The weather.

            @param city: Name of the city,
                in English.
            """,
            "The weather.",
            CITY,
            id="Epydoc",
        ),
        pytest.param(
            """The weather.

            Parameters
            ----------
            city : str
                Name of the city,
                in English.
            a, b : int

            Returns
            -------
            str
                Nothing.

            Notes
            -----
            Only in Europe.

            Examples
            --------
            >>> weather("Rome")
            """,
            "The weather.\n\nNotes\n-----\nOnly in Europe.",
            CITY | {"a": "", "b": ""},
            id="NumPy, with notes",
        ),
        pytest.param(
            """The weather.

            Args:
                All of them
                    in English.
                city: Name of the city,
                in English.
                Note: not
                    the country.
                days: How
                many
                days.

                    Up to seven.

                Hours are
                not told.
            """,
            "The weather.\n\nAll of them\nin English.\n\nNote: not\n    the country.\n\nHours are\nnot told.",
            CITY | {"days": "How\nmany\ndays.\n\n    Up to seven."},
            id="prose among the arguments, and texts of several lines",
        ),
        pytest.param(
            "Does.\n\nArgs:\n    city: A\n    b\n    c\n\n    More.",
            "Does.\n\nMore.",
            {"city": "A\nb\nc"},
            id="a paragraph after an entry of three lines",
        ),
        pytest.param("Args:", "Args:", {}, id="a title alone"),
        pytest.param("Args:\n    city: A.", None, {"city": "A."}, id="a section of one line"),
        pytest.param("Args:\n    city: A.\nMore.", "More.", {"city": "A."}, id="a section before text that is less indented"),
        pytest.param("Does.\n\n:param dict[str, int] city: A.", "Does.", {"city": "A."}, id="Sphinx, with a type of two words"),
        pytest.param("Does.\n\nParameters\n---\ncity\n    A.", "Does.", {"city": "A."}, id="NumPy, at the end"),
        pytest.param("Does.\n\nParameters\n--\ncity", "Does.\n\nParameters\n--\ncity", {}, id="NumPy, a line too short"),
        pytest.param("Does.\n\n\n\nMore.", "Does.\n\nMore.", {}, id="blank lines"),
        pytest.param("Says what it\nReturns:", "Says what it\nReturns:", {}, id="a title without a section"),
        pytest.param(None, None, {}, id="none"),
    ],
)
def test_a_docstring_gives_the_description_of_a_tool_and_its_parameters(
    doc: str | None, description: str | None, parameters: dict[str, str]
) -> None:
    found = Documentation(doc, ["city"])

    assert (found.description, found.parameters) == (description, parameters)


def test_a_parameter_may_be_called_note() -> None:
    assert Documentation("Writes.\n\nArgs:\n    note: What.", ["note"]).parameters == {"note": "What."}


@pytest.mark.parametrize("attributes", [False, True])
def test_attributes_are_those_of_a_class_alone(attributes: bool) -> None:
    doc = "Does.\n\nAttributes:\n    a: What.\n\nArgs:\n    b: Else."
    found = Documentation(doc, ["a", "b"], attributes=attributes)

    assert (found.description, found.parameters) == ("Does.", {"a": "What.", "b": "Else."} if attributes else {"b": "Else."})
    if not attributes:
        assert Documentation(doc, ["a", "b"]).parameters == found.parameters
