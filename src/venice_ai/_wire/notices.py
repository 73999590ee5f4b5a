"""Notices about answers, each given once: another model answered, a model will be retired, all tokens were reasoning."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from .._core.caller_warnings import warn
from .._core.json_values import without
from ..exceptions import ModelSubstitutedWarning

if TYPE_CHECKING:
    from .._core.ports import Clock
    from ..types.api.chat import ChatCompletionResponse
    from ..types.response_meta import ResponseMeta

logger = logging.getLogger("venice_ai")

_MOST_NOTICES: Final = 1000  # a server that makes up names must not fill the memory


class Notices:
    """The notices that one client gave already, and the names of models in its catalogue, while that is fresh."""

    def __init__(self) -> None:
        self._given: set[object] = set()
        self.names: dict[str, tuple[float, Mapping[str, Any]]] = {}
        """Until when names are known, and what they stand for, by the part of the catalogue; a model's id stands for itself."""

    def substitution(self, requested: str, answered: object, meta: ResponseMeta, clock: Clock) -> None:
        """Warns that another model answered than the requested one; does nothing if the requested name is not known."""
        if not self.names:
            return
        now = clock.now()
        requested = meta.models_tried[-1] if meta.models_tried else requested  # a fallback was asked in the end
        known = self._resolved(requested, now)
        if not isinstance(answered, str) or known is None or (self._resolved(answered, now) or answered) == known:
            return
        meta.model_substituted = True
        if self._first_time((requested, answered)):
            message = f"{requested!r} was asked for, and {answered!r} answered"
            try:
                warn(message, ModelSubstitutedWarning)
            except ModelSubstitutedWarning:  # warnings are errors; the answer was paid for
                logger.warning("%s", message)

    def deprecation(self, model: str | None, meta: ResponseMeta, secret: bytes) -> None:
        """Logs once for each model and date that it will be retired, and what takes its place; `secret` is the key."""
        if (warning := meta.deprecation_warning) and self._first_time(f"{model or warning} {meta.deprecation_date}"):
            logger.warning("Venice: %s", without(warning, secret))

    def spent(self, response: ChatCompletionResponse) -> None:
        """Logs that an answer was cut off before its text began, and what to do."""
        if response.finish_reason == "length" and not response.text and self._first_time(response.get("model")):
            logger.warning(
                "%s spent all its tokens before its answer began, most likely on reasoning, and they are billed; raise "
                "max_completion_tokens, or lower reasoning_effort",
                response.get("model"),
            )

    def _resolved(self, name: str, now: float) -> str | None:
        """The id that a name stands for, without its feature suffix; None if it is not known."""
        name = name.strip().partition(":")[0]
        fresh = (names for until, names in self.names.values() if now < until)
        return next((cast("str", names[name]) for names in fresh if isinstance(names.get(name), str)), None)

    def _first_time(self, what: object) -> bool:
        if what.__hash__ is None or what in self._given or len(self._given) >= _MOST_NOTICES:
            return False
        self._given.add(what)
        return True
