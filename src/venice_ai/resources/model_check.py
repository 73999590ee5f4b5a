"""The parameters of a request that a model would refuse, by its catalogue entry; and whether it can stand in for another.

Where the catalogue says nothing, nothing is refused. See https://docs.venice.ai/api-reference/endpoint/chat/completions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple

from .._core.json_values import items, members
from .._core.privacy import PREFIX, Privacy, switches_in
from ..types.api.chat import content_texts
from ..types.api.models import ModelResponse
from ..types.api.params import needed_capabilities
from .model_choice import can, retired, spec_of

_SEARCHES: Final = {
    "enable_web_search": "supportsWebSearch",
    "enable_web_scraping": "supportsWebSearch",
    "enable_x_search": "supportsXSearch",
}


class Refusal(NamedTuple):
    """A parameter that a model would refuse."""

    parameter: str
    """Where it stands in the request, such as `tools` or `messages[0].content[1]`."""
    reason: str
    """Why it would be refused."""

    def __str__(self) -> str:
        return f"{self.parameter}: {self.reason}"


def refusals(entry: ModelResponse, body: Mapping[str, Any]) -> list[Refusal]:
    """The parameters of a request's body that the model would refuse; none if all is well, or not known."""
    able = spec_of(entry).capabilities
    lacking = ((flag, parameter) for flag, parameter in _needs(body) if getattr(able, flag, None) is False)
    refused = (Refusal(parameter, f"model {entry.id!r} does not support it ({flag})") for flag, parameter in lacking)
    return [*refused, *_beyond(entry, body)]


def unsuitable(
    entry: ModelResponse, body: Mapping[str, Any], *, first: ModelResponse | None, privacy: Privacy | None, now: float
) -> str | None:
    """Why a model cannot stand in for the `first` one, if the catalogue still has that; None if it can."""
    spec = spec_of(entry)
    if spec.offline is True or retired(spec, now):
        return "it is offline or retired"
    if privacy == "e2ee" and not (entry.id.startswith(PREFIX) and can(entry, "supportsE2EE")):
        return "it has no end-to-end encryption"
    if not can(entry, "supportsTeeAttestation") and (privacy or (first and can(first, "supportsTeeAttestation"))):
        return "it does not run in an enclave"
    if first is not None and spec_of(first).privacy == "private" and spec.privacy != "private":
        return "it is less private"
    lacking = (f"the request needs {flag}" for flag, _ in (*_needs(body), *_uses(body)) if not can(entry, flag))
    return next(chain(lacking, map(str, _beyond(entry, body))), None)


def _needs(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The capabilities that parameters need, and where those stand."""
    for flag, (first, *rest) in needed_capabilities(body):
        yield flag, f"{first}{''.join(f'[{step}]' if isinstance(step, int) else f'.{step}' for step in rest)}"


def _uses(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The capabilities of which a model that lacks them makes nothing, without refusing the request."""
    for name, flag in _SEARCHES.items():
        if switches_in(body).get(name) not in (None, False, "off") or f"{name}=" in str(body.get("model")):
            yield flag, f"venice_parameters.{name}"
    if _effort(body)[1] not in (None, "none"):
        yield "supportsReasoningEffort", _effort(body)[0]
    messages = [*map(members, items(body.get("messages")))]
    if sum(members(part).get("type") == "image_url" for each in messages for part in items(each.get("content"))) > 1:
        yield "supportsMultipleImages", "messages"  # else images are left out
    if any(each.get("role") == "tool" or each.get("tool_calls") for each in messages):
        yield "supportsFunctionCalling", "messages"


def _beyond(entry: ModelResponse, body: Mapping[str, Any]) -> Iterator[Refusal]:
    spec = spec_of(entry)
    name, effort = _effort(body)
    efforts = items(getattr(spec.capabilities, "reasoningEffortOptions", None))
    if efforts and isinstance(effort, str) and effort not in {*efforts, "none"}:
        yield Refusal(name, f"{effort!r} is not one of {', '.join(map(str, efforts))} (model {entry.id!r})")
    longest, asked = spec.maxCompletionTokens, body.get("max_completion_tokens")
    if isinstance(longest, int) and longest and isinstance(asked, int) and asked > longest:
        yield Refusal("max_completion_tokens", f"{asked} is above the {longest} of model {entry.id!r}")
    context = spec.availableContextTokens or entry.context_length
    texts = (text for message in items(body.get("messages")) for text in content_texts(members(message).get("content")))
    # No tokenizer makes one token of two words; nor are more counted on than one for four letters.
    least = sum(min(len(text.split()), len(text) // 4) for text in texts)
    if isinstance(context, int) and context and least > context:
        yield Refusal("messages", f"at least {least} tokens do not fit the context of model {entry.id!r}, {context} tokens")


def _effort(body: Mapping[str, Any]) -> tuple[str, Any]:
    effort = body.get("reasoning_effort")
    return ("reasoning_effort", effort) if effort else ("reasoning.effort", members(body.get("reasoning")).get("effort"))
