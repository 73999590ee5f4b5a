"""The two ports for code that does not await: HTTP by the standard library, and the sleep of the thread that calls.

Nothing behind these ports ever suspends. So the same `async def` that an event loop runs for others, `drive` runs to its end
in the thread that calls, and no other thread has to be woken. Only what is one request after the other can be run so:
whatever reads ahead, runs side by side or is shared between callers needs an event loop.
"""

from __future__ import annotations

import io
import os
import select
import socket
import ssl
import time
import zlib
from collections import deque
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple, cast
from weakref import finalize

from ._clocks import late, shortest
from ._connections import (
    HEADER_BYTES,
    KEPT_SECONDS,
    REFUSAL_BYTES,
    Route,
    Routes,
    WholeReply,
    broken,
    host_of,
    unreachable,
    untrusted,
)
from ._meta import Headers
from ._retry import ConnectTimeout
from ._transport import Clock, Reply, Request, SystemClock

_BUFFER_BYTES = 16_384
_LARGE_BYTES = 65_536
_MOST_HEADERS = 128  # as aiohttp
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection"})


class BlockingClock(SystemClock):
    """The machine's clock and the thread's sleep."""

    async def sleep(self, seconds: float) -> None:
        """Blocks the thread."""
        time.sleep(seconds)  # noqa: ASYNC251  # no event loop runs this


class BlockingTransport:
    """Sends requests with `http.client`, each thread on a connection of its own while it waits.

    It reads whole bodies and knows no proxies; see `reaches`.
    """

    def __init__(self, routes: Routes, clock: Clock | None = None) -> None:
        self._routes = routes
        self._now = (clock or BlockingClock()).now  # for how long a connection is kept; the limits of calls are the socket's
        self._idle: deque[_Kept] = deque()  # its ends are taken and given back by many threads without a lock
        self._process = os.getpid()
        self._closing = finalize(self, _close_all, self._idle)

    def reaches(self, url: str) -> bool:
        """Whether an address is reached without a proxy."""
        return self._routes.find(url).proxy is None

    async def send(self, request: Request) -> Reply:
        """The reply with its whole body."""
        route = self._routes.find(request.url)
        clock, seconds = shortest(request)
        deadline = None if seconds is None else time.monotonic() + seconds
        connection = self._taken(route) or _connected(route, request, clock, seconds)
        try:
            response, headers = _asked(connection, route, request, deadline)
            body = response.read(None if response.status < 300 else REFUSAL_BYTES)
            reply = WholeReply(response.status, headers, _unpacked(body, headers.get("content-encoding")))
            whole = response.isclosed() and not response.will_close
        except TimeoutError:
            connection.close()
            raise late(request, clock) from None
        except (OSError, HTTPException, zlib.error, ValueError) as error:
            connection.close()
            raise broken(host_of(request.url), request.method, error) from error
        except BaseException:  # Ctrl-C
            connection.close()
            raise
        if whole and self._closing.alive:  # not at the end of the interpreter, where nobody would close it
            self._idle.append(_Kept(_place(route), self._now(), connection))
        else:
            connection.close()
        return reply

    async def aclose(self) -> None:
        """Closes the connections that nobody uses."""
        _close_all(self._idle)

    def _taken(self, route: Route) -> HTTPConnection | None:
        """A connection that is kept, still open, and leads there."""
        if self._process != os.getpid():  # a fork: what is kept is the parent's, who does not notice that it is closed here
            self._process = os.getpid()
            _close_all(self._idle)
        place, oldest = _place(route), self._now() - KEPT_SECONDS
        found: HTTPConnection | None = None
        with suppress(IndexError):  # another thread was faster
            while self._idle and self._idle[0].since < oldest:  # what nobody has needed since more calls were made at once
                self._idle.popleft().connection.close()
            while self._idle and found is None:
                kept = self._idle.pop()
                if kept.place == place and kept.since >= oldest and _is_quiet(kept.connection):
                    found = kept.connection
                else:
                    kept.connection.close()
        return found


class _Kept(NamedTuple):
    place: str
    since: float
    connection: HTTPConnection


class _Socket:
    """A socket whose time is limited for all that is done with it together; `http.client` takes it for one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.deadline: float | None = None

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self), _BUFFER_BYTES)

    def sendall(self, data: bytes) -> None:
        self._in_time().sendall(data)

    def receive(self, buffer: Any) -> int:
        return self._in_time().recv_into(buffer)

    def _in_time(self) -> socket.socket:
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


class _Reading(io.RawIOBase):
    """The reading end of a socket, for one response: closing it leaves the socket open for the next."""

    def __init__(self, sock: _Socket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._sock.receive(buffer)


def _close_all(idle: deque[_Kept]) -> None:
    while idle:
        idle.pop().connection.close()


def _place(route: Route) -> str:
    return f"{route.address.scheme}://{route.address.netloc}"


def _connected(route: Route, request: Request, clock: str, seconds: float | None) -> HTTPConnection:
    """A new connection; `clock` and its seconds limit the whole call.

    Raises:
        ConnectFailure: there is none (`ConnectTimeout`: not in time).
    """
    host, port = route.address.hostname or "", route.address.port
    wait = request.timeout.connect
    if seconds is not None and (wait is None or seconds < wait):
        wait = seconds
    else:
        clock = "connect"
    if route.tls is None:
        connection = HTTPConnection(host, port, timeout=wait)
    else:
        connection = HTTPSConnection(host, port, timeout=wait, context=route.tls)
    try:
        connection.connect()
    except TimeoutError:
        connection.close()
        raise late(request, clock, ConnectTimeout) from None
    except OSError as error:
        connection.close()
        raise (untrusted if isinstance(error, ssl.SSLError) else unreachable)(host_of(request.url), error) from error
    except BaseException:
        connection.close()
        raise
    connection.sock = cast("Any", _Socket(connection.sock))
    return connection


def _asked(connection: HTTPConnection, route: Route, request: Request, deadline: float | None) -> tuple[HTTPResponse, Headers]:
    """The response to a request, whose head and body leave together, and the response's headers."""
    sock: Any = connection.sock
    sock.deadline = deadline
    head, body = _head(route, request), request.body or b""
    if len(body) < _LARGE_BYTES:
        sock.sendall(head + body)
    else:
        sock.sendall(head)
        sock.sendall(body)
    response: Any = HTTPResponse(sock, method=request.method)
    status, fields = _answered(response.fp)
    # `http.client` reads headers as those of a mail, which takes 40 % of a call. It is shown the ones that frame the body.
    framing = "".join(f"{name}: {value}\r\n" for name, value in fields if name.lower() in _FRAMING)
    rest, response.fp = response.fp, io.BytesIO(status + framing.encode("utf-8", "surrogateescape") + b"\r\n")
    response.begin()
    response.fp = rest
    return response, Headers(fields)


def _answered(reader: io.BufferedReader) -> tuple[bytes, list[tuple[str, str]]]:
    """The status line and the headers of a final answer (RFC 9112, sections 4 and 5).

    Raises:
        ConnectionError: it broke off.
        HTTPException: it is none.
    """
    while True:
        status = _line(reader)
        if not status.startswith(b"HTTP/"):
            raise HTTPException(f"this is no status line: {status!r:.100}")
        fields: list[tuple[str, str]] = []
        while (line := _line(reader)).strip():
            text = line.decode("utf-8", "surrogateescape")
            name, colon, value = text.partition(":")
            if text[0] in " \t" and fields:
                fields[-1] = fields[-1][0], f"{fields[-1][1]} {text.strip()}"
            elif colon and name.strip():
                fields.append((name.strip(), value.strip()))
            else:
                raise HTTPException(f"this is no header: {text.strip():.100}")
            if len(fields) > _MOST_HEADERS:
                raise HTTPException(f"the answer has more than {_MOST_HEADERS} headers")
        code = status.split(None, 2)[1:2]
        if not (code and code[0].startswith(b"1") and code[0] != b"101"):  # else it is interim, and another one follows
            return status, fields


def _line(reader: io.BufferedReader) -> bytes:
    line = reader.readline(HEADER_BYTES + 1)
    if len(line) > HEADER_BYTES:
        raise HTTPException(f"a line of the answer's head is longer than {HEADER_BYTES} bytes")
    if not line.endswith(b"\n"):
        raise ConnectionError("the head of the answer broke off" if line else "it was closed without an answer")
    return line


def _head(route: Route, request: Request) -> bytes:
    """The head of a request (RFC 9112, section 3); names and values were checked when the client was given them."""
    target = f"{route.address.path or '/'}?{route.address.query}".removesuffix("?")
    headers = {"Host": host_of(request.url), "Accept-Encoding": "gzip, deflate", **request.headers}
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def _is_quiet(connection: HTTPConnection) -> bool:
    """Whether nothing can be read from a connection that nothing was asked on: it was not closed at the other end."""
    if connection.sock is None:
        return False
    if not hasattr(select, "poll"):
        return not select.select([connection.sock], [], [], 0)[0]
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)


def _unpacked(body: bytes, encoding: str | None) -> bytes:
    """The body as it was before the server compressed it.

    Raises:
        zlib.error: it is not what it says.
        ValueError: nobody asked for that.
    """
    if not body or encoding in {None, "", "identity"}:
        return body
    if encoding in {"gzip", "x-gzip"}:
        return zlib.decompress(body, wbits=zlib.MAX_WBITS | 16)
    if encoding == "deflate":
        zipped = body[0] & 0x0F == zlib.DEFLATED  # some send it without the head that RFC 1950 gives it
        return zlib.decompress(body, wbits=zlib.MAX_WBITS if zipped else -zlib.MAX_WBITS)
    raise ValueError(f"it is compressed by {encoding!r}, which was not asked for")
