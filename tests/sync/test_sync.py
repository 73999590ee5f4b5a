"""The synchronous client: the same answers and the same errors, from any thread, without a word of `await`."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import gc
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pytest
from pydantic import BaseModel, ConfigDict

from venice_ai import (
    APIError,
    AuthenticationError,
    ChatCompletionChunk,
    ChatCompletionResponse,
    ChatRequest,
    FunctionTool,
    InvalidRequestError,
    NoMatchingModelError,
    NotFoundError,
    OutputError,
    StreamConsumedError,
    StreamInterruptedError,
    SyncChatStream,
    SyncStream,
    SyncVeniceClient,
    UserMessage,
    VeniceError,
)
from venice_ai.emulator import Emulator, echo, text, tool_call
from venice_ai.emulator.server import run_in_thread
from venice_ai.exceptions import TeeAttestationError
from venice_ai.transport import Request

from ..client.test_streams import INTERRUPTED, OVERLOADED, WHOLE
from ..fakes import (
    HANG,
    HI,
    KEY,
    Piece,
    RecordingClock,
    ScriptedReply,
    ScriptedTransport,
    answer,
    chunk,
    completion,
    event,
    hello,
    joined,
    stream,
)


def client_of(*replies: ScriptedReply | BaseException, **settings: Any) -> tuple[SyncVeniceClient, ScriptedTransport]:
    """A client that gets these replies, and the transport behind it."""
    transport = ScriptedTransport(*replies)
    chosen: dict[str, Any] = {"api_key": KEY, "clock": RecordingClock(), **settings}
    return SyncVeniceClient(transport=transport, **chosen), transport


def emulated(emulator: Emulator) -> SyncVeniceClient:
    return SyncVeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)


def ask(client: SyncVeniceClient, words: str = "hi") -> str | None:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": words}]).text


def opened(*pieces: Piece, **params: Any) -> SyncChatStream:
    return opened_on(stream(*pieces), **params)


def opened_on(reply: ScriptedReply, **params: Any) -> SyncChatStream:
    client, _ = client_of(reply, max_retries=0)
    return client.chat.completions.stream(model="m", messages=HI, **params)


def texts_and_error(texts: Iterable[Any]) -> tuple[list[Any], APIError | None]:
    """What an iterator gives until it ends or raises."""
    given: list[Any] = []
    try:
        for text_ in texts:
            given.append(text_)  # noqa: PERF402  # what came before an error counts
    except APIError as error:
        return given, error
    return given, None


# -- calls ---------------------------------------------------------------------------------------------------------------


def test_a_call_is_answered() -> None:
    client, transport = client_of(answer(completion()))

    reply = cast("Any", client.chat.completions).create(model="m", messages=HI, temperature=1, a_keyword_of_tomorrow=2)

    assert isinstance(reply, ChatCompletionResponse)
    assert reply.text == "hello"
    assert reply.meta.status_code == 200
    assert transport.bodies == [{"model": "m", "messages": HI, "temperature": 1, "a_keyword_of_tomorrow": 2}]


def test_errors_are_raised_in_the_calling_thread() -> None:
    client, transport = client_of(answer({"error": "no"}, status=401), max_retries=0)

    with pytest.raises(AuthenticationError):
        ask(client)
    with pytest.raises(InvalidRequestError, match="temperature"):
        client.chat.completions.create(model="m", messages=HI, temperature=7)
    with pytest.raises(InvalidRequestError, match="stream"):
        odd: Any = "yes"
        client.chat.completions.create(model="m", messages=HI, stream=odd)
    with pytest.raises(TypeError, match="max_completion_tokens"):
        cast("Any", client.chat.completions).create(model="m", messages=HI, max_tokens=5)
    assert len(transport.requests) == 1


def test_an_error_leaves_nothing_for_the_garbage_collector() -> None:
    def held() -> set[int]:
        return {id(thing) for thing in gc.get_objects() if isinstance(thing, InvalidRequestError)}

    client, _ = client_of()
    gc.collect()
    before = held()  # of other tests: aiohttp remembers the applications that it served, and so a gateway's client
    gc.disable()
    try:
        for _ in range(3):
            with pytest.raises(InvalidRequestError):
                client.chat.completions.create(model="m", messages=[])
        after = held()
    finally:
        gc.enable()

    assert after <= before


def test_every_method_of_the_models_answers() -> None:
    with emulated(Emulator()) as client:
        model = client.models.resolve_chat()

        assert client.models.retrieve(model).id == model
        assert client.models.find("default").id == model
        assert model in [entry.id for entry in client.models.list().data]
        assert client.models.traits().data["default"] == model
        assert client.models.compatibility_mapping().data
        assert client.models.resolve_chat(require_vision=True, prefer="cheapest") != model
        with pytest.raises(NotFoundError):
            client.models.retrieve("no-such-model")
        with pytest.raises(NoMatchingModelError):
            client.models.resolve_chat(min_context_tokens=10**12)


def test_costs_are_estimated_and_batches_are_run() -> None:
    emulator = Emulator()
    emulator.always(echo())
    with emulated(emulator) as client:
        assert client.chat.completions.estimate_cost(model=client.models.resolve_chat(), messages=HI).total_cost_usd > 0
        requests: list[ChatRequest] = [
            {"model": "default", "messages": [UserMessage(content=f"question {n}")]} for n in range(12)
        ]
        results = client.chat.completions.batch([*requests, {**requests[0], "temperature": 9}], max_concurrency=3)

    assert [each.text for each in results if isinstance(each, ChatCompletionResponse)] == [f"question {n}" for n in range(12)]
    assert isinstance(results[-1], InvalidRequestError)


def test_context_variables_of_the_caller_are_seen_by_what_runs_for_it() -> None:
    seen: list[str] = []
    who = contextvars.ContextVar("who", default="nobody")

    class Watching(ScriptedTransport):
        async def send(self, request: Request) -> ScriptedReply:
            seen.append(who.get())
            return await super().send(request)

    client = SyncVeniceClient(api_key=KEY, transport=Watching(answer(completion())))
    who.set("me")
    ask(client)

    assert seen == ["me"]


# -- clients -------------------------------------------------------------------------------------------------------------


def test_a_closed_client_says_so_and_can_be_entered_again() -> None:
    client, _ = client_of(answer(completion()), answer(completion()))
    with client:
        assert ask(client) == "hello"
    assert repr(client).endswith("closed>")
    with pytest.raises(VeniceError, match=r"closed; make a new one, or enter it again \(by `with` if it is synchronous\)"):
        ask(client)
    client.close()

    with client:
        assert ask(client) == "hello"


def test_a_client_that_was_closed_before_it_was_used_is_closed() -> None:
    client, transport = client_of(answer(completion()))
    client.close()

    with pytest.raises(VeniceError, match="closed"):
        ask(client)
    with client:
        assert ask(client) == "hello"
    assert transport.closed == 1


def test_clients_follow_each_other_and_share_a_thread() -> None:
    for _ in range(3):
        client, _ = client_of(answer(completion()))
        with client:
            assert ask(client) == "hello"

    assert [thread.name for thread in threading.enumerate()].count("venice-ai") == 1


def test_a_client_shows_itself_without_its_key_and_is_not_pickled() -> None:
    client, _ = client_of(base_url="https://venice.example/api/v1/")

    assert repr(client) == "<SyncVeniceClient of https://venice.example/api/v1 with a key>"
    assert client.base_url == "https://venice.example/api/v1"
    assert KEY not in repr(client) + repr(client.chat) + repr(client.chat.completions) + repr(client.models)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(client)
    with pytest.raises(InvalidRequestError, match="max_retries"):
        SyncVeniceClient(max_retries=-1)


def test_the_environment_is_read_when_the_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "from-the-environment")
    transport = ScriptedTransport(answer(completion()))
    client = SyncVeniceClient(transport=transport)
    monkeypatch.delenv("VENICE_API_KEY")

    ask(client)

    assert transport.attempts[0].headers["Authorization"] == "Bearer from-the-environment"


# -- threads and loops ---------------------------------------------------------------------------------------------------


async def test_a_call_works_while_an_event_loop_runs_in_the_same_thread() -> None:
    client, _ = client_of(answer(completion()), stream(*hello()))

    assert ask(client) == "hello"
    assert joined(client.chat.completions.stream(model="m", messages=HI).text_deltas()) == "hello"
    assert asyncio.get_running_loop().is_running()


def test_the_calling_thread_is_given_no_event_loop() -> None:
    async def current() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    client, _ = client_of(answer(completion()))
    ask(client)

    assert asyncio.run(current()).is_closed()


def test_sixteen_threads_call_and_stream_at_once() -> None:
    emulator = Emulator()
    emulator.always(echo())
    client = emulated(emulator)
    start = threading.Barrier(16)

    def work(number: int) -> list[str | None]:
        start.wait()
        texts: list[str | None] = []
        for turn in range(8):
            words = f"thread {number} turn {turn}"
            messages = [{"role": "user", "content": words}]
            texts.append(client.chat.completions.create(model="default", messages=messages).text)
            with client.chat.completions.stream(model="default", messages=messages) as read:
                texts.append(joined(read.text_deltas()))
        return texts

    with ThreadPoolExecutor(16) as pool, client:
        results = list(pool.map(work, range(16)))

    assert results == [[f"thread {n} turn {turn}" for turn in range(8) for _ in range(2)] for n in range(16)]


def test_one_stream_can_be_read_by_several_threads() -> None:
    pieces = [event(chunk(f"{number} ")) for number in range(2000)]
    read = opened(*pieces, event(chunk(finish="stop")))

    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(texts_of, [read] * 4))

    assert sorted(joined(joined(share) for share in shares).split()) == sorted(str(number) for number in range(2000))


def texts_of(read: SyncChatStream) -> list[str]:
    try:
        return [piece.text for piece in read]
    except StreamConsumedError:
        return []  # the others were faster


class Calling(ScriptedTransport):
    """Calls something on the loop's thread, as a hook of the caller's would be."""

    def __init__(self, hook: Callable[[], object], *replies: ScriptedReply) -> None:
        super().__init__(*replies)
        self.hook = hook

    async def send(self, request: Request) -> ScriptedReply:
        self.hook()
        return await super().send(request)


@pytest.mark.parametrize("how", ["create", "stream", "models"])
def test_a_call_on_the_loop_s_own_thread_is_an_error_that_says_why(how: str) -> None:
    other, _ = client_of()
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: ask(other),
        "stream": lambda: other.chat.completions.stream(model="m", messages=HI),
        "models": other.models.list,
    }
    client = SyncVeniceClient(api_key=KEY, transport=Calling(calls[how]))

    with pytest.raises(VeniceError, match="VeniceClient and await"):
        ask(client)
    gc.collect()  # a coroutine that nobody awaited would complain


def test_a_stream_read_on_the_loop_s_own_thread_is_an_error_and_goes_on_elsewhere() -> None:
    read = opened(event(chunk("hel")), *hello()[1:])
    assert next(read).text == "hel"

    def exhaust() -> None:
        for _ in read:
            pass

    client = SyncVeniceClient(api_key=KEY, transport=Calling(exhaust))
    with pytest.raises(VeniceError, match="VeniceClient and await"):
        ask(client)
    with pytest.raises(VeniceError, match="VeniceClient and await"):
        ask(SyncVeniceClient(api_key=KEY, transport=Calling(read.collect)))

    assert read.collect().text == "hello"


class Interrupted(ScriptedTransport):
    """Never answers, and tells when it was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.cancelled = threading.Event()

    async def send(self, request: Request) -> ScriptedReply:
        self.asked.set()
        try:
            await asyncio.Event().wait()
            raise AssertionError
        finally:
            await asyncio.sleep(0)
            self.cancelled.set()


@pytest.mark.parametrize("how", ["create", "stream", "batch"])
def test_an_interrupted_wait_cancels_the_request_before_raising(how: str) -> None:
    transport = Interrupted()
    client = SyncVeniceClient(api_key=KEY, transport=transport)
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: ask(client),
        "stream": lambda: client.chat.completions.stream(model="m", messages=HI),
        "batch": lambda: client.chat.completions.batch([{"model": "m", "messages": HI} for _ in range(3)]),
    }

    with pytest.raises(KeyboardInterrupt), interrupted_once(transport.asked):
        calls[how]()

    assert transport.cancelled.is_set()


@contextmanager
def interrupted_once(happened: threading.Event) -> Generator[None]:
    """Sends the main thread a SIGINT, as Ctrl-C does, once something has happened."""

    def send() -> None:
        happened.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_an_interruption_at_the_moment_of_the_answer_is_raised() -> None:
    client = SyncVeniceClient(
        api_key=KEY, transport=Calling(_thread.interrupt_main, answer(completion()), answer(completion()))
    )

    with pytest.raises(KeyboardInterrupt):
        ask(client)


def test_an_interruption_before_the_loop_came_to_a_call_is_raised() -> None:
    busy, free = threading.Event(), threading.Event()

    def hold_up() -> None:
        busy.set()
        free.wait(30)

    other = SyncVeniceClient(api_key=KEY, transport=Calling(hold_up, answer(completion())))
    client, transport = client_of(answer(completion()))
    thread = threading.Thread(target=ask, args=(other,))
    thread.start()
    busy.wait()
    waiting = threading.Event()
    threading.Timer(0.1, waiting.set).start()
    threading.Timer(0.3, free.set).start()

    with pytest.raises(KeyboardInterrupt), interrupted_once(waiting):
        ask(client)

    thread.join()
    assert not transport.requests
    assert ask(client) == "hello"


@pytest.mark.parametrize("how", ["iteration", "next", "text_deltas", "collect"])
def test_an_interruption_while_a_stream_is_read_closes_it(how: str) -> None:
    reply = stream(event(chunk("hel")), HANG)
    read = opened_on(reply)
    soon = threading.Event()
    ways: dict[str, Callable[[], object]] = {
        "iteration": lambda: list(read),
        "next": lambda: [next(read) for _ in range(2)],
        "text_deltas": lambda: list(read.text_deltas()),
        "collect": read.collect,
    }

    threading.Timer(0.2, soon.set).start()
    with pytest.raises(KeyboardInterrupt), interrupted_once(soon):
        ways[how]()

    assert reply.closed
    with pytest.raises(StreamInterruptedError) as caught:
        read.collect()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


# -- streams -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pieces", "finish"), WHOLE)
def test_a_stream_that_ended_is_whole(pieces: list[Piece], finish: str | None) -> None:
    reply = stream(*pieces)
    read = opened_on(reply)

    texts, error = texts_and_error(read.text_deltas())
    whole = read.collect()

    assert error is None
    assert joined(texts) == whole.text == read.partial.text == "hello"
    assert whole.choices[0].finish_reason == finish
    assert reply.closed


@pytest.mark.parametrize(("pieces", "came"), INTERRUPTED)
def test_a_broken_stream_raises_an_interruption_with_the_text_so_far(pieces: list[Piece], came: str | None) -> None:
    read = opened(*pieces)

    texts, error = texts_and_error(read.text_deltas())

    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert joined(texts).startswith(came or "")
    assert error.partial.text == came
    with pytest.raises(StreamInterruptedError):
        read.collect()
    with pytest.raises(StreamConsumedError):
        iter(read)


def test_an_error_in_the_stream_comes_after_the_chunks_before_it() -> None:
    read = opened(*hello()[:2], OVERLOADED)

    texts, error = texts_and_error(read.text_deltas())

    assert joined(texts) == "hello"
    assert error is not None
    assert error.code == "model_overloaded"
    with pytest.raises(StopIteration):
        next(read)


def test_all_ways_of_reading_agree() -> None:
    def read(how: Callable[[SyncChatStream], Any]) -> Any:
        return how(opened(*hello(usage=True)))

    assert read(lambda each: [piece.text for piece in each]) == ["hel", "lo", ""]
    assert read(lambda each: [next(each).text, *(piece.text for piece in each)]) == ["hel", "lo", ""]
    assert read(lambda each: list(each.text_deltas())) == ["hel", "lo"]
    assert read(lambda each: each.collect().text) == "hello"
    client, _ = client_of(stream(*hello()))
    created = client.chat.completions.create(model="m", messages=HI, stream=True)
    assert isinstance(created, SyncChatStream)
    assert [piece.text for piece in created] == ["hel", "lo", ""]


@pytest.mark.parametrize("read_before", [0, 1, 2, 3])
def test_collect_after_partial_reading_gives_the_whole(read_before: int) -> None:
    with opened(*hello(usage=True)) as read:
        for _ in range(read_before):
            next(read)

        assert read.collect().text == "hello"
        assert read.collect() == read.collect()
        assert read.usage is not None
        assert read.usage.total_tokens == 15
        assert read.meta.status_code == 200


def test_reading_goes_on_where_an_earlier_loop_was_left() -> None:
    read = opened(*hello())
    for piece in read:
        assert piece.text == "hel"
        break

    assert [piece.text for piece in read] == ["lo", ""]
    with pytest.raises(StreamConsumedError):
        iter(read)
    with pytest.raises(StopIteration):
        next(read)


def test_a_closed_stream_cannot_be_read_nor_collected() -> None:
    reply = stream(*hello()[:1], HANG)
    read = opened_on(reply)
    with read:
        assert next(read).text == "hel"
        reading = iter(read)
    read.close()

    assert reply.closed
    assert list(reading) == []
    with pytest.raises(StreamConsumedError):
        iter(read)
    with pytest.raises(StreamInterruptedError) as caught:
        read.collect()
    assert caught.value.partial == read.partial


def test_a_whole_stream_that_was_read_ahead_but_left_is_not_taken_for_a_whole_one() -> None:
    read = opened(*hello())
    next(read)
    read.close()

    with pytest.raises(StreamInterruptedError):
        read.collect()


def test_closing_wakes_a_thread_that_reads() -> None:
    read = opened(event(chunk("hel")), HANG)
    errors: list[Exception | None] = []
    reader = threading.Thread(target=lambda: errors.append(texts_and_error(read.text_deltas())[1]))
    reader.start()
    next(iter(lambda: read.partial.text, None))

    read.close()
    reader.join()

    (error,) = errors
    assert error is None or isinstance(error, StreamInterruptedError)


def test_a_slow_reader_is_not_flooded() -> None:
    reply = stream(*[event(chunk("x")) for _ in range(5000)], event(chunk(finish="stop")))
    read = opened_on(reply)

    next(read)
    given: list[int] = []
    for _ in range(20):
        assert read.partial is not None  # a trip to the loop and back
        given.append(reply.given)

    assert given[-1] == given[10] < 600
    assert len(list(read)) == 5000
    assert reply.closed


def test_a_stream_that_is_dropped_unread_closes_its_connection_and_warns() -> None:
    reply = stream(event(chunk("hel")), HANG)
    read = opened_on(reply)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del read
        gc.collect()
    ask(client_of(answer(completion()))[0])  # a trip to the loop and back

    assert [warning.category for warning in warned] == [ResourceWarning]
    assert reply.closed


def test_a_loop_that_is_left_closes_its_connection_and_warns() -> None:
    reply = stream(event(chunk("hel")), HANG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in opened_on(reply):
            break
        gc.collect()
    ask(client_of(answer(completion()))[0])

    assert [warning.category for warning in warned] == [ResourceWarning]
    assert reply.closed


def test_a_garbage_collected_client_stays_open_while_its_stream_is_read() -> None:
    client, transport = client_of(stream(*hello()))
    texts = client.chat.completions.stream(model="m", messages=HI).text_deltas()
    first = next(iter(texts))
    del client
    gc.collect()
    ask(client_of(answer(completion()))[0])  # a trip to the loop and back

    assert transport.closed == 0
    assert first + joined(texts) == "hello"

    del texts
    gc.collect()
    ask(client_of(answer(completion()))[0])
    assert transport.closed == 1


def test_closing_the_client_wakes_a_thread_that_reads_and_says_why() -> None:
    emulator = Emulator()
    emulator.script(text("hello", deltas=["hel", "lo"], stall_after=2))
    with run_in_thread(emulator) as server, SyncVeniceClient(api_key="any", base_url=server.url) as client:
        read = client.chat.completions.stream(model="m", messages=HI)
        closing = threading.Timer(0.2, client.close)
        closing.start()
        texts, error = texts_and_error(read.text_deltas())
        closing.join()

    assert joined(texts) == "hel"
    assert isinstance(error, StreamInterruptedError)
    assert "the client was closed" in str(error)


def test_a_stream_that_was_read_or_closed_is_dropped_without_a_warning() -> None:
    ways: list[Callable[[SyncChatStream], object]] = [
        list,
        SyncChatStream.collect,
        SyncChatStream.close,
        lambda read: joined(read.text_deltas()),
    ]
    for how in ways:
        read = opened(*hello())
        how(read)
        del read
        gc.collect()


def test_a_chat_stream_reads_a_reply_and_nothing_else() -> None:
    with pytest.raises(TypeError, match=r"client\.chat\.completions\.stream"):
        SyncChatStream(iter([]))
    with pytest.raises(LookupError):
        _ = SyncStream(iter([1])).meta

    with SyncStream(iter([1, 2])) as read:
        assert next(read) == 1
        assert list(read) == [2]


# -- a stream of one's own -----------------------------------------------------------------------------------------------


class Unrelated:
    """No relative of ours, but it can be called as we call."""

    def __init__(self, iterator: Iterator[ChatCompletionChunk], *, client: SyncVeniceClient) -> None:
        self.texts = (piece.text.upper() for piece in iterator)
        self.client = client


class Shouting(SyncChatStream):
    """A chat stream of the caller's own."""

    def shout(self) -> str:
        return joined(self.text_deltas()).upper()


class Fields(BaseModel):
    """Made of a chunk's fields."""

    model_config = ConfigDict(extra="allow")
    id: str


def created(stream_cls: Any, *pieces: Piece) -> Any:
    client, transport = client_of(stream(*pieces))
    made: Any = client.chat.completions.create(model="m", messages=HI, stream=True, stream_cls=stream_cls)
    assert len(transport.requests) == 1
    return made


def test_a_stream_class_is_given_an_iterator_and_the_client() -> None:
    made = created(Unrelated, *hello())
    assert list(made.texts) == ["HEL", "LO", ""]
    assert isinstance(made.client, SyncVeniceClient)
    assert created(Shouting, *hello()).shout() == "HELLO"


def test_a_chunk_class_is_given_the_fields() -> None:
    read = created(Fields, *hello())

    assert next(read).id == "chatcmpl-1"
    assert [type(piece) for piece in read] == [Fields, Fields]
    assert read.meta.status_code == 200


@pytest.mark.parametrize("stream_cls", [7, int, dict.fromkeys, lambda: None])
def test_an_unusable_stream_cls_is_a_type_error_before_anything_is_sent(stream_cls: Any) -> None:
    client, transport = client_of()

    with pytest.raises(TypeError, match="stream_cls"):
        client.chat.completions.create(model="m", messages=HI, stream=True, stream_cls=stream_cls)
    assert transport.requests == []


def test_a_stream_class_that_fails_leaves_no_connection_open() -> None:
    def fail(*_: Any, **_more: Any) -> None:
        raise ZeroDivisionError

    reply = stream(event(chunk("hel")), HANG)
    client, _ = client_of(reply)

    with pytest.raises(ZeroDivisionError):
        client.chat.completions.create(model="m", messages=HI, stream=True, stream_cls=fail)
    assert reply.closed


# -- tools ---------------------------------------------------------------------------------------------------------------


def test_tools_are_run_and_may_call_the_client_themselves() -> None:
    emulator = Emulator()
    emulator.script(tool_call("look_up", {"word": "gondola"}), text("a boat"), text("It is a boat."))
    client = emulated(emulator)

    def look_up(word: str) -> str | None:
        return client.chat.completions.create(model="default", messages=[{"role": "user", "content": word}]).text

    result = client.chat.completions.run_with_tools(model="default", messages=HI, tools=[look_up])

    assert result.response.text == "It is a boat."
    assert [message["content"] for message in result.messages if message["role"] == "tool"] == ["a boat"]


@pytest.mark.parametrize("error", [SystemExit(2), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("kind", ["synchronous", "asynchronous"])
def test_a_tool_that_ends_the_program_ends_the_call_and_not_the_loop_of_all_clients(kind: str, error: BaseException) -> None:
    def leave() -> None:
        raise error

    async def leave_later() -> None:
        raise error

    emulator = Emulator()
    emulator.script(tool_call("leave", {}), text("hello"))
    client, other = emulated(emulator), client_of(answer(completion()))[0]
    tool = leave if kind == "synchronous" else FunctionTool(leave_later, name="leave")

    with pytest.raises(type(error)) as caught:
        client.chat.completions.run_with_tools(model="default", messages=HI, tools=[tool])

    assert caught.value is error
    assert ask(other) == "hello"
    assert client.chat.completions.create(model="default", messages=HI).text == "hello"


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_may_name_classes_that_only_the_caller_sees(streamed: bool) -> None:
    class Word(BaseModel):
        text: str

    def spell(word: Word) -> str:
        return "-".join(word.text)

    emulator = Emulator()
    emulator.script(tool_call("spell", {"word": {"text": "mare"}}), text("done"))
    completions = emulated(emulator).chat.completions
    if streamed:
        with completions.stream_with_tools(model="default", messages=HI, tools=[spell]) as events:
            result = events.collect()
    else:
        result = completions.run_with_tools(model="default", messages=HI, tools=[spell])

    assert [message["content"] for message in result.messages if message["role"] == "tool"] == ["m-a-r-e"]


def test_a_hook_on_the_loop_s_thread_that_calls_the_client_is_an_error_and_no_deadlock() -> None:
    emulator = Emulator()
    emulator.script(tool_call("now", {}), text("done"))
    client = emulated(emulator)

    def now() -> str:
        return "noon"

    async def hook(*_: object) -> None:
        ask(client)

    with pytest.raises(VeniceError, match="VeniceClient and await"):
        client.chat.completions.run_with_tools(model="default", messages=HI, tools=[now], on_tool_call=hook)


def test_the_events_of_a_tool_loop_come_one_by_one() -> None:
    emulator = Emulator()
    emulator.script(tool_call("add", {"a": 1, "b": 2}), text("3"))
    ran: list[int] = []

    def add(a: int, b: int) -> int:
        ran.append(a + b)
        return a + b

    with emulated(emulator).chat.completions.stream_with_tools(model="default", messages=HI, tools=[add]) as events:
        kinds: list[str] = []
        for happened in events:
            kinds.append(type(happened).__name__)
            if kinds[-1] == "ToolCallStarted":
                assert ran == [], "the loop goes on as its events are read"
        result = events.collect()

    assert ran == [3]
    assert [name for name in kinds if name != "TextDelta"] == [
        "ToolCallStarted",
        "ToolCallFinished",
        "RoundFinished",
        "RoundFinished",
        "ToolLoopResult",
    ]
    assert result.response.text == "3"


def test_a_tool_loop_that_is_left_is_stopped() -> None:
    emulator = Emulator()
    emulator.script(tool_call("add", {"a": 1, "b": 2}), text("3"))
    ran: list[int] = []

    def add(a: int, b: int) -> int:
        ran.append(a + b)
        return a + b

    with emulated(emulator).chat.completions.stream_with_tools(model="default", messages=HI, tools=[add]) as events:
        while type(next(events)).__name__ != "ToolCallStarted":
            pass
    assert ran == []
    with pytest.raises(VeniceError, match="stopped"):
        events.collect()


# -- objects -------------------------------------------------------------------------------------------------------------


class Recipe(BaseModel):
    """What is asked for."""

    title: str
    steps: list[str]


RECIPE = ['{"title": "Ri', 'si", "steps": ["boil', '", "stir"]}']


def test_an_answer_is_parsed() -> None:
    client, transport = client_of(answer(completion("".join(RECIPE))))

    result = client.chat.completions.parse(model="m", messages=HI, response_format=Recipe, temperature=0)

    assert result.parsed == Recipe(title="Risi", steps=["boil", "stir"])
    assert transport.bodies[0]["response_format"]["json_schema"]["name"] == "Recipe"


def parsing(*texts: str) -> Any:
    client, _ = client_of(stream(*[event(chunk(each)) for each in texts], *hello()[2:]))
    return client.chat.completions.stream_parse(model="m", messages=HI, response_format=Recipe)


def test_an_object_is_shown_while_it_is_written() -> None:
    with parsing(*RECIPE) as read:
        shown = list(read)
        result = read.collect()

    assert [recipe.title for recipe in shown] == ["Ri", "Risi", "Risi", "Risi"]
    assert shown[-1] == result.parsed == read.partial == Recipe(title="Risi", steps=["boil", "stir"])
    with pytest.raises(StopIteration):
        next(read)
    with pytest.raises(StreamConsumedError):
        iter(read)


def test_an_object_is_collected_after_part_of_it_was_read() -> None:
    with parsing(*RECIPE) as read:
        assert next(read).title == "Ri"
        assert read.stream.meta.status_code == 200

        assert read.collect().parsed.title == "Risi"


def test_an_answer_that_is_no_such_object_is_an_error_in_its_place() -> None:
    read = parsing("no JSON")

    with pytest.raises(OutputError):
        list(read)


def test_an_object_that_is_left_closes_its_connection() -> None:
    reply = stream(event(chunk(RECIPE[0])), HANG)
    client, _ = client_of(reply)
    with client.chat.completions.stream_parse(model="m", messages=HI, response_format=Recipe) as read:
        assert next(read).title == "Ri"

    assert reply.closed
    with pytest.raises(StreamInterruptedError):
        read.collect()


# -- enclaves ------------------------------------------------------------------------------------------------------------


def test_the_synchronous_client_fetches_attestations_and_signatures() -> None:
    pytest.importorskip("cryptography", reason="the extra 'e2ee' is not installed")
    client, transport = client_of(
        answer({"nonce": "0" * 64}), answer({"signature": "0x"}), answer({}), answer(completion()), stream(*hello())
    )

    assert client.tee.get_attestation(model="e2ee-m", nonce="0" * 64).nonce == "0" * 64
    assert client.tee.get_signature(model="e2ee-m", request_id="chatcmpl-1").signature == "0x"
    with pytest.raises(TeeAttestationError):
        client.tee.attest("e2ee-m")
    reply = client.chat.completions.create(model="m", messages=HI)
    with client.chat.completions.stream(model="m", messages=HI) as read:
        for unsealed in (reply, read):
            with pytest.raises(InvalidRequestError, match="end-to-end"):
                client.tee.verify_signature(unsealed)
        assert (read.attestation, read.signature) == (None, None)
    assert [request.method for request in transport.requests] == ["GET", "GET", "GET", "POST", "POST"]


def test_min_privacy_holds_in_the_synchronous_client() -> None:
    client, transport = client_of(min_privacy="e2ee")

    with pytest.raises(InvalidRequestError, match="min_privacy"):
        ask(client)
    assert (client.min_privacy, client.tee_options) == ("e2ee", None)
    assert transport.requests == []
