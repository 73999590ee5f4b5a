"""Opens a connection for the blocking transport: name lookup, attempts at each address, TLS handshake, within one time limit.

The operating system keeps no such limit. So a name is looked up on a thread of its own, which is left alone when time is over,
and addresses are tried a quarter of a second apart, side by side ("Happy Eyeballs", RFC 8305), as aiohttp does.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import threading
import time
from contextlib import ExitStack, suppress
from typing import Any, TypeAlias, cast

from .._core.outcome import Task

_STAGGER_SECONDS = 0.25
_LOOK_SECONDS = 0.1  # how often what cannot be interrupted is asked whether it is still needed
_Address: TypeAlias = tuple[Any, ...]  # what getaddrinfo gives


class Stopped(Exception):
    """The client was closed."""


class Stop:
    """Ends what threads wait for: it shuts down the sockets that they hold, and wakes those who sleep."""

    def __init__(self) -> None:
        self._held: set[socket.socket] = set()  # copied and changed in single steps, by many threads without a lock
        self.fired = threading.Event()

    def fire(self) -> None:
        """Ends everything, now and from now on."""
        self.fired.set()
        for sock in self._held.copy():
            with suppress(OSError):  # it was closed just now
                # Not the method of a TLS socket, which would take away what the other thread is using.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def check(self) -> None:
        if self.fired.is_set():
            raise Stopped

    def hold(self, sock: socket.socket) -> None:
        """Whoever waits for this socket ends at once when this is fired: reading ends, or fails. Raises `Stopped` if it was."""
        self._held.add(sock)
        self.check()

    def release(self, sock: socket.socket) -> None:
        self._held.discard(sock)


def dial(host: str, port: int, tls: ssl.SSLContext | None, deadline: float | None, stop: Stop) -> socket.socket:
    """A connection by a time of `time.monotonic`; a TimeoutError, `Stopped`, or the OSError why it cannot be made."""
    sock = _fastest(_addresses(host, port, deadline, stop), deadline, stop)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(left(deadline))
        if tls is None:
            return sock
        # The handshake takes the socket to itself; its twin is what it can be ended by.
        with sock.dup() as twin:
            try:
                stop.hold(twin)
                return tls.wrap_socket(sock, server_hostname=host)
            except OSError:
                stop.check()
                raise
            finally:
                stop.release(twin)
    except BaseException:
        sock.close()
        raise


def left(deadline: float | None) -> float | None:
    """Seconds until then; raises TimeoutError once it has passed."""
    if deadline is None:
        return None
    if (seconds := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return seconds


def _addresses(host: str, port: int, deadline: float | None, stop: Stop) -> list[_Address]:
    if ":" in host or host.replace(".", "").isdigit():
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    lookup = Task(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    try:
        threading.Thread(target=lookup.run, name="venice-ai resolver", daemon=True).start()
    except RuntimeError:  # there are no more threads, as at the end of the interpreter
        lookup.run()
    while not lookup.done.wait(_shorter(left(deadline))):
        stop.check()
    try:
        return lookup.outcome()
    except UnicodeError:  # a label that is too long for a name
        raise socket.gaierror(socket.EAI_NONAME, "this is not a name of a host") from None


def _shorter(seconds: float | None) -> float:
    return _LOOK_SECONDS if seconds is None else min(seconds, _LOOK_SECONDS)


def _fastest(addresses: list[_Address], deadline: float | None, stop: Stop) -> socket.socket:
    """The first connection that stands. One begins after the other; those that do not stand are closed."""
    waiting, failures, next_at = _interleaved(addresses), list[OSError](), 0.0
    with selectors.DefaultSelector() as pending, ExitStack() as opened:
        while waiting or pending.get_map():
            if waiting and (not pending.get_map() or time.monotonic() >= next_at):
                try:
                    pending.register(_begun(waiting.pop(0), opened), selectors.EVENT_WRITE)
                except OSError as error:
                    failures.append(error)
                next_at = time.monotonic() + _STAGGER_SECONDS
                continue
            seconds = _shorter(left(deadline))
            for key, _ in pending.select(min(seconds, max(next_at - time.monotonic(), 0.0)) if waiting else seconds):
                sock = cast("socket.socket", key.fileobj)
                pending.unregister(sock)
                if not (failure := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                    return socket.socket(fileno=sock.detach())  # all others are closed
                failures.append(OSError(failure, os.strerror(failure)))
                next_at = 0.0
            stop.check()
    raise failures[0] if failures else OSError("the name has no address")


def _begun(address: _Address, opened: ExitStack) -> socket.socket:
    family, kind, protocol, _, place = address
    sock = opened.enter_context(socket.socket(family, kind, protocol))  # of a family that this machine may not have
    sock.settimeout(0)
    with suppress(BlockingIOError):
        sock.connect(place)
    return sock


def _interleaved(addresses: list[_Address]) -> list[_Address]:
    """The families in turn, the one that the system prefers first: a family that leads nowhere costs one step."""
    first = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    return [each for number in range(len(addresses)) for each in (*first[number : number + 1], *others[number : number + 1])]
