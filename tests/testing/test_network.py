"""`no_network`: this machine may be reached, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from venice_ai import VeniceClient
from venice_ai.testing import Emulator, no_network, serve

from ..fakes import KEY
from .recording import HI


@pytest.mark.parametrize("host", ["example.com", "192.0.2.1", "2001:db8::1"])
def test_another_machine_cannot_be_reached(host: str) -> None:
    with pytest.raises(AssertionError, match="not on this machine"), no_network():
        socket.create_connection((host, 80), timeout=5)


def test_a_datagram_cannot_be_sent_to_another_machine() -> None:
    with pytest.raises(AssertionError), no_network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("192.0.2.1", 9))


@pytest.mark.parametrize(
    "look_up",
    [
        lambda: socket.gethostbyname("example.com"),
        lambda: socket.getaddrinfo("example.com", 80),
        lambda: socket.gethostbyaddr("192.0.2.1"),
        lambda: socket.getnameinfo(("192.0.2.1", 80), 0),
        lambda: socket.getfqdn("192.0.2.1"),
    ],
    ids=["gethostbyname", "getaddrinfo", "gethostbyaddr", "getnameinfo", "getfqdn"],
)
def test_no_name_is_looked_up(look_up: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match="not on this machine"), no_network():
        look_up()


def test_a_swallowed_error_of_the_guard_is_raised_at_its_end() -> None:
    with pytest.raises(AssertionError, match=r"192\.0\.2\.1 is not on this machine"), no_network():
        with suppress(AssertionError):
            socket.create_connection(("192.0.2.1", 80), timeout=5)
        with suppress(AssertionError):
            socket.create_connection(("192.0.2.2", 80), timeout=5)


async def test_a_client_raises_the_error_of_the_guard_and_does_not_retry() -> None:
    with pytest.raises(AssertionError, match="no_network"), no_network():
        async with VeniceClient(api_key=KEY) as client:
            await client.chat.completions.create(model="venice-1", messages=HI)


async def test_this_machine_can_be_reached() -> None:
    with no_network():
        async with serve(Emulator()) as server, VeniceClient(api_key=KEY, base_url=server.url) as client:
            assert (await client.chat.completions.create(model="venice-1", messages=HI)).text
        async with (
            serve(Emulator()) as server,
            aiohttp.ClientSession() as session,
            session.get(f"http://localhost:{server.port}/api/v1/models") as reply,
        ):
            assert reply.status == 200


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the system has no sockets in files")
def test_a_socket_in_a_file_can_be_reached(tmp_path: Path) -> None:
    with no_network(), socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))


def test_the_guard_ends_with_its_context() -> None:
    with no_network(), no_network():
        pass
    with no_network():
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("192.0.2.1", 9))  # sends nothing


def test_other_threads_are_guarded() -> None:
    found: list[BaseException] = []

    def connect() -> None:
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=5)
        except AssertionError as error:
            found.append(error)

    with pytest.raises(AssertionError), no_network():
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()

    assert len(found) == 1


async def test_streams_of_asyncio_are_guarded() -> None:
    with pytest.raises(AssertionError), no_network():
        await asyncio.open_connection("192.0.2.1", 80)
