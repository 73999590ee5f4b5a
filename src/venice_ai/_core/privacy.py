"""The privacy floor of a client: the least that must hold before a prompt leaves it.

`e2ee`: messages are sealed to an enclave that proved what it is. `tee`: the model runs in an enclave that did so, and Venice,
which passes messages on, can read them. None: nothing is asked for.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, get_args

from ..exceptions import InvalidRequestError

Privacy: TypeAlias = Literal["tee", "e2ee"]

_FROM_LESS_TO_MORE: Final = (None, *get_args(Privacy))


def check_privacy(value: Any) -> Privacy | None:
    """The floor that a caller sets.

    Raises:
        InvalidRequestError: there is no such floor.
    """
    if value not in _FROM_LESS_TO_MORE:
        raise InvalidRequestError(f"min_privacy={value!r} must be 'e2ee', 'tee' or None")
    floor: Privacy | None = value
    return floor


def refuse_below(floor: Privacy | None, privacy: Privacy | None) -> None:
    """Refuses a request that is less private than the floor.

    Raises:
        InvalidRequestError: it is.
    """
    if _FROM_LESS_TO_MORE.index(privacy) >= _FROM_LESS_TO_MORE.index(floor):
        return
    remedy = "pass e2ee=True and an 'e2ee-*' model" if floor == "e2ee" else "only chats with attested models are"
    raise InvalidRequestError(f"this request is not private enough for a client with min_privacy={floor!r}; {remedy}")
