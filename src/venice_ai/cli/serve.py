"""`venice-chat serve`: starts the emulator on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .._core.json_values import members
from .._core.privacy import PREFIX
from .._core.settings import BASE_URL_VARIABLE, KEY_VARIABLE
from ..emulator import Account, Emulator
from ..emulator import serve as listen
from ..emulator.sending import Act, HTTPReply, Incoming, Recorded, acts_of, closed
from ..exceptions import InvalidRequestError
from . import _options, _output, _signals

_TOKENS = re.compile(rb'"total_tokens":\s*(\d+)')


def _attacks(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from ..emulator.enclave.faults import FAULTS

    return [name for name in FAULTS if name.startswith(begun)]


@click.command(epilog="\b\nvenice-chat serve --port 0\nvenice-chat serve --local\nvenice-chat serve --tee")
@_options.host
@_options.port(default=8080)
@click.option("--allow-remote", is_flag=True, help="Allow a --host that other machines can reach.")
@click.option("--admin", is_flag=True, help="Let clients script answers and read requests under /_emulator/.")
@click.option("--cors", is_flag=True, help="Let pages of any origin in a browser ask.")
@click.option("--latency", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Wait before each answer.")
@click.option("--rpm", type=click.IntRange(1), metavar="N", help="Simulate an account with so many chats a minute.")
@click.option("--tpm", type=click.IntRange(1), metavar="N", help="Simulate an account with so many tokens a minute.")
@_options.json
@click.option("--local", is_flag=True, help="Answer with a small language model on this machine (extra 'local').")
@click.option("--model", type=click.Path(path_type=Path), metavar="FILE.gguf", help="Use this model; implies --local.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Processor threads for the model.")
@click.option("--tee", is_flag=True, help="Run the e2ee-* model in an enclave, under test roots (extra 'e2ee').")
@click.option("--tee-fault", metavar="NAME", shell_complete=_attacks, help="Play an attack on it.")
@_options.debug
def serve(host: str, port: int, allow_remote: bool, tee_fault: str | None, admin: bool, cors: bool, **given: Any) -> None:
    """Start an emulator of Venice's chat API, which needs no key and no network.

    Its address is printed on stdout, each request in a line on stderr: time, path, model, status, tokens, ms. Ctrl-C ends it.

    With --tee, clients refuse the enclave by default, as they must: its certificates are for tests. To have them accept it,
    give them its roots in code: TeeOptions(trust=TrustRoots(...)). With --admin they are at /_emulator/tee.
    """
    if not given["latency"] < 1e9:  # also of what is not a number
        raise click.UsageError(f"--latency {given['latency']} is not a number of seconds")
    local, threads = given["local"] or given["model"] is not None, given["threads"]
    if threads is not None and not local:
        raise click.UsageError("--threads is for the model on this machine; add --local")
    enclave = None
    if given["tee"] or tee_fault is not None:
        _options.need_confidential()
        from ..emulator.enclave import Enclave

        try:
            enclave = Enclave(fault=tee_fault)
        except InvalidRequestError as error:
            raise click.UsageError(f"--tee-fault: {error}") from None
    backend = None
    if local:
        from ..emulator.local import open_local_model

        backend = open_local_model(given["model"], threads=threads, show=_output.note)
        if enclave is not None:
            backend.model_id = PREFIX + backend.model_id  # the id is what says that it is in the enclave
    account = Account(rpm=given["rpm"], tpm=given["tpm"]) if given["rpm"] or given["tpm"] else None
    emulator = _LoggingEmulator(admin=admin, cors=cors, backend=backend, tee=enclave or False, account=account)
    emulator.latency, emulator.as_json = given["latency"], given["as_json"]
    try:
        until_stopped(_run(emulator, host, port, allow_remote))
    except InvalidRequestError:
        why = f"other machines could reach --host {host}, and no key is checked; add --allow-remote if they may"
        raise click.UsageError(why) from None


async def _run(emulator: _LoggingEmulator, host: str, port: int, allow_remote: bool) -> None:
    async with contextlib.aclosing(emulator), listen(emulator, host=host, port=port, allow_remote=allow_remote) as server:
        _output.line(json.dumps({"url": server.url}) if emulator.as_json else f"Venice emulator on {server.url}")
        _output.aside(f"point clients at it:\n  export {BASE_URL_VARIABLE}={server.url} {KEY_VARIABLE}=any\n")
        await asyncio.Event().wait()


def until_stopped(serving: Coroutine[Any, Any, None]) -> None:
    """Serves until the process is told to end, which cancels `serving`; told again, it ends at once."""
    _signals.handle(_signals.stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a script ignores it for its jobs in the background
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serving)
    _signals.received.discard(signal.SIGTERM)  # the usual end of a server


class _LoggingEmulator(Emulator):
    """An emulator that waits `latency` seconds before each answer of the API, and writes a line to stderr after it."""

    latency, as_json = 0.0, False

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        began = time.monotonic()
        reply = await super().respond(incoming, now=now)
        reply = replace(reply, delay=reply.delay + (0.0 if incoming.path.startswith("/_emulator/") else self.latency))
        if not isinstance(reply.body, tuple):
            body = self._logged(incoming, reply, began)
            await anext(body)  # what has begun is told of, also when the caller leaves before its first event
            return replace(reply, body=body)
        self._tell(incoming, reply, [act for act in reply.body if isinstance(act, bytes)], began - reply.delay)
        return reply

    async def _logged(self, incoming: Incoming, reply: HTTPReply, began: float) -> AsyncIterator[Act]:
        with_usage = list[bytes]()
        try:
            yield 0.0
            async for act in acts_of(reply.body):
                if isinstance(act, bytes) and b"total_tokens" in act:
                    with_usage = [act]
                yield act
        finally:  # also when the caller left
            await closed(reply.body)
            self._tell(incoming, reply, with_usage, began)

    def _tell(self, incoming: Incoming, reply: HTTPReply, with_usage: list[bytes], began: float) -> None:
        model = members(Recorded.of(incoming).body).get("model")
        tokens = max(map(int, _TOKENS.findall(b"".join(with_usage))), default=0)
        record: dict[str, Any] = {"time": time.strftime("%H:%M:%S"), "path": incoming.path, "model": model}
        record |= {"status": reply.status, "tokens": tokens, "ms": round((time.monotonic() - began) * 1000)}
        line = "{time} {path} {model} {status} {tokens} tokens {ms} ms".format_map(record | {"model": model or "-"})
        _output.aside((json.dumps(record) if self.as_json else line) + "\n")
