"""The catalogue, the limits and the attestations for code that does not await."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from ..resources.limits import Limits
from ..resources.models import Models
from ..resources.tee import Tee
from ..types.api.chat import ChatCompletionResponse
from .connection import SyncResource

if TYPE_CHECKING:
    from .._limits.snapshot import LimitsSnapshot
    from ..types.attestation import SignatureReport
    from .streams import SyncChatStream

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """A method of a part of the asynchronous client, with its documentation, as one that returns what awaiting it gives."""

    @wraps(method)
    def call(facade: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        # It is a method of the facade.
        return cast("T", facade._run(method(getattr(facade._connected, facade._part), *args, **kwargs)))  # noqa: SLF001

    return call


class SyncModels(SyncResource):
    """The catalogue of models; see `Models`, also for every method."""

    _part = "models"

    list = _blocking(Models.list)
    traits = _blocking(Models.traits)
    compatibility_mapping = _blocking(Models.compatibility_mapping)
    retrieve = _blocking(Models.retrieve)
    find = _blocking(Models.find)
    resolve_chat = _blocking(Models.resolve_chat)
    check = _blocking(Models.check)


class SyncLimits(SyncResource):
    """The limits of this client's key; see `Limits`, also for every method."""

    _part = "limits"

    def snapshot(self) -> LimitsSnapshot:
        """What is known now of each model, and what waits; see `Limits.snapshot`."""
        return self._connected.limits.snapshot()

    refresh = _blocking(Limits.refresh)


class SyncTee(SyncResource):
    """Attestations and signatures of enclaves; see `Tee`, also for every method."""

    _part = "tee"

    attest = _blocking(Tee.attest)
    get_attestation = _blocking(Tee.get_attestation)
    open_session = _blocking(Tee.open_session)
    get_signature = _blocking(Tee.get_signature)

    def verify_signature(self, answer: ChatCompletionResponse | SyncChatStream) -> SignatureReport:
        """Whether the attested key signed an end-to-end encrypted answer; see `Tee.verify_signature`."""
        response = answer if isinstance(answer, ChatCompletionResponse) else answer.collect()
        return self._run(self._connected.tee.verify_signature(response))
