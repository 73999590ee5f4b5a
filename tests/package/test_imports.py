"""The structure of the package: no room imports one above it, importing is cheap, documented names can be imported."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import venice_ai
from scripts.import_graph import UPWARD, ImportGraph, circles, modules, room
from venice_ai._resource import APIResource
from venice_ai.resources.chat.completions import ChatCompletions

ROOT = Path(venice_ai.__file__).parent
PACKAGE = "venice_ai"

# From the lowest to the highest. A module imports modules of its own folder and of those before it, for types as well.
ROOMS = [
    *("_version", "types", "exceptions", "_core", "costs", "_structured", "_wire", "tee", "_limits", "telemetry", "_http"),
    "transport",
    *(
        "tools",
        "helpers",
        "streaming",
        "_resource",
        "batches",
        "resources",
        "_client",
        "_sync",
        "",
        "gateway",
        "emulator",
        "testing",
        "ray",
        "cli",
        "__main__",
    ),
]
# The emulator answers the client, so it shares its words, its rules and its port, and nothing above.
FOR_THE_EMULATOR = {"types", "exceptions", "_core", "costs", "_structured", "_wire", "tee", "emulator"}
PORT = {"_http.retry", "_http.timers"}


# -- the graph -----------------------------------------------------------------------------------------------------------

MODULES = modules(ROOT)


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return ImportGraph(ROOT)


@pytest.fixture(scope="module")
def imports(graph: ImportGraph) -> dict[str, set[str]]:
    """What each module imports, wherever it does."""
    return {name: graph.at_top[name] | graph.in_functions[name] for name in MODULES}


def matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def test_the_graph_sees_imports_at_the_top_in_functions_and_for_types(graph: ImportGraph) -> None:
    assert "exceptions" in graph.at_top["_wire.reply_body"]
    assert "resources.models" in graph.in_functions["resources.chat.completions"]
    assert "resources.chat" in graph.at_top["_client"], "that one is for type checkers"


def test_every_folder_has_its_place() -> None:
    assert {room(name) for name in MODULES} == set(ROOMS)
    assert len(ROOMS) == len(set(ROOMS))


def test_no_room_imports_a_room_above_it(imports: dict[str, set[str]]) -> None:
    upward = [
        f"{name} imports {other or PACKAGE}"
        for name, others in imports.items()
        for other in others
        if ROOMS.index(room(other)) > ROOMS.index(room(name)) and (name, other) not in UPWARD
    ]

    assert upward == []


def test_the_emulator_imports_nothing_but_types_rules_and_ports(imports: dict[str, set[str]]) -> None:
    forbidden = [
        f"{name} imports {other or PACKAGE}"
        for name, others in imports.items()
        if room(name) == "emulator"
        for other in others
        if room(other) not in FOR_THE_EMULATOR and other not in PORT
    ]

    assert forbidden == []


def test_there_is_no_circle_of_files_or_of_folders(graph: ImportGraph) -> None:
    assert circles(graph.files()) == []
    assert circles(graph.rooms()) == []


def test_aiohttp_and_threads_stay_in_their_rooms(graph: ImportGraph) -> None:
    homes = {
        "aiohttp": ["_http.*", "gateway.*", "emulator", "emulator.*", "cli.*"],
        "threading": [
            *("_core.first_use", "_core.concurrency", "_core.outcome", "_core.shared_file", "_core.waiter"),
            *("_http.dialing", "_limits.*", "_sync.*", "emulator.*", "cli.*"),
        ],
    }

    strays = [
        f"{name} imports {library}"
        for name, libraries in graph.libraries.items()
        for library in libraries
        if library in homes and not matches(name, homes[library])
    ]

    assert strays == []


# -- start-up ------------------------------------------------------------------------------------------------------------

HEAVY = {"aiohttp", "pydantic", "msgspec", "cryptography", "asyncio", "ssl", "truststore", "click", "fastapi"}


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a fresh interpreter."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_the_package_alone() -> None:
    assert loaded_by("import venice_ai") == {PACKAGE}


def test_importing_the_client_loads_nothing_heavy() -> None:
    loaded = {name.split(".")[0] for name in loaded_by("from venice_ai import VeniceClient; VeniceClient(api_key='k')")}

    assert loaded & HEAVY == set()
    assert loaded & {"typing", "dataclasses", "inspect", "re", "enum", "contextlib", "urllib", "ipaddress"} == set()


def test_importing_the_synchronous_client_loads_nothing_heavy() -> None:
    loaded = {name.split(".")[0] for name in loaded_by("from venice_ai import SyncVeniceClient; SyncVeniceClient(api_key='k')")}

    assert loaded & HEAVY == set()


@pytest.mark.parametrize("name", ["exceptions", "types.api.chat", "costs"])
def test_exceptions_types_and_costs_load_no_network_library(name: str) -> None:
    loaded = {module.split(".")[0] for module in loaded_by(f"import venice_ai.{name}")}

    assert loaded & {"aiohttp", "asyncio", "ssl", "pydantic"} == set()


# -- names ---------------------------------------------------------------------------------------------------------------


NAMES: list[str] = vars(venice_ai)["__getattr__"]("__all__")


def test_every_public_name_resolves() -> None:
    for name in NAMES:
        assert getattr(venice_ai, name) is not None
    assert sorted(NAMES) == NAMES
    assert set(NAMES) <= set(dir(venice_ai))


def test_a_star_and_help_load_nothing_that_needs_an_extra() -> None:
    loaded = loaded_by(
        "import inspect, venice_ai; sys.modules['opentelemetry'] = None; from venice_ai import *; inspect.getmembers(venice_ai)"
    )

    assert "venice_ai._client" in loaded
    assert "venice_ai.telemetry" not in loaded


def test_every_error_and_warning_is_public() -> None:
    own = {name for name, value in public("exceptions") if inspect.isclass(value)}

    assert {name.removeprefix("exceptions.") for name in own} <= set(NAMES)


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    seen: dict[str, str] = {}
    homes: dict[str, str] = vars(venice_ai)["_HOMES"]
    for node in ast.walk(ast.parse((ROOT / "__init__.py").read_text("utf-8"))):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.body:
                assert isinstance(statement, ast.ImportFrom)
                assert statement.level == 1
                home = (statement.module or "").removesuffix("._tree")
                if statement.names[0].name == "*":
                    tree = importlib.import_module(f"{PACKAGE}.{statement.module}")
                    seen |= dict.fromkeys((name for name in vars(tree) if name in homes or name.endswith("Error")), home)
                else:
                    seen |= {alias.asname or alias.name: home for alias in statement.names}

    assert seen == homes
    assert set(homes) == {*NAMES, "Telemetry"}


def test_a_star_brings_telemetry_where_its_extra_is_installed() -> None:
    pytest.importorskip("opentelemetry")

    assert getattr(venice_ai, "__all__") == NAMES  # noqa: B009  # no checker sees it
    assert "Telemetry" in NAMES
    assert "opentelemetry" in loaded_by("from venice_ai import *; Telemetry")


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        getattr(venice_ai, "NoSuchName")  # noqa: B009  # a checker would see through the attribute
    with pytest.raises(ImportError):
        importlib.import_module("venice_ai.no_such_module")


VOCABULARY = [
    *("UserMessage", "AssistantMessage", "SystemMessage", "ToolMessage", "DeveloperMessage", "JSONSchemaFormat"),
    *("JSONObjectFormat", "TextResponseFormat", "SpecificToolChoice", "Tool", "ToolFunction", "ToolCall"),
    *("ToolCallFunction", "ChatUsage", "ChatCompletionResponse", "ChatCompletionChunk", "ChunkModelFactory"),
    *("AudioContent", "VideoContent"),
]
PROMISED = {
    "": [
        *("VeniceClient", "UserMessage", "AssistantMessage", "SystemMessage", "ToolMessage", "DeveloperMessage"),
        *("JSONSchemaFormat", "Tool", "ToolFunction", "ToolChoice", "ToolCall", "ToolCallFunction", "ChatUsage"),
        *("ChatCompletionResponse", "ChatCompletionChunk", "Stream", "ChatStream", "ChatCostEstimate"),
        *("estimate_completion_cost", "VeniceParameters", "StreamOptions", "ReasoningConfig", "TextContent"),
        *("ImageContent", "ImageUrl", "FileContent"),
    ],
    "_client": ["VeniceClient"],
    "_resource": ["APIResource"],
    "streaming": ["Stream", "ChatStream"],
    "costs": ["ChatCostEstimate", "estimate_completion_cost"],
    "resources.chat": ["ChatCompletions"],
    "resources.chat.completions": ["ChatCompletions"],
    "types.api.chat": ["ToolCall", "ToolCallFunction", "ChatCompletionResponse"],
    "types.api.streaming": ["ChatCompletionChunk", "ChunkModelFactory"],
    "exceptions": [
        *("VeniceError", "APIError", "InvalidRequestError", "AuthenticationError", "PermissionDeniedError", "NotFoundError"),
        *("RateLimitError", "PaymentRequiredError", "ConflictError", "ModelGoneError", "UnprocessableEntityError"),
        *("InternalServerError", "ServiceUnavailableError", "APIConnectionError", "APITimeoutError"),
        *("APIResponseProcessingError", "StreamConsumedError", "StreamInterruptedError", "SchemaNotStrictError"),
        "NoMatchingModelError",
    ],
    "types": VOCABULARY,
    "types.api": VOCABULARY,
}


@pytest.mark.parametrize("module", PROMISED)
def test_every_documented_name_can_be_imported_where_documented(module: str) -> None:
    found = importlib.import_module(f"{PACKAGE}.{module}".rstrip("."))

    assert [name for name in PROMISED[module] if not hasattr(found, name)] == []


def test_one_name_is_one_thing_wherever_it_is_imported_from() -> None:
    things: dict[str, Any] = {}
    for module, names in PROMISED.items():
        found = importlib.import_module(f"{PACKAGE}.{module}".rstrip("."))
        for name in names:
            assert things.setdefault(name, getattr(found, name)) is getattr(found, name)


def test_chat_completions_is_a_resource_of_the_client() -> None:
    assert issubclass(ChatCompletions, APIResource)
    (base,) = vars(ChatCompletions)["__orig_bases__"]
    (argument,) = base.__args__
    assert "VeniceClient" in str(argument)


def test_a_resource_hangs_on_its_client() -> None:
    client = venice_ai.VeniceClient()

    assert isinstance(client.chat.completions, ChatCompletions)
    assert client.chat.completions is client.chat.completions
    assert vars(client.chat.completions)["_client"] is client


WRAPPED = ("fget", "func", "__func__")
"""Where properties, cached ones, and methods of classes keep the function."""


FACES = ("emulator", "emulator.enclave", "emulator.local", "emulator.pytest_plugin")
"""What users import of the emulator; the modules behind them are internal."""


def is_internal(module: str, value: object) -> bool:
    """Whether a name without a leading underscore is internal all the same: in the emulator, what no face of it exports."""
    faces = [importlib.import_module(f"{PACKAGE}.{face}") for face in FACES if room(module) == "emulator"]
    return bool(faces) and not any(value in vars(face).values() for face in faces)


def public(module: str) -> Iterator[tuple[str, Any]]:
    """The public functions, classes and methods that a module defines."""
    found = importlib.import_module(f"{PACKAGE}.{module}".rstrip("."))
    for name, value in vars(found).items():
        own = getattr(value, "__module__", None) == found.__name__
        if name.startswith("_") or not own or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if is_internal(module, value):
            continue
        yield f"{module}.{name}", value
        for inner, method in vars(value).items() if inspect.isclass(value) else ():
            function = next((getattr(method, part) for part in WRAPPED if hasattr(method, part)), method)
            if not inner.startswith("_") and inspect.isfunction(function):
                yield f"{module}.{name}.{inner}", function


DOCUMENTED = [name for name in MODULES if not any(part.startswith("_") for part in name.split("."))]
# Users meet what these define, under the names that the package gives them.
MET = [name for name in MODULES if matches(name, ["_client", "_core.settings", "_resource", "_sync.*"])]


@pytest.mark.parametrize("module", [*DOCUMENTED, *MET])
def test_everything_public_has_a_docstring(module: str) -> None:
    if room(module) in {"emulator", "cli"}:
        pytest.importorskip("click", reason="the command's extra is not installed")
    silent = [name for name, value in public(module) if not (value.__doc__ or "").strip()]

    assert silent == []
    assert (importlib.import_module(f"{PACKAGE}.{module}".rstrip(".")).__doc__ or "").strip()


TOLD = [
    *("tools.events", "costs", "exceptions._tree", "types.response_meta", "types.rate_limits"),
    *("types.api.chat", "types.api.models", "types.api.streaming"),
]


@pytest.mark.parametrize("module", TOLD)
def test_every_attribute_of_a_returned_object_has_a_docstring(module: str) -> None:
    classes = [node for node in ast.parse(MODULES[module].read_text("utf-8")).body if isinstance(node, ast.ClassDef)]
    documented = {
        f"{each.name}.{attribute.target.id}": isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        for each in classes
        for attribute, after in pairwise([*each.body, ast.Pass()])
        if isinstance(attribute, ast.AnnAssign) and isinstance(attribute.target, ast.Name)
        # One that has one value alone says it all.
        if attribute.value is None or ast.unparse(attribute.annotation) != f"Literal[{ast.unparse(attribute.value)}]"
    }

    assert documented, "the module has classes with attributes"
    assert [name for name, has_docstring in documented.items() if not has_docstring and "._" not in name] == []
