"""Other models for a chat whose model cannot answer: when one is asked (never once any of the answer came), and which.

A model is passed over that gives less privacy than was asked for or than the first model gives, that lacks a capability which
the request uses, or of which the catalogue cannot tell.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ... import exceptions
from ..._core.privacy import Privacy
from ..._http.caller import AcceptedReply, Call, Caller
from ...exceptions import APIError, InvalidRequestError, NoMatchingModelError, TeeAttestationError
from ..model_check import unsuitable
from ..models import Models

if TYPE_CHECKING:
    from ..._core.request import Request
    from ..._http.connection import Connection
    from ...types.api.models import ModelResponse

_logger = logging.getLogger("venice_ai")

_RETIRED = ("deprecat", "retire", "sunset", "replaced by")


def calls_for_another(failure: APIError, *, streams: bool) -> bool:
    """Whether another model may answer what this one did not begin to answer."""
    if isinstance(failure, exceptions.APITimeoutError):
        return failure.clock in {"connect", "first_chunk"} or (failure.clock == "idle" and not streams)
    if isinstance(failure, exceptions.NotFoundError):
        warned = failure.meta is not None and failure.meta.deprecation_warning
        return bool(warned) or any(word in f"{failure.code} {failure.body}".lower() for word in _RETIRED)
    overloaded = failure.status_code == 529 or (isinstance(failure, exceptions.RateLimitError) and failure.kind == "overloaded")
    return overloaded or isinstance(failure, (exceptions.ModelGoneError, exceptions.ServiceUnavailableError))


class Fallbacks:
    """The models of one chat: the one that was asked, and those that may stand in for it."""

    def __init__(
        self, client: Connection, body: dict[str, Any], names: Iterable[str], *, streams: bool, privacy: Privacy | None
    ) -> None:
        self._client = client
        self._body = body
        self._left = [name for name in dict.fromkeys(names) if name != body["model"]]
        self._streams = streams
        self._privacy: Privacy | None = privacy
        self.tried: list[str] = [body["model"]]

    def call(self, request: Request, remake: Callable[[dict[str, Any]], Awaitable[Request]]) -> Call:
        """A call that goes on with these models."""
        return FallbackCall(self._client.caller, request, self, remake)

    def may_follow(self, failure: APIError) -> bool:
        """Whether there may be another model after this failure."""
        return bool(self._left) and calls_for_another(failure, streams=self._streams)

    async def body_after(self, failure: APIError) -> dict[str, Any] | None:
        """The request for the next model; None after the last, and then notes on the failure tell who was asked."""
        while self.may_follow(failure):
            name = self._left.pop(0)
            reason = await self._reason_against(name)
            if reason is None:
                _logger.info("%s failed (%s); asking %s in its place", self.tried[-1], type(failure).__name__, name)
                self.tried.append(name)
                return {**self._body, "model": name}
            failure.add_note(f"fallback_models: {name!r} was not asked, because {reason}")
        self.mark(failure)
        if len(self.tried) > 1:
            failure.add_note(f"fallback_models: {', '.join(self.tried)} were asked, in this order; this is the last failure")
        return None

    def mark(self, found: AcceptedReply | APIError) -> None:
        """Says which models were tried."""
        if found.meta is not None:
            found.meta.models_tried = tuple(self.tried)

    async def _reason_against(self, name: str) -> str | None:
        models = self._client.resource(Models)
        try:
            entry = await models.find(name)
        except (NoMatchingModelError, APIError) as error:
            return f"the catalogue does not tell of it ({type(error).__name__})"
        first: ModelResponse | None = None
        with suppress(NoMatchingModelError, APIError):  # it may have left the catalogue
            first = await models.find(self._body["model"])
        now = self._client.caller.clock.time()
        return unsuitable(entry, {**self._body, "model": name}, first=first, privacy=self._privacy, now=now)


class FallbackCall(Call):
    """A call that goes on with other models, whose requests `remake` makes: all within its deadline, each with retries."""

    def __init__(
        self, caller: Caller, request: Request, fallbacks: Fallbacks, remake: Callable[[dict[str, Any]], Awaitable[Request]]
    ) -> None:
        super().__init__(caller, request)
        self._fallbacks = fallbacks
        self._remake = remake

    def falls_back(self, failure: APIError) -> bool:
        """Whether another model may be asked after this failure."""
        return self._fallbacks.may_follow(failure)

    async def result(self, failure: APIError | None = None) -> AcceptedReply:
        """The next good reply, of whatever model; raises the last failure, when no other model can be asked."""
        replying = super().result(failure)
        del failure  # its traceback would refer to this frame
        return await self._or_another(replying)

    async def again(self, failure: APIError) -> AcceptedReply:
        """The same, after a reply that turned out to be a failure."""
        replying = super().again(failure)
        del failure  # as in `result`
        return await self._or_another(replying)

    async def _or_another(self, replying: Awaitable[AcceptedReply]) -> AcceptedReply:
        while True:
            try:
                accepted = await replying
            except APIError as failure:
                self.done(None)
                self._request = await self._request_after(failure)
                self._attempts = 0
                replying = super().result()
            else:
                self._fallbacks.mark(accepted)
                return accepted

    async def _request_after(self, failure: APIError) -> Request:
        """The request for the next model; raises this failure after the last."""
        try:
            while (body := await self._fallbacks.body_after(failure)) is not None:
                try:
                    return await self._remake(body)
                except (InvalidRequestError, TeeAttestationError) as refusal:
                    failure.add_note(f"fallback_models: {body['model']!r} was not asked: {refusal}")
                    self._fallbacks.tried.pop()
            raise failure
        finally:
            del failure  # its traceback refers to this frame
