"""The synchronous client has the asynchronous one's surface: every method, every argument, every type."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, get_overloads

import pytest

from venice_ai import streaming
from venice_ai._client import VeniceClient
from venice_ai._sync import client as _sync
from venice_ai._sync import parsed_stream as _sync_parsing
from venice_ai._sync import resources as _sync_resources
from venice_ai._sync import streams as _sync_streams
from venice_ai._sync import tee as _sync_tee
from venice_ai.resources.chat import Chat, ChatCompletions, arguments
from venice_ai.resources.chat import parsed as parsing
from venice_ai.resources.chat import tool_runner as tool_runs
from venice_ai.resources.limits import Limits
from venice_ai.resources.models import Models
from venice_ai.resources.tee import Tee

PAIRS: list[tuple[type, type]] = [
    (VeniceClient, _sync.SyncVeniceClient),
    (Chat, _sync.SyncChat),
    (ChatCompletions, _sync.SyncChatCompletions),
    (Models, _sync_resources.SyncModels),
    (Tee, _sync_tee.SyncTee),
    (Limits, _sync_resources.SyncLimits),
    (streaming.Stream, _sync_streams.SyncStream),
    (streaming.ChatStream, _sync_streams.SyncChatStream),
    (tool_runs.ToolStream, _sync_streams.SyncToolStream),
    (parsing.ParsedChatStream, _sync_parsing.SyncParsedChatStream),
]
# What the parts of the package say to each other, and no caller of a synchronous client could await.
INNER = {
    VeniceClient: {
        "caller",
        "limiter",
        "build_request",
        "clocks",
        "notices",
        "token_counts",
        "resource",
        "hooks_in_threads",
        "knows_server",
        "on_close",
    },
    Tee: {"examine", "verified", "remembered", "options", "forget", "session_with", "signed", "warn_of_limits"},
}
# What belongs to an event loop is the asynchronous client's alone.
OF_A_LOOP = {"session"}
# Who makes them differs; what they have in common is how they are used.
MADE_INSIDE = {"Limits", "Chat", "ChatCompletions", "Models", "Tee", "ToolStream", "ParsedChatStream"}
DUNDERS = {"__aiter__": "__iter__", "__anext__": "__next__", "__aenter__": "__enter__", "__aexit__": "__exit__"}
WORDS = {
    **{asynchronous.__name__: synchronous.__name__ for asynchronous, synchronous in PAIRS},
    "Connection": "SyncConnection",  # the client, as streams see it
    "AsyncIterator": "Iterator",
    "AsyncGenerator": "Generator",
}


def surface(kind: type) -> dict[str, Any]:
    """What a class offers, by the name that the synchronous one gives it; attributes of its objects are named too."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__[:-1]):
        if base.__module__.startswith("venice_ai"):
            found |= vars(base) | dict.fromkeys(attributes(base))
    public = {name: value for name, value in found.items() if not name.startswith("_") or name in DUNDERS}
    special = {name: found[name] for name in ("__init__", *DUNDERS.values()) if name in found}
    return {DUNDERS.get(name, name): value for name, value in {**public, **special}.items()}


def attributes(kind: type) -> list[str]:
    """The public attributes that the class's `__init__` sets."""
    init = vars(kind).get("__init__")
    return re.findall(r"self\.([a-z]\w*)(?:: [^=\n]+)? =", inspect.getsource(init)) if init else []


def function(value: Any) -> Callable[..., Any] | None:
    """The function behind a method, a property or a cached property."""
    for name in ("fget", "func", "__func__"):
        value = getattr(value, name, None) or value
    return value if inspect.isfunction(value) else None


def expected(annotation: Any) -> str:
    """An annotation as the synchronous class would have it."""
    return re.sub(r"\b\w+\b", lambda word: WORDS.get(word[0], word[0]), annotation_text(annotation))


def annotation_text(annotation: Any) -> str:
    return re.sub(r"\b[a-z_]\w*\.", "", str(annotation).strip("'")).replace(", None, None]", ", None]")


def shape(signature: inspect.Signature, say: Callable[[Any], str]) -> list[tuple[Any, ...]]:
    """The names, kinds, defaults and annotations of a signature."""
    parameters = [
        (each.name, each.kind.name, repr(each.default), say(each.annotation))
        for each in signature.parameters.values()
        if each.name not in OF_A_LOOP
    ]
    return [*parameters, ("return", say(signature.return_annotation))]


def as_written(method: Callable[..., Any]) -> inspect.Signature:
    """The signature in the code, also where `help` was asked before and shows another one."""
    shown = vars(method).pop("__signature__", None)
    try:
        return inspect.signature(method)
    finally:
        if shown is not None:
            vars(method)["__signature__"] = shown


COMMON = [
    pytest.param(asynchronous, synchronous, name, id=f"{synchronous.__name__}.{name}")
    for asynchronous, synchronous in PAIRS
    for name in sorted(surface(asynchronous).keys() & surface(synchronous).keys())
    if not (name == "__init__" and asynchronous.__name__ in MADE_INSIDE)
]


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS, ids=lambda kind: kind.__name__)
def test_both_clients_have_the_same_methods(asynchronous: type, synchronous: type) -> None:
    expected_names = surface(asynchronous).keys() - INNER.get(asynchronous, set())

    # `contextlib.aclosing` wants `aclose`; `contextlib.closing`, for what does not await, wants `close`.
    assert surface(synchronous).keys() - {"open"} == expected_names - {"open", "aclose"}


@pytest.mark.parametrize(("asynchronous", "synchronous", "name"), COMMON)
def test_every_signature_is_the_same(asynchronous: type, synchronous: type, name: str) -> None:
    theirs, ours = function(surface(asynchronous)[name]), function(surface(synchronous)[name])
    if theirs is None or ours is None:
        assert (theirs, ours) == (None, None)
        return

    if name != "run_with_tools":  # the next test's
        assert shape(as_written(ours), annotation_text) == shape(as_written(theirs), expected)
    assert not inspect.iscoroutinefunction(ours)
    assert [shape(as_written(each), annotation_text) for each in get_overloads(ours)] == [
        shape(as_written(each), expected) for each in get_overloads(theirs)
    ]


def test_every_tool_loop_takes_the_arguments_that_run_with_tools_lists() -> None:
    listed = as_written(ChatCompletions.run_with_tools).parameters
    shared = {"self", "model", "messages", "tools"}
    options = {name: each.annotation for name, each in listed.items() if name not in shared and each.kind == each.KEYWORD_ONLY}
    own = arguments.ToolLoopOptions.__annotations__.keys() - arguments.ToolLoopParams.__annotations__.keys()

    assert {name: arguments.ToolLoopOptions.__annotations__[name].__forward_arg__ for name in own} == options
    for method in (
        ChatCompletions.stream_with_tools,
        _sync.SyncChatCompletions.run_with_tools,
        _sync.SyncChatCompletions.stream_with_tools,
    ):
        signature = as_written(method)
        assert signature.parameters.keys() == {*shared, "options"}
        assert signature.parameters["options"].annotation == "Unpack[ToolLoopOptions]"


@pytest.mark.parametrize(("asynchronous", "synchronous", "name"), COMMON)
def test_no_type_is_any_where_the_asynchronous_one_is_not(asynchronous: type, synchronous: type, name: str) -> None:
    theirs, ours = function(surface(asynchronous)[name]), function(surface(synchronous)[name])
    if theirs is not None and ours is not None:
        assert annotation_text(as_written(ours).return_annotation).count("Any") == annotation_text(
            as_written(theirs).return_annotation
        ).count("Any")


def test_a_difference_in_one_default_is_found() -> None:
    class Missing:
        async def one(self, a: int, *, b: str = "x") -> streaming.ChatStream: ...  # type: ignore[empty-body]

    class Found:
        def one(self, a: int, *, b: str = "y") -> _sync_streams.SyncChatStream: ...  # type: ignore[empty-body]

    one, other = shape(inspect.signature(Missing.one), expected), shape(inspect.signature(Found.one), annotation_text)
    assert [index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b] == [2]


@pytest.fixture
def asked_for_help() -> None:
    import_module("pydoc")


def test_a_script_does_not_load_what_help_shows() -> None:
    program = "import sys\nfrom venice_ai import SyncVeniceClient\nSyncVeniceClient(api_key='k').chat.completions.create\n"
    program += "sys.exit('venice_ai.resources.chat.completions' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.usefixtures("asked_for_help")
def test_help_shows_the_documentation_and_the_parameters_of_the_asynchronous_methods() -> None:
    with _sync.SyncVeniceClient(api_key="any") as client:
        completions = client.chat.completions

        for method in (completions.create, completions.stream, completions.parse, completions.run_with_tools):
            original = getattr(ChatCompletions, method.__name__)
            shown = inspect.signature(method).parameters
            assert (inspect.getdoc(method) or "").startswith(inspect.getdoc(original) or "no documentation")
            assert {"model", "messages", "temperature", "venice_parameters"} <= shown.keys()
            assert list(shown)[-1] in {"params", "kwargs", "create_kwargs"}
        assert "temperature" not in inspect.signature(completions.batch).parameters
        assert "`on_result` is called on the loop's thread" in (inspect.getdoc(completions.batch) or "")
        assert inspect.signature(completions.stream).return_annotation == "SyncChatStream"


@pytest.mark.usefixtures("asked_for_help")
def test_documenting_twice_repeats_nothing() -> None:
    for _ in range(2):
        with _sync.SyncVeniceClient(api_key="any") as client:
            shown = inspect.getdoc(client.chat.completions.create) or ""
        assert shown.count("In the synchronous client:") == 1
