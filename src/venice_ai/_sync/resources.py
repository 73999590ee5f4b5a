"""The catalogue and the limits for code that does not await."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from ..resources.limits import Limits
from ..resources.models import Models
from .connection import SyncResource

if TYPE_CHECKING:
    from ..types.limits import LimitsSnapshot

P = ParamSpec("P")
T = TypeVar("T")


class Blocking(Generic[P, T]):  # a class, for ty takes no function that a call gives for a method
    """A method of a part of the asynchronous client, with its documentation, as one that returns what awaiting it gives."""

    def __init__(self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        @wraps(method)
        def call(facade: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
            # It is a method of the facade.
            return cast("T", facade._run(method(getattr(facade._connected, facade._part), *args, **kwargs)))  # noqa: SLF001

        self.func: Any = call

    @overload
    def __get__(self, facade: None, owner: type) -> Callable[Concatenate[Any, P], T]: ...
    @overload
    def __get__(self, facade: object, owner: type) -> Callable[P, T]: ...
    def __get__(self, facade: object, owner: type) -> Any:
        return self.func.__get__(facade, owner)


class SyncModels(SyncResource):
    """The catalogue of models; see `Models`, also for every method."""

    _part = "models"

    list = Blocking(Models.list)
    traits = Blocking(Models.traits)
    compatibility_mapping = Blocking(Models.compatibility_mapping)
    retrieve = Blocking(Models.retrieve)
    find = Blocking(Models.find)
    resolve_chat = Blocking(Models.resolve_chat)
    check = Blocking(Models.check)


class SyncLimits(SyncResource):
    """The limits of this client's key; see `Limits`, also for every method."""

    _part = "limits"

    def snapshot(self) -> LimitsSnapshot:
        """The known limits of each model, and the calls that wait; see `Limits.snapshot`."""
        return self._connected.limits.snapshot()

    refresh = Blocking(Limits.refresh)
