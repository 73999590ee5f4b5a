"""Clients on one core and the server on another, where the machine has two."""

import os
import resource


def pin_to_first_core() -> None:
    _pin(min(os.sched_getaffinity(0)))


def pin_to_last_core() -> None:
    # Of all there are: who starts a server may have been pinned to the first.
    _pin((os.cpu_count() or 1) - 1)


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


def allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
