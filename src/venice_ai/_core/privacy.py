"""How private a chat is to be: what it asks for itself, and the floor of its client, which must hold before a prompt leaves.

`e2ee`: messages are sealed to an enclave that proved what it is. `tee`: the model runs in an enclave that did so, and Venice,
which passes messages on, can read them. None: nothing is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from ..exceptions import InvalidRequestError

Privacy: TypeAlias = Literal["tee", "e2ee"]
PREFIX: Final = "e2ee-"  # what the ids of models with end-to-end encryption begin with

_FROM_LESS_TO_MORE: Final = (None, *get_args(Privacy))
_SEARCHES = ("enable_web_search", "enable_web_scraping", "enable_x_search")
_HARMLESS_SUFFIXES = {
    *("strip_thinking_response", "disable_thinking", "include_venice_system_prompt", "enable_web_citations", "enable_e2ee"),
    *("include_search_results_in_stream", "return_search_results_as_documents"),
}


def check_privacy(value: Any) -> Privacy | None:
    """The floor that a caller sets, or an InvalidRequestError if there is no such floor."""
    if value not in _FROM_LESS_TO_MORE:
        raise InvalidRequestError(f"min_privacy={value!r} must be 'e2ee', 'tee' or None")
    return cast("Privacy | None", value)


def refuse_below(floor: Privacy | None, privacy: Privacy | None) -> None:
    """Raises an InvalidRequestError for a request that is less private than the floor."""
    if _FROM_LESS_TO_MORE.index(privacy) >= _FROM_LESS_TO_MORE.index(floor):
        return
    remedy = "pass e2ee=True and an 'e2ee-*' model" if floor == "e2ee" else "only chats with attested models are"
    raise InvalidRequestError(f"this request is not private enough for a client with min_privacy={floor!r}; {remedy}")


def encryption_requested(e2ee: object, body: Mapping[str, Any]) -> bool:
    """Whether a call is to be end-to-end encrypted: by its argument, or by `venice_parameters.enable_e2ee`."""
    return bool(e2ee) or ("venice_parameters" in body and switches_in(body).get("enable_e2ee") is True)


def encryption_requested_in(params: Mapping[str, Any]) -> bool:
    """Whether the keywords of a call ask for end-to-end encryption, before a body is made of them."""
    from ..types._base import plain  # making a client does not load it

    extra = params.get("extra_body")
    keywords: Mapping[str, Any] = {**params, **extra} if isinstance(extra, Mapping) else params
    switches = keywords.get("venice_parameters")
    return encryption_requested(params.get("e2ee"), {} if switches is None else {"venice_parameters": plain(switches)})


def switches_in(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The switches in `venice_parameters`; none if it is not an object."""
    switches = body.get("venice_parameters")
    return cast("Mapping[str, Any]", switches) if switches and isinstance(switches, Mapping) else {}


def search_in(body: Mapping[str, Any]) -> str | None:
    """The part of a request that would search outside of the enclave: a suffix of the model, a switch or a tool."""
    for part in body["model"].partition(":")[2].replace(":", "&").split("&"):
        name, _, value = part.partition("=")
        off = name in _SEARCHES and value.lower() in {"off", "false"}
        plain = not value or (value.isascii() and value.isalnum())
        if part and not off and not (name in _HARMLESS_SUFFIXES and plain):
            return "the suffix of the model"
    switches = switches_in(body)
    if on := [name for name in _SEARCHES if switches.get(name) not in (None, False, "off")]:
        return f"venice_parameters.{on[0]}"
    tools: Any = body.get("tools")
    kinds = [cast("Mapping[str, Any]", tool).get("type") for tool in (tools or ()) if isinstance(tool, Mapping)]
    return "one of the tools" if any(kind in {"web_search", "x_search"} for kind in kinds) else None
