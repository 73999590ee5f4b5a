"""`chat -a` and `chat --schema`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click
import pytest

from venice_ai.cli._input import needs_of, part_of, response_format
from venice_ai.emulator import Emulator, text

from .shell import Here


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param("x: foo", "'x: foo' is not NAME: TYPE of str, int", id="no such type"),
        pytest.param("", "it is neither MODULE:CLASS", id="nothing"),
        pytest.param("name", "it is neither MODULE:CLASS", id="a word"),
        pytest.param("a: str, a: int", "it names a field twice", id="a field twice"),
        pytest.param("list.json", "it holds no JSON object", id="a list"),
        pytest.param("broken.json", "Expecting value: line 1 column 6", id="a file with a syntax error"),
        pytest.param("none.json", "[Errno 2] No such file or directory: ", id="no such file"),
        pytest.param("no_such_module:A", "ModuleNotFoundError: No module named 'no_such_module'", id="no such module"),
        pytest.param(".a:A", ".a cannot be imported", id="no module"),
        pytest.param("module_with_a_syntax_error:A", "SyntaxError: '(' was never closed", id="a module with a syntax error"),
        pytest.param("module_that_raises:A", "RuntimeError: boom", id="a module that raises"),
        pytest.param("module_that_exits:A", "SystemExit: 3", id="a module that exits"),
        pytest.param("json:nothing", "json has no class nothing", id="no such class"),
        pytest.param("json:dumps", "json has no class dumps", id="a function"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["in words", "as JSON"])
def test_a_schema_that_cannot_be_one_is_refused_with_the_reason(
    emulator: Emulator, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, why: str, as_json: bool
) -> None:
    for name, source in {
        "list.json": "[1, 2]",
        "broken.json": '{"a":',
        "module_with_a_syntax_error.py": "class A(",
        "module_that_raises.py": "raise RuntimeError('boom')",
        "module_that_exits.py": "raise SystemExit(3)",
    }.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    outcome = here("chat", "--schema", given, *(["--json"] if as_json else []), "hi")
    assert (outcome.code, outcome.out, emulator.requests) == (2, "", [])
    message = json.loads(outcome.err)["error"]["message"] if as_json else outcome.err.removeprefix("venice-chat: ")
    assert message.startswith(f"--schema {given!r}: {why}" if ":" not in given or ": " in given else f"--schema {given!r}: ")
    assert why in message


@pytest.mark.parametrize("name", ["model_config", "class", "copy"])
def test_a_field_may_have_any_name(emulator: Emulator, here: Here, name: str) -> None:
    emulator.script(text(json.dumps({name: "x"})))
    assert json.loads(here("chat", "--schema", f"{name}: str", "hi").out) == {name: "x"}


def test_the_model_has_the_capabilities_that_the_attachments_need() -> None:
    image, audio = part_of("https://a.test/b.png"), {"type": "input_audio"}
    assert needs_of([image, audio]) == {"require_vision": True, "require_audio_input": True}
    assert needs_of([image, image])["require_multiple_images"]


def test_an_image_is_sent_to_a_model_with_vision(emulator: Emulator, here: Here) -> None:
    assert here("chat", "-a", "https://a.test/b.png", "What is this?").code == 0
    body = emulator.requests[-1].body
    assert body["model"] == "rialto-vision"
    assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url"]


def test_an_attachment_is_refused_before_anything_is_sent(emulator: Emulator, here: Here) -> None:
    outcome = here("chat", "-a", "nowhere.png", "What is this?")
    assert (outcome.code, outcome.out) == (2, "")
    assert "nowhere.png cannot be attached: " in outcome.err
    assert emulator.requests == []


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_piped_input_can_be_attached(emulator: Emulator, here: Here, name: str) -> None:
    assert here("chat", "-a", name, "What is this?", stdin=b"%PDF-1.7").code == 0
    words, file = emulator.requests[-1].body["messages"][0]["content"]
    assert words == {"type": "text", "text": "What is this?"}
    assert file["file"] == {"file_data": "data:application/pdf;base64,JVBERi0xLjc=", "filename": "stdin"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/fd")
def test_the_output_of_a_shell_command_can_be_attached(emulator: Emulator, here: Here) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"Seven bridges.")
    os.close(writing)
    try:
        assert here("chat", "-a", f"/dev/fd/{reading}", "How many?").code == 0
    finally:
        os.close(reading)
    assert emulator.requests[-1].body["messages"][0]["content"][1]["text"].endswith("Seven bridges.")


def test_piped_input_is_attached_once(emulator: Emulator, here: Here) -> None:
    assert here("chat", "-a", "-", "-a", "/dev/stdin", "-a", "-", "How many?", stdin=b"Seven bridges.").code == 0
    assert len(emulator.requests[-1].body["messages"][0]["content"]) == 2


def test_the_scheme_of_an_address_may_be_in_capitals(emulator: Emulator, here: Here) -> None:
    assert here("chat", "-a", "HTTPS://a.test/b.png", "What is this?").code == 0
    assert emulator.requests[-1].body["messages"][0]["content"][1]["image_url"] == {"url": "HTTPS://a.test/b.png"}


@pytest.mark.parametrize(
    ("arguments", "stdin", "why"),
    [
        pytest.param(["-a", "-", "hi"], b"", "stdin has 0 bytes", id="nothing is piped"),
        pytest.param(["-a", "-", "hi"], b"\0", "stdin is neither an image", id="another kind"),
        pytest.param(["-a", "-"], b"text", "the prompt is empty", id="no words"),
        pytest.param(["-a", "-", "see", "-"], b"text", "cannot be a part of the prompt as well", id="twice"),
    ],
)
def test_piped_input_that_cannot_be_attached_is_refused(
    emulator: Emulator, here: Here, arguments: list[str], stdin: bytes, why: str
) -> None:
    outcome = here("chat", *arguments, stdin=stdin)
    assert (outcome.code, outcome.out) == (2, "")
    assert why in outcome.err
    assert emulator.requests == []


def test_fields_are_a_schema_and_the_json_is_validated(emulator: Emulator, here: Here) -> None:
    emulator.script(text('{"name": "Ada", "age": 36}'), text('{"name": "Ada", "age": "old"}'))
    outcome = here("chat", "--schema", "name: str, age: int", "Who?")
    assert json.loads(outcome.out) == {"name": "Ada", "age": 36}
    assert emulator.requests[-1].body["response_format"]["json_schema"]["schema"]["required"] == ["name", "age"]
    outcome = here("chat", "--schema", "name: str, age: int", "--session", "ada", "--usage", "Who?")
    assert (outcome.code, outcome.out) == (1, "")
    usage, failure = outcome.err.splitlines()
    assert "completion tokens" in usage
    assert failure.startswith("venice-chat: the answer does not fit --schema: age: Input should be a valid integer")
    assert failure.endswith("; 'venice-chat sessions show' shows what is kept of it, and --json prints all of it")
    assert '"old"' in here("sessions", "show", "ada").out


@pytest.mark.parametrize("answer", ['{"age": "36"}', '{"age": 36, "extra": 1}', '{"age": 36.5}', '{"age": true}', "{}"])
def test_an_answer_with_a_field_of_another_type_or_an_extra_field_does_not_fit(
    emulator: Emulator, here: Here, answer: str
) -> None:
    emulator.script(text(answer))
    assert (outcome := here("chat", "--schema", "age: int", "Who?")).code == 1
    assert "does not fit" in outcome.err


@pytest.mark.parametrize("schema", ["age: int", "person.json"])
def test_json_that_does_not_fit_is_printed_and_is_an_error(
    emulator: Emulator, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("person.json").write_text('{"type": "object", "properties": {"age": {"type": "integer"}}}', encoding="utf-8")
    emulator.script(text('{"age": 36}'), text('{"age": "old"}'))
    fitting, other = (here("chat", "--schema", schema, "--json", "Who?") for _ in range(2))
    assert (fitting.code, fitting.err) == (0, "")
    assert json.loads(other.out)["choices"][0]["message"]["content"] == '{"age": "old"}'
    error_line = json.loads(other.err)
    assert (other.code, error_line["exit_code"]) == (1, 1)
    assert error_line["error"]["message"].startswith("the answer does not fit --schema: age: Input should")


def test_a_file_is_a_schema_and_the_json_is_validated(emulator: Emulator, here: Here, tmp_path: Path) -> None:
    file = tmp_path / "person.json"
    file.write_text('{"type": "object", "properties": {"age": {"type": "integer"}}}', encoding="utf-8")
    emulator.script(text('```json\n{"age": 36}\n```'), text('{"age": "old"}'))
    assert json.loads(here("chat", "--schema", str(file), "Who?").out) == {"age": 36}
    outcome = here("chat", "--schema", str(file), "Who?")
    assert (outcome.code, outcome.out) == (1, "")
    assert "does not fit --schema: age: Input should fit {'type': 'integer'}; " in outcome.err


def test_a_class_is_a_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator, here: Here) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    source = "from dataclasses import dataclass\n@dataclass\nclass Person:\n    age: int\n"
    Path("people_of_a_test.py").write_text(source, encoding="utf-8")
    emulator.script(text('{"age": 36}'))
    assert json.loads(here("chat", "--schema", "people_of_a_test:Person", "Who?").out) == {"age": 36}


@pytest.mark.parametrize("given", ["name", "name: text", "nowhere:Class", "nowhere.json", ""])
def test_a_schema_argument_that_is_neither_fields_file_nor_class_is_refused(given: str) -> None:
    with pytest.raises(click.UsageError, match="--schema"):
        response_format(given)
