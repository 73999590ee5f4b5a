"""A transport and a clock for code that does not await: HTTP over blocking sockets, and a sleep that blocks the thread.

They need neither aiohttp nor a second thread, which halves the time of a short script to its first answer. Their methods are
`async def`, as the ports demand, but never suspend (`drive`).
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import lru_cache
from traceback import clear_frames
from typing import NamedTuple
from weakref import finalize

from .._core.ports import Clock, Reply
from .._core.request import Request, SystemClock, WholeReply
from .._wire.content_coding import ACCEPTED, Body, BodyTooLargeError, DecodingError
from .._wire.http_framing import FramingError, ReplyReader
from ..exceptions import APIConnectionError, APIError, ConnectTimeoutError
from ..types.response_meta import Headers
from .dialing import Stop, Stopped, dial, left
from .routes import CLOSED, MOST_ROUTES, Habits, Route, Routes, keep_alive_seconds, reader_of
from .timers import first_due, shortest
from .transport_errors import begins_tls, broken, host_of, late, speaks_tls, too_large, unreachable, untrusted

_READ_BYTES = 65_536
_LARGE_BYTES = 65_536
_GONE = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)  # what sending raises once the other end has closed


class BlockingClock(SystemClock):
    """The machine's clock and the thread's sleep, which ends when the transport is closed."""

    blocks = True

    def __init__(self, transport: BlockingTransport) -> None:
        super().__init__()
        self._transport = transport

    async def sleep(self, seconds: float) -> None:
        self._transport.stop.fired.wait(seconds)


class BlockingTransport:
    """Sends requests over blocking sockets, one for each thread. It knows no proxies (see `reaches`)."""

    def __init__(self, routes: Routes, clock: Clock | None = None) -> None:
        self._route = lru_cache(maxsize=MOST_ROUTES)(routes.find)
        self._now = (clock or SystemClock()).now  # for how long a connection is kept; the limits of calls are the socket's
        self._idle: deque[_IdleSocket] = deque()  # its ends are taken and given back by many threads without a lock
        self._habits = Habits()
        self._stop = Stop()
        self._process = os.getpid()
        self._closing = finalize(self, _close_all, self._idle)

    def reaches(self, url: str) -> bool:
        """Whether an address is reached without a proxy."""
        return self._route(url).proxy is None

    async def send(self, request: Request) -> Reply:
        route, stop = self._route(request.url), self.stop
        try:
            return self._sent(request, route, time.monotonic(), stop)
        except Stopped:
            raise APIConnectionError(CLOSED) from None

    def _sent(self, request: Request, route: Route, started: float, stop: Stop) -> Reply:
        clock, seconds = shortest(request)
        deadline = None if seconds is None else started + seconds
        while True:
            idle = self._idle_socket(route)
            sock = idle.sock if idle else _connected(route, request, clock, deadline, stop)
            exchange = _Exchange(sock, deadline)
            try:
                stop.hold(sock)
                exchange.send(*_message(route, request))
                reply = exchange.receive(host_of(request.url), stream=request.stream)
                if reply is None:  # a stream: who reads it closes it
                    return _StreamedReply(exchange, request, started)
                if not exchange.keeps:  # perhaps because we ended it
                    stop.check()
            except BaseException as error:
                clear_frames(error.__traceback__)  # they hold what arrived, in which the server may repeat the key
                sock.close()
                stop.check()  # then what broke was broken by us
                if idle and not exchange.taken and isinstance(error, _GONE):
                    continue  # an idle connection that was closed meanwhile: nothing was sent
                if isinstance(error, APIError) or not isinstance(error, (OSError, DecodingError, FramingError)):
                    raise  # what is ours already, and Ctrl-C, mean what they say
                if _is_late(error):
                    raise late(request, clock) from None
                raise broken(host_of(request.url), request.method, error) from error
            finally:
                stop.release(sock)
            if exchange.keeps and self._closing.alive and not stop.fired.is_set():  # at exit nobody would close it
                place, served, now = _place(route), idle.served if idle else 0, self._now()
                if served == 1:
                    self._habits.learn(place, keeps=True)
                self._idle.append(_IdleSocket(place, now + keep_alive_seconds(reply.headers), sock, served + 1, now))
            else:
                sock.close()
            return reply

    @property
    def stop(self) -> Stop:
        """Ends what is under way when the transport is closed."""
        # After a fork, what is here is the parent's, who does not notice that it is closed in the child.
        if self._process != os.getpid():
            self._process, self._stop = os.getpid(), Stop()
            _close_all(self._idle)
        return self._stop

    async def aclose(self) -> None:
        """Closes the connections that nobody uses, and ends the calls that use the others."""
        stop, self._stop = self.stop, Stop()
        stop.fire()
        _close_all(self._idle)

    def _idle_socket(self, route: Route) -> _IdleSocket | None:
        """An idle connection to the route's server that is still open; None if all are gone."""
        place, now = _place(route), self._now()
        with suppress(IndexError):  # another thread was faster
            while self._idle and self._idle[0].until < now:  # what nobody has needed since more calls were made at once
                self._idle.popleft().sock.close()
            while self._idle:
                idle = self._idle.pop()
                if idle.place == place and idle.until >= now and self._serves_again(idle, now):
                    return idle
                idle.sock.close()
        return None

    def _serves_again(self, idle: _IdleSocket, now: float) -> bool:
        if wait := self._habits.wait(idle.place, idle.served, now - idle.rested):
            time.sleep(wait)
        quiet = wait is not None and not reader_of(idle.sock)()
        if wait and not quiet:
            self._habits.learn(idle.place, keeps=False)
        return quiet


class _IdleSocket(NamedTuple):
    place: str
    until: float
    sock: socket.socket
    served: int  # how many replies came on it
    rested: float  # when the last of them came


class _Exchange:
    """A request and its reply on a connection, by a deadline."""

    def __init__(self, sock: socket.socket, deadline: float | None) -> None:
        self.sock = sock
        self.deadline = deadline
        self.reader = ReplyReader()
        self.body: Body | None = None
        self.taken: int = 0  # how many bytes of the request the connection took
        self.keeps: bool = False  # whether the connection can serve again
        self.fault: Exception | None = None  # what ended a stream in the packet of its head

    def send(self, *parts: bytes) -> None:
        part, rest = b"", memoryview(b"")
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    self.sock.settimeout(left(self.deadline))
                    count = self.sock.send(rest)
                    self.taken += count
                    rest = rest[count:]
        except _GONE:  # what does not want the rest may have said why
            if not self.taken:
                raise
        finally:
            del part, rest, parts  # a traceback would show the key in them

    def receive(self, host: str, *, stream: bool) -> WholeReply | None:
        """The reply; None once the head of a stream is here that is not a refusal."""
        reader = self.reader
        try:
            while not reader.done and self.more(host):
                if stream and reader.status and not self._refuses:
                    self.body = self.body or Body(Headers(reader.fields).get("content-encoding"), refusal=False)
                    return None
            self.keeps = reader.done and reader.reusable
        except (OSError, FramingError, DecodingError) as error:
            if stream and self.body is not None and not self._refuses:
                self.fault = error
                return None
            # A refusal is what its status says, whatever becomes of its body.
            if not self._refuses or _is_late(error):
                raise
        return WholeReply(reader.status, Headers(reader.fields), b"" if self.body is None else self.body.finish())

    def more(self, host: str) -> bool:
        """Reads what comes next; False at the end."""
        reader = self.reader
        self.sock.settimeout(left(self.deadline))
        try:
            data = self.sock.recv(_READ_BYTES)
        except ConnectionResetError:
            if not reader.until_end:
                raise
            data = b""  # an end like another
        if not data:
            reader.end()
            return False
        if not reader.started and begins_tls(data):
            raise speaks_tls(host)
        for piece in reader.feed(data):
            if self.body is None:
                self.body = Body(Headers(reader.fields).get("content-encoding"), refusal=self._refuses)
            try:
                for _ in self.body.steps(piece):
                    left(self.deadline)
            except BodyTooLargeError as error:
                raise too_large(reader.status, error.with_traceback(None)) from None
            if not self.body.wants:
                return False
        return True

    @property
    def _refuses(self) -> bool:
        return bool(self.reader.status) and not 200 <= self.reader.status < 300


class _StreamedReply:
    """A stream that is read in the thread of its reader, under the clocks of its request (as `timers.Watch` keeps them)."""

    def __init__(self, exchange: _Exchange, request: Request, started: float) -> None:
        self.status: int = exchange.reader.status
        self.headers: Headers = Headers(exchange.reader.fields)
        self._exchange, self._request, self._started = exchange, request, started
        self._byte: float | None = None
        self._content: float | None = None

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        exchange, host = self._exchange, host_of(self._request.url)
        fault, more, clock = exchange.fault, True, ""
        while True:
            if exchange.body is not None and (piece := exchange.body.take()):
                self._byte = time.monotonic()
                self._content = self._content or self._byte
                yield piece  # also what came before a fault
            if fault is not None:
                clear_frames(fault.__traceback__)
                if isinstance(fault, APIError):
                    raise fault
                late_or_broken = late(self._request, clock) if _is_late(fault) else broken(host, self._request.method, fault)
                raise late_or_broken from (None if _is_late(fault) else fault)
            if not more:
                self.close()
                return
            clock = self._wait()
            try:
                more = not exchange.reader.done and exchange.more(host)
                if not more and exchange.body is not None:
                    exchange.body.finish()
            except (APIError, OSError, DecodingError, FramingError) as error:
                fault = error

    async def drain(self) -> None:
        """The connection does not serve again."""

    def progressed(self) -> None:
        self._content = self._byte

    def close(self) -> None:
        self._exchange.sock.close()

    def _wait(self) -> str:
        """Sets the deadline of the next read, and gives its clock."""
        now, exchange = time.monotonic(), self._exchange
        if self._byte is not None and self._content is not None:  # what the reader did meanwhile is not the server's time
            self._byte, self._content = now, self._content + now - self._byte
        due = first_due(self._request, self._started, self._byte, self._content)
        # What has arrived is still to be read, however late.
        exchange.deadline = due and (due[0] if due[1] == "deadline" else max(due[0], now + 0.001))
        return due[1] if due else ""


def _is_late(error: BaseException) -> bool:
    """Whether a limit of ours ran out; the operating system's have a number."""
    return isinstance(error, TimeoutError) and error.errno is None


def _close_all(idle: deque[_IdleSocket]) -> None:
    while idle:
        idle.pop().sock.close()


def _place(route: Route) -> str:
    return f"{route.address.scheme}://{route.address.netloc}"


def _connected(route: Route, request: Request, clock: str, deadline: float | None, stop: Stop) -> socket.socket:
    """A new connection, or a `ConnectError`; `clock` and its deadline limit the whole call."""
    address, wait = route.address, request.timeout.connect
    due = None if wait is None else time.monotonic() + wait
    if due is None or (deadline is not None and deadline < due):
        due = deadline
    else:
        clock = "connect"
    port = address.port or (80 if route.tls is None else 443)
    try:
        return dial(address.hostname or "", port, route.tls, due, stop)
    except OSError as error:
        if _is_late(error):
            raise late(request, clock, ConnectTimeoutError) from None
        raise (untrusted if isinstance(error, ssl.SSLError) else unreachable)(host_of(request.url), error) from error


def _message(route: Route, request: Request) -> list[bytes]:
    """A request (RFC 9112, section 3), in one part if it is small; its headers were checked when the client was given them."""
    address, body = route.address, request.body or b""
    target = f"{address.path or '/'}?{address.query}" if address.query else address.path or "/"
    headers = request.headers
    names = {name.lower() for name in headers}
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if "host" not in names:
        lines.insert(1, f"Host: {address.netloc}")
    if "accept-encoding" not in names:
        lines.append(f"Accept-Encoding: {ACCEPTED}")
    if request.body is not None:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    return [head + body] if len(body) < _LARGE_BYTES else [head, body]
