"""Clients on one core and the server on another, where the machine has two."""

import os
import resource


def pin_to_first_core() -> None:
    _pin(min(os.sched_getaffinity(0)))


def pin_to_last_core() -> None:
    _pin(max(os.sched_getaffinity(0)))


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


def allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
