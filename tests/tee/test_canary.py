"""No log, error, `repr`, trace or pickle of an encrypted chat shows its prompt, its answer or a key."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import pickle
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from venice_ai import APIConnectionError, AssistantMessage, InvalidRequestError, OutputInvalidError, VeniceClient
from venice_ai.exceptions import TeeEncryptionError
from venice_ai.tee.curve import KINDS
from venice_ai.transport import Request

from ..fakes import DONE, KEY, ScriptedReply, answer
from .enclave import CLIENT_KEY, MODEL, SERVER, Enclave, Sealed, chunk, client_of, created, envelope, refused, streamed, whole

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
    situation(lambda enclave: setattr(enclave, "answer", bad(half_an_event)), id="an event that is not JSON"),
    situation(lambda enclave: setattr(enclave, "answer", bad(DONE)), id="no finish reason"),
    situation(lambda enclave: setattr(enclave, "answer", bad({"error": {"message": "busy"}})), id="an error in the stream"),
    situation(lambda enclave: setattr(enclave, "answer", bad(envelope(choices="x"))), id="odd choices"),
    situation(lambda enclave: setattr(enclave, "refusals", [refused("e2ee_model_key_mismatch")] * 2), id="a changed key"),
    situation(lambda enclave: setattr(enclave, "refusals", [answer({"error": "x"}, status=503)]), id="a retry"),
    situation(lambda enclave: setattr(enclave, "refusals", [answer({"error": "x"}, status=401)]), id="a refusal"),
    situation(lambda enclave: setattr(enclave, "attestation", denied), id="bad evidence"),
    situation(lambda enclave: setattr(enclave, "attestation", down), id="no evidence"),
]


WAYS = ["create", "stream", "text_deltas", "parse", "parse, asked again", "stream_parse", "batch"]


class Keys:
    """The private keys of every request that is under way, found in memory: nothing else knows them."""

    def __init__(self, enclave: Enclave) -> None:
        gc.freeze()  # what is older holds no key that is still to be made, and need not be searched
        self._send = enclave.send
        self.found: list[bytes] = []
        enclave.send = self._watched  # type: ignore[method-assign]

    async def _watched(self, request: Request) -> ScriptedReply:
        if (public := request.headers.get(CLIENT_KEY)) is not None:
            keys = [each for each in gc.get_objects() if isinstance(each, KINDS) and each.public_key.hex() == public]
            assert keys, "the key of the request is somewhere"
            self.found += map(secret_of, keys)
        return await self._send(request)


def secret_of(key: Any) -> bytes:
    if hasattr(key, "_secret"):
        return bytes(key._secret)
    return int(key._key.private_numbers().private_value).to_bytes(32, "big")


_HALF = f'{{"word": "{ANSWER}",'
MISFIT = _HALF + f'"{ANSWER}": 1}}'.ljust(len(_HALF))  # the emulated server puts a line break in the middle
"""JSON that does not fit, in its values and in its names."""


class Found(BaseModel, extra="forbid"):
    """What an answer in words does not fit."""

    word: int


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("change", SITUATIONS)
@pytest.mark.attack(56)
async def test_no_log_repr_warning_or_error_shows_prompt_answer_or_key(
    change: Callable[[Enclave], None], how: str, log: Log
) -> None:
    enclave = Enclave(text=MISFIT, quoted=True)
    enclave.answer = whole
    change(enclave)
    keys = Keys(enclave)
    client = client_of(enclave, min_privacy="e2ee")
    shown = [repr(client), repr(client.tee), repr(client.chat.completions), repr(SERVER)]

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        shown += await outcome(client, how)

    shown += [log.text.getvalue(), *(f"{request!r} {request.url}" for request in enclave.requests), *map(repr, warned)]
    everything = "\n".join(shown)
    assert len(everything) > 1_000
    for canary in (PROMPT, ANSWER, KEY):
        assert canary not in everything
    assert bool(keys.found) == bool(enclave.chats)
    for secret in keys.found:
        for form in (secret.hex(), str(int.from_bytes(secret, "big")), repr(secret), secret.decode("latin-1")):
            assert form not in everything


async def outcome(client: VeniceClient, how: str) -> list[str]:
    """All that can be seen of a call: its answer, or its error with its traceback, and both pickled."""
    shown: list[str] = []
    try:
        await asked(client, how, shown)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not tell
        # Where the answer is, in so many words, for who asks for it; `repr` does not.
        held = {name: value for name, value in vars(error).items() if name not in {"raw_text", "partial"}}
        shown += [*seen(error), *seen(held), *traceback.format_exception(error), *locals_of_ours(error)]
        with contextlib.suppress(TypeError):
            shown.append(pickle.dumps(error).decode("latin-1"))
            shown += seen(pickle.loads(pickle.dumps(error)))
        report = getattr(error, "report", None)
        shown += [] if report is None else [*seen(report), report.to_json(), report.summary()]
    return shown


async def asked(client: VeniceClient, how: str, shown: list[str]) -> None:
    chats = client.chat.completions
    params: dict[str, Any] = {"model": MODEL, **ASKING}
    match how:
        case "create":
            found = await created(client, **ASKING)
            shown += seen(found) + seen(found.choices[0].message) + seen(AssistantMessage.from_response(found))
        case "stream":
            async with await streamed(client, **ASKING) as opened:
                shown += seen(opened) + seen(opened.attestation)
                async for each in opened:
                    shown += seen(each) + seen(each.choices)
                shown += seen(opened) + seen(opened.partial)
        case "text_deltas":
            async with await streamed(client, **ASKING) as opened:
                async for _ in opened.text_deltas():
                    shown += seen(opened)
        case "parse":
            await chats.parse(**params, response_format=Found)
        case "parse, asked again":
            await chats.parse(**params, response_format=Found, max_reasks=1)
        case "stream_parse":
            async with await chats.stream_parse(**params, response_format=Found) as growing:
                async for _ in growing:
                    shown += seen(growing)
        case _:
            for result in await chats.batch([params]):
                shown += seen(result)
                if isinstance(result, Exception):
                    raise result


def locals_of_ours(error: BaseException) -> list[str]:
    """The local variables of this package's frames, which some trackers send along with a traceback."""
    found: traceback.TracebackException | None = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown: list[str] = []
    while found is not None:
        ours = (frame for frame in found.stack if "venice_ai" in frame.filename and "tests" not in frame.filename)
        shown += [f"{frame.name}: {frame.locals}" for frame in ours]
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return shown


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"stop": PROMPT}, id="what would leave in clear"),
        pytest.param({"messages": [{"role": "user", "content": PROMPT, "name": PROMPT}]}, id="a message"),
        pytest.param({"messages": [{"role": PROMPT, "content": PROMPT}]}, id="a role"),
        pytest.param({"messages": [{"role": "user", "content": PROMPT, PROMPT: PROMPT}]}, id="a key"),
        pytest.param({"model": "e2ee-another"}, id="another model"),
    ],
)
async def test_a_session_that_refuses_to_seal_shows_no_prompt(wrong: dict[str, Any]) -> None:
    session = await client_of(Enclave(quoted=True), min_privacy="e2ee").tee.open_session(model=MODEL)

    with pytest.raises(InvalidRequestError) as caught:
        session.seal({"model": MODEL, "messages": ASKING["messages"], **wrong})

    assert not any(PROMPT in text for text in (*seen(caught.value), *locals_of_ours(caught.value)))


def seen(value: Any) -> list[str]:
    return [repr(value), str(value), f"{value!a}", repr([value])]


async def test_an_object_that_was_parsed_shows_nothing() -> None:
    enclave = Enclave(text='{"word": 481516}')

    found = await client_of(enclave).chat.completions.parse(model=MODEL, **ASKING, response_format=Found)

    assert found.parsed.word == 481516
    assert "481516" not in repr(found)


async def test_an_error_of_an_encrypted_call_is_pickled_without_the_answer() -> None:
    enclave = Enclave(text='{"word":    "no number"}')

    with pytest.raises(ValidationError) as caught:
        await client_of(enclave).chat.completions.parse(model=MODEL, **ASKING, response_format=Found)

    error: Any = caught.value
    unpickled: Any = pickle.loads(pickle.dumps(error))
    assert "no number" in error.raw_text
    assert error.errors()[0]["input"] == "no number"
    assert (unpickled.raw_text, unpickled.partial, unpickled.response.text) == (None, None, None)
    assert (unpickled.total_usage, unpickled.response.id) == (error.total_usage, error.response.id)
    assert str(unpickled) == str(error)


class Picky(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def known(cls, word: str) -> str:
        return {"no": "answer"}[word]


async def test_a_validation_error_does_not_show_the_encrypted_answer() -> None:
    enclave = Enclave(text=f'{{"word": "{ANSWER}"}}')

    with pytest.raises(ValidationError) as caught:
        await client_of(enclave).chat.completions.parse(model=MODEL, **ASKING, response_format=Picky)

    assert caught.value.__cause__ is None
    shown = [*locals_of_ours(caught.value), "".join(traceback.format_exception(caught.value)), *seen(caught.value)]
    assert not any(ANSWER in text for text in shown)


async def test_a_call_that_fails_after_an_encrypted_answer_is_pickled_without_it() -> None:
    enclave = Enclave(text=f'{{"word": "{ANSWER}"}}')
    with pytest.raises(OutputInvalidError) as caught:
        await client_of(enclave).chat.completions.parse(model=MODEL, **ASKING, response_format=Found)

    for error in (APIConnectionError("gone"), TeeEncryptionError("odd")):
        error.attempts = caught.value.attempts
        unpickled = pickle.loads(pickle.dumps(error))
        assert [each.id for each in unpickled.attempts] == [each.id for each in error.attempts]
        assert ANSWER.encode() not in pickle.dumps(error)


async def test_a_pickled_answer_holds_no_key() -> None:
    enclave = Enclave(text=ANSWER)
    keys = Keys(enclave)
    found = await created(client_of(enclave), **ASKING)

    pickled = pickle.dumps(found)

    assert KEY.encode() not in pickled
    assert PROMPT.encode() not in pickled
    assert len(keys.found) == 1
    assert keys.found[0] not in pickled
    assert pickle.loads(pickled).text == found.text
