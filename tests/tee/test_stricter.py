"""Options of a call and of its client: whichever demands more holds, field by field, and nothing demands less."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from venice_ai import InvalidRequestError
from venice_ai.tee import MeasurementPins, OsImage, TeeOptions, TrustRoots
from venice_ai.tee.stricter import MIN_LEVEL_VARIABLE, check_floor, effective, identity, stricter

PINS = MeasurementPins.from_dict(dict.fromkeys(("mrtd", "rtmr1", "rtmr2", "rtmr3"), "00" * 48))
OTHER_PINS = replace(PINS, mrtd=frozenset({"00" * 48, "11" * 48}))
IMAGE = OsImage("00" * 32, "00" * 48, "00" * 48, "00" * 48, is_dev=False)
OTHER_IMAGE = replace(IMAGE, os_image_hash="11" * 32)
OTHER_ROOTS = TrustRoots(nvidia_root_sha256="00" * 32)


class Says:
    """A verifier with an answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def verify(self, attestation: Any) -> Any:
        assert attestation == "evidence"
        return self.answer


class SaysLater(Says):
    """The same, in its own time."""

    async def verify(self, attestation: Any) -> Any:
        return Says.verify(self, attestation)


def merged(call: dict[str, Any], client: dict[str, Any]) -> TeeOptions:
    return stricter(TeeOptions(**call), TeeOptions(**client))


ONE_OF_TWO: list[Any] = [
    pytest.param("verification", "server", "auto", id="server, auto"),
    pytest.param("verification", "auto", "quote", id="auto, quote"),
    pytest.param("verification", "quote", "hardware", id="quote, hardware"),
    pytest.param("gpu", "off", "verify-if-present", id="no GPUs, GPUs"),
    pytest.param("gpu", "verify-if-present", "require", id="GPUs, required"),
    pytest.param("gpu", "require", "nras", id="required, NVIDIA's word"),
    pytest.param("verify_signature", "off", "try", id="no signature, tried"),
    pytest.param("verify_signature", "try", "require", id="tried, required"),
    pytest.param("tcb_statuses", frozenset({"UpToDate", "OutOfDate"}), frozenset({"UpToDate"}), id="a status more"),
    pytest.param("min_tcb_eval", 19, 20, id="evaluation"),
    pytest.param("allowed_td_attributes_mask", 1 << 30, 0, id="an attribute more"),
    pytest.param("allow_dev_image", True, False, id="development"),
    pytest.param("attestation_ttl", 300.0, 10.0, id="time"),
    pytest.param("attestation_ttl", 300.0, 0.0, id="no time"),
    pytest.param("pins", None, PINS, id="pins"),
    pytest.param("verifier", None, Says(True), id="verifier"),
    pytest.param("encrypt_roles", ("user",), "all", id="roles"),
]


@pytest.mark.parametrize(("field", "less", "more"), ONE_OF_TWO)
def test_the_stricter_of_call_and_client_holds_for_each_field(field: str, less: Any, more: Any) -> None:
    for call, client in ((less, more), (more, less), (more, more)):
        assert getattr(merged({field: call}, {field: client}), field) == more
    assert getattr(merged({field: less}, {field: less}), field) == less


@pytest.mark.parametrize(
    ("field", "call", "client", "both"),
    [
        pytest.param(
            "tcb_statuses",
            {"UpToDate", "OutOfDate"},
            {"UpToDate", "SWHardeningNeeded"},
            frozenset({"UpToDate"}),
            id="the statuses that both accept",
        ),
        pytest.param("allowed_td_attributes_mask", 1 << 30 | 1 << 63, 1 << 30 | 1 << 31, 1 << 30, id="the attributes of both"),
        pytest.param("encrypt_roles", ("user",), ("system", "user"), ("user", "system"), id="the roles of either"),
        pytest.param("os_images", (IMAGE, OTHER_IMAGE), (IMAGE,), (IMAGE,), id="the images that both know"),
        pytest.param("os_images", (IMAGE,), (), (), id="an image that the client does not know"),
        pytest.param("os_images", (), (IMAGE,), (IMAGE,), id="the client's images"),
    ],
)
def test_each_keeps_what_it_demands_of_the_same(field: str, call: Any, client: Any, both: Any) -> None:
    assert getattr(merged({field: call}, {field: client}), field) == both


@pytest.mark.parametrize("kind", [Says, SaysLater])
@pytest.mark.parametrize(
    ("call", "client", "accepted"),
    [(True, True, True), (True, False, False), (False, True, False), (True, 1, False), (1, True, False), (None, True, False)],
)
async def test_both_verifiers_must_say_true(kind: type[Says], call: Any, client: Any, accepted: bool) -> None:
    verifier = merged({"verifier": kind(call)}, {"verifier": Says(client)}).verifier
    assert verifier is not None

    answer: Any = verifier.verify("evidence")  # type: ignore[arg-type]  # no verifier here looks into it

    assert await answer is accepted


async def test_the_same_verifier_is_asked_once() -> None:
    verifier = Says(True)

    assert merged({"verifier": verifier}, {"verifier": verifier}).verifier is verifier


@pytest.mark.parametrize(
    ("call", "client"),
    [
        pytest.param({"trust": OTHER_ROOTS}, {}, id="other roots than the pinned ones"),
        pytest.param({"trust": OTHER_ROOTS}, {"trust": TrustRoots(b"root")}, id="other roots than the client's"),
        pytest.param({"pins": PINS}, {"pins": OTHER_PINS}, id="fewer pins"),
        pytest.param({"pins": OTHER_PINS}, {"pins": PINS}, id="more pins"),
        pytest.param({"tcb_statuses": {"OutOfDate"}}, {}, id="no status in common"),
    ],
)
def test_options_of_a_call_that_contradict_the_client_are_refused(call: dict[str, Any], client: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        merged(call, client)


def test_the_roots_of_a_client_hold_for_a_call_that_names_none() -> None:
    for trust in (TrustRoots(), OTHER_ROOTS):
        assert merged({}, {"trust": trust}).trust == trust
        assert merged({"trust": trust}, {"trust": trust}).trust == trust


def test_demands_of_call_client_and_environment_hold_together() -> None:
    call, client = TeeOptions(gpu="require"), TeeOptions(verification="hardware")

    both = effective(call, client, {})
    assert (both.gpu, both.verification) == ("require", "hardware")
    assert effective(call, None, {}) == call
    assert effective(None, client, {}) == client
    assert effective(None, None, {}) == TeeOptions()
    raised = effective(call, None, {MIN_LEVEL_VARIABLE: "quote"})
    assert (raised.gpu, raised.verification) == ("require", "quote")


def test_every_option_that_demands_something_is_compared() -> None:
    compared = {each.values[0] for each in ONE_OF_TWO} | {"trust", "os_images"}
    # What a call is asked with, and where the time and Intel's word come from, demands nothing.
    assert {each.name for each in fields(TeeOptions)} - compared == {"nonce", "collateral", "clock"}


@pytest.mark.parametrize(
    ("least", "given", "verification"),
    [
        pytest.param("", "server", "server", id="an empty variable"),
        pytest.param("server", "auto", "auto", id="less than the default"),
        pytest.param("quote", "auto", "quote", id="more than the default"),
        pytest.param("quote", "hardware", "hardware", id="less than the options"),
        pytest.param("hardware", "server", "hardware", id="more than the options"),
    ],
)
def test_the_environment_raises_the_level_and_never_lowers_it(least: str, given: Any, verification: str) -> None:
    assert effective(TeeOptions(verification=given), None, {MIN_LEVEL_VARIABLE: least}).verification == verification


def test_an_unknown_level_of_the_environment_or_one_that_needs_pins_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="'highest' must be one of 'server', "):
        effective(None, None, {MIN_LEVEL_VARIABLE: "highest"})
    with pytest.raises(InvalidRequestError, match="needs TeeOptions"):
        effective(TeeOptions(), None, {MIN_LEVEL_VARIABLE: "pinned"})
    assert effective(TeeOptions(pins=PINS), None, {MIN_LEVEL_VARIABLE: "pinned"}).verification == "pinned"


@pytest.mark.parametrize("floor", ["tee", "e2ee"])
def test_a_privacy_floor_needs_evidence(floor: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"min_privacy='{floor}'"):
        check_floor(floor, TeeOptions(verification="server"))
    check_floor(floor, TeeOptions())
    check_floor(None, TeeOptions(verification="server"))


def test_time_and_collateral_are_the_call_s_or_else_the_client_s() -> None:
    def one() -> float:
        return 1.0

    def other() -> float:
        return 2.0

    assert merged({"clock": one}, {"clock": other}).clock is one
    assert merged({}, {"clock": other}).clock is other
    assert merged({"collateral": {"a": "1"}}, {"collateral": {"a": "2"}}).collateral == {"a": "1"}
    assert merged({}, {"collateral": {"a": "2"}}).collateral == {"a": "2"}


async def test_verifiers_differ_by_who_must_accept_and_each_is_asked() -> None:
    one, other, third = Says(True), Says(True), Says(True)
    both = merged({"verifier": one}, {"verifier": other}).verifier
    three = merged({"verifier": third}, {"verifier": both}).verifier

    assert [identity(each) for each in (None, one)] == [(), (id(one),)]
    assert identity(both) == (id(one), id(other))
    assert identity(three) == (id(third), id(one), id(other))
