"""Whether a compose file asks for GPUs, however it is written: then a reply without their evidence leaves something out."""

from __future__ import annotations

import json
import time

import pytest

from venice_ai.tee.workload import asks_for_gpus


def asks(services: str) -> bool:
    return asks_for_gpus(json.dumps({"docker_compose_file": services}))


@pytest.mark.parametrize(
    "spelled",
    [
        "runtime: nvidia",
        'runtime: "nvidia"',
        "runtime:  'nvidia'",
        "driver : nvidia",
        '"driver":"nvidia"',
        "NVIDIA_VISIBLE_DEVICES=all",
        "capabilities: [gpu]",
        "capabilities:\n      - compute\n      - 'gpu'",
        "gpus: all",
        "devices: ['nvidia.com/gpu=all']",
    ],
)
def test_a_compose_file_that_asks_for_gpus_promises_their_evidence_however_it_is_spelled(spelled: str) -> None:
    assert asks(f"services:\n  model:\n    {spelled}\n")


@pytest.mark.parametrize(
    "harmless", ["image: nginx", "capabilities: [SYS_NICE]", "environment:\n      - num_gpus: 0", "gpu: no"]
)
def test_a_compose_file_that_asks_for_none_does_not(harmless: str) -> None:
    services = f"services:\n  model:\n    {harmless}\n"
    assert not asks(services)
    assert not asks_for_gpus(json.dumps({"gpu_tee": "none", "docker_compose_file": services}))


@pytest.mark.parametrize("piece", ["capabilities:", "runtime:  ", "driver\\\\", "gpus", "capabilities: gp ", "\u2028"])
@pytest.mark.parametrize("length", [30_000, 3_000_000])
def test_a_compose_file_that_is_made_to_take_long_is_looked_through_in_time(piece: str, length: int) -> None:
    compose = piece * (length // len(piece))
    began = time.process_time()
    asks(compose)

    assert time.process_time() - began < 2  # seconds of work; it is some milliseconds


def test_a_compose_file_that_is_too_long_to_be_read_may_ask_for_gpus() -> None:
    assert asks("#" * 300_000)
