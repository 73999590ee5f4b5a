"""The synchronous client and its process: Ctrl-C, forks, and an end without a word."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

import pytest
import trustme

from ..fakes import chunk, completion, event, hello
from ..scripted_server import PATIENCE_SECONDS, SILENCE, Server, Step, reply, serving, streamed
from ..sockets.test_http import context_of

ANSWER = reply(completion())
PROGRAM_SECONDS = 120.0
"""A program that starts, imports and ends takes one second, or a minute on a machine with far too much to do."""
MESSAGES = 'messages = [{"role": "user", "content": "hi"}]\n'
HEAD = f"""
import os, sys, threading
from venice_ai import SyncVeniceClient, VeniceError
{MESSAGES}
settings = {{"api_key": "k", "base_url": sys.argv[1], "max_retries": 0}}
client = SyncVeniceClient(**settings)

def ask(client=client):
    return client.chat.completions.create(model="m", messages=messages).text

def stream(client=client):
    return client.chat.completions.stream(model="m", messages=messages)
"""

more = pytest.mark.more
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks are those of POSIX")


async def started(program: str, server: Server, *arguments: str) -> Process:
    """A program that is run as strictly as Python can; without checks of the memory of extensions in C, a third of the time."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-W", "ignore:This process:DeprecationWarning"),
        *("-c", HEAD + program, server.url, *arguments),
        env={**os.environ, "PYTHONMALLOC": "pymalloc"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def complained(stderr: bytes) -> str:
    """What a program complains of; that a step of its loop took long tells of a busy machine alone."""
    return re.sub(r"^Executing <.* took [\d.]+ seconds\n", "", stderr.decode(), flags=re.MULTILINE)


async def said(program: str, server: Server, *arguments: str) -> list[str]:
    """The lines that a program prints; it ends well, and complains of nothing."""
    process = await started(program, server, *arguments)
    out, complaints = await asyncio.wait_for(process.communicate(b""), PROGRAM_SECONDS)
    assert complained(complaints) == ""
    assert process.returncode == 0
    return out.decode().splitlines()


# -- Ctrl-C --------------------------------------------------------------------------------------------------------------


HANGING = streamed(event(chunk("hel")), SILENCE, end=False)


@pytest.mark.parametrize(
    ("program", "steps"),
    [
        pytest.param("ask()", [SILENCE], id="create"),
        pytest.param("stream()", [SILENCE], id="a stream that does not begin", marks=more),
        pytest.param("list(stream())", HANGING, id="a stream that hangs"),
        pytest.param("list(stream().text_deltas())", HANGING, id="the texts of one", marks=more),
        pytest.param("stream().collect()", HANGING, id="collect"),
        pytest.param("client.chat.completions.batch([{'model': 'm', 'messages': messages}] * 3)", [SILENCE], id="batch"),
    ],
)
async def test_ctrl_c_cancels_the_request_at_once(program: str, steps: list[Step]) -> None:
    # It lives on after the interruption, so that it is not its end that closes the connection.
    guarded = f"try:\n    {program}\nexcept KeyboardInterrupt:\n    print('interrupted', flush=True)\nsys.stdin.read()\n"
    async with serving(steps) as server:
        process = await started(guarded, server)
        while not server.received:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # until it waits for what comes after the first chunk

        process.send_signal(signal.SIGINT)

        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)
        assert process.returncode is None
        out, complaints = await asyncio.wait_for(process.communicate(b""), PROGRAM_SECONDS)
        assert (out, complained(complaints)) == (b"interrupted\n", "")


async def test_ctrl_c_ends_a_program_that_does_not_heed_it() -> None:
    async with serving([SILENCE]) as server:
        process = await started("ask()", server)
        while not server.received:
            await asyncio.sleep(0.01)

        process.send_signal(signal.SIGINT)

        _, complaints = await asyncio.wait_for(process.communicate(b""), PROGRAM_SECONDS)
        assert process.returncode == -signal.SIGINT
        assert complaints.decode().rstrip().endswith("KeyboardInterrupt")
        assert complaints.decode().count("Traceback") == 1


# -- forks ---------------------------------------------------------------------------------------------------------------

FORK = """
def in_child(work):
    sys.stdout.flush()
    child = os.fork()
    if not child:
        work()
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
"""


async def test_a_fork_leaves_the_parent_s_connections_alone() -> None:
    program = f"""{FORK}
for asks, work in (
    (0, lambda: None),
    (0, lambda: client.close()),
    (0, lambda: globals().pop("client")),
    (1, lambda: ask()),
    (1, lambda: (ask(), client.close())),
):
    ask()
    in_child(work)
    print(asks, ask())
"""
    async with serving(ANSWER) as server:
        assert await said(program, server) == ["0 hello"] * 3 + ["1 hello"] * 2

    assert server.connections == 1 + 2, "the parent went on with the connection it had, and two children opened one"


async def test_a_fork_does_not_end_the_parent_s_tls_connection(tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    program = f"""{FORK}
client = SyncVeniceClient(**settings, ca_bundle=sys.argv[2])

def child():
    print(ask(client))
    client.close()

print(ask(client))
in_child(child)
print(ask(client))
"""
    async with serving(ANSWER, context=context_of(authority)) as server:
        assert await said(program, server, str(bundle)) == ["hello"] * 3

    assert server.connections == 2


async def test_a_stream_belongs_to_the_process_that_opened_it() -> None:
    program = f"""{FORK}
read = stream()
print(next(read).text)

def child():
    for way in (lambda: list(read), read.collect):
        try:
            way()
        except VeniceError as error:
            print("process" in str(error))
    read.close()

in_child(child)
print([piece.text for piece in read])
"""
    steps = streamed(event(chunk("hel")), 1.0, *hello()[1:])
    async with serving(steps) as server:
        assert await said(program, server) == ["hel", "True", "True", "['lo', '']"]


async def test_the_children_of_a_pool_use_the_client_they_were_given() -> None:
    program = """
import multiprocessing

def work(_):
    return ask()

ask()
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(6)))
"""
    async with serving(ANSWER) as server:
        assert await said(program, server) == [str(["hello"] * 6)]


# -- the end -------------------------------------------------------------------------------------------------------------

STREAM = streamed(*hello())
AT_THE_VERY_END = (
    *("a call at the very end", "a call and no thread at the very end"),
    "a thread that calls after the main one",
)
ENDS: dict[str, tuple[str, list[list[Step]]]] = {
    "a client that nobody closes": ("print(ask())", [ANSWER]),
    "a client that is closed": ("with client: print(ask())", [ANSWER]),
    "three in a row that nobody closes": ("for _ in range(3): print(ask(SyncVeniceClient(**settings)))", [ANSWER]),
    "entered three times": ("for _ in range(3):\n    with client: print(ask(client))", [ANSWER]),
    "a client that is collected": ("import gc; print(ask()); del client, ask, stream; gc.collect()", [ANSWER]),
    "a stream that was read": ("print(stream().collect().text)", [STREAM]),
    "a stream that is open": ("s = stream(); next(s); print('hello')", [HANGING]),
    "a call at the very end": ("import atexit; atexit.register(lambda: print(ask())); ask()", [ANSWER]),
    "a call and no thread at the very end": ("import atexit; atexit.register(lambda: print(ask()))", [ANSWER]),
    "a daemon thread that calls on": (
        "ask(); threading.Thread(target=lambda: [ask() for _ in iter(int, 1)], daemon=True).start(); print('hello')",
        [ANSWER],
    ),
    "a daemon thread that waits": (
        "ask(); threading.Thread(target=ask, daemon=True).start(); print('hello')",
        [ANSWER, [SILENCE]],
    ),
    "a daemon thread that streams": (
        """
s = stream()
threading.Thread(target=list, args=[s], daemon=True).start()
threading.Event().wait(0.2)
print("hello")
""",
        [HANGING],
    ),
    "a thread that calls after the main one": ("threading.Thread(target=lambda: print(ask())).start()", [ANSWER]),
    "sys.exit": ("print(ask()); sys.exit()", [ANSWER]),
    # That a call holds up the loop of its thread is a complaint of the debug mode's, and true.
    "inside a running loop": (
        """
import asyncio, logging
logging.getLogger("asyncio").setLevel(logging.ERROR)
async def main():
    print(ask())
    print("".join(stream().text_deltas()))
asyncio.run(main())
""",
        [ANSWER, STREAM],
    ),
}


RARE = ("three in a row", "entered three times", "a stream that was read", "a call at the very end", "sys.exit", "inside a")


@pytest.mark.parametrize("how", [pytest.param(how, marks=more if how.startswith(RARE) else ()) for how in ENDS])
async def test_a_program_ends_without_output_on_stderr(how: str) -> None:
    if how in AT_THE_VERY_END and (3, 12, 0) <= sys.version_info[:3] < (3, 12, 2):
        pytest.skip("this Python starts no threads once its main one has ended")
    program, replies = ENDS[how]
    async with serving(*replies) as server:
        assert set(await said(program, server)) == {"hello"}


@pytest.mark.parametrize("used", [True, False])
async def test_a_call_after_the_end_of_the_interpreter_is_answered_or_an_error_that_says_so(used: bool) -> None:
    program = """
class Late:
    def __del__(self):
        try:
            print(ask())
        except VeniceError as error:
            print(error)

late = Late()
late.itself = late  # collected when nothing can be imported any more
"""
    async with serving(ANSWER) as server:
        lines = await said(program + ("ask()" if used else ""), server)
    assert len(lines) == 1
    assert ("hello" if used else "call before the program ends") in lines[0]


# -- a first call --------------------------------------------------------------------------------------------------------

FORKED = """
import time
first = threading.Thread(target=ask)
first.start()
time.sleep(float(sys.argv[2]))
child = os.fork()
if not child:
    ask()
    os._exit(0)
print(os.waitpid(child, 0)[1])
first.join()
"""


@pytest.mark.parametrize("seconds", ["0", "0.05", *(pytest.param(each, marks=more) for each in ("0.02", "0.1", "0.2"))])
async def test_a_fork_during_the_first_call_of_another_thread_leaves_the_child_able_to_call(seconds: str) -> None:
    async with serving(ANSWER) as server:
        assert await said(FORKED, server, seconds) == ["0"]


HALF_IMPORTED = """
begun, go_on = threading.Event(), threading.Event()

def slowly(frame, event, argument):
    if frame.f_code.co_filename.endswith("loop_thread.py") and frame.f_code.co_name == "<module>":
        begun.set()
        go_on.wait(30)

ask()
threading.settrace(slowly)
first = threading.Thread(target=lambda: stream().close())
first.start()
assert begun.wait(30)
threading.settrace(None)
threading.Timer(0.5, go_on.set).start()
print(ask())
first.join()
"""


async def test_a_call_is_answered_while_another_thread_imports_what_streams_need() -> None:
    async with serving(ANSWER, ANSWER, streamed(*hello())) as server:
        assert await said(HALF_IMPORTED, server) == ["hello"]


INTERRUPTED = """
import signal
try:
    threading.Timer(float(sys.argv[2]), signal.raise_signal, (signal.SIGINT,)).start()
    print(ask())
except KeyboardInterrupt:
    print(ask())
"""


@pytest.mark.parametrize("seconds", ["0.05", "0.2", *(pytest.param(each, marks=more) for each in ("0.001", "0.1"))])
async def test_ctrl_c_during_a_first_import_kills_nothing(seconds: str) -> None:
    async with serving([0.5, *ANSWER]) as server:
        assert await said(INTERRUPTED, server, seconds) == ["hello"]
