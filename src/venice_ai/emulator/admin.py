"""The emulator's own address, `/_emulator/...`: other processes read what was asked, and send scripts.

It exists only if it was asked for (`Emulator(admin=True)`):

- `GET /_emulator/requests`: the requests so far; `DELETE` forgets them.
- `POST /_emulator/script` with `{"steps": [...], "path": "/models", "always": true}` (the last two may be left out): puts
  steps at the end of the script, or makes the last of them what is always answered; `DELETE` clears it.
"""

from __future__ import annotations

from venice_ai.exceptions import InvalidRequestError

from . import refusals
from .contract import decode
from .loose import members
from .recorded import Recorded
from .script import CHAT, Script, steps_from_json
from .sending import Answer, Incoming, json_answer

PATH = "/_emulator/"


def administer(incoming: Incoming, requests: list[Recorded], script: Script) -> Answer:
    """The answer to an administrator."""
    match (incoming.method, incoming.path.removeprefix(PATH)):
        case ("GET", "requests"):
            return json_answer(200, {"data": [request.json() for request in requests]})
        case ("DELETE", "requests"):
            requests.clear()
        case ("DELETE", "script"):
            script.clear()
        case ("POST", "script"):
            return _extend(script, incoming.body)
        case _:
            return refusals.refused(404, f"{incoming.method} {incoming.path} was not found")
    return json_answer(200, {"ok": True})


def _extend(script: Script, body: bytes) -> Answer:
    try:
        order = members(decode(body))
        if "steps" not in order or order.keys() - {"steps", "path", "always"}:
            raise InvalidRequestError('expected {"steps": [...]}, with "path" and "always" where wanted')
        steps = steps_from_json(order["steps"])
    except ValueError as reason:
        return refusals.refused(400, str(reason))
    path = str(order.get("path", CHAT))
    if order.get("always"):
        script.always(steps[-1] if steps else None, path)
    else:
        script.add(steps, path)
    return json_answer(200, {"ok": True, "steps": len(steps)})
