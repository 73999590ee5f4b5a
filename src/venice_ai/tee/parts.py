"""The check `parts`: does a reply bring every part that the level `hardware` needs?

A server could leave out a part that would fail its check, so a missing part is treated like a bad one. A part is promised by
what the model showed before, or by what the reply has measured: the compose file, the image, the machine's configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from .._core.json_values import items
from ..types.attestation import AttestationReport, Check, Workload
from . import aci
from .workload import LONGEST_COMPOSE, known_images, member, vm_config

GPUS: Final = "gpus"
MANAGER: Final = "compose_manager"
GATEWAY: Final = "gateway"
_FOR_GPUS: Final = ("runtime:nvidia", "driver:nvidia", "\ngpus:", "nvidia.com/gpu", "NVIDIA_VISIBLE_DEVICES")
_FOR_MANAGER: Final = "compose-manager"


def shown(report: AttestationReport) -> frozenset[str]:
    """The parts that a report found to be good, which the model is to show from then on."""
    found = {check.id for check in report.checks if check.status in {"pass", "warn"}}
    parts = {MANAGER: MANAGER in found, GPUS: bool(report.gpus), GATEWAY: bool(found & set(aci.STOPS))}
    return frozenset(name for name, there in parts.items() if there)


def missing(
    reply: Mapping[str, Any],
    *,
    compose: str | None,
    workload: Workload,
    checks: Collection[Check],
    before: Collection[str],
    gpus: bool,
) -> Iterator[str]:
    """What a reply promises and does not bring. `compose` is the measured file; `before` is what the model has `shown`."""
    gateway = aci.is_aci(reply)
    if compose is None and not gateway:
        yield "the compose file"
    if gpus:
        yield from _missing_gpus(reply, compose or "", workload, before)
    if reply.get("compose_manager_attestation") is None and (MANAGER in before or _FOR_MANAGER in (compose or "")):
        yield "what the manager of containers did"
    if GATEWAY in before and not gateway:
        yield "the keys of the gateway"
    yield from (f"{check.id} ({check.detail})" for check in checks if check.id in aci.STOPS and check.status == "skip")


def _missing_gpus(reply: Mapping[str, Any], compose: str, workload: Workload, before: Collection[str]) -> Iterator[str]:
    said: object = vm_config(reply).get("num_gpus")
    number = said if type(said) is int else None
    payload = member(reply, "nvidia_payload")
    if not payload:
        claimed = bool(member(member(reply, "server_verification"), "nvidia"))
        images = {image.name for image in known_images() if image.os_image_hash == workload.os_image_hash}
        measured = _asks_for_gpus(compose) or any("nvidia" in name for name in images)
        if number != 0 or claimed or measured or GPUS in before:
            yield f"evidence of its {number or ''} GPUs".replace("  ", " ")
        return
    there = len(items(payload.get("evidence_list")))
    if number is not None and there < number:
        yield f"evidence of {number - there} of its {number} GPUs"


def _asks_for_gpus(compose: str) -> bool:
    """Whether a compose file asks for GPUs, however it is spelled. One that is too long to be read may."""
    if len(compose) > LONGEST_COMPOSE:
        return True
    plain = compose.replace("\\n", "\n").replace("\\", "")
    for mark in "\"' \t":
        plain = plain.replace(mark, "")
    capabilities = (part.partition(":")[0] for part in plain.split("capabilities:")[1:])
    return any(word in plain for word in _FOR_GPUS) or any("gpu" in each for each in capabilities)
