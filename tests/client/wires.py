"""The two wires of a tool loop: `open`, where tools and calls are fields of the JSON, and `sealed`, where they are texts.

A test file that imports the three fixtures runs on both. What depends on the form of a wire is marked `OPEN_ALONE`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai import VeniceClient
from venice_ai.emulator import Emulator, Step, text
from venice_ai.emulator.script import Calls
from venice_ai.resources.chat import ChatCompletions

from ..enclaves import enclave_with_shared_certificates

SEALED = "e2ee-ponte-chiuso-p"
OPEN_ALONE = pytest.mark.parametrize("wire", ["open"])
SEALED_MORE = pytest.mark.parametrize("wire", ["open", pytest.param("sealed", marks=pytest.mark.more)])
"""For a matrix of what is the same on both wires: the sealed one is tried where tests may take long."""


def form(*calls: tuple[str, Any]) -> str:
    """The text in which a model calls tools on the sealed wire."""
    return json.dumps({"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in calls]})


def as_text(step: Step) -> Step:
    """The same step with its calls in the text."""
    if not isinstance(step, Calls):
        return step
    return text(step.text + form(*((call.name, call.arguments) for call in step.calls)), **step.how)


class SealedEmulator(Emulator):
    """An emulator with an enclave, whose model calls tools in its text; it keeps the chats alone."""

    def __init__(self) -> None:
        super().__init__(tee=enclave_with_shared_certificates())

    def script(self, *steps: Step, **more: Any) -> None:
        super().script(*map(as_text, steps), **more)

    async def respond(self, incoming: Any, *, now: float) -> Any:
        answer = await super().respond(incoming, now=now)
        self.requests[:] = [request for request in self.requests if "/tee/" not in request.path]
        return answer


class SealedCompletions(ChatCompletions):
    """Chats of which every tool loop is sealed."""

    async def run_with_tools(self, **given: Any) -> Any:
        return await super().run_with_tools(**_sealed(given))

    async def stream_with_tools(self, **given: Any) -> Any:
        return await super().stream_with_tools(**_sealed(given))


def _sealed(given: dict[str, Any]) -> dict[str, Any]:
    model = SEALED if given["model"] == "default" else given["model"]
    return {**given, "model": model, "e2ee": True, "sealed_tools": True}


@pytest.fixture(name="wire", params=["open", "sealed"])
def either_wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="emulator")
def emulator_of_wire(wire: str) -> Emulator:
    return SealedEmulator() if wire == "sealed" else Emulator()


@pytest.fixture(name="client")
def client_of_wire(emulator: Emulator) -> VeniceClient:
    enclave = emulator.enclave
    settings: dict[str, Any] = {"api_key": "any", "transport": emulator.transport(), "clock": emulator.clock, "max_retries": 0}
    client = VeniceClient(**settings, tee=None if enclave is None else enclave.options(verification="hardware"))
    if enclave is not None:
        client.chat.completions = SealedCompletions(client)
    return client
