"""The faults, as data."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable

from benchmarks.faults.fault import Fault, Right
from benchmarks.faults.serving import REDIRECT
from benchmarks.faults.wire import (
    ANSWER,
    CONTENT,
    DONE,
    FIRST,
    HALF_ZIPPED,
    JSON,
    ONE,
    PIECES,
    PLAIN,
    ROLE,
    SSE,
    STOP,
    STREAM,
    TEXT,
    THREE,
    TWO,
    USAGE,
    USED,
    WHOLE,
    called,
    chunk,
    completion,
    event,
    refused,
    says,
    sized,
    tool,
    until_closed,
    zipped,
)
from tests.scripted_server import ABORT, CLOSE, FAREWELL, SILENCE, Step, head, reply, streamed

OK = Right(text=TEXT)
CUT = Right(ends="error", text=FIRST)
NOTHING = Right(ends="error", requests=4)
"""No answer has begun: asking again loses nothing."""
ATTEMPTS = 4
HELLO = streamed(ROLE + ONE, end=False)
OPEN = head("200 OK", {**SSE, "Transfer-Encoding": "chunked"})


def stream(
    name: str,
    group: str,
    does: str,
    steps: list[Step],
    right: Right = OK,
    *,
    retries: int | None = None,
    parse: bool = True,
    alone: bool = False,
) -> Fault:
    return Fault(
        name=name,
        group=group,
        does=does,
        kinds=("stream",),
        replies=[steps],
        right=right,
        retries=retries,
        parse=parse,
        alone=alone,
    )


def plain(
    name: str,
    group: str,
    does: str,
    *replies: list[Step],
    right: Right = OK,
    retries: int | None = None,
    calls: int = 1,
    pause: float = 0.0,
) -> Fault:
    return Fault(
        name=name,
        group=group,
        does=does,
        kinds=("plain",),
        replies=replies,
        right=right,
        retries=retries,
        calls=calls,
        pause=pause,
    )


def framed(raw: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(raw), raw)


def paused(pieces: Iterable[bytes], pause: float) -> list[Step]:
    """Each piece in a packet of its own."""
    steps: list[Step] = []
    for piece in pieces:
        steps += [piece, pause]
    return steps


def bit_by_bit(raw: bytes, pause: float) -> list[Step]:
    return paused((raw[at : at + 1] for at in range(len(raw))), pause)


def choice_1(delta: dict[str, str]) -> bytes:
    """A chunk of the second of two choices."""
    made = chunk(delta)
    made["choices"][0]["index"] = 1
    return event(made)


def bomb() -> bytes:
    """A gigabyte of blanks and no JSON, zipped in members of 16 MB."""
    return gzip.compress(b" " * 2**24) * 64


EARLY = "Streams that end early"
ends_early = [
    stream("cut before the head", EARLY, "The connection is closed before a byte of the reply.", [CLOSE], NOTHING),
    stream("cut in the head", EARLY, "It is closed inside the reply's head.", [OPEN[:40], CLOSE], NOTHING),
    stream("cut after the head", EARLY, "It is closed after the head.", [OPEN, CLOSE], NOTHING),
    stream(
        "cut inside an event",
        EARLY,
        "It is closed inside the second event of text.",
        [*streamed(ROLE + ONE + TWO[:30], end=False), CLOSE],
        CUT,
    ),
    stream(
        "cut inside a chunk",
        EARLY,
        "It is closed inside a chunk of HTTP's.",
        [OPEN + framed(ROLE + ONE) + b"400\r\n" + TWO, CLOSE],
        Right(ends="error", text=PIECES[0] + PIECES[1]),
    ),
    stream("reset in the middle", EARLY, "It is reset after the first text.", [*HELLO, 0.2, ABORT], CUT),
    stream("clean end in the middle", EARLY, "HTTP's last chunk comes after the first text.", streamed(ROLE + ONE), CUT),
    stream(
        "close-delimited end in the middle",
        EARLY,
        "A reply without a length ends after the first text.",
        [until_closed(ROLE + ONE), CLOSE],
        CUT,
    ),
    stream(
        "end of gzip in the middle",
        EARLY,
        "The gzip stream and the reply end as they should, after the first text.",
        zipped(HALF_ZIPPED),
        CUT,
    ),
    stream("no DONE", EARLY, "The reply ends after the finish reason, without [DONE].", streamed(CONTENT + STOP)),
    stream(
        "no DONE, reset",
        EARLY,
        "The connection is reset after the finish reason.",
        [*streamed(CONTENT + STOP, end=False), 0.2, ABORT],
    ),
    stream(
        "DONE without a finish reason",
        EARLY,
        "All text and [DONE] come, but no finish reason.",
        streamed(CONTENT + DONE),
        Right(ends="either", text=TEXT, finish=None),
    ),
    stream("DONE at once", EARLY, "[DONE] is all that comes.", streamed(DONE), NOTHING),
    stream(
        "cut at the length",
        EARLY,
        "The server ends the answer with the finish reason `length`.",
        streamed(ROLE + ONE + event(chunk(finish="length")) + DONE),
        Right(text=FIRST, finish="length"),
        parse=False,
    ),
    Fault(
        name="tool call cut",
        group=EARLY,
        does="The reply ends inside the arguments of a tool call.",
        kinds=("tools",),
        replies=[called(tool(), tool(id=None, name=None, arguments='{"at": "Ri'), finish=None)],
        right=Right(ends="error"),
    ),
    stream("reset in the head", EARLY, "The connection is reset inside the reply's head.", [OPEN[:40], 0.05, ABORT], NOTHING),
    stream(
        "reset inside a chunk", EARLY, "It is reset inside one of HTTP's chunks.", [*HELLO, framed(TWO)[:30], 0.05, ABORT], CUT
    ),
    stream(
        "one of two choices is unfinished",
        EARLY,
        "Two choices come in turn; one has a finish reason, the other has none; then [DONE].",
        streamed(ROLE + ONE + choice_1({"content": ""}) + STOP + DONE),
        Right(ends="error", text=FIRST),
        parse=False,
    ),
]

TIME = "Time"
LATE = Right(ends="error", seconds=8)
for_long = [
    stream(
        "comments only",
        TIME,
        "After the first text, comments come twice a second, for ever.",
        [*HELLO, *paused([framed(b": wait\n\n")] * 60, 0.5)],
        Right(ends="error", text=FIRST, seconds=8),
        retries=0,
    ),
    stream(
        "a token each second",
        TIME,
        "A healthy answer takes eight seconds, and is never still for more than one.",
        [
            *streamed(ROLE, end=False),
            *paused((framed(says(each)) for each in ('{"city": ', '"Ven', "ézia", ' 🚤"', ', "bo', 'ats"', ": 1", "2}")), 1.0),
            framed(STOP + DONE),
            b"0\r\n\r\n",
        ],
        Right(text=TEXT, seconds=14),
        retries=0,
    ),
    stream(
        "stall in the middle",
        TIME,
        "Nothing comes after the first text; the connection stays open.",
        [*HELLO, SILENCE],
        Right(ends="error", text=FIRST, seconds=8),
        retries=0,
    ),
    stream("stall after the head", TIME, "Nothing comes after the head.", [OPEN, SILENCE], LATE, retries=0),
    stream(
        "DONE and then open",
        TIME,
        "The connection stays open after [DONE].",
        [*streamed(WHOLE, end=False), SILENCE],
        Right(text=TEXT, seconds=8),
        retries=0,
    ),
    stream(
        "finish reason and then open",
        TIME,
        "The connection stays open after the finish reason, without [DONE].",
        [*streamed(CONTENT + STOP, end=False), SILENCE],
        Right(text=TEXT, seconds=8),
        retries=0,
    ),
    Fault(
        name="no answer",
        group=TIME,
        does="Nothing comes at all.",
        kinds=("stream", "plain"),
        replies=[[SILENCE]],
        right=LATE,
        retries=0,
    ),
    plain(
        "slow head",
        TIME,
        "A byte of the head comes each half second.",
        bit_by_bit(sized(len(ANSWER)), 0.5),
        right=LATE,
        retries=0,
    ),
    plain(
        "slow body",
        TIME,
        "A byte of the body comes each half second.",
        [sized(len(ANSWER), b""), *bit_by_bit(ANSWER, 0.5)],
        right=LATE,
        retries=0,
    ),
    plain(
        "stall in the body",
        TIME,
        "Half of the body comes, then nothing.",
        [sized(len(ANSWER), ANSWER[:90]), SILENCE],
        right=LATE,
        retries=0,
    ),
    Fault(
        name="a backlog that nobody takes from",
        group=TIME,
        does="The system takes no more connections for the port, and does not say so.",
        kinds=("plain",),
        right=Right(ends="error", requests=0),
        retries=0,
        place="backlog",
    ),
]

EVENTS = "Framing of events"
events = [
    stream(
        "malformed JSON",
        EVENTS,
        "The second event of text is half a JSON object; the stream ends as it should.",
        streamed(ROLE + ONE + event('{"choices": [{"delta"') + STOP + DONE),
        Right(ends="error", text=FIRST),
    ),
    stream(
        "HTML in an event",
        EVENTS,
        "An event in the middle is a page of HTML.",
        streamed(ROLE + ONE + event("<html><body>502 Bad Gateway</body></html>") + DONE),
        CUT,
    ),
    stream(
        "data: null",
        EVENTS,
        "An event in the middle is `null`.",
        streamed(ROLE + ONE + event("null") + TWO + THREE + STOP + DONE),
    ),
    stream(
        "empty data",
        EVENTS,
        "An event in the middle has empty data.",
        streamed(ROLE + ONE + b"data:\n\ndata: \n\n" + TWO + THREE + STOP + DONE),
    ),
    stream(
        "JSON in place of a stream",
        EVENTS,
        "A whole answer in JSON comes, as if no stream had been asked for.",
        PLAIN,
        Right(ends="either", text=TEXT),
    ),
    stream(
        "HTML in place of a stream",
        EVENTS,
        "A page of HTML comes with the status 200.",
        reply(b"<html><title>Sign in</title></html>", headers={"Content-Type": "text/html"}),
        NOTHING,
    ),
    stream(
        "an error in place of a stream",
        EVENTS,
        "An error in JSON comes with the status 200.",
        reply({"error": {"message": "no such model", "code": "MODEL_NOT_FOUND"}}),
        NOTHING,
    ),
    stream("nothing in place of a stream", EVENTS, "The body is empty.", reply(b"", headers=SSE), NOTHING),
    stream(
        "labelled as JSON",
        EVENTS,
        "The stream is whole; its content type is JSON's.",
        [head("200 OK", {**JSON, "Transfer-Encoding": "chunked"}), framed(WHOLE), b"0\r\n\r\n"],
    ),
    stream("CR ends lines", EVENTS, "Each line ends with CR alone.", streamed(WHOLE.replace(b"\n", b"\r"))),
    stream("CRLF ends lines", EVENTS, "Each line ends with CRLF.", streamed(WHOLE.replace(b"\n", b"\r\n"))),
    stream(
        "CRLF cut in two",
        EVENTS,
        "The packets end between CR and LF.",
        streamed(*paused((each + b"\r" for each in WHOLE.replace(b"\n", b"\r\n").split(b"\r")), 0.01)),
    ),
    stream("byte order mark", EVENTS, "The stream begins with a byte order mark.", streamed(b"\xef\xbb\xbf" + WHOLE)),
    stream("no blank after the colon", EVENTS, "`data:{...}` without the blank.", streamed(WHOLE.replace(b"data: ", b"data:"))),
    stream(
        "several data lines",
        EVENTS,
        "The JSON of an event stands on two lines of data.",
        streamed(WHOLE.replace(b', "choices"', b',\ndata: "choices"')),
    ),
    stream(
        "retry and id",
        EVENTS,
        "Events have `retry:`, `id:` and comments.",
        streamed(b": hi\nretry: 10\n\n" + WHOLE.replace(b"data: {", b"id: 7\ndata: {")),
    ),
    stream(
        "other types of events",
        EVENTS,
        "Pings with data come between the chunks.",
        streamed(ROLE + ONE + b'event: ping\ndata: {"type": "ping"}\n\n' + TWO + THREE + STOP + DONE),
    ),
    stream("no last blank line", EVENTS, "The stream ends right behind `data: [DONE]`.", streamed(WHOLE.rstrip())),
    stream(
        "a byte a packet",
        EVENTS,
        "Each byte comes in a chunk and a packet of its own, so that characters are cut.",
        streamed(*bit_by_bit(WHOLE, 0.0)),
    ),
    stream(
        "8 MB in one event",
        EVENTS,
        "One event holds eight million characters.",
        streamed(ROLE + says("x" * 8_000_000) + STOP + DONE),
        Right(text="x" * 8_000_000, seconds=20),
        parse=False,
        alone=True,
    ),
    stream("text after DONE", EVENTS, "Another event with text follows [DONE].", streamed(WHOLE + says(" and more"))),
]

HTTP = "Framing of HTTP"
TRAILER = Right(ends="either", text=TEXT)
OTHER = json.dumps(completion('{"city": "Rome", "boats": 0}')).encode()
TWO_REPLIES = sized(len(ANSWER)) + sized(len(OTHER), OTHER)
http = [
    plain("length too short", HTTP, "Content-Length is less than the body.", [sized(len(ANSWER) - 40), CLOSE], right=NOTHING),
    plain(
        "length too long",
        HTTP,
        "The body is cut before Content-Length, and the connection closed.",
        [sized(len(ANSWER), ANSWER[:-40]), CLOSE],
        right=NOTHING,
    ),
    plain(
        "length twice the same",
        HTTP,
        "Content-Length comes twice, with the same value.",
        [sized(len(ANSWER), ANSWER, f"Content-Length: {len(ANSWER)}")],
        right=TRAILER,
    ),
    plain(
        "length twice, different",
        HTTP,
        "Content-Length comes twice, with two values.",
        [sized(len(ANSWER), ANSWER, "Content-Length: 40"), CLOSE],
        right=NOTHING,
    ),
    stream(
        "an invalid chunk size",
        HTTP,
        "A chunk's size is not a number, in the same packet as text.",
        [OPEN + framed(ROLE + ONE) + b"zz\r\n" + TWO, CLOSE],
        CUT,
    ),
    stream(
        "an invalid chunk size, later",
        HTTP,
        "A chunk's size is not a number, 50 ms after text.",
        [OPEN + framed(ROLE + ONE), 0.05, b"zz\r\n" + TWO, CLOSE],
        CUT,
    ),
    stream(
        "bad trailer",
        HTTP,
        "A trailer without a colon follows the whole answer.",
        [OPEN + framed(WHOLE) + b"0\r\nnonsense\r\n\r\n", CLOSE],
    ),
    plain(
        "bad trailer of a plain reply",
        HTTP,
        "A trailer without a colon follows the whole body.",
        [head("200 OK", {**JSON, "Transfer-Encoding": "chunked"}) + framed(ANSWER) + b"0\r\nnonsense\r\n\r\n", CLOSE],
        right=TRAILER,
    ),
    plain(
        "a body that is not gzip",
        HTTP,
        "The body is labelled gzip, and is not.",
        reply(ANSWER, headers={"Content-Encoding": "gzip"}),
        right=NOTHING,
    ),
    stream(
        "gzip broken in the middle",
        HTTP,
        "The gzip stream turns into nonsense after the first text.",
        [*zipped(gzip.compress(ROLE + ONE, 0)[:-8] + b"\xff" * 90)],
        Right(ends="error", text=FIRST),
    ),
    stream(
        "gzip in two members",
        HTTP,
        "The stream is two gzip members.",
        zipped(HALF_ZIPPED + gzip.compress(TWO + THREE + STOP + DONE)),
    ),
    stream(
        "gzip with an empty first member",
        HTTP,
        "An empty gzip member stands before the stream's.",
        zipped(gzip.compress(b"") + gzip.compress(WHOLE)),
    ),
    stream("GZIP in capitals", HTTP, "`Content-Encoding: GZIP`.", zipped(gzip.compress(WHOLE), "GZIP")),
    plain(
        "a second reply in the same packet",
        HTTP,
        "A reply that nobody asked for follows the first; then a second call is made.",
        [TWO_REPLIES],
        PLAIN,
        right=Right(text=TEXT, requests=3),
        calls=2,
    ),
    plain(
        "a second reply, later",
        HTTP,
        "The same 50 ms later, while the connection is idle.",
        [*PLAIN, 0.05, sized(len(OTHER), OTHER)],
        PLAIN,
        right=Right(text=TEXT, requests=3),
        calls=2,
        pause=0.3,
    ),
    plain(
        "interim replies",
        HTTP,
        "100 and 103 come before the reply.",
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", *PLAIN],
    ),
    plain(
        "HTTP/1.0",
        HTTP,
        "An old server answers until it closes the connection.",
        [sized(None, status="HTTP/1.0 200 OK"), CLOSE],
    ),
    plain("204", HTTP, "The status says that there is no content.", [head("204 No Content", {})], right=NOTHING),
    plain(
        "endless head",
        HTTP,
        "Lines of the head come for ever.",
        [b"HTTP/1.1 200 OK\r\n", *paused([b"X-Line: " + b"x" * 1_000 + b"\r\n"] * 3_000, 0.0), SILENCE],
        right=NOTHING,
        retries=0,
    ),
    plain(
        "a body of 300 MB",
        HTTP,
        "A text that is 300 MB long comes, as fast as it is taken.",
        [
            head("200 OK", {**JSON, "Transfer-Encoding": "chunked"}),
            *paused([framed(b'{"choices": "' + b"x" * 2**20), *[framed(b"x" * 2**20)] * 300], 0.0),
            SILENCE,
        ],
        right=NOTHING,
        retries=0,
    ),
    plain(
        "a gzip bomb",
        HTTP,
        "1 MB of gzip becomes 1 GB.",
        reply(bomb(), headers={**JSON, "Content-Encoding": "gzip"}),
        right=NOTHING,
        retries=0,
    ),
]

IN_BAND = "Errors inside a stream"
ERROR = {"message": "the model is overloaded", "code": "MODEL_OVERLOADED", "type": "server_error"}
FAILED = Right(ends="error", text=FIRST)


def broken(name: str, does: str, *after: bytes, right: Right = FAILED) -> Fault:
    return stream(name, IN_BAND, does, streamed(ROLE + ONE + b"".join(after)), right)


in_band = [
    broken("an error object", "After the first text, an event holds `error`.", event({"error": ERROR})),
    broken("an error as text", "The same, as text.", event({"error": "the model is overloaded"})),
    stream(
        "an error first", IN_BAND, "An event with `error` is the first one.", streamed(event({"error": ERROR}) + DONE), NOTHING
    ),
    broken(
        "finish reason error",
        "The finish reason is `error`.",
        event(chunk(finish="error")) + DONE,
        right=Right(ends="either", text=FIRST, finish="error"),
    ),
    broken(
        "event: error with JSON",
        "An event of the type `error` holds a message in JSON.",
        b"event: error\n" + event({"message": "the model is overloaded"}),
        DONE,
    ),
    broken(
        "event: error with text",
        "An event of the type `error` holds text.",
        b"event: error\n" + event("the model is overloaded"),
        DONE,
    ),
    broken(
        "object: error",
        "`object` says that the event is an error.",
        event({"object": "error", "message": "the model is overloaded", "code": 503}),
        DONE,
    ),
    broken("detail", "An event holds `detail` alone.", event({"detail": "the model is overloaded"}), DONE),
    broken(
        "message and code",
        "An event holds `message` and `code` alone.",
        event({"message": "the model is overloaded", "code": 503}),
        DONE,
    ),
    broken(
        "an error in a choice",
        "A choice holds `error`.",
        event({**chunk(), "choices": [{"index": 0, "delta": {}, "error": ERROR}]}),
        DONE,
    ),
    broken("an error, then DONE", "[DONE] follows the error, as if all were well.", event({"error": ERROR}), DONE),
    broken(
        "an error after the finish reason",
        "The finish reason comes, then an error.",
        TWO,
        THREE,
        STOP,
        event({"error": ERROR}),
        right=Right(ends="either", text=TEXT),
    ),
    plain(
        "an error with the status 200",
        IN_BAND,
        "A plain reply with the status 200 holds `error`.",
        reply({"error": ERROR}),
        right=NOTHING,
    ),
    broken("an error in a delta", "An error stands in a delta.", event(chunk({"error": {"message": "down", "code": "DOWN"}}))),
]

TOOLS = "Tool calls"
TWO_CALLS = ('tide({"at":"Rialto"})', 'tide({"at":"Lido"})')
RIALTO, LIDO = '{"at": "Rialto"}', '{"at": "Lido"}'


def tools(name: str, does: str, steps: list[Step], *calls: str) -> Fault:
    right = Right(finish="tool_calls", calls=calls or TWO_CALLS[:1])
    return Fault(name=name, group=TOOLS, does=does, kinds=("tools",), replies=[steps], right=right)


tool_calls = [
    tools(
        "two calls at one index",
        "Two calls, each in a piece, have the index 0.",
        called(tool(arguments=RIALTO), tool(id="call_2", arguments=LIDO)),
        *TWO_CALLS,
    ),
    tools("no index", "A call in fragments has no index.", called(tool(index=None), tool(None, None, None, RIALTO))),
    tools(
        "two calls without index",
        "Two calls, each in a piece, have no index.",
        called([tool(index=None, arguments=RIALTO), tool(None, "call_2", "tide", LIDO)]),
        *TWO_CALLS,
    ),
    tools(
        "late id",
        "The id comes with the last fragment.",
        called(tool(id=None), tool(id=None, name=None, arguments=RIALTO), tool(name=None, arguments="")),
    ),
    tools(
        "a name in pieces",
        "The name comes in two fragments.",
        called(tool(name="ti"), tool(id=None, name="de", arguments=RIALTO)),
    ),
    tools(
        "a name in each fragment",
        "The whole name stands in each fragment.",
        called(tool(), tool(arguments='{"at": '), tool(arguments='"Rialto"}')),
    ),
    tools(
        "null members",
        "Fragments have null as id, name and type.",
        called(tool(), {"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": RIALTO}}),
    ),
    tools(
        "null arguments",
        "The arguments are null.",
        called({**tool(), "function": {"name": "tide", "arguments": None}}),
        "tide({})",
    ),
    tools(
        "a call with the finish reason",
        "The call stands in the chunk with the finish reason.",
        streamed(ROLE + event(chunk({"tool_calls": [tool(arguments=RIALTO)]}, "tool_calls")) + DONE),
    ),
    tools(
        "1,000 fragments",
        "The arguments come character by character, a thousand of them.",
        called(tool(), *(tool(None, None, None, each) for each in '{"at": "' + "R" * 1_000 + '"}')),
        f'tide({{"at":"{"R" * 1_000}"}})',
    ),
    tools("empty arguments", "The arguments are an empty text.", called(tool(arguments="")), "tide({})"),
    tools(
        "arguments that are not JSON",
        "The arguments are cut; the finish reason says that they are whole.",
        called(tool(arguments='{"at": "Ria')),
        'tide({"at": "Ria)',
    ),
]

FIELDS = "Fields"
fields = [
    stream(
        "role in each chunk",
        FIELDS,
        "Each delta has the role.",
        streamed(b"".join(event(chunk({"role": "assistant", "content": each})) for each in PIECES) + STOP + DONE),
    ),
    stream(
        "empty choices",
        FIELDS,
        "A chunk in the middle has no choices.",
        streamed(ROLE + ONE + USED + TWO + THREE + STOP + DONE),
    ),
    stream(
        "null choices",
        FIELDS,
        "`choices` is null in a chunk in the middle.",
        streamed(ROLE + ONE + event({**chunk(), "choices": None}) + TWO + THREE + STOP + DONE),
    ),
    stream(
        "no choices",
        FIELDS,
        "`choices` is missing in a chunk in the middle.",
        streamed(
            ROLE
            + ONE
            + event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "venice-1"})
            + TWO
            + THREE
            + STOP
            + DONE
        ),
    ),
    stream(
        "null delta",
        FIELDS,
        "The delta of the last chunk is null.",
        streamed(CONTENT + event({**chunk(), "choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}) + DONE),
    ),
    stream(
        "no delta",
        FIELDS,
        "The last chunk has no delta.",
        streamed(CONTENT + event({**chunk(), "choices": [{"index": 0, "finish_reason": "stop"}]}) + DONE),
    ),
    stream(
        "usage in each chunk",
        FIELDS,
        "Each chunk has usage.",
        streamed(b"".join(event(chunk({"content": each}, usage=USAGE)) for each in PIECES) + STOP + DONE),
    ),
    stream(
        "content as parts",
        FIELDS,
        "The content of deltas is a list of parts.",
        streamed(ROLE + b"".join(says([{"type": "text", "text": each}]) for each in PIECES) + STOP + DONE),
    ),
    stream(
        "surrogate pair cut in two",
        FIELDS,
        "The two halves of an emoji stand in two deltas.",
        streamed(
            ROLE
            + says('{"city": "Venézia ')
            + event(json.dumps(chunk({"content": "\ud83d"})))
            + event(json.dumps(chunk({"content": "\udea4"})))
            + says('", "boats": 12}')
            + STOP
            + DONE
        ),
    ),
    stream(
        "100,000 levels",
        FIELDS,
        "An event is nested 100,000 levels deep.",
        streamed(ROLE + ONE + event('{"choices": ' + "[" * 100_000 + "]" * 100_000 + "}") + DONE),
        FAILED,
    ),
    stream(
        "content as a number",
        FIELDS,
        "The content of a delta in the middle is a number.",
        streamed(ROLE + ONE + says(7) + STOP + DONE),
        Right(ends="either", text=FIRST),
        parse=False,
    ),
    stream(
        "annotations and images",
        FIELDS,
        "Deltas have members that other servers send.",
        streamed(
            ROLE
            + ONE
            + event(chunk({"annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.example"}}]}))
            + event(chunk({"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]}))
            + TWO
            + THREE
            + STOP
            + DONE
        ),
    ),
    stream(
        "usage twice",
        FIELDS,
        "Usage comes twice, with other members.",
        streamed(CONTENT + STOP + USED + event({**chunk(), "choices": [], "usage": {"total_tokens": 21, "cost": 0.1}}) + DONE),
    ),
]

REFUSALS = "Refusals and waits"


def always(status: str, number: int, *, requests: int = 1, message: str = "no") -> Fault:
    return Fault(
        name=f"always {number}",
        group=REFUSALS,
        does=f"Each request is answered {status}.",
        kinds=("stream", "plain"),
        replies=[refused(status, message)],
        right=Right(ends="error", status=number, requests=requests),
    )


def then(name: str, does: str, first: list[Step], *, seconds: float = 9.0) -> Fault:
    return plain(name, REFUSALS, does, first, PLAIN, right=Right(text=TEXT, requests=2, seconds=seconds))


BUSY, LIMITED = "503 Service Unavailable", "429 Too Many Requests"
refusals = [
    always("400 Bad Request", 400),
    always("401 Unauthorized", 401),
    always("402 Payment Required", 402),
    always("404 Not Found", 404),
    always("413 Payload Too Large", 413),
    always("422 Unprocessable Entity", 422),
    always("500 Internal Server Error", 500, requests=ATTEMPTS),
    plain(
        "a page with the status 502",
        REFUSALS,
        "A proxy answers with a page of HTML.",
        reply(b"<html>502 Bad Gateway</html>", status="502 Bad Gateway", headers={"Content-Type": "text/html"}),
        right=Right(ends="error", status=502, requests=ATTEMPTS),
    ),
    plain(
        "a refusal whose gzip is broken",
        REFUSALS,
        "The body of a 404 is labelled gzip, and is not.",
        reply(b'{"error": "no"}', status="404 Not Found", headers={"Content-Encoding": "gzip"}),
        right=Right(ends="error", status=404),
    ),
    then("503 once", "One request is answered 503, the next is answered.", refused(BUSY)),
    then("429 for a second", "429 says that one second is to be waited.", refused(LIMITED, Retry_After="1")),
    then("429 for half a second", "Retry-After is a fraction.", refused(LIMITED, Retry_After="0.5")),
    then("429 in milliseconds", "`retry-after-ms` says 300.", refused(LIMITED, retry_after_ms="300")),
    then("429 with a negative wait", "Retry-After is negative.", refused(LIMITED, Retry_After="-5")),
    then("429 with garbage", "Retry-After is not a number and no date.", refused(LIMITED, Retry_After="soon")),
    then(
        "429 until a date that has passed",
        "Retry-After is a date in the past.",
        refused(LIMITED, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"),
    ),
    plain(
        "429 for an hour",
        REFUSALS,
        "429 says that an hour is to be waited.",
        refused(LIMITED, Retry_After="3600"),
        right=Right(ends="error", status=429, requests=ATTEMPTS),
    ),
    plain(
        "an error page of 60 MB",
        REFUSALS,
        "The body of a 404 has 60 MB.",
        [
            sized(60 * 2**20, b"", status="HTTP/1.1 404 Not Found", kind="text/html"),
            *paused([b"<p>" + b"x" * (2**20 - 3)] * 60, 0.0),
        ],
        right=Right(ends="error", status=404),
    ),
    then(
        "429 until a date",
        "Retry-After is a date, in the oldest of three forms.",
        refused(LIMITED, Retry_After="Sun Nov  6 08:49:37 1994"),
    ),
    plain(
        "redirect to another origin",
        REFUSALS,
        "307 leads to another host; the prompt is not for it.",
        [REDIRECT],
        right=Right(ends="error", status=307),
    ),
]

CONNECTIONS = "Connections"
AGAIN = Right(text=TEXT, requests=4)
UNSURE = Right(ends="either", text=TEXT, requests=4)
"""The server may have worked on the request, so a client may leave it to the caller to send it again."""
connections = [
    Fault(
        name="refused",
        group=CONNECTIONS,
        does="Nothing listens at the port.",
        kinds=("stream", "plain"),
        right=NOTHING,
        place="refused",
    ),
    Fault(
        name="no such name",
        group=CONNECTIONS,
        does="The host's name does not exist.",
        kinds=("plain",),
        right=NOTHING,
        place="no such name",
    ),
    Fault(
        name="unknown authority",
        group=CONNECTIONS,
        does="The server's certificate is signed by nobody that is known.",
        kinds=("plain",),
        replies=[PLAIN],
        right=Right(ends="error", requests=0),
        place="untrusted",
    ),
    Fault(
        name="a certificate that has expired",
        group=CONNECTIONS,
        does="The server's certificate ran out; its authority is unknown, too.",
        kinds=("plain",),
        replies=[PLAIN],
        right=Right(ends="error", requests=0),
        place="expired",
    ),
    Fault(
        name="no TLS behind https",
        group=CONNECTIONS,
        does="The server at an https address speaks plain HTTP.",
        kinds=("plain",),
        replies=[PLAIN],
        right=Right(ends="error", requests=0),
        place="no TLS",
    ),
    plain(
        "kept connection closed while idle",
        CONNECTIONS,
        "The connection is closed after the first reply; 0.3 s later another call is made.",
        [*PLAIN, CLOSE],
        PLAIN,
        right=AGAIN,
        calls=2,
        pause=0.3,
    ),
    plain(
        "kept connection closed as the request arrives",
        CONNECTIONS,
        "The second request on a connection finds it closed.",
        PLAIN,
        [CLOSE],
        PLAIN,
        right=UNSURE,
        calls=2,
    ),
    plain(
        "kept connection reset as the request arrives",
        CONNECTIONS,
        "The second request on a connection is answered by a reset.",
        PLAIN,
        [ABORT],
        PLAIN,
        right=UNSURE,
        calls=2,
    ),
    plain(
        "closed after each reply",
        CONNECTIONS,
        "The connection is closed after each reply, without `Connection: close`.",
        [*PLAIN, CLOSE],
        right=AGAIN,
        calls=3,
    ),
    plain(
        "half closed after the reply",
        CONNECTIONS,
        "The server closes its half of the connection after each reply, without saying so.",
        [*PLAIN, FAREWELL],
        right=AGAIN,
        calls=2,
    ),
    stream(
        "head of a stream in pieces",
        CONNECTIONS,
        "The head comes a byte at a time, quickly.",
        [*bit_by_bit(OPEN, 0.0), *STREAM[1:]],
    ),
]

FAULTS: tuple[Fault, ...] = (*ends_early, *for_long, *events, *http, *in_band, *tool_calls, *fields, *refusals, *connections)
