"""A Venice that needs no key and no network: for tests, for demonstrations, and for trying things out.

It is strict where Venice is strict: a request that the wire contract refuses is refused with Venice's status and shape. What
is not scripted is answered by an invented model, deterministically. `serve` puts the same emulator on a socket of this
machine; `Delivery` lists everything that can go wrong with an answer.
"""

from .account import Account
from .app import Emulator
from .backend import Backend, UnsupportedInput
from .catalogue import default_models, other_model, text_model
from .delivery import Delivery
from .sending import Recorded
from .server import Server, run_in_thread, serve
from .transport import EmulatorTransport, Responder, VirtualClock

# fmt: off
# isort: off
from .script import Step, busy, completion, echo, error, events, from_schema, overloaded, pieces, rate_limited, raw, refused
from .script import steps_from_json, steps_to_json, text, tool_call, tool_calls, usual

__all__ = [
    "Account", "Backend", "Delivery", "Emulator", "EmulatorTransport", "Recorded", "Responder", "Server", "Step",
    "UnsupportedInput", "VirtualClock", "busy", "completion", "default_models", "echo", "error", "events",
    "from_schema", "other_model", "overloaded", "pieces", "rate_limited", "raw", "refused", "run_in_thread", "serve",
    "steps_from_json", "steps_to_json", "text", "text_model", "tool_call", "tool_calls", "usual",
]
