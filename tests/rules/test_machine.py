"""Which hosts are this machine, and the errors of ports that cannot be listened on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from venice_ai import InvalidRequestError, VeniceError
from venice_ai._core.machine import is_loopback, listening, origin


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("venice.localhost", True),
        ("a.b.LocalHost", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("128.0.0.1", False),
        ("10.0.0.1", False),
        ("::2", False),
        ("127.0.0.1.example.org", False),
        ("localhost.example.org", False),
        ("notlocalhost", False),
        ("[::1]", False),  # brackets belong to an address's URL
        ("127.1", False),  # resolvers read it, and differ
    ],
)
def test_hosts_of_this_machine_are_recognised(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("example.org", "http://example.org:80"),
        ("::2", "http://[::2]:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
    ],
)
def test_a_server_on_all_addresses_is_called_by_one_of_this_machine(host: str, url: str) -> None:
    assert origin(host, 80) == url


async def test_a_port_that_is_taken_is_named_with_the_remedy() -> None:
    async with listening(asyncio.Protocol, "127.0.0.1", 0) as port:
        with pytest.raises(VeniceError, match=f"^port {port} on 127.0.0.1 is .*, or port=0 for a free one$"):
            async with listening(asyncio.Protocol, "127.0.0.1", port):
                pass


async def test_an_address_that_is_not_of_this_machine_is_named_with_the_reason() -> None:
    with pytest.raises(VeniceError, match=r"^cannot listen on 192\.0\.2\.1:0: [a-z].* address"):
        async with listening(asyncio.Protocol, "192.0.2.1", 0):
            pass


@pytest.mark.parametrize("port", [-1, 65_536])
async def test_a_number_that_is_not_a_port_is_refused(port: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"port={port} is not a port; .* others end at 65535"):
        async with listening(asyncio.Protocol, "127.0.0.1", port):
            pass


async def test_the_largest_port_is_one() -> None:
    try:
        async with listening(asyncio.Protocol, "127.0.0.1", 65_535) as port:
            assert port == 65_535
    except VeniceError as error:
        assert "port 65535 on 127.0.0.1 is in use" in str(error)  # noqa: PT017  # by another program, which none of ours is


@pytest.mark.parametrize("turns", [2, 3])
async def test_a_connection_that_was_accepted_just_before_the_end_reaches_its_protocol(turns: int) -> None:
    """The kernel connects by itself, and in the second turn of the event loop the server accepts."""
    told: list[asyncio.BaseTransport] = []

    class Told(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            told.append(transport)

    async with listening(Told, "127.0.0.1", 0) as port:
        with socket.create_connection(("127.0.0.1", port)):
            for _ in range(turns):
                await asyncio.sleep(0)

    assert len(told) == 1
    told[0].close()
