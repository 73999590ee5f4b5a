"""What nobody may see is nowhere to be seen: no log, no error, no `repr`, no trace, no pickle shows prompt, answer or key."""

from __future__ import annotations

import contextlib
import io
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from venice_ai import APIConnectionError, VeniceClient
from venice_ai.tee.curve import Key

from ..fakes import DONE, KEY, ScriptedReply, answer, chunk, envelope
from .enclave import SERVER, Enclave, Sealed, client_of, created, refused, streamed, whole

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")

PROMPT = "canary-prompt-7f3a"
ANSWER = "canary-answer-9c1e"
ASKING: dict[str, Any] = {"messages": [{"role": "user", "content": PROMPT}], "e2ee": True}


class Log(logging.Handler):
    """Every record of every logger, with all that hangs on it."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.text = io.StringIO()

    def emit(self, record: logging.LogRecord) -> None:
        self.text.write(f"{self.format(record)} {record.__dict__!r}\n")


@pytest.fixture
def log() -> Iterator[Log]:
    handler, root = Log(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.NOTSET)
    known = [logging.getLogger(name) for name in ("venice_ai", "asyncio", "aiohttp")]
    levels = [each.level for each in known]
    for each in known:
        each.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)
    for each, before in zip(known, levels, strict=True):
        each.setLevel(before)


def bad(*events: Any) -> Callable[[Sealed], list[Any]]:
    """An answer that begins with the canary and goes on with these."""
    return lambda sealed: [chunk(sealed(ANSWER)), *(each(sealed) if callable(each) else each for each in events)]


def situation(change: Callable[[Enclave], None], *, id: str) -> Any:  # noqa: A002  # as pytest.param has it
    return pytest.param(change, id=id)


def denied(reply: dict[str, Any]) -> dict[str, Any]:
    return {**reply, "verified": 1}


def down(_: dict[str, Any]) -> ScriptedReply:
    return answer({}, status=502)


def cut_short(sealed: Sealed) -> dict[str, Any]:
    return chunk(sealed(ANSWER)[:-2])


def unknown_field() -> dict[str, Any]:
    return envelope(choices=[{"index": 0, "delta": {ANSWER: ANSWER}}])


def half_an_event(_: Sealed) -> bytes:
    return b"data: {" + ANSWER.encode() + b"\n\n"


SITUATIONS: list[Any] = [
    situation(lambda _: None, id="all is well"),
    situation(lambda enclave: setattr(enclave, "answer", bad(chunk(ANSWER))), id="an answer in clear"),
    situation(lambda enclave: setattr(enclave, "answer", bad(chunk(refusal=ANSWER))), id="a refusal in clear"),
    situation(lambda enclave: setattr(enclave, "answer", bad(unknown_field())), id="an unknown field"),
    situation(lambda enclave: setattr(enclave, "answer", bad(cut_short)), id="a bad envelope"),
    situation(lambda enclave: setattr(enclave, "answer", bad(APIConnectionError("reset"))), id="a reset"),
    situation(lambda enclave: setattr(enclave, "answer", bad(half_an_event)), id="an event that is no JSON"),
    situation(lambda enclave: setattr(enclave, "answer", bad(DONE)), id="no finish reason"),
    situation(lambda enclave: setattr(enclave, "answer", bad({"error": {"message": "busy"}})), id="an error in the stream"),
    situation(lambda enclave: setattr(enclave, "answer", bad(envelope(choices="x"))), id="odd choices"),
    situation(lambda enclave: setattr(enclave, "refusals", [refused("e2ee_model_key_mismatch")] * 2), id="a changed key"),
    situation(lambda enclave: setattr(enclave, "refusals", [answer({"error": "x"}, status=503)]), id="a retry"),
    situation(lambda enclave: setattr(enclave, "refusals", [answer({"error": "x"}, status=401)]), id="a refusal"),
    situation(lambda enclave: setattr(enclave, "attestation", denied), id="bad evidence"),
    situation(lambda enclave: setattr(enclave, "attestation", down), id="no evidence"),
]


@pytest.mark.parametrize("how", ["create", "stream"])
@pytest.mark.parametrize("change", SITUATIONS)
async def test_row_56_nothing_shows(change: Callable[[Enclave], None], how: str, log: Log) -> None:
    secret = bytes(range(1, 33))
    enclave = Enclave(text=ANSWER)
    enclave.answer = whole
    change(enclave)
    client = client_of(enclave, min_privacy="e2ee")
    shown = [repr(client), repr(client.tee), repr(client.chat.completions), repr(SERVER), repr(Key(secret))]

    shown += await outcome(client, how)

    shown += [log.text.getvalue(), *(f"{request!r} {request.url}" for request in enclave.requests)]
    everything = "\n".join(shown)
    for canary in (PROMPT, ANSWER, KEY, secret.hex(), str(int.from_bytes(secret, "big")), repr(secret)):
        assert canary not in everything


async def outcome(client: VeniceClient, how: str) -> list[str]:
    """All that can be seen of a call: its answer, or its error with its traceback, and both pickled."""
    shown: list[str] = []
    try:
        if how == "create":
            found = await created(client, **ASKING)
            shown += seen(found) + seen(found.choices[0].message)
        else:
            async with await streamed(client, **ASKING) as opened:
                shown += seen(opened) + seen(opened.attestation)
                async for each in opened:
                    shown += seen(each) + seen(each.choices)
                shown += seen(opened) + seen(opened.partial)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not tell
        shown += seen(error) + seen(vars(error)) + traceback.format_exception(error)
        with contextlib.suppress(TypeError):
            shown.append(pickle.dumps(error).decode("latin-1"))
        report = getattr(error, "report", None)
        shown += [] if report is None else [*seen(report), report.to_json(), report.summary()]
    return shown


def seen(value: Any) -> list[str]:
    return [repr(value), str(value), f"{value!a}", repr([value])]


async def test_a_pickled_answer_holds_no_key() -> None:
    enclave = Enclave(text=ANSWER)
    secret = bytes(range(1, 33))
    found = await created(client_of(enclave), **ASKING)

    pickled = pickle.dumps(found)

    assert KEY.encode() not in pickled
    assert PROMPT.encode() not in pickled
    assert secret not in pickled
    assert pickle.loads(pickled).text == found.text
