"""The loopback server: bytes made beforehand, sent by one thread that sleeps only when nobody wants anything.

It must never be what a client waits for, so it is a bare epoll loop. A reply is a tuple of writes; each turn of the
loop sends some writes of every reply that is under way, fewer of each the more replies there are, then looks for news.
Nagle's algorithm is off, so each write leaves as a packet of its own. A client slower than the server finds several of
them in its socket's buffer when it reads: that is TCP, and the same for all clients. (A client that is faster than the
server looks in vain, so what is measured of it is the server's pace.)

Run as a process of its own: `python -m benchmarks.server`. It prints its port, and stops when its input ends.
"""

import re
import select
import socket
import sys
import time
from collections import deque

from benchmarks.pinning import allow_many_sockets, pin_to_last_core
from benchmarks.replies import Reply, reply

_MODEL = re.compile(rb'"model"\s*:\s*"([^"]*)"')
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_WRITES_A_TURN = 32
_NOT_FOUND = Reply((b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",))


class Connection:
    """One client's socket: what it has asked so far, and what it is still to be sent."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._asked = bytearray()
        self._writes: deque[bytes | memoryview] = deque()
        self._seconds_between = 0.0
        self.due = 0.0
        self.blocked = False

    @property
    def busy(self) -> bool:
        return bool(self._writes)

    def receive(self) -> bool:
        """Take what has arrived; False when the client has gone."""
        try:
            received = self.sock.recv(65536)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self._asked += received
        while (answer := self._take_request()) is not None:
            self._writes.extend(answer.writes)
            self._seconds_between = answer.seconds_between
        return bool(received)

    def _take_request(self) -> Reply | None:
        end_of_head = self._asked.find(b"\r\n\r\n") + 4
        if end_of_head < 4:
            return None
        length = _LENGTH.search(self._asked, 0, end_of_head)
        end = end_of_head + (int(length[1]) if length else 0)
        if len(self._asked) < end:
            return None
        model = _MODEL.search(bytes(self._asked[end_of_head:end]))
        del self._asked[:end]
        return (model and reply(model[1].decode())) or _NOT_FOUND

    def send(self, most: int, now: float) -> bool:
        """Send writes, at most so many, and only one if some time is to pass between them; False when the client has gone."""
        writes, send = self._writes, self.sock.send
        for _ in range(1 if self._seconds_between else min(most, len(writes))):
            write = writes.popleft()
            try:
                sent = send(write)
            except BlockingIOError:
                sent = 0
            except ConnectionError:
                return False
            if sent < len(write):
                writes.appendleft(memoryview(write)[sent:])
                self.blocked = True
                break
        self.due = now + self._seconds_between
        return True


class Server:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self._listener.settimeout(0)
        self.port: int = self._listener.getsockname()[1]
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._sending: dict[int, Connection] = {}

    def serve_until_input_ends(self) -> None:
        stop = sys.stdin.fileno()
        self._poll.register(stop, select.EPOLLIN)
        while True:
            for descriptor, event in self._poll.poll(self._patience()):
                if descriptor == stop:
                    return
                self._notice(descriptor, event)
            self._send_some()

    def _patience(self) -> float:
        """How long nothing needs to be sent, in seconds; -1 for as long as no client asks."""
        if not self._sending:
            return -1
        return max(0.0, min(connection.due for connection in self._sending.values()) - time.monotonic())

    def _notice(self, descriptor: int, event: int) -> None:
        if descriptor == self._listener.fileno():
            self._accept()
            return
        connection = self._connections[descriptor]
        if event & select.EPOLLOUT:
            connection.blocked = False
            self._poll.modify(descriptor, select.EPOLLIN)
        if event & ~select.EPOLLOUT and not connection.receive():
            self._forget(descriptor)
        elif connection.busy:
            self._sending[descriptor] = connection

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[sock.fileno()] = Connection(sock)
        self._poll.register(sock, select.EPOLLIN)

    def _send_some(self) -> None:
        now = time.monotonic()
        most = max(1, _WRITES_A_TURN // max(1, len(self._sending)))
        for descriptor, connection in list(self._sending.items()):
            if connection.due > now:
                continue
            if not connection.send(most, now):
                self._forget(descriptor)
                continue
            if connection.blocked:
                self._poll.modify(descriptor, select.EPOLLIN | select.EPOLLOUT)
            if connection.blocked or not connection.busy:
                del self._sending[descriptor]

    def _forget(self, descriptor: int) -> None:
        self._sending.pop(descriptor, None)
        self._poll.unregister(descriptor)
        self._connections.pop(descriptor).sock.close()


if __name__ == "__main__":
    pin_to_last_core()
    allow_many_sockets()
    server = Server()
    print(server.port, flush=True)
    server.serve_until_input_ends()
