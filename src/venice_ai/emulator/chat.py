"""The endpoint `/chat/completions`: a valid request gets its answer from the script, the backend or the emulated model."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from venice_ai.types.api.models import ModelResponse

from . import contract, delivery, refusals, repeatable
from .answer import Turn, answer, call_id, tool_call
from .backend import Backend, relayed
from .catalogue import Catalogue, model_headers, split_suffix, text_model
from .completion import Completion
from .request import ChatRequest, Leaving
from .schema_validation import Unsatisfiable
from .script import Calls, Chunks, Echo, Failure, Pieces, Raw, Refused, Spoken, Step, Text, Unspoken, Whole
from .sending import Answer


async def respond(
    catalogue: Catalogue,
    backend: Backend | None,
    body: dict[str, Any],
    step: Step | None,
    *,
    number: int,
    now: float,
    leaving: Leaving | None = None,
) -> Answer:
    """The answer to a body that the contract allows; as a step of the script has it, if there is one.

    `leaving` is what is sent for a chunk of a streamed answer, if not the chunk itself.
    """
    name, switches = split_suffix(body["model"])
    if switches:
        body = {**body, "venice_parameters": {**body.get("venice_parameters", {}), **switches}}
        if issues := [*contract.issues(body)]:
            return refusals.invalid(issues)
    model = catalogue.find(name)
    known = model or ModelResponse.model_validate(text_model(name))
    request = ChatRequest(body, known, leaving or (lambda chunk: (chunk,)))
    identity = f"chatcmpl-{repeatable.hexes(32, known.id, number)}"
    if isinstance(step, Unspoken):
        answered = unspoken(step)
    elif isinstance(step, Spoken):
        turns = [delivery.dressed(_turn(step, request), step.how)] * request.choices
        answered = _delivered(Completion(request, turns, identity, int(now)), step.how)
    elif model is None:
        return refusals.refused(404, f"Specified model not found: {name}")
    else:
        answered = _objection(request) or await _usual(backend, request, identity, int(now), step.how if step else {})
    return answered.with_defaults(model_headers(request.model, now))


async def _usual(backend: Backend | None, request: ChatRequest, identity: str, now: int, how: delivery.Delivery) -> Answer:
    if reason := contract.provider_objection(request):
        return refusals.rejected(reason, identity)
    if backend is not None and request.model.id == backend.model_id:
        return await relayed(backend, request, identity, now)
    if (limit := request.model.model_spec.availableContextTokens) and request.prompt_tokens > limit:
        return refusals.too_long(request.prompt_tokens, limit)
    try:
        turns = [delivery.dressed(answer(request, index), how) for index in range(request.choices)]
    except Unsatisfiable as reason:
        return refusals.rejected(f"Invalid schema: {reason}", identity)
    return _delivered(Completion(request, turns, identity, now), how)


def _objection(request: ChatRequest) -> Answer | None:
    """Why a request that the contract allows is refused; None if it is not."""
    if request.model.model_spec.offline:
        return refusals.refused(503, "The model is currently offline. Please try another model.")
    if issues := [*contract.missing_capabilities(request)]:
        return refusals.invalid(issues)
    if contract.oversized_file(request):
        return refusals.refused(413, "File exceeds the maximum allowed size of 25 MB.")
    # Which characters there are cannot be known here: every name that could be one is.
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", request.switches.get("character_slug", "venice")):
        return refusals.refused(404, "No character could be found from the provided character_slug")
    return None


def unspoken(step: Unspoken) -> Answer:
    """The answer of a step in which no model speaks."""
    how = step.how
    match step:
        case Failure():
            body = refusals.body_for(step.status) if step.body is None else step.body
            return replace(delivery.body(body, how), status=step.status)
        case Raw():
            return replace(delivery.sent(step.status, {}, [step.body], how), verbatim=True)
        case Whole():
            return delivery.body(step.body, how)
        case Chunks():
            return delivery.events(step.chunks, how)
        case Pieces():
            return delivery.sent(200, {"content-type": delivery.EVENTS_TYPE}, step.pieces, how, events=True)
        case Refused():
            return Answer(0, delay=how.get("delay", 0.0), refused=True, verbatim=True)


def _turn(step: Spoken, request: ChatRequest) -> Turn:
    match step:
        case Text():
            pieces = None if step.deltas is None else tuple(step.deltas)
            return Turn(step.text, step.reasoning, finish_reason=step.finish_reason, pieces=pieces)
        case Calls():
            turn, given = len(request.messages), [call.arguments for call in step.calls]
            texts = [arguments if isinstance(arguments, str) else json.dumps(arguments) for arguments in given]
            ids = [call.id or call_id(call.name, index, turn) for index, call in enumerate(step.calls)]
            calls = tuple(map(tool_call, ids, [call.name for call in step.calls], texts))
            return Turn(step.text, calls=calls, finish_reason="tool_calls")
        case Echo():
            return Turn(request.question)


def _delivered(completion: Completion, how: delivery.Delivery) -> Answer:
    whole = not completion.request.streams or how.get("json_instead")
    return delivery.body(completion.body(), how) if whole else delivery.stream(completion, how)
