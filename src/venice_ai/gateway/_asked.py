"""What a program asks for: the body of its request as keywords of `create`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, cast

from .._core.privacy import PREFIX, encryption_requested, switches_in
from ..tee.guard import guard
from ..types.api.params import ChatParams

_PARAMETERS: Final = frozenset(ChatParams.__annotations__)
_DROPPED: Final = ("user", "metadata", "store")
"""What programs send beside the conversation, without need, and would leave in clear."""


class Asked(NamedTuple):
    """One chat that a program asks for."""

    keywords: dict[str, Any]
    """The keywords of `create`. Fields that are not known here are in its `extra_body`, so that they go through as they are."""
    sealed: bool
    """Whether it is to be end-to-end encrypted."""
    usage: bool
    """Whether the program wants to be told the usage of a stream."""
    dropped: tuple[str, ...]
    """The fields that are left out because they would not be encrypted."""


def asked_by(body: Mapping[str, Any], *, clear_on_request: bool, roles: Literal["all"] | tuple[str, ...]) -> Asked:
    """What the body of a request asks for. What is wrong with it, `create` says.

    Models with end-to-end encryption are asked with it, and an InvalidRequestError is raised for what would leave in clear,
    also if the client seals the messages of some `roles` alone; unless `clear_on_request` lets `enable_e2ee: false` decide.
    """
    fields = dict(body)
    model, messages, stream = (fields.pop(name, None) for name in ("model", "messages", "stream"))
    model = model.strip() if isinstance(model, str) else model  # as the client does: a blank must not hide the prefix
    if (most := fields.pop("max_tokens", None)) is not None and fields.get("max_completion_tokens") is None:
        fields["max_completion_tokens"] = most
    in_clear = clear_on_request and switches_in(fields).get("enable_e2ee") is False
    sealed = (isinstance(model, str) and model.startswith(PREFIX) and not in_clear) or encryption_requested(None, fields)
    dropped = tuple(name for name in _DROPPED if sealed and fields.pop(name, None) is not None)
    options = fields.get("stream_options")
    usage = isinstance(options, Mapping) and cast("Mapping[str, Any]", options).get("include_usage") is True
    if stream is True and (options is None or isinstance(options, Mapping)):
        fields["stream_options"] = {**cast("Mapping[str, Any]", options or {}), "include_usage": True}
    conversation = {"model": model, "messages": messages}
    if sealed and not clear_on_request:
        guard({**fields, **conversation}, floor="e2ee", roles=roles)
    known = {name: fields.pop(name) for name in _PARAMETERS.intersection(fields)}
    keywords = {**conversation, **known, "stream": stream, "e2ee": sealed, "extra_body": fields}
    return Asked(keywords, sealed, usage, dropped)
