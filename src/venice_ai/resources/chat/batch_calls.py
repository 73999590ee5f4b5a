"""What a batch sends with: a client of its own that shares everything with the caller's, and has two more gates."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from ..._http.caller import Caller
from ..._limits.budget import Budget
from ...batches.driver import Sent
from ...batches.meter import Meter
from ...exceptions import InvalidArgumentError
from ...types.api.chat import ChatCompletionResponse

if TYPE_CHECKING:
    from ..._core.ports import CallGate
    from ..._http.connection import Connection
    from .arguments import Tools
    from .completions import ChatCompletions


class BatchCalls:
    """Sends the requests of one batch: as `create` does, as `parse` with a class, as `run_with_tools` with tools."""

    def __init__(
        self, completions: ChatCompletions, budget: Budget | None, response_format: Any = None, tools: Tools | None = None
    ) -> None:
        if budget is not None and not isinstance(budget, Budget):
            raise InvalidArgumentError(f"budget={budget!r} is not a Budget")
        self._format = response_format
        self._tools = None if tools is None else list(tools)
        client = completions._client  # noqa: SLF001  # of the same client
        self.meter: Meter = Meter()
        gates: list[CallGate] = [*client.caller.gates, self.meter]
        if budget is not None:
            from ..._http.budget_gate import BudgetGate

            gates.insert(0, BudgetGate(budget, client._find_model, client.caller.clock))  # noqa: SLF001
        # A copy, so that an overridden `create` is obeyed.
        self._completions = copy.copy(completions)
        self._completions._client = _twin(client, tuple(gates))  # noqa: SLF001
        self._limiter = client.limiter
        self.limited: bool = client.limiter in gates
        """Whether the client has its limiter on."""
        self.now: Callable[[], float] = client.caller.clock.now

    def held(self) -> int:
        """How many calls wait for the client's limiter."""
        return self._limiter.held

    async def send(self, keywords: dict[str, Any]) -> Sent:
        """The answer to a request, and the object in it."""
        calls: Any = self._completions
        if self._tools is not None:
            result = await calls.run_with_tools(**keywords, tools=self._tools, **self._asked_format())
            return Sent(result.response, self.restored(result.response))
        if self._format is not None and not isinstance(self._format, Mapping):
            parsed = await calls.parse(**keywords, response_format=self._format)
            return Sent(parsed.response, parsed.parsed)
        response: object = await calls.create(**keywords, **self._asked_format())
        if not isinstance(response, ChatCompletionResponse):
            raise TypeError(f"create gave {type(response).__name__}, not a ChatCompletionResponse")
        return Sent(response, self.restored(response))

    def restored(self, response: ChatCompletionResponse) -> Any:
        """The object in an answer; None if none was asked for."""
        if self._format is None:
            return None
        return response.parse_as(dict[str, Any] if isinstance(self._format, Mapping) else self._format)

    def _asked_format(self) -> dict[str, Any]:
        return {} if self._format is None else {"response_format": self._format}


def _twin(client: Connection, gates: tuple[CallGate, ...]) -> Connection:
    """The same client with other gates. It is closed when the client is."""
    twin = cast("Connection", object.__new__(type(client)))
    vars(twin).update(vars(client))
    first = client.caller
    twin.caller = Caller(first.transport, first.clock, first.policy, gates, first.learn)

    def close() -> None:
        twin.caller.closed = True
        for gate in gates:
            gate.close()

    client.on_close.append(close)
    return twin
