"""The way of one call: the files that one `create` and one streamed chat execute in, with their lines.

    python -m benchmarks.path

A newcomer who follows a call with a debugger meets these files. Counted are the files in which a function of the package runs
during the call, and for each of them all its lines and those of the functions that ran. Each way is told twice: for the first
call of a new client, which checks the settings and opens a connection, and for one more call of the same client, after two on
which the server has shown that it keeps connections. Imports are not counted: an earlier client has done them.
"""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from inspect import CO_NEWLOCALS
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmarks.processes import start_server
from venice_ai import VeniceClient

ROOT = Path(sys.modules["venice_ai"].__file__ or "").parent
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}


async def plain(client: VeniceClient) -> None:
    await client.chat.completions.create(model="plain", **ASKED)


async def streamed(client: VeniceClient) -> None:
    async with await client.chat.completions.stream(model="packets-500", **ASKED) as stream:
        async for _ in stream.text_deltas():
            pass


@contextmanager
def noted(found: set[CodeType]) -> Generator[None]:
    """Notes the functions of the package that run."""

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_flags & CO_NEWLOCALS and code.co_filename.startswith(str(ROOT)):
            found.add(code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def executed(call: Callable[[VeniceClient], Awaitable[None]], base_url: str) -> dict[str, set[CodeType]]:
    """The functions of the package that run while a new client makes its first call, and while it makes one more."""
    first, later = set[CodeType](), set[CodeType]()
    async with VeniceClient(api_key="k", base_url=base_url) as earlier:
        await call(earlier)
    with noted(first):
        client = VeniceClient(api_key="k", base_url=base_url)
        await call(client)
    await call(client)
    with noted(later):
        await call(client)
    await client.close()
    return {"the first of a client": first, "one more of the same": later}


def lines_of(code: CodeType) -> int:
    """How many lines a function has, those of functions inside it included."""
    numbers = [line for _, _, line in code.co_lines() if line is not None]
    return max(numbers) - code.co_firstlineno + 1


def table(found: set[CodeType]) -> str:
    files = sorted({Path(code.co_filename) for code in found})
    rows = [
        (
            str(path.relative_to(ROOT)),
            len(path.read_text("utf-8").splitlines()),
            sum(lines_of(code) for code in found if code.co_filename == str(path) and code.co_name[:1] != "<"),
        )
        for path in files
    ]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    return "\n".join(f"{name:44}{all_lines:7,}{run_lines:7,}" for name, all_lines, run_lines in rows)


def main() -> None:
    server = start_server(sys.executable)
    base_url = f"http://127.0.0.1:{server.hear().strip()}"
    try:
        for title, call in (("one `create`", plain), ("one streamed chat", streamed)):
            for which, found in asyncio.run(executed(call, base_url)).items():
                print(f"{f'{title}, {which}':44}{'lines':>7}{'run':>7}\n{table(found)}\n")
    finally:
        server.end()


if __name__ == "__main__":
    main()
