"""What type checkers make of a call.

Some lines here run, and `make check` judges them. It also runs the tests marked `types`: mypy, pyright and ty judge the rest,
as strictly as they can, and each runs once over all of it. Of the files in `tests/typing` they must complain of nothing, and
reveal the types that the comments tell. Lines that must not pass stand in `REFUSED`. mypy and pyright also accept every snippet
of README and docs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple, assert_type, cast

import pytest

from venice_ai import ChatCompletionChunk, ChatCompletionResponse, ChatCostEstimate, ChatStream, UserMessage
from venice_ai.types.api import ChatMessage, ModelsListResponse

from ..fakes import HI, answer, client_of, completion, hello, stream
from .test_snippets import SNIPPETS, as_module


async def test_a_plain_call_is_a_response() -> None:
    client, _ = client_of(*[answer(completion()) for _ in range(2)])

    assert_type(await client.chat.completions.create(model="m", messages=HI), ChatCompletionResponse)
    reply = await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], stream=False, temperature=1)

    assert_type(reply, ChatCompletionResponse)
    assert_type(reply.choices[0].message, ChatMessage)
    assert_type(reply.text, str | None)


async def test_a_streamed_call_is_a_stream_of_chunks() -> None:
    client, _ = client_of(*[stream(*hello()) for _ in range(2)])

    read = await client.chat.completions.create(model="m", messages=HI, stream=True)
    async with read:
        async for piece in read:
            assert_type(piece, ChatCompletionChunk)
            assert_type(piece.text, str)
    async with await client.chat.completions.stream(model="m", messages=HI) as other:
        assert_type(other, ChatStream)
        async for text in other.text_deltas():
            assert_type(text, str)
        assert_type(await other.collect(), ChatCompletionResponse)

    assert_type(read, ChatStream)


async def test_stream_may_be_a_bool_known_only_at_run_time() -> None:
    client, _ = client_of(answer(completion()), stream(*hello()))

    for late in (False, True):
        reply = await client.chat.completions.create(model="m", messages=HI, stream=late)
        assert_type(reply, ChatCompletionResponse | ChatStream)
        if isinstance(reply, ChatStream):
            await reply.close()


async def test_unknown_keywords_are_allowed_at_run_time() -> None:
    client, transport = client_of(answer(completion()), stream(*hello()))

    completions = cast("Any", client.chat.completions)
    await completions.create(model="m", messages=HI, a_keyword_of_tomorrow=1)
    async with await completions.stream(model="m", messages=HI, a_keyword_of_tomorrow=1):
        pass

    assert [body["a_keyword_of_tomorrow"] for body in transport.bodies] == [1, 1]


async def test_a_stream_is_an_iterator() -> None:
    client, _ = client_of(stream(*hello()))

    read: AsyncIterator[ChatCompletionChunk] = await client.chat.completions.create(model="m", messages=HI, stream=True)
    first = await anext(read)
    rest = [piece.text async for piece in read]

    assert isinstance(read, AsyncIterator)
    assert first.text == "hel"
    assert "".join(rest) == "lo"


async def test_models_and_costs_have_their_types() -> None:
    prices = {"input": {"usd": 1}, "output": {"usd": 1}}
    client, _ = client_of(answer({"data": [{"id": "m", "type": "text", "model_spec": {"pricing": prices}}]}))

    assert_type(await client.models.list(), ModelsListResponse)
    assert_type(await client.models.resolve_chat(), str)
    assert_type(await client.chat.completions.estimate_cost(model="m", messages=HI), ChatCostEstimate)


# -- the three checkers --------------------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
HEAD = """
from __future__ import annotations
from typing import cast
from pydantic import BaseModel
from venice_ai import ChatStream, ChatUsage, SyncChatStream, SyncVeniceClient, UserMessage, VeniceClient, VeniceParameters
from venice_ai.types.api.chat import LogProbs
class Person(BaseModel):
    name: str
HI = [UserMessage(content="hi")]
client, sync = VeniceClient(), SyncVeniceClient()
chat, calls = client.chat.completions, sync.chat.completions
"""
REFUSED = [
    "chat.batch_iter([{'model': 'm', 'messages': HI, 'custom_di': 'a'}])",
    "await chat.create(messages=HI)",
    "await chat.create(model=1, messages=HI)",
    "await chat.create(model='m', messages=b'hi')",
    "await chat.create(model='m', messages=[1])",
    "await chat.create(model='m', messages=HI, stream='yes')",
    "await chat.create('m', HI)",
    "await chat.create(model='m', messages=HI, temperature='hot')",
    "await chat.create(model='m', messages=HI, reasoning_effort='very')",
    "await chat.stream(model='m', messages=HI, stop=3)",
    "await chat.parse(model='m', messages=HI, response_format=Person(name='a'))",
    "await chat.parse(model='m', messages=HI)",
    "await chat.batch({'model': 'm'})",
    "chat.batch_iter({'model': 'm'})",
    "await chat.batch(['hi'])",
    "await chat.run_with_tools(model='m', messages=HI, tools=[1])",
    "await chat.run_with_tools(model='m', messages=HI, tools=[], on_limit='stop')",
    "await client.models.resolve_chat(require_visions=True)",
    "VeniceClient(apikey='k')",
    "(await chat.create(model='m', messages=HI)).choices[0].logprobs.content",
    "((await chat.create(model='m', messages=HI)).choices[0].logprobs or LogProbs())['conten']",
    "[token['logprop'] for token in LogProbs().get('content') or ()]",
    "(await chat.create(model='m', messages=HI)).text.upper()",
    "chat.create(model='m', messages=HI).text",
    "stream: SyncChatStream = await chat.stream(model='m', messages=HI)",
    "SyncVeniceClient(apikey='k')",
    "await calls.create(model='m', messages=HI)",
    "calls.create(model='m', messages=b'hi')",
    "calls.create(model='m', messages=HI, top_p='high')",
    "calls.create(model='m', messages=HI, stream=True).choices",
    "async with calls.stream(model='m', messages=HI): pass",
    "async for _ in calls.stream(model='m', messages=HI): pass",
    "calls.parse(model='m', messages=HI, response_format=Person).parsed.age",
    "other: ChatStream = calls.stream(model='m', messages=HI)",
    "sync.models.list(kind='text')",
    # fields that are not declared
    "(await chat.create(model='m', messages=HI)).txt",
    "(await chat.create(model='m', messages=HI)).choices[0].mesage",
    "(await chat.create(model='m', messages=HI)).choices[0].message.contents",
    "cast(ChatUsage, (await chat.create(model='m', messages=HI)).usage).total_token",
    "(await client.models.list()).data[0].model_spek",
    "calls.create(model='m', messages=HI).txt",
    "UserMessage(contnt='x')",
    "UserMessage(content='x', tomorrow=1)",
    "VeniceParameters(enable_web_serch='on')",
    # misspelt keywords
    "await chat.create(model='m', messages=HI, temperatur=1)",
    "await chat.create(model='m', messages=HI, stream=True, temperatur=1)",
    "await chat.stream(model='m', messages=HI, temperatur=1)",
    "await chat.parse(model='m', messages=HI, response_format=Person, temperatur=1)",
    "await chat.stream_parse(model='m', messages=HI, response_format=Person, temperatur=1)",
    "await chat.run_with_tools(model='m', messages=HI, tools=[], temperatur=1)",
    "await chat.stream_with_tools(model='m', messages=HI, tools=[], temperatur=1)",
    "await chat.batch([{'model': 'm', 'messages': HI, 'temperatur': 1}])",
    "await chat.batch([{'model': 'm', 'messages': HI, 'temperatur': 1} for _ in range(2)])",
    "await chat.batch([dict(model='m', messages=HI, temperatur=1)])",
    "calls.create(model='m', messages=HI, temperatur=1)",
    "calls.stream(model='m', messages=HI, temperatur=1)",
    "calls.parse(model='m', messages=HI, response_format=Person, temperatur=1)",
    "calls.stream_parse(model='m', messages=HI, response_format=Person, temperatur=1)",
    "calls.run_with_tools(model='m', messages=HI, tools=[], temperatur=1)",
    "calls.stream_with_tools(model='m', messages=HI, tools=[], temperatur=1)",
    "calls.batch([{'model': 'm', 'messages': HI, 'temperatur': 1}])",
    "await chat.parse(model='m', messages=HI, response_format=Person, shema_name='x')",
    "await chat.run_with_tools(model='m', messages=HI, tools=[], max_iteration=2)",
    "await chat.stream_with_tools(model='m', messages=HI, tools=[], max_iteration=2)",
    "calls.run_with_tools(model='m', messages=HI, tools=[], max_iteration=2)",
    "await chat.create(model='m', messages=HI, reasoning={'efort': 'low'})",
    "await chat.create(model='m', messages=HI, venice_parameters={'enable_web_serch': 'on'})",
    "await chat.create(model='m', messages=HI, extra_body=1)",
    # what may not be there yet
    "[person.name.upper() async for person in await chat.stream_parse(model='m', messages=HI, response_format=Person)]",
    "[person.name.upper() for person in calls.stream_parse(model='m', messages=HI, response_format=Person)]",
    "[person.name for person in [(await chat.stream_parse(model='m', messages=HI, response_format=Person)).partial]]",
    "whole: list[Person] = list(calls.stream_parse(model='m', messages=HI, response_format=Person))",
]


# What the snippets use of libraries that the tests do not install.
STUBS = {
    "stubs/ray/__init__.pyi": "from . import data as data\n",
    "stubs/ray/data/__init__.pyi": (
        "from typing import Any\n"
        "class DataContext:\n"
        "    checkpoint_config: Any\n"
        "    @staticmethod\n"
        "    def get_current() -> DataContext: ...\n"
        "class Dataset:\n"
        "    def repartition(self, *, target_num_rows_per_block: int) -> Dataset: ...\n"
        "    def map_batches(self, fn: type[object], **options: object) -> Dataset: ...\n"
        "    def write_parquet(self, path: str) -> None: ...\n"
        "def read_parquet(path: str) -> Dataset: ...\n"
    ),
    "stubs/ray/data/checkpoint.pyi": (
        "class CheckpointConfig:\n    def __init__(self, *, id_column: str, checkpoint_path: str) -> None: ...\n"
    ),
    "stubs/opentelemetry/instrumentation/aiohttp_client.pyi": (
        "class AioHttpClientInstrumentor:\n    def instrument(self) -> None: ...\n"
    ),
    "stubs/celery.pyi": (
        "from collections.abc import Callable\n"
        "from typing import Any\n"
        "class Celery:\n"
        "    def __init__(self, main: str, *, broker: str, backend: str) -> None: ...\n"
        "    def task[**P, R](\n"
        "        self, *, bind: bool, max_retries: int, time_limit: int\n"
        "    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...\n"
    ),
    "stubs/openai.pyi": "class OpenAI:\n    def __init__(self, *, base_url: str, api_key: str = ...) -> None: ...\n",
    "stubs/vcr.pyi": (
        "from contextlib import AbstractContextManager\n"
        "def use_cassette(path: str, *, filter_headers: list[str]) -> AbstractContextManager[object]: ...\n"
    ),
}


class Verdict(NamedTuple):
    """What a checker said: types it revealed and errors, both by file and line."""

    revealed: dict[tuple[str, int], str]
    errors: dict[tuple[str, int], str]


def bare(name: str) -> str:
    """A type without its modules, its members in order."""
    return " | ".join(sorted(re.sub(r"(?:\b[a-z_]\w*\.)+", "", name).split(" | ")))


def ran(folder: Path, *command: str) -> str:
    environment = {**os.environ, "NO_COLOR": "1", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "MYPYPATH": "stubs"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env=environment,
        timeout=600,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr or done.stdout
    return done.stdout


def sorted_out(lines: str, line: str, revealed: str) -> Verdict:
    """The verdict in lines of text: a pattern for a line, and one for what it reveals."""
    verdict = Verdict({}, {})
    for found in re.finditer(line, lines, re.MULTILINE):
        where = Path(found["file"]).name, int(found["line"])
        if said := re.search(revealed, found["said"]):
            verdict.revealed[where] = bare(said[1])
        elif found["kind"] != "note":
            verdict.errors[where] = found["said"]
    return verdict


def by_mypy(folder: Path, files: list[str]) -> Verdict:
    cache = str(ROOT / ".mypy_cache" / "judged")
    options = ["--config-file=", "--strict", "--explicit-package-bases", "--no-error-summary", "--cache-dir", cache]
    line = r"^(?P<file>[^:\n]+):(?P<line>\d+): (?P<kind>\w+): (?P<said>.*)$"
    return sorted_out(ran(folder, "mypy", *options, *files), line, r'^Revealed type is "(.*)"$')


def by_ty(folder: Path, files: list[str]) -> Verdict:
    options = ["--output-format", "concise", "--python", sys.prefix, "--extra-search-path", str(ROOT / "src")]
    line = r"^(?P<file>[^:\n]+):(?P<line>\d+):\d+: (?P<kind>\w+)(?P<said>\[.*)$"
    return sorted_out(ran(folder, "ty", "check", *options, *files), line, r"Revealed type: `(.*)`$")


def by_pyright(folder: Path, files: list[str]) -> Verdict:
    settings = {
        "include": files,
        "typeCheckingMode": "strict",
        "extraPaths": ["stubs"],
        "reportMissingModuleSource": False,  # of the stubs
        "reportUnusedVariable": False,  # a snippet shows how to get a result, and what to do with it is the reader's
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    said = json.loads(ran(folder, "pyright", "--pythonpath", sys.executable, "--outputjson"))
    assert said["summary"]["filesAnalyzed"] == len(files)
    verdict = Verdict({}, {})
    for each in said["generalDiagnostics"]:
        where = Path(each["file"]).name, each["range"]["start"]["line"] + 1
        if found := re.fullmatch(r'Type of ".*" is "(.*)"', each["message"]):
            verdict.revealed[where] = bare(found[1])
        else:
            verdict.errors[where] = each["message"]
    return verdict


CHECKERS: dict[str, Callable[[Path, list[str]], Verdict]] = {"mypy": by_mypy, "pyright": by_pyright, "ty": by_ty}


def expected_types(name: str, text: str) -> dict[tuple[str, int], str]:
    """The types that the comments of a file tell."""
    lines = enumerate(text.splitlines(), 1)
    return {(name, number): bare(line.partition("  # ")[2]) for number, line in lines if " reveal_type(" in line}


@pytest.mark.types
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker_accepts_what_is_right_sees_its_types_and_refuses_what_is_wrong(checker: str, tmp_path: Path) -> None:
    # One test, for the tests of a file may run in several processes, and each would run the checker again.
    refused = [f"async def refused_{number}() -> None:\n    {line}\n" for number, line in enumerate(REFUSED)]
    typed = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "tests" / "typing").glob("*.py"))}
    shown = {snippet.file: as_module(snippet) for snippet in SNIPPETS if checker != "ty"}
    files = {**typed, "refused.py": HEAD + "".join(refused), **shown}
    for name, text in {**files, **STUBS}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")

    verdict = CHECKERS[checker](tmp_path, list(files))

    first = HEAD.count("\n") + 2
    found = {(line - first) // 2 for name, line in verdict.errors if name == "refused.py"}
    assert {where: said for where, said in verdict.errors.items() if where[0] != "refused.py"} == {}
    assert {where: said for where, said in verdict.revealed.items() if where[0] in typed} == {
        where: said for name, text in typed.items() for where, said in expected_types(name, text).items()
    }
    assert all(expected_types(name, text) for name, text in typed.items())
    assert [line for number, line in enumerate(REFUSED) if number not in found] == []


def test_a_type_is_compared_without_its_modules() -> None:
    found: Any = bare("list[venice_ai.types.api.chat.ToolCall] | None")
    assert found == "None | list[ToolCall]" == bare("None | list[ToolCall]")
