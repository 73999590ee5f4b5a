"""Which software runs in a trust domain: checks of the measured event log, the compose file and the operating system image.

The quote signs registers, the event log must lead to them, and the log names the compose file by its hash. What a reply only
states (`info`, `server_verification`, `vm_config`) is compared with that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, cast

from .._core.json_values import items, members
from ..types.attestation import Workload, one_line
from .canonical import parse
from .checks import CheckSkipped, CheckWarning
from .eventlog import PayloadError, Replay, replay
from .quote import Quote
from .types import OS_PINS, MeasurementPins, OsImage

_SHOWN = {"compose_hash": "compose-hash", "os_image_hash": "os-image-hash", "app_id": "app-id", "instance_id": "instance-id"}
_REGISTERS: Final = ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3")
_SPELLED: Final = {"tdAttributes": "attributes", "mrconfigid": "mr_config_id", "mrowner": "mr_owner"}
CLAIMED: Final = {**{name: name for name in (*_REGISTERS, "xfam")}, **_SPELLED, "mrownerconfig": "mr_owner_config"}
"""What Venice calls the measurements that it reports, and what they are called in `Quote`."""
_DEBUG_SWITCHES = {"debug", "isdebug", "debugmode", "debugenabled", "debuggable", "isdebuggable", "tddebug", "debugtd"}
_OBJECTS_AS_TEXT = {"tcb_info", "vm_config"}
_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_NOT_DEBUG = (None, False, 0, "", "false", "0", "off", "no", "disabled")
_CLAIMS_DEPTH = 8
LONGEST_COMPOSE: Final = 256 * 1024
"""The longest compose file that is read, in characters; real ones have some thousands."""
# Blanks of one line, not `\s`: that takes line breaks in too, and tries each of them anew from every line before it.
_IMAGE = re.compile(r"^[ \t]*(?:-[ \t]*)?image:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_PRIVILEGED = re.compile(r"^[ \t]*privileged:[ \t]*[\"']?true", re.MULTILINE)


def member(value: object, name: str) -> dict[str, Any]:
    """The object in a field, also where it came as the text of one; an empty one without one."""
    found: Any = members(value).get(name)
    if isinstance(found, str):
        try:
            found = parse(found)
        except ValueError:
            return {}
    return members(found)


class Logs:
    """The event logs of a reply, replayed: all of them must give the same result."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        self._replays: list[Replay] = []
        self._trouble: ValueError | None = None
        try:
            holders = (_tcb_info(reply), member(member(reply, "attestation"), "evidence"), reply)
            self._replays = [replay(log) for holder in holders if (log := holder.get("event_log")) is not None]
        except ValueError as error:
            self._trouble = error
        self.payloads: dict[str, bytes] = self._replays[0].payloads if self._replays else {}
        self.later: tuple[tuple[str, bytes], ...] = self._replays[0].later if self._replays else ()

    def check_registers(self, quote: Quote) -> str:
        """Checks that every log leads to the registers of the quote."""
        if self._trouble is not None and not isinstance(self._trouble, PayloadError):
            raise self._trouble
        if not self._replays and self._trouble is None:
            raise ValueError("the reply has no event log")
        for found in self._replays:
            for number, (register, measured) in enumerate(zip(found.rtmrs, quote.rtmrs, strict=True)):
                if register != measured:
                    raise ValueError(f"the event log does not lead to RTMR{number}")
        return f"{len(self._replays)} log(s) lead to RTMR0 to RTMR3"

    def check_payloads(self) -> str:
        """Checks that every runtime event is what its digest says, and the logs agree."""
        if self._trouble is not None:
            raise self._trouble
        if any((found.payloads, found.later) != (self.payloads, self.later) for found in self._replays):
            raise ValueError("the event logs of the reply differ")
        return ", ".join(self.payloads)


def _tcb_info(reply: Mapping[str, Any]) -> dict[str, Any]:
    return member(member(reply, "info"), "tcb_info")


def check_config_id(quote: Quote, payloads: Mapping[str, bytes]) -> str:
    """Checks that the application measured at the start is the one in the log."""
    version, rest = quote.mr_config_id[0], quote.mr_config_id[1:]
    if version != 1:
        raise CheckSkipped(f"MRCONFIGID has the form {version}, which is not checked; the form 1 names the compose file")
    if rest[:32] != payloads.get("compose-hash") or any(rest[32:]):
        raise ValueError("MRCONFIGID names another compose file than the event log")
    return "MRCONFIGID and the event log name the same compose file"


def check_compose(reply: Mapping[str, Any], payloads: Mapping[str, bytes]) -> str:
    """Checks that the compose file shown is the one that was measured."""
    if (measured := payloads.get("compose-hash")) is None:
        raise ValueError("the event log names no compose file")
    if (text := app_compose(reply)) is None:
        raise CheckWarning("the reply does not show the compose file; its hash is measured")
    if hashlib.sha256(text.encode()).digest() != measured:
        raise ValueError("the compose file shown is not the one that was measured")
    return f"sha256 {measured.hex()}"


def app_compose(reply: Mapping[str, Any]) -> str | None:
    """The text of the compose file that a reply shows."""
    for holder in (_tcb_info(reply), member(member(reply, "attestation"), "evidence")):
        if (text := holder.get("app_compose")) is not None:
            if not isinstance(text, str):
                raise ValueError("the compose file shown is not a string")  # evidence, not an argument
            return text
    return None


def check_info(reply: Mapping[str, Any], quote: Quote, payloads: Mapping[str, bytes]) -> str:
    """Checks that whatever the reply displays is what was measured."""
    info = member(reply, "info")
    measured = {**_measured(quote), **{name: payloads[event].hex() for name, event in _SHOWN.items() if event in payloads}}
    # Where nothing was configured, guests differ in what they hash.
    if any(configured := quote.mr_config_id + quote.mr_owner + quote.mr_owner_config):
        measured["mr_aggregated"] = hashlib.sha256(quote.mrtd + b"".join(quote.rtmrs) + configured).hexdigest()
    compared = 0
    for where, holder in (("info", info), ("info.tcb_info", _tcb_info(reply))):
        for name, value in measured.items():
            if name in holder:
                compared += 1
                if not isinstance(holder[name], str) or holder[name].lower().removeprefix("0x") != value:
                    raise ValueError(f"{where}.{name} is not what was measured")
    provider = info.get("key_provider_info")
    if provider is not None and provider != payloads.get("key-provider", b"").decode():
        raise ValueError("info.key_provider_info is not what was measured")
    return f"{compared} values shown are what was measured"


def _measured(quote: Quote) -> dict[str, str]:
    return {name: getattr(quote, name).hex() for name in _REGISTERS}


def check_claims(claims: object, quote: Quote | None, report_data: str) -> str:
    """Checks that what Venice says it verified was good, and is what the quote says."""
    if claims is None:
        return "Venice claims nothing"
    if not isinstance(claims, dict):
        raise ValueError("server_verification is not an object")  # noqa: TRY004  # evidence, not an argument
    stated = cast("dict[str, Any]", claims)
    if refused := next(_refusals(stated, "server_verification"), None):
        raise ValueError(f"Venice says itself that {refused:.200} is not good")
    tdx = member(stated, "tdx")
    said = {"reportData": tdx.get("reportData"), **member(tdx, "measurements")}
    known = {"reportData": report_data}
    if quote is not None:
        known = {name: getattr(quote, field).hex() for name, field in {**CLAIMED, "reportData": "report_data"}.items()}
    for name, value in known.items():
        if said.get(name) is not None and str(said[name]).lower().removeprefix("0x") != value:
            raise ValueError(f"Venice reports another {name} than the evidence has")
    return "Venice's own verification agrees"


def _refusals(claims: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, value in claims.items():
        if isinstance(value, dict):
            yield from _refusals(cast("dict[str, Any]", value), f"{path}.{name}")
        elif value is (name == "revoked") or (name == "valid" and value is not True):
            yield f"{path}.{name}"


def check_not_debug(reply: Mapping[str, Any], quote: Quote | None) -> None:
    """Checks that nothing in a reply says that the host can read the domain's memory: no switch, no attributes with bit 0."""
    for holder in (reply, member(reply, "server_verification")):
        if where := next(_debug_signs(holder, "the reply"), None):
            raise ValueError(f"the server reports a trust domain in debug mode ({where:.200}): its host can read its memory")
    if quote is not None and quote.attributes[0] & 1:
        raise ValueError("the quote is of a trust domain in debug mode: its host can read its memory")


def _debug_signs(claims: Mapping[str, Any], path: str, depth: int = 0) -> Iterator[str]:
    for name, value in claims.items():
        plain = _PUNCTUATION.sub("", name.lower())
        if name != "server_verification" and depth < _CLAIMS_DEPTH:
            for each in _objects(claims, name):
                yield from _debug_signs(each, f"{path}.{name}", depth + 1)
        switched_on = plain in _DEBUG_SWITCHES and (value.lower() if isinstance(value, str) else value) not in _NOT_DEBUG
        if not isinstance(value, dict) and (switched_on or (plain == "tdattributes" and not _are_without_debug(value))):
            yield f"{path}.{name}"


def _objects(claims: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects that a member is, or that are in its list; also as text, where servers write it so."""
    value = claims[name]
    if isinstance(value, list):
        return [cast("dict[str, Any]", each) for each in cast("list[Any]", value) if isinstance(each, dict)]
    return [member(claims, name)] if isinstance(value, dict) or name in _OBJECTS_AS_TEXT else []


def _are_without_debug(attributes: object) -> bool:
    """Whether attributes, in hex with the lowest byte first, can be read and do not have bit 0."""
    try:
        raw = bytes.fromhex(cast("str", attributes).removeprefix("0x"))
    except (ValueError, AttributeError):
        return attributes is None
    return len(raw) == 8 and not raw[0] & 1


def describe(logs: Logs, reply: Mapping[str, Any]) -> Workload:
    """What the measured log says is running; the image's name alone is unsigned."""
    payloads = logs.payloads
    name = vm_config(reply).get("image")
    shown = {field: payloads[event].hex() if event in payloads else None for field, event in _SHOWN.items()}
    return replace(
        Workload(**shown),  # type: ignore[arg-type]  # mypy does not see which fields are in it
        image_name=name if isinstance(name, str) else None,
        key_provider=payloads["key-provider"].decode("utf-8", "replace") if "key-provider" in payloads else None,
        later_events=tuple((each, payload.hex()) for each, payload in logs.later),
    )


def vm_config(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The machine's configuration, by its own unsigned word."""
    holders = (reply, member(reply, "info"), member(member(reply, "attestation"), "evidence"))
    found = [member(holder, "vm_config") for holder in holders]
    return next(filter(None, found), found[0])


@cache
def known_images() -> tuple[OsImage, ...]:
    """The images in the real attestations that this package was made with."""
    found: dict[str, Any] = json.loads(files("venice_ai.tee").joinpath("os_images.json").read_bytes())
    return tuple(OsImage(os_image_hash, **image) for os_image_hash, image in found.items())


def check_image(quote: Quote, workload: Workload, more: Iterable[OsImage], *, allowed: bool) -> str:
    """Checks that the operating system image is known, has the measurements of that image, and is not made for development."""
    measured = _measured(quote)
    named = [image for image in (*more, *known_images()) if image.os_image_hash == workload.os_image_hash]
    found = next((image for image in named if all(measured[name] == getattr(image, name) for name in OS_PINS)), None)
    claim = workload.image_name or ""
    if (found is not None and found.is_dev) or "-dev-" in claim:
        trouble = f"{found.name if found else claim} is made for development: its operator can log in and read prompts"
    elif found is None and named:
        trouble = f"the log names {named[0].name or workload.os_image_hash}, and mrtd, rtmr1 or rtmr2 are not those of it"
    elif found is None:
        trouble = f"{workload.os_image_hash} is unknown, so that its log is nothing but its own word"
    else:
        return f"os image {found.name} {workload.os_image_hash}"
    trouble = f"the operating system image: {trouble}"
    if allowed:
        raise CheckWarning(f"{trouble}. TeeOptions(allow_dev_image=False) refuses it")
    raise ValueError(trouble)


@lru_cache(maxsize=8)  # asked for twice in an attestation, and a machine shows the same file each time
def compose_images(text: str | None) -> tuple[str, ...]:
    """Every image that a compose file names, as it names it: with its digest, or without."""
    return tuple(sorted(set(_IMAGE.findall(_services(_settings(text))))))


def compose_warnings(text: str | None) -> Iterator[str]:
    """What a reader should know of a compose file that was measured."""
    settings = _settings(text)
    if settings is None:
        if text is not None:
            yield "the compose file is not JSON that means one thing, or too long, so that it could not be read"
        return
    services = _services(settings)
    if loose := [image for image in compose_images(text) if "@sha256:" not in image]:
        yield f"container images are not pinned by their hash, so that others may run: {', '.join(loose[:5])}"
    found = {
        "a container is privileged": _PRIVILEGED.search(services),
        "a container can start and stop others (docker.sock)": "docker.sock" in services,
        "SSH keys can be given at the start": "AUTHORIZED_KEYS" in str(settings.get("allowed_envs")),
        "the logs of the containers are public": settings.get("public_logs"),
        "the clock of the enclave is set by its host": settings.get("secure_time") is not True,
    }
    yield from (warning for warning, true in found.items() if true)


def _settings(text: str | None) -> dict[str, Any] | None:
    """What a compose file sets; `None` without a file, or if it cannot be read."""
    if text is None or len(text) > LONGEST_COMPOSE:
        return None
    try:
        return members(parse(text))
    except ValueError:
        return None


def _services(settings: Mapping[str, Any] | None) -> str:
    services = (settings or {}).get("docker_compose_file")
    return services if isinstance(services, str) else ""


def manager_actions(reply: Mapping[str, Any]) -> tuple[str, ...]:
    """What a manager of containers says that it did since the start, an action a line."""
    return tuple(map(_action, items(member(reply, "compose_manager_attestation").get("actions"))))


def _action(action: object) -> str:
    said = dict(members(action))
    first = [str(said.pop(name)) for name in ("timestamp", "action") if name in said]
    rest = [f"{name}={value}" for name, value in said.items()]
    return one_line(" ".join([*first, *rest]) if isinstance(action, dict) else str(action))


def check_pins(pins: MeasurementPins, quote: Quote, workload: Workload) -> str:
    """Checks that everything pinned has one of the values it may have."""
    root: object = member({"provider": workload.key_provider}, "provider").get("id")
    found: dict[str, str | None] = {
        **_measured(quote),
        "mrseam": quote.mrseam.hex(),
        "os_image_hash": workload.os_image_hash,
        "compose_hash": workload.compose_hash,
        "app_id": workload.app_id,
        "kms_root": root.lower() if isinstance(root, str) else None,
    }
    for name, allowed in pins.sets().items():
        if found[name] not in allowed:
            raise ValueError(f"{name} is {found[name]}, which is not pinned")
    return f"{', '.join(pins.sets())} as pinned"
