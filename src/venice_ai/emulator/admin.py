"""The admin endpoints, `/_emulator/...`: other processes read the recorded requests and send scripts.

They exist only with `Emulator(admin=True)`:

- `GET /_emulator/requests`: the requests so far; `DELETE` forgets them.
- `POST /_emulator/script` with `{"steps": [...], "path": "/models", "always": true}` (the last two may be left out): puts
  steps at the end of the script, or makes the last of them what is always answered; `DELETE` clears it.
- `GET /_emulator/tee`: the roots and the collateral with which a client accepts the enclave, if there is one, and the attack
  that it plays; `POST` with `{"fault": "debug"}` plays another one (null: none), `{"rotate": true}` takes a new key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from venice_ai._core.json_values import members
from venice_ai.exceptions import InvalidRequestError
from venice_ai.types.api.params import CHAT_PATH

from . import refusals
from .contract import decode
from .recorded import Recorded
from .script import Script, steps_from_json
from .sending import Answer, Incoming, json_answer

if TYPE_CHECKING:
    from .enclave import Enclave

PATH = "/_emulator/"


def administer(incoming: Incoming, requests: list[Recorded], script: Script, enclave: Enclave | None, *, now: float) -> Answer:
    said: dict[str, Any] = {"ok": True}
    try:
        match (incoming.method, incoming.path.removeprefix(PATH)):
            case ("GET", "requests"):
                said = {"data": [request.json() for request in requests]}
            case ("DELETE", "requests"):
                requests.clear()
            case ("DELETE", "script"):
                script.clear()
            case ("POST", "script"):
                said["steps"] = _extend(script, members(decode(incoming.body)))
            case ("GET", "tee") if enclave is not None:
                said = {**enclave.to_dict(now), "fault": enclave.fault}
            case ("POST", "tee") if enclave is not None:
                _play(members(decode(incoming.body)), enclave)
                said["fault"] = enclave.fault
            case (_, "tee") if enclave is not None:
                return refusals.refused(405, headers={"allow": "GET, POST"})
            case _:
                return refusals.refused(404, f"{incoming.method} {incoming.path} was not found")
    except ValueError as reason:
        return refusals.refused(400, str(reason))
    return json_answer(200, said)


def _extend(script: Script, order: dict[str, Any]) -> int:
    """Puts the steps of an order into the script, and counts them."""
    if "steps" not in order or order.keys() - {"steps", "path", "always"}:
        raise InvalidRequestError('expected {"steps": [...]}, with "path" and "always" where wanted')
    steps = steps_from_json(order["steps"])
    path = str(order.get("path", CHAT_PATH))
    if order.get("always"):
        script.always(steps[-1] if steps else None, path)
    else:
        script.add(steps, path)
    return len(steps)


def _play(order: dict[str, Any], enclave: Enclave) -> None:
    if not order or order.keys() - {"fault", "rotate"} or order.get("rotate", True) is not True:
        raise InvalidRequestError('expected {"fault": "debug"}, {"fault": null} or {"rotate": true}')
    if "fault" in order:
        enclave.fault = order["fault"]
    if "rotate" in order:
        enclave.rotate()
