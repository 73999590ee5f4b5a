"""What the tests of recordings share: a client of the emulator that is recorded, and one of the recording."""

from __future__ import annotations

from pathlib import Path

from venice_ai import UserMessage, VeniceClient
from venice_ai._core.settings import Timeout
from venice_ai.testing import Cassette, Emulator, Exchange, Piece, Recorder, Replay
from venice_ai.transport import Request, Transport

from ..fakes import KEY

HI = [UserMessage(content="hi")]
STREAM_HEADERS = {"content-type": "text/event-stream"}


def recorder_of(emulator: Emulator, path: Path) -> Recorder:
    """Records what the emulator answers, on its clock."""
    return Recorder(path, inner=emulator.transport(), clock=emulator.clock)


def client_of(transport: Transport, emulator: Emulator | Replay) -> VeniceClient:
    return VeniceClient(api_key=KEY, transport=transport, clock=emulator.clock)


def replayed(replay: Replay) -> VeniceClient:
    """A client that asks a recording."""
    return client_of(replay.transport(), replay)


async def streamed(client: VeniceClient, content: str = "hi") -> str:
    """The text of a streamed answer."""
    messages = [UserMessage(content=content)]
    async with client, await client.chat.completions.stream(model="venice-1", messages=messages) as stream:
        return "".join([piece async for piece in stream.text_deltas()])


async def created(client: VeniceClient, content: str = "hi") -> str | None:
    """The text of an answer that comes as a whole."""
    async with client:
        return (await client.chat.completions.create(model="venice-1", messages=[UserMessage(content=content)])).text


def exchange_of(*chunks: bytes, request: str = "POST /chat/completions", gap_ms: float = 0.0) -> Exchange:
    return Exchange(request, headers={**STREAM_HEADERS}, chunks=[Piece.of(data, gap_ms=gap_ms) for data in chunks])


async def recorded(emulator: Emulator, path: Path, *contents: str) -> Cassette:
    """The recording of streamed answers to these messages, or to `hi`."""
    with recorder_of(emulator, path) as recorder:
        for content in contents or ("hi",):
            await streamed(client_of(recorder.transport(), emulator), content)
    return Cassette.read(path)


def request_to(url: str, *, method: str = "POST", headers: dict[str, str] | None = None, body: bytes | None = None) -> Request:
    """A request for a stream."""
    given = {"Authorization": f"Bearer {KEY}"} if headers is None else headers
    return Request(method, url, headers=given, body=body, timeout=Timeout(), stream=True)
