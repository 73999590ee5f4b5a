"""What a reply only states about its software: words about debug mode and claims of Venice, compose files, actions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai.tee.quote import Quote
from venice_ai.tee.workload import action_line, asks_for_gpus, check_claims, check_not_debug, member, read_compose

DATA = "ab" * 64
IMAGE = f"reg.example/model@sha256:{'0' * 64}"


def quote(attributes: bytes = bytes(8)) -> Quote:
    """A quote whose fields differ from each other."""
    raw = bytes(at % 251 for at in range(1_218))
    return Quote(raw[:168] + attributes + raw[176:568] + bytes.fromhex(DATA) + raw[632:], b"", b"")


# -- debug mode ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, False, 0, "", "false", "False", "0", "off", "OFF", "no", "disabled", {"level": "off"}], ids=repr
)
def test_a_switch_that_is_off_is_no_debug_mode(value: Any) -> None:
    check_not_debug({"debug": value, "info": [{"is_debug": value}]}, None)


@pytest.mark.parametrize("value", [True, 1, "true", "on", -1, "1", "yes", "FALSCH", [], [False], 0.5], ids=repr)
@pytest.mark.parametrize("name", ["debug", "is_debug", "Debug-Mode", "TD_DEBUG", "debuggable", "debugEnabled"])
def test_a_switch_that_is_on_is_debug_mode_wherever_it_stands(name: str, value: Any) -> None:
    for reply in ({name: value}, {"a": [7, {"b": {name: value}}]}, {"vm_config": json.dumps({name: value})}):
        with pytest.raises(ValueError, match=rf"\.{name}\): its host can read"):
            check_not_debug(reply, None)


def test_other_words_and_the_text_of_other_members_are_no_switches() -> None:
    check_not_debug({"debugger": True, "log": json.dumps({"debug": True}), "note": "debug"}, None)


@pytest.mark.parametrize(
    ("attributes", "good"),
    [
        *((None, True), ("0000001000000000", True), ("0x0000001000000000", True), ("fe00000000000000", True)),
        *(("0100000000000000", False), ("0x0100000000000000", False), ("ff00000000000000", False)),
        *(("", False), ("00", False), ("00" * 7, False), ("00" * 9, False), ("zz" * 8, False), (7, False), ([], False)),
    ],
)
def test_attributes_that_cannot_be_read_or_have_the_bit_of_debug_mode_are_debug_mode(attributes: Any, good: bool) -> None:
    reply = {"info": {"td_attributes": attributes}}
    if good:
        check_not_debug(reply, None)
    else:
        with pytest.raises(ValueError, match=r"debug mode \(the reply\.info\.td_attributes\)"):
            check_not_debug(reply, None)


@pytest.mark.parametrize(("attributes", "good"), [(b"\0", True), (b"\xfe", True), (b"\1", False), (b"\xff", False)])
def test_the_first_bit_of_a_quote_s_attributes_is_debug_mode(attributes: bytes, good: bool) -> None:
    given = quote(attributes + bytes(7))
    if good:
        check_not_debug({}, given)
    else:
        with pytest.raises(ValueError, match="quote is of a trust domain in debug mode"):
            check_not_debug({}, given)


def test_the_path_in_an_error_is_short() -> None:
    with pytest.raises(ValueError, match="debug mode") as caught:
        check_not_debug({"a" * 100: {"b" * 100: {"debug": True}}}, None)
    assert f"(the reply.{'a' * 100}.{'b' * 89})" in str(caught.value)


# -- Venice's claims -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        *((None, True), ({}, True), ({"valid": True}, True), ({"tdx": {"valid": True, "revoked": False}}, True)),
        *(
            ({"valid": {"tdx": True}}, True),
            ({"note": None}, True),
            ({"note": True}, True),
            ({"note": 0}, True),
            ({"version": 0}, True),
        ),
        *(({"valid": False}, False), ({"valid": None}, False), ({"valid": "true"}, False), ({"valid": 1}, False)),
        *(({"revoked": True}, False), ({"other": False}, False), ({"a": {"b": [{"valid": 0}]}}, False)),
    ],
    ids=repr,
)
def test_claims_that_are_not_good_by_venice_s_own_word_are_refused(claims: Any, good: bool) -> None:
    if good:
        check_claims(claims, None, DATA)
    else:
        with pytest.raises(ValueError, match=r"Venice says itself that server_verification\.[\w.]+ is not good"):
            check_claims(claims, None, DATA)


FIELDS = {
    **{name: name for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "xfam")},
    "tdAttributes": "attributes",
    "mrconfigid": "mr_config_id",
    "mrowner": "mr_owner",
    "mrownerconfig": "mr_owner_config",
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_measurement_that_venice_reports_is_that_of_the_quote(name: str) -> None:
    measured = getattr(quote(), FIELDS[name]).hex()
    for text in (measured, measured.upper(), f"0x{measured}", None):
        check_claims({"tdx": {"measurements": {name: text}}}, quote(), DATA)
    for text in (measured[:-1] + ("f" if measured[-1] != "f" else "0"), measured[:-2], "", 7):
        with pytest.raises(ValueError, match=f"another {name} than the evidence has"):
            check_claims({"tdx": {"measurements": {name: text}}}, quote(), DATA)
        check_claims({"tdx": {"measurements": {name: text}}}, None, DATA)  # nothing to compare with


@pytest.mark.parametrize("given", [None, quote()], ids=["without a quote", "with a quote"])
def test_the_report_data_that_venice_reports_is_what_it_must_be(given: Quote | None) -> None:
    check_claims({"tdx": {"reportData": f"0x{DATA.upper()}"}}, given, DATA)
    with pytest.raises(ValueError, match="another reportData"):
        check_claims({"tdx": {"reportData": "00" * 64}}, given, DATA)


@pytest.mark.parametrize("claims", [7, "{}", []], ids=repr)
def test_claims_that_are_no_object_are_refused(claims: Any) -> None:
    with pytest.raises(ValueError, match="server_verification is not a JSON object"):
        check_claims(claims, None, DATA)


# -- compose files -------------------------------------------------------------------------------------------------------


def warnings_of(services: str = f"image: {IMAGE}", **settings: Any) -> list[str]:
    """What a reader should know of a file in which nothing else is wrong."""
    text = json.dumps({"docker_compose_file": services, "secure_time": True, **settings})
    return list(read_compose(text)[1])


@pytest.mark.parametrize(
    ("services", "settings", "words"),
    [
        pytest.param("image: nginx", {}, "not pinned by their hash, so that others may run: nginx", id="no digest"),
        pytest.param(f"image: {IMAGE}\nprivileged: true", {}, "a container is privileged", id="privileged"),
        pytest.param(f"image: {IMAGE}\n \t privileged:\t'true'", {}, "a container is privileged", id="privileged, quoted"),
        pytest.param(f"image: {IMAGE}\n- /var/run/docker.sock:/x", {}, "start and stop others", id="the socket"),
        pytest.param(f"image: {IMAGE}", {"allowed_envs": ["DSTACK_AUTHORIZED_KEYS"]}, "SSH keys", id="SSH keys"),
        pytest.param(f"image: {IMAGE}", {"public_logs": True}, "logs of the containers are public", id="logs"),
        pytest.param(f"image: {IMAGE}", {"secure_time": False}, "set by its host", id="time"),
        pytest.param(f"image: {IMAGE}", {"secure_time": 1}, "set by its host", id="time that is not a switch"),
    ],
)
def test_each_risk_in_a_compose_file_is_one_warning(services: str, settings: dict[str, Any], words: str) -> None:
    (warning,) = warnings_of(services, **settings)
    assert words in warning


def test_a_compose_file_in_which_all_is_well_has_no_warning() -> None:
    assert warnings_of(public_logs=False, allowed_envs=["A"]) == []
    assert warnings_of(f"image: {IMAGE}\nunprivileged: true\nprivileged: false") == []
    assert warnings_of("") == warnings_of(7) == []  # type: ignore[arg-type]


def test_the_first_five_images_without_a_digest_are_named() -> None:
    (warning,) = warnings_of("\n".join(f"  - image: 'i{number}'" for number in reversed(range(7))))
    assert warning.endswith("may run: i0, i1, i2, i3, i4")


@pytest.mark.parametrize(("length", "is_read"), [(256 * 1024, True), (256 * 1024 + 1, False)])
def test_a_compose_file_is_read_up_to_its_greatest_length(length: int, is_read: bool) -> None:
    text = json.dumps({"docker_compose_file": f"image: {IMAGE}", "secure_time": True})
    images, warnings = read_compose(text + " " * (length - len(text)))

    assert images == ((IMAGE,) if is_read else ())
    assert len(warnings) == (0 if is_read else 1)
    assert asks_for_gpus(" " * length) is not is_read


# -- members, actions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "found"),
    [
        *(({"a": {"b": 1}}, {"b": 1}), ({"a": '{"b": 1}'}, {"b": 1}), ({"a": "[1]"}, {}), ({"a": "{"}, {})),
        *(({"a": 7}, {}), ({}, {}), (None, {}), ([], {}), ({"a": '{"b": 1, "b": 2}'}, {})),
    ],
    ids=repr,
)
def test_a_member_is_an_object_or_the_text_of_one(value: object, found: dict[str, Any]) -> None:
    assert member(value, "a") == found


@pytest.mark.parametrize(
    ("action", "line"),
    [
        pytest.param({"container": "m", "action": "start", "timestamp": 7}, "7 start container=m", id="in order"),
        pytest.param({"action": "stop", "by": "a\nb"}, r"stop by=a\nb", id="a line break"),
        pytest.param("restart", "restart", id="a text"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_an_action_of_a_manager_is_one_line(action: object, line: str) -> None:
    assert action_line(action) == line
