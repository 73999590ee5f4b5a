"""The emulator itself: `Emulator.respond` takes a request and gives the reply that Venice would give.

Address, content type, size, key, JSON and contract are checked in this order. Then the next step of the script answers, or else
a backend or the emulated model. Nothing here waits, and nothing knows how bytes travel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from venice_ai._core.json_values import members
from venice_ai._core.ports import Clock
from venice_ai._core.privacy import PREFIX as E2EE_PREFIX
from venice_ai.exceptions import InvalidRequestError
from venice_ai.types.api.models import ModelResponse
from venice_ai.types.api.params import CHAT_PATH

from . import contract, delivery, repeatable
from .account import Account
from .answer import IncomingChat, Leaving, Turn, answer, call_id, tool_call
from .backend import Backend, relayed
from .catalogue import TYPES, Catalogue, model_headers, split_suffix, text_model
from .contract import Issue
from .delivery import Completion, Delivery
from .schemas import Unsatisfiable
from .script import Calls, Chunks, Echo, Failure, Pieces, Raw, Refused, ReplyStep, Script, Step, Text, TurnStep, Usual, Whole
from .sending import PREFIX, HTTPReply, Incoming, Recorded, decode, json_reply
from .transport import EmulatorTransport, VirtualClock

if TYPE_CHECKING:
    from .enclave import Enclave

VERSION = "20261002.120000"
ANY_ORIGIN = {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}
"""What lets pages of any origin read an answer (https://fetch.spec.whatwg.org/#http-cors-protocol)."""


class Emulator:
    """A Venice without a key and without a network.

    In process::

        emulator = Emulator()
        client = VeniceClient(api_key="k", transport=emulator.transport(), clock=emulator.clock)

    On a socket::

        async with serve(emulator) as server:
            client = VeniceClient(api_key="any", base_url=server.url)

    Args:
        models: catalogue entries (`text_model` makes complete ones) in place of the invented catalogue.
        backend: a real model, which joins the catalogue as its default; in the enclave, if its id begins with `e2ee-`.
        clock: what in-process waits are waited on; without one they take no time.
        admin: whether `/_emulator/...` exists, through which other processes read requests and send scripts.
        cors: whether pages of any origin in a browser may ask: `OPTIONS` is answered, and every answer says so.
        tee: whether models run in an enclave that proves itself and is sealed to (extra `e2ee`): those of the catalogue with
            the capability `supportsTeeAttestation`. An `Enclave` is the one to take.
        account: a simulated account, whose limits chats have.

    Raises:
        ImportError: `tee` is given, and the extra `e2ee` is not installed.
    """

    def __init__(
        self,
        *,
        models: Iterable[Mapping[str, Any]] | None = None,
        backend: Backend | None = None,
        clock: Clock | None = None,
        admin: bool = False,
        cors: bool = False,
        tee: bool | Enclave = False,
        account: Account | None = None,
    ) -> None:
        self.clock: Clock = VirtualClock() if clock is None else clock  # give it to the client too, and waits take no time
        self.requests: list[Recorded] = []  # the last 1000 requests, oldest first
        self._catalogue = Catalogue(models)
        if backend is not None:
            # It is free, and able to do what it does not refuse itself.
            able = ["FunctionCalling", "ResponseSchema", "LogProbs"]
            if tee and backend.model_id.startswith(E2EE_PREFIX):
                able += ["TeeAttestation", "E2EE"]
            size, traits = backend.context_tokens, ["default"]
            entry = text_model(backend.model_id, supports=able, input=0, output=0, context=size, longest=size, traits=traits)
            self._catalogue.add_default(entry)
        self._backend = backend
        self._script = Script()
        if tee is True:
            from .enclave import Enclave  # needs the extra, and says so

            tee = Enclave()
        self.enclave: Enclave | None = tee or None  # the enclave; `None` without `tee`
        self._has_admin = admin
        self._cors = cors
        self.account = account  # whose limits chats have; `None`: nobody's
        self._count = 0

    @property
    def slept(self) -> list[float]:
        """The waits that were asked of `clock`, in seconds; empty if the clock is a real one."""
        return self.clock.slept if isinstance(self.clock, VirtualClock) else []

    def script(self, *steps: Step, path: str = CHAT_PATH) -> None:
        """Puts steps at the end of the script: each answers one request to the path (without `/api/v1`).

        A request that the contract refuses is refused as ever, and takes no step. Steps in which a model speaks mean the
        usual answer on other paths than that of chat.
        """
        self._script.left[path].extend(steps)

    def always(self, step: Step | None, *, path: str = CHAT_PATH) -> None:
        """Sets the step that answers whenever the script is at its end; None brings the usual answers back."""
        self._script.always[path] = step

    def transport(self) -> EmulatorTransport:
        """A transport for a client in this process."""
        return EmulatorTransport(self)

    async def aclose(self) -> None:
        """Closes the backend."""
        if self._backend is not None:
            await self._backend.aclose()

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        """The reply to a request; `now` is Unix time."""
        if self._cors and incoming.method == "OPTIONS":
            asked = incoming.headers.get("access-control-request-headers", "*")  # a `*` would not allow `Authorization`
            methods = {"access-control-allow-methods": "GET, POST, DELETE, OPTIONS", "access-control-max-age": "86400"}
            return HTTPReply(204, {**ANY_ORIGIN, **methods, "access-control-allow-headers": asked})
        if self._has_admin and incoming.path.startswith("/_emulator/"):
            reply = self._administer(incoming, now)
        else:
            self._count += 1
            self.requests.append(Recorded.of(incoming))
            del self.requests[:-1_000]
            headers = {"CF-RAY": f"{repeatable.hexes(16, 'ray', self._count)}-EMU", "x-venice-version": VERSION}
            reply = (await self._routed(incoming, self._count, now)).with_defaults(headers)
        return reply.with_defaults(ANY_ORIGIN) if self._cors else reply

    async def _routed(self, incoming: Incoming, number: int, now: float) -> HTTPReply:
        path = incoming.path.removeprefix(PREFIX) if incoming.path.startswith(f"{PREFIX}/") else ""
        method = _METHODS.get(path)
        if method is None:
            return contract.refused(404, f"{incoming.path} was not found")
        if incoming.method != method:
            return contract.refused(405, headers={"allow": method})
        if path == CHAT_PATH:
            refusal = self.account.admit(now) if self.account else None
            reply = refusal or await self._chat_reply(incoming, number, now)
            return self.account.counted(reply, now) if self.account and not refusal else reply
        step = self._script.take(path) or Usual()
        if isinstance(step, ReplyStep):
            return _reply_of(step)
        if path == "/api_keys/rate_limits":
            return _stranger(incoming) or delivery.body({"data": self._catalogue.limits(now)}, step.how)
        is_tee, query = path.startswith("/tee/"), incoming.query
        return self._evidence(path, query) if is_tee else self._catalogue_reply(path, query, step.how)

    def _evidence(self, path: str, query: Mapping[str, str]) -> HTTPReply:
        name = query.get("model", "")
        if self.enclave is None:
            how = "venice-chat serve --tee, Emulator(tee=True)"
            return contract.refused(404, f"this emulator was started without an enclave ({how})")
        if self._catalogue.find(name) is None:
            return contract.refused(404, f"Specified model not found: {name}")
        if not self._catalogue.capabilities(name).supportsTeeAttestation:
            return contract.refused(400, f"The model {name} does not support TEE attestation")
        return (self.enclave.attest if path == "/tee/attestation" else self.enclave.signature)(name, query)

    def _catalogue_reply(self, path: str, query: Mapping[str, str], how: Delivery) -> HTTPReply:
        kind = query.get("type", "text")
        allowed = (*TYPES, "all", "code") if path == "/models" else TYPES
        if kind not in allowed:
            expected = " | ".join(f"'{name}'" for name in allowed)
            return contract.invalid([Issue(("type",), f"Expected {expected}, received '{kind}'", "invalid_enum_value")])
        lists: dict[str, Any] = {"/models": self._catalogue.listed, "/models/traits": self._catalogue.traits}
        return delivery.body({"object": "list", "type": kind, "data": lists.get(path, self._catalogue.aliases)(kind)}, how)

    def _administer(self, incoming: Incoming, now: float) -> HTTPReply:
        """The reply at one of the addresses that the guide to testing lists."""
        content: dict[str, Any] = {"ok": True}
        try:
            match (incoming.method, incoming.path.removeprefix("/_emulator/")):
                case ("GET", "requests"):
                    content = {"data": [request.json() for request in self.requests]}
                case ("DELETE", "requests"):
                    self.requests.clear()
                case ("DELETE", "script"):
                    self._script = Script()
                case ("POST", "script"):
                    content["steps"] = self._script.extend(members(decode(incoming.body)))
                case ("GET", "tee") if self.enclave is not None:
                    content = {**self.enclave.to_dict(now), "fault": self.enclave.fault}
                case ("POST", "tee") if self.enclave is not None:
                    _play(members(decode(incoming.body)), self.enclave)
                    content["fault"] = self.enclave.fault
                case (_, "tee") if self.enclave is not None:
                    return contract.refused(405, headers={"allow": "GET, POST"})
                case _:
                    return contract.refused(404, f"{incoming.method} {incoming.path} was not found")
        except ValueError as reason:
            return contract.refused(400, str(reason))
        return json_reply(200, content)

    async def _chat_reply(self, incoming: Incoming, number: int, now: float) -> HTTPReply:
        is_json = incoming.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
        if not is_json or len(incoming.body) > contract.MAX_BODY_BYTES:
            return contract.refused(413 if is_json else 415)
        if stranger := _stranger(incoming):
            return stranger
        try:
            body = decode(incoming.body)
        except ValueError as reason:
            return contract.refused(400, f"Invalid JSON in the request body: {reason}")
        if issues := [*contract.issues(body)]:
            return contract.invalid(issues)
        able = self._catalogue.capabilities(split_suffix(body["model"])[0])
        enclave = self.enclave if able.supportsTeeAttestation else None
        entered = (body, None) if enclave is None else enclave.enter(able, incoming, body)
        if isinstance(entered, HTTPReply):
            return entered
        read, channel = entered
        answered = await self._reply(read, self._script.take(CHAT_PATH), channel or (lambda chunk: (chunk,)), number, now)
        return channel.leave(answered) if channel else answered

    async def _reply(self, body: dict[str, Any], step: Step | None, leaving: Leaving, number: int, now: float) -> HTTPReply:
        name, switches = split_suffix(body["model"])
        if switches:
            body = {**body, "venice_parameters": {**body.get("venice_parameters", {}), **switches}}
            if issues := [*contract.issues(body)]:
                return contract.invalid(issues)
        model = self._catalogue.find(name)
        request = IncomingChat(body, model or ModelResponse.model_validate(text_model(name)), leaving)
        identity = f"chatcmpl-{repeatable.hexes(32, request.model.id, number)}"
        shell = Completion(request, (), identity, int(now))
        if isinstance(step, ReplyStep):
            answered = _reply_of(step)
        elif isinstance(step, TurnStep):
            answered = delivery.chat(shell, [_turn(step, request)] * request.choices, step.how)
        elif model is None:
            return contract.refused(404, f"Specified model not found: {name}")
        else:
            answered = contract.refusal(request, identity) or await self._usual(shell, step.how if step else {})
        return answered.with_defaults(model_headers(request.model, now))

    async def _usual(self, shell: Completion, how: Delivery) -> HTTPReply:
        request = shell.request
        if self._backend is not None and request.model.id == self._backend.model_id:
            return await relayed(self._backend, shell)
        if (limit := request.model.model_spec.availableContextTokens) and request.prompt_tokens > limit:
            return contract.too_long(request.prompt_tokens, limit)
        try:
            return delivery.chat(shell, [answer(request, index) for index in range(request.choices)], how)
        except Unsatisfiable as reason:
            return contract.refused(400, f"Invalid schema: {reason}", request_id=shell.id)


_READ = ("/models", "/models/traits", "/models/compatibility_mapping", "/api_keys/rate_limits")
_METHODS = {CHAT_PATH: "POST", **dict.fromkeys((*_READ, "/tee/attestation", "/tee/signature"), "GET")}


def _stranger(incoming: Incoming) -> HTTPReply | None:
    """The refusal of a request without credentials; `None` if it has some."""
    headers = incoming.headers
    if headers.get("sign-in-with-x") or headers.get("x-sign-in-with-x"):
        return None
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    if not key.strip() and scheme.lower() in {"", "bearer"}:
        return contract.no_key(f"https://api.venice.ai{incoming.path}")
    return None if scheme.lower() == "bearer" else contract.refused(401)


def _play(order: dict[str, Any], enclave: Enclave) -> None:
    if not order or order.keys() - {"fault", "rotate"} or order.get("rotate", True) is not True:
        raise InvalidRequestError('expected {"fault": "debug"}, {"fault": null} or {"rotate": true}')
    if "fault" in order:
        enclave.fault = order["fault"]
    if "rotate" in order:
        enclave.rotate()


def _reply_of(step: ReplyStep) -> HTTPReply:
    how = step.how
    match step:
        case Failure():
            body = contract.body_for(step.status) if step.body is None else step.body
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
            return HTTPReply(0, delay=how.get("delay", 0.0), refused=True, verbatim=True)


def _turn(step: TurnStep, request: IncomingChat) -> Turn:
    match step:
        case Text():
            return Turn(step.text, step.reasoning, finish_reason=step.finish_reason, pieces=step.deltas)
        case Calls():
            turn, given = len(request.messages), [call.arguments for call in step.calls]
            texts = [arguments if isinstance(arguments, str) else json.dumps(arguments) for arguments in given]
            ids = [call.id or call_id(call.name, index, turn) for index, call in enumerate(step.calls)]
            calls = tuple(map(tool_call, ids, [call.name for call in step.calls], texts))
            return Turn(step.text, calls=calls, finish_reason="tool_calls")
        case Echo():
            return Turn(request.question)
