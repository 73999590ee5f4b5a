"""Settings of a client and of one call: keys, headers, time limits; and the lifetime of a client."""

from __future__ import annotations

import copy
import pickle
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest

from venice_ai import AuthenticationError, InvalidRequestError, SyncVeniceClient, Timeout, VeniceClient, VeniceError
from venice_ai._core.settings import proxy_address

from ..fakes import HI, KEY, ScriptedTransport, answer, client_of, completion, hello, refused, sent, stream


@pytest.mark.parametrize("kind", [VeniceClient, SyncVeniceClient])
def test_a_misspelt_setting_is_refused_in_the_name_of_the_class_that_was_called(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\.__init__\(\) got an unexpected keyword argument 'apikey'"):
        kind(apikey=KEY)


@pytest.mark.parametrize("key", [None, "", "  ", "\n"], ids=repr)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_missing_key_is_an_authentication_error_at_the_first_chat(key: str | None, streamed: bool) -> None:
    transport = ScriptedTransport()
    client = VeniceClient(api_key=key, transport=transport)

    with pytest.raises(AuthenticationError, match="VENICE_API_KEY") as caught:
        await client.chat.completions.create(model="m", messages=HI, stream=streamed)

    assert isinstance(caught.value, ValueError)
    assert transport.requests == []


async def test_a_key_comes_from_the_argument_or_else_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "  from-environment\n")
    for argument, expected in ((None, "from-environment"), (" from-argument ", "from-argument")):
        transport = ScriptedTransport(answer(completion()))
        client = VeniceClient(api_key=argument, transport=transport)

        await client.chat.completions.create(model="m", messages=HI)

        assert transport.requests[0].headers["Authorization"] == f"Bearer {expected}"


async def test_an_empty_key_does_not_fall_back_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "from-environment")
    client = VeniceClient(api_key="", transport=ScriptedTransport())

    with pytest.raises(AuthenticationError):
        await client.chat.completions.create(model="m", messages=HI)


@pytest.mark.parametrize("key", ["a\nb", "a b", "käse", "a\x00b"], ids=ascii)
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        VeniceClient(api_key=key)

    assert key not in str(caught.value)


async def test_a_wallet_s_signature_does_in_place_of_a_key() -> None:
    for name in ("SIGN-IN-WITH-X", "X-Sign-In-With-X"):
        transport = ScriptedTransport(answer(completion()))
        client = VeniceClient(transport=transport)

        await client.chat.completions.create(model="m", messages=HI, extra_headers={name: "signed"})

        assert transport.requests[0].headers[name] == "signed"
        assert "Authorization" not in transport.requests[0].headers


async def test_headers_of_the_call_win_over_those_of_the_client_and_over_ours() -> None:
    client, transport = client_of(answer(completion()), headers={"x-one": "client", "X-Two": "client", "user-agent": "mine/1"})

    await client.chat.completions.create(model="m", messages=HI, extra_headers={"X-ONE": "call"})

    headers = {name.lower(): value for name, value in transport.requests[0].headers.items()}
    assert len(headers) == len(transport.requests[0].headers)
    assert (headers["x-one"], headers["x-two"], headers["user-agent"]) == ("call", "client", "mine/1")
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "headers",
    [
        *({"X": value} for value in ("a\nb", "a\rb", "a\0b", "a\x01", "\x1f", "\x7f", 7, None)),
        *({name: "a"} for name in ("X\n", "", "X Y", "X:", "X(", "X@", "Ü", 7, "Content-Length", "transfer-encoding")),
    ],
    ids=repr,
)
async def test_a_header_that_cannot_be_one_is_refused(headers: Any) -> None:
    with pytest.raises(InvalidRequestError):
        VeniceClient(headers=headers)
    await refused(extra_headers=headers)


@pytest.mark.parametrize("value", ["a b", "a\tb", " ", "~", "\x80", "", "ü"], ids=ascii)
def test_the_value_of_a_header_may_hold_blanks_and_any_character(value: str) -> None:
    assert (
        VeniceClient(headers={"X-!#$%&'*+.^_`|~9": value}).build_request("GET", "/models").headers["X-!#$%&'*+.^_`|~9"] == value
    )


ENDLESS = [float("inf"), 1e9, 10**400]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), *ENDLESS, True, "5", [5]], ids="{!r:.10}".format)
async def test_a_timeout_that_cannot_be_one_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"timeout=.* pass None for no limit"):
        VeniceClient(timeout=timeout)
    assert "timeout=" in str(await refused(timeout=timeout))


@pytest.mark.parametrize("clock", ["connect", "first_chunk", "idle", "progress", "deadline", "queue"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), *ENDLESS, True, "5"], ids="{!r:.10}".format)
def test_a_clock_that_cannot_be_one_is_refused(clock: str, seconds: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{clock}=.* pass None for no limit"):
        Timeout(**{clock: seconds})


def test_the_clocks_have_the_documented_defaults() -> None:
    timeout = Timeout()

    assert (timeout.connect, timeout.first_chunk, timeout.idle, timeout.progress) == (10, 300, 60, 300)
    assert (timeout.deadline, timeout.queue) == (None, None)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({}, 300), ({"deadline": 5}, 300), ({"deadline": 301}, 301), ({"idle": 5, "deadline": 900}, 5), ({"idle": None}, None)],
    ids=repr,
)
def test_a_plain_reply_may_take_300_seconds_or_a_longer_deadline_or_the_idle_time_that_was_given(
    given: dict[str, Any], seconds: float | None
) -> None:
    assert Timeout(**given).plain == seconds


def test_a_clock_may_be_just_shorter_than_endless() -> None:
    assert Timeout(deadline=1e9 - 0.5).deadline == 1e9 - 0.5


@pytest.mark.parametrize(
    ("settings", "timeout"),
    [
        pytest.param({}, 5, id="for the call"),
        pytest.param({"timeout": 5}, None, id="for the client"),
        pytest.param({"timeout": 7}, 5, id="for both"),
        pytest.param({"timeout": Timeout(connect=10)}, 5, id="beside a Timeout"),
    ],
)
async def test_a_number_as_timeout_sets_all_clocks_but_connect(settings: dict[str, Any], timeout: float | None) -> None:
    client, transport = client_of(answer(completion()), stream(*hello()), **settings)

    await client.chat.completions.create(model="m", messages=HI, timeout=timeout)
    async with await client.chat.completions.stream(model="m", messages=HI, timeout=timeout):
        pass

    plain, streamed = (request.timeout for request in transport.requests)
    assert (plain.connect, plain.plain, plain.deadline) == (10, 300, 5)
    assert (streamed.connect, streamed.first_chunk, streamed.idle) == (10, 5, 5)
    assert (streamed.progress, streamed.deadline) == (5, None)


async def test_a_plain_call_has_more_patience_than_a_stream_has_between_bytes() -> None:
    client, transport = client_of(answer(completion()), stream(*hello()))

    await client.chat.completions.create(model="m", messages=HI)
    async with await client.chat.completions.stream(model="m", messages=HI):
        pass

    plain, streamed = (request.timeout for request in transport.requests)
    assert (plain.plain, streamed.idle, streamed.first_chunk) == (300, 60, 300)


async def test_a_number_leaves_the_other_clocks_of_the_client_alone() -> None:
    own = Timeout(connect=1, first_chunk=700, idle=1000, progress=2, deadline=3000, queue=4)
    client, transport = client_of(answer(completion()), stream(*hello()), timeout=own)

    await client.chat.completions.create(model="m", messages=HI, timeout=900)
    async with await client.chat.completions.stream(model="m", messages=HI, timeout=5):
        pass

    plain, streamed = (request.timeout for request in transport.requests)
    assert plain == Timeout(connect=1, first_chunk=700, idle=1000, progress=2, deadline=900, queue=4)
    assert plain.plain == 1000
    assert streamed == Timeout(connect=1, first_chunk=5, idle=5, progress=5, deadline=3000, queue=4)


@pytest.mark.parametrize(
    ("elapsed", "least", "most"), [(0, 5, 5), (2, 3, 3), (4.75, 0.25, 0.25), (5, 1e-9, 0.01), (9, 1e-9, 0.01)]
)
def test_the_rest_of_a_deadline_is_never_zero_and_never_much_longer(elapsed: float, least: float, most: float) -> None:
    left = Timeout(deadline=5).left(elapsed)

    assert left is not None
    assert least <= left <= most
    assert Timeout().left(elapsed) is None


def test_timeouts_with_equal_fields_are_equal_and_can_be_copied() -> None:
    one, other = Timeout(idle=5, deadline=None), Timeout(idle=5)

    assert one == other == pickle.loads(pickle.dumps(one)) == copy.deepcopy(one)
    assert hash(one) == hash(other)
    assert one != Timeout(idle=6)
    assert "idle=5" in repr(one)


@pytest.mark.parametrize(
    "given", [{}, {"idle": 60.0}, {"idle": None}, {"idle": 300.0, "deadline": 5.0}, {"connect": None}, {"queue": 7.0}], ids=repr
)
def test_the_repr_of_time_limits_makes_the_same(given: dict[str, Any]) -> None:
    limits = Timeout(**given)
    made = eval(repr(limits))

    assert made == limits
    for name in ("idle", "plain", "connect", "deadline", "queue", "progress", "first_chunk"):
        assert getattr(made, name) == getattr(limits, name), name
    assert limits.with_deadline(9) == Timeout(**{**given, "deadline": 9})


def test_a_default_is_not_the_same_as_its_number() -> None:
    assert Timeout() != Timeout(idle=60)  # which holds for plain calls too


@pytest.mark.parametrize("timeout", [5, 0.5, Timeout(deadline=5), None], ids=repr)
async def test_a_timeout_is_the_client_s_business_and_never_in_the_body(timeout: Any) -> None:
    assert await sent(timeout=timeout) == {"model": "m", "messages": HI}


@pytest.mark.parametrize("blank", ["", "  ", "\n"], ids=repr)
def test_a_blank_variable_is_no_setting(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_BASE_URL", blank)
    monkeypatch.setenv("VENICE_API_KEY", blank)

    assert VeniceClient().base_url == "https://api.venice.ai/api/v1"
    assert "without a key" in repr(VeniceClient())


@pytest.mark.parametrize("retries", [-1, 1.5, "2", True, None], ids=repr)
def test_a_number_of_retries_that_cannot_be_one_is_refused(retries: Any) -> None:
    with pytest.raises(InvalidRequestError, match="max_retries"):
        VeniceClient(max_retries=retries)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("api_key", value) for value in (7, b"key", ["key"])),
        *(("base_url", value) for value in (7, b"http://127.0.0.1", ["http://127.0.0.1"])),
        *(("headers", value) for value in ("X-A: b", 7, [("X-A", "b")])),
        *(("ca_bundle", value) for value in (7, ["ca.pem"])),
        *(("proxy", value) for value in (7, ["http://127.0.0.1"])),
        *(("ssl_context", value) for value in ("x", False, True)),
        *(("transport", value) for value in (5, "http")),
        *(("clock", value) for value in (5, object())),
        *(("trust_env", value) for value in ("no", 0, None)),
        *(("retry_timeouts", value) for value in ("no", 1, None)),
    ],
)
def test_a_setting_of_another_type_is_refused_by_name(name: str, value: Any) -> None:
    settings: dict[str, Any] = {name: value}

    with pytest.raises((InvalidRequestError, AuthenticationError), match=name):
        VeniceClient(**settings)


def test_a_context_and_a_bundle_cannot_both_be_given(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()

    with pytest.raises(InvalidRequestError, match=r"ssl_context.*ca_bundle"):
        VeniceClient(ssl_context=ssl.create_default_context(), ca_bundle=str(bundle))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            " ",
            "api.venice.ai",
            "api.venice.ai/api/v1",
            "//api.venice.ai",
            "http://",
            "https:///api",
            "ftp://api.venice.ai",
        ),
        *(
            "file:///etc/passwd",
            "http://a b/",
            "http://host:port/",
            "http://host:99999/",
            "http://host:0/",
            "http://[::1",
            "http://host/?a=1",
        ),
        *("http://host/#a", "http://user:secret@host/", "http://user:secret@host:port/", "ftp://user:secret@host"),
        *(
            "http://api.venice.ai\u200b/api/v1",
            "http://api..venice.ai",
            "http://.",
            f"http://{'a' * 64}.invalid",
            "http://\u3002",
        ),
        *("http://127.1", "http://127.0.0.01", "http://999.1.1.1", "http://host.7", "http://a*b", "http://[fe80::zz]"),
    ],
    ids=repr,
)
def test_an_address_that_cannot_be_one_is_refused_when_the_client_is_made(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="base_url") as caught:
        VeniceClient(api_key=KEY, base_url=url)

    assert isinstance(caught.value, ValueError)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://user:p@secret@host.example/api", "'***@host.example/api'"),
        ("http://user:secret@host:port/", "'***@host:port/'"),
        ("ftp://host", "'ftp://host'"),
    ],
)
def test_a_refused_address_is_shown_without_the_password_in_it(url: str, shown: str) -> None:
    with pytest.raises(InvalidRequestError, match="not an absolute http") as caught:
        VeniceClient(api_key=KEY, base_url=url)

    assert f"base_url={shown} is not" in str(caught.value)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "localhost", "a_b.example", "xn--bcher-kva.example", "bücher.example", "a.", f"{'a' * 63}.example"],
)
def test_a_host_that_can_be_one_is_taken(host: str) -> None:
    assert VeniceClient(base_url=f"http://{host}:8000/api/v1").base_url == f"http://{host}:8000/api/v1"


def test_scheme_and_host_are_in_lower_case_so_that_one_server_has_one_limiter_and_the_path_stays() -> None:
    assert VeniceClient(base_url="HTTPS://API.Example:8443/API/v1/").base_url == "https://api.example:8443/API/v1"


# -- lifetime ------------------------------------------------------------------------------------------------------------


async def test_a_client_is_closed_with_its_block_and_says_so() -> None:
    client, transport = client_of()

    async with client as entered:
        assert entered is client

    assert transport.closed <= 1
    with pytest.raises(VeniceError, match="closed"):
        await client.chat.completions.create(model="m", messages=HI)
    assert transport.requests == []


@pytest.mark.parametrize("kind", [VeniceClient, SyncVeniceClient])
async def test_a_client_says_whether_it_is_closed(kind: Any) -> None:
    client = kind()
    before = client.closed
    done = client.close()
    if done is not None:
        await done

    assert (before, client.closed) == (False, True)


async def test_a_closed_client_can_be_entered_again() -> None:
    client, transport = client_of(*[answer(completion()) for _ in range(2)])

    for _ in range(2):
        async with client:
            await client.chat.completions.create(model="m", messages=HI)

    assert len(transport.requests) == 2


async def test_a_client_may_be_closed_often_and_before_its_first_call() -> None:
    client, transport = client_of(answer(completion()))

    await client.chat.completions.create(model="m", messages=HI)
    for _ in range(3):
        await client.close()

    assert transport.closed >= 1


def test_making_a_client_costs_no_warning_and_no_connection() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            VeniceClient(api_key=KEY)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        pytest.param("http://proxy.example:8080", "http://proxy.example:8080", id="with a scheme"),
        pytest.param(" proxy.example:8080 ", "http://proxy.example:8080", id="without one"),
        pytest.param("https://proxy.example", "https://proxy.example", id="over TLS"),
        pytest.param("socks5://proxy.example:1080", None, id="SOCKS"),
        pytest.param("", None, id="nothing"),
        pytest.param(7, None, id="no text"),
    ],
)
def test_the_address_of_a_proxy_may_be_written_without_its_scheme(given: object, address: str | None) -> None:
    assert proxy_address(given) == address
