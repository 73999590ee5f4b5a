"""Which software runs in a trust domain: checks of the measured event log, the compose file and the operating system image.

The quote signs registers, the event log must lead to them, and the log names the compose file by its hash. What a reply only
states (`info`, `server_verification`, `vm_config`) is compared with that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from itertools import product
from typing import Any, Final, cast

from .._core.json_values import members
from ..types.attestation import Workload, one_line
from .canonical import as_object, parse, shaped
from .checks import CheckSkipped, CheckWarning, fail_if
from .eventlog import PayloadError, ReplayedLog, replay
from .quote import Quote
from .types import OS_PINS, CollectedEvidence, OsImage, TeeOptions

_SHOWN = {"compose_hash": "compose-hash", "os_image_hash": "os-image-hash", "app_id": "app-id", "instance_id": "instance-id"}
_REGISTERS: Final = ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3")
_SPELLED: Final = {"tdAttributes": "attributes", "mrconfigid": "mr_config_id", "mrowner": "mr_owner"}
CLAIMED: Final = {**{name: name for name in (*_REGISTERS, "xfam")}, **_SPELLED, "mrownerconfig": "mr_owner_config"}
"""What Venice calls the measurements that it reports, and what they are called in `Quote`."""
_DEBUG_SWITCHES = {"debug", "isdebug", "debugmode", "debugenabled", "debuggable", "isdebuggable", "tddebug", "debugtd"}
_OBJECTS_AS_TEXT = {"tcb_info", "vm_config", "server_verification"}
_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_NOT_DEBUG = (None, False, 0, "", "false", "0", "off", "no", "disabled")
_LONGEST_PATH = 200
_LONGEST_COMPOSE: Final = 256 * 1024  # the longest compose file that is read, in characters; real ones have some thousands
_FOR_GPUS: Final = ("runtime:nvidia", "driver:nvidia", "\ngpus:", "nvidia.com/gpu", "NVIDIA_VISIBLE_DEVICES")
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


def _measured(quote: Quote) -> dict[str, str]:
    return {name: getattr(quote, name).hex() for name in _REGISTERS}


def check_claims(claims: object, quote: Quote | None, report_data: str) -> str:
    """Checks that what Venice says it verified was good, and is what the quote says."""
    if claims is None:
        return "Venice claims nothing"
    stated = as_object(claims, "server_verification")
    for path, name, value in _walk("server_verification", stated):
        good = isinstance(value, dict) or (value is not (name == "revoked") and (name != "valid" or value is True))
        fail_if(not good, f"Venice says itself that {path} is not good")
    tdx = member(stated, "tdx")
    stated = {"reportData": tdx.get("reportData"), **member(tdx, "measurements")}
    known = {"reportData": report_data}
    if quote is not None:
        known = {name: getattr(quote, field).hex() for name, field in {**CLAIMED, "reportData": "report_data"}.items()}
    for name, value in known.items():
        if stated.get(name) is not None and str(stated[name]).lower().removeprefix("0x") != value:
            raise ValueError(f"Venice reports another {name} than the evidence has")
    return "Venice's own verification agrees"


def check_not_debug(reply: Mapping[str, Any], quote: Quote | None) -> None:
    """Checks that nothing in a reply says that the host can read the domain's memory: no switch, no attributes with bit 0."""
    for path, name, value in _walk("the reply", reply):
        plain = _PUNCTUATION.sub("", name.lower())
        switched_on = plain in _DEBUG_SWITCHES and (value.lower() if isinstance(value, str) else value) not in _NOT_DEBUG
        if not isinstance(value, dict) and (switched_on or (plain == "tdattributes" and not _are_without_debug(value))):
            raise ValueError(f"the server reports a trust domain in debug mode ({path}): its host can read its memory")
    if quote is not None and quote.attributes[0] & 1:
        raise ValueError("the quote is of a trust domain in debug mode: its host can read its memory")


def _walk(path: str, holder: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Every member of an object and of those in it, in lists and in texts: its path, name and value."""
    left = [(path, holder)]
    while left:
        path, holder = left.pop()
        for name, value in holder.items():
            where = f"{path}.{name}"[:_LONGEST_PATH]
            yield where, name, value
            inner = cast("list[Any]", value) if isinstance(value, list) else [value]
            if isinstance(value, str) and name in _OBJECTS_AS_TEXT:
                inner = [member(holder, name)]
            left += [(where, cast("dict[str, Any]", each)) for each in inner if isinstance(each, dict)]


def _are_without_debug(attributes: object) -> bool:
    """Whether attributes, in hex with the lowest byte first, can be read and do not have bit 0."""
    try:
        raw = bytes.fromhex(cast("str", attributes).removeprefix("0x"))
    except (ValueError, AttributeError):
        return attributes is None
    return len(raw) == 8 and not raw[0] & 1


@cache
def known_images() -> tuple[OsImage, ...]:
    """The images in the real attestations that this package was made with."""
    found: dict[str, Any] = json.loads(files("venice_ai.tee").joinpath("os_images.json").read_bytes())
    return tuple(OsImage(os_image_hash, **image) for os_image_hash, image in found.items())


@lru_cache  # a machine shows the same file each time
def read_compose(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The images that a compose file names, each with its digest or without, and what a reader should know of the file."""
    try:
        fail_if(len(text) > _LONGEST_COMPOSE, "it is too long")
        settings = members(parse(text))
    except ValueError:
        return (), ("the compose file is not JSON that means one thing, or too long, so that it could not be read",)
    services: object = settings.get("docker_compose_file")
    services = services if isinstance(services, str) else ""
    images = tuple(sorted(set(_IMAGE.findall(services))))
    loose = [image for image in images if "@sha256:" not in image]
    found = {
        f"container images are not pinned by their hash, so that others may run: {', '.join(loose[:5])}": loose,
        "a container is privileged": _PRIVILEGED.search(services),
        "a container can start and stop others (docker.sock)": "docker.sock" in services,
        "SSH keys can be given at the start": "AUTHORIZED_KEYS" in str(settings.get("allowed_envs")),
        "the logs of the containers are public": settings.get("public_logs"),
        "the clock of the enclave is set by its host": settings.get("secure_time") is not True,
    }
    return images, tuple(warning for warning, true in found.items() if true)


def asks_for_gpus(compose: str) -> bool:
    """Whether a compose file asks for GPUs, however it is spelled. One that is too long to be read may."""
    if len(compose) > _LONGEST_COMPOSE:
        return True
    plain = compose.replace("\\n", "\n").replace("\\", "")
    for mark in "\"' \t":
        plain = plain.replace(mark, "")
    capabilities = (part.partition(":")[0] for part in plain.split("capabilities:")[1:])
    return any(word in plain for word in _FOR_GPUS) or any("gpu" in each for each in capabilities)


def action_line(action: object) -> str:
    """One action in the log of a manager of containers, in one line."""
    stated = dict(members(action))
    first = [str(stated.pop(name)) for name in ("timestamp", "action") if name in stated]
    rest = [f"{name}={value}" for name, value in stated.items()]
    return one_line(" ".join([*first, *rest]) if isinstance(action, dict) else str(action))


class Software:
    """A reply, and the checks of the software that runs, each by its name. They need the quote of the reply."""

    def __init__(self, given: CollectedEvidence, options: TeeOptions) -> None:
        self.given = given
        self.options = options
        self.reply: dict[str, Any] = {}
        self.quote: Quote  # once the check `quote_parse` has passed, as `workload`
        self.workload: Workload

    @cached_property
    def displays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values that the reply displays of what was measured: `info.tcb_info`, and a gateway's evidence."""
        return member(member(self.reply, "info"), "tcb_info"), member(member(self.reply, "attestation"), "evidence")

    @cached_property
    def compose(self) -> str | None:
        """The text of the compose file that the reply shows."""
        shown = (text for display in self.displays if (text := display.get("app_compose")) is not None)
        return cast("str | None", shaped(next(shown, None), str | None, "the compose file shown"))

    @cached_property
    def machine(self) -> dict[str, Any]:
        """The machine's configuration, by its own unsigned word."""
        holders = (self.reply, member(self.reply, "info"), self.displays[1])
        return next(filter(None, (member(holder, "vm_config") for holder in holders)), dict[str, Any]())

    @cached_property
    def logs(self) -> list[ReplayedLog]:
        """The event logs of the reply, replayed."""
        found = [replay(log) for holder in (*self.displays, self.reply) if (log := holder.get("event_log")) is not None]
        fail_if(not found, "the reply has no event log")
        return found

    @property
    def _payloads(self) -> dict[str, bytes]:
        return self.logs[0].payloads

    def rtmr_replay(self) -> str:
        """Every log leads to the registers of the quote."""
        try:
            for log, number in product(self.logs, range(4)):
                fail_if(log.rtmrs[number] != self.quote.rtmrs[number], f"the event log does not lead to RTMR{number}")
        except PayloadError:
            return "an event is not what its digest says"  # which the next check reports
        return f"{len(self.logs)} log(s) lead to RTMR0 to RTMR3"

    def event_payload(self) -> str:
        """The logs agree on what was measured at run time, and each event is what its digest says."""
        first, *others = ((log.payloads, log.later) for log in self.logs)
        fail_if(any(other != first for other in others), "the event logs of the reply differ")
        return ", ".join(self._payloads)

    def mr_config_id(self) -> str:
        """The application measured at the start is the one in the log."""
        version, rest = self.quote.mr_config_id[0], self.quote.mr_config_id[1:]
        if version != 1:
            raise CheckSkipped(f"MRCONFIGID has the form {version}, which is not checked; the form 1 names the compose file")
        if rest[:32] != self._payloads.get("compose-hash") or any(rest[32:]):
            raise ValueError("MRCONFIGID names another compose file than the event log")
        return "MRCONFIGID and the event log name the same compose file"

    def compose_hash(self) -> str:
        """The compose file shown is the one that was measured."""
        if (measured := self._payloads.get("compose-hash")) is None:
            raise ValueError("the event log names no compose file")
        if (text := self.compose) is None:
            raise CheckWarning("the reply does not show the compose file; its hash is measured")
        fail_if(hashlib.sha256(text.encode()).digest() != measured, "the compose file shown is not the one that was measured")
        return f"sha256 {measured.hex()}"

    def info_match(self) -> str:
        """Whatever the reply displays is what was measured."""
        info, payloads, quote = member(self.reply, "info"), self._payloads, self.quote
        measured = {**_measured(quote), **{name: payloads[event].hex() for name, event in _SHOWN.items() if event in payloads}}
        # Where nothing was configured, guests differ in what they hash.
        if any(configured := quote.mr_config_id + quote.mr_owner + quote.mr_owner_config):
            measured["mr_aggregated"] = hashlib.sha256(quote.mrtd + b"".join(quote.rtmrs) + configured).hexdigest()
        compared = 0
        for where, holder in (("info", info), ("info.tcb_info", self.displays[0])):
            for name in filter(holder.__contains__, measured):
                compared += 1
                if not isinstance(holder[name], str) or holder[name].lower().removeprefix("0x") != measured[name]:
                    raise ValueError(f"{where}.{name} is not what was measured")
        provider = info.get("key_provider_info")
        if provider is not None and provider != payloads.get("key-provider", b"").decode():
            raise ValueError("info.key_provider_info is not what was measured")
        return f"{compared} values shown are what was measured"

    def dev_image(self) -> str:
        """The operating system image is known, has the measurements of that image, and is not made for development."""
        measured, claim = _measured(self.quote), self.workload.image_name or ""
        images = (*self.options.os_images, *known_images())
        named = [image for image in images if image.os_image_hash == self.workload.os_image_hash]
        found = next((image for image in named if all(measured[name] == getattr(image, name) for name in OS_PINS)), None)
        if (found is not None and found.is_dev) or "-dev-" in claim:
            why = f"{found.name if found else claim} is made for development: its operator can log in and read prompts"
        elif found is not None:
            return f"os image {found.name} {self.workload.os_image_hash}"
        elif named:
            why = f"the log names {named[0].name or self.workload.os_image_hash}, and mrtd, rtmr1 or rtmr2 are not those of it"
        else:
            why = f"{self.workload.os_image_hash} is unknown, so that its log is nothing but its own word"
        fail_if(not self.options.allow_dev_image, f"the operating system image: {why}")
        raise CheckWarning(f"the operating system image: {why}. TeeOptions(allow_dev_image=False) refuses it")

    def pins(self) -> str:
        """Everything pinned has one of the values it may have."""
        root: object = member({"provider": self.workload.key_provider}, "provider").get("id")
        found: dict[str, str | None] = {
            **_measured(self.quote),
            "mrseam": self.quote.mrseam.hex(),
            **{name: getattr(self.workload, name) for name in ("os_image_hash", "compose_hash", "app_id")},
            "kms_root": root.lower() if isinstance(root, str) else None,
        }
        assert self.options.pins is not None
        pinned = self.options.pins.sets()
        for name, allowed in pinned.items():
            fail_if(found[name] not in allowed, f"{name} is {found[name]}, which is not pinned")
        return f"{', '.join(pinned)} as pinned"

    def described(self) -> Workload:
        """The software that runs by the measured log; the image's name alone is unsigned."""
        payloads, name = self._payloads, self.machine.get("image")
        return Workload(
            **{field: payloads[event].hex() for field, event in _SHOWN.items() if event in payloads},  # type: ignore[arg-type]  # no tuple
            image_name=name if isinstance(name, str) else None,
            key_provider=payloads["key-provider"].decode("utf-8", "replace") if "key-provider" in payloads else None,
            later_events=tuple((each, payload.hex()) for each, payload in self.logs[0].later),
        )
