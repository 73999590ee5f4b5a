"""The requests that the emulator received, and the admin's endpoints, `/_emulator/...`, where other processes read them.

The endpoints exist only with `Emulator(admin=True)`; they also take scripts, and attacks that the enclave is to play. The guide
to testing lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from venice_ai._core.json_values import members
from venice_ai._core.request import SECRET_HEADERS
from venice_ai.exceptions import InvalidRequestError
from venice_ai.types.api.params import CHAT_PATH

from . import contract
from .contract import decode
from .script import Script, steps_from_json
from .sending import Answer, Incoming, json_answer

if TYPE_CHECKING:
    from .enclave import Enclave

PATH = "/_emulator/"


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived; keys are left out."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """By their names in lower case."""
    content: bytes
    """The body's bytes."""

    @cached_property
    def body(self) -> Any:
        """The body's JSON; the bytes if it is not JSON, and `None` without a body."""
        try:
            return decode(self.content) if self.content else None
        except ValueError:
            return self.content

    @classmethod
    def of(cls, incoming: Incoming) -> Self:
        """The record of a request."""
        headers = {name: "***" if name in SECRET_HEADERS else value for name, value in incoming.headers.items()}
        return cls(incoming.method, incoming.path, dict(incoming.query), headers, incoming.body)

    def json(self) -> dict[str, Any]:
        """The request in JSON, for the admin endpoint."""
        body = self.body.decode("utf-8", "replace") if isinstance(self.body, bytes) else self.body
        return {"method": self.method, "path": self.path, "query": self.query, "headers": self.headers, "body": body}


def administer(incoming: Incoming, requests: list[Recorded], script: Script, enclave: Enclave | None, *, now: float) -> Answer:
    said: dict[str, Any] = {"ok": True}
    try:
        match (incoming.method, incoming.path.removeprefix(PATH)):
            case ("GET", "requests"):
                said = {"data": [request.json() for request in requests]}
            case ("DELETE", "requests"):
                requests.clear()
            case ("DELETE", "script"):
                script.left.clear()
                script.always.clear()
            case ("POST", "script"):
                said["steps"] = _extend(script, members(decode(incoming.body)))
            case ("GET", "tee") if enclave is not None:
                said = {**enclave.to_dict(now), "fault": enclave.fault}
            case ("POST", "tee") if enclave is not None:
                _play(members(decode(incoming.body)), enclave)
                said["fault"] = enclave.fault
            case (_, "tee") if enclave is not None:
                return contract.refused(405, headers={"allow": "GET, POST"})
            case _:
                return contract.refused(404, f"{incoming.method} {incoming.path} was not found")
    except ValueError as reason:
        return contract.refused(400, str(reason))
    return json_answer(200, said)


def _extend(script: Script, order: dict[str, Any]) -> int:
    """Puts the steps of an order into the script, and counts them."""
    if "steps" not in order or order.keys() - {"steps", "path", "always"}:
        raise InvalidRequestError('expected {"steps": [...]}, with "path" and "always" where wanted')
    steps = steps_from_json(order["steps"])
    path = str(order.get("path", CHAT_PATH))
    if order.get("always"):
        script.always[path] = steps[-1] if steps else None
    else:
        script.left[path].extend(steps)
    return len(steps)


def _play(order: dict[str, Any], enclave: Enclave) -> None:
    if not order or order.keys() - {"fault", "rotate"} or order.get("rotate", True) is not True:
        raise InvalidRequestError('expected {"fault": "debug"}, {"fault": null} or {"rotate": true}')
    if "fault" in order:
        enclave.fault = order["fault"]
    if "rotate" in order:
        enclave.rotate()
