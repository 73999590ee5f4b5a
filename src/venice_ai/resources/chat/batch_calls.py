"""What a batch sends with: a client of its own that shares everything with the caller's, and has two more gates."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from ..._limits.budget import Budget
from ...batches.driver import Sent
from ...batches.identity import canonical, hashed
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
        self._tools: list[Any] | None = None
        tool_names = ""
        if tools is not None:
            from ...tools.toolbox import Toolbox, prepared, tool_name  # they need pydantic, which a chat does not

            self._tools = prepared(tools)
            names = sorted(tool_name(each) or "a tool of Venice's" for each in Toolbox(self._tools).definitions)
            tool_names = ", ".join(names)
        client = self._client = completions._client  # noqa: SLF001  # of the same client
        self.meter: Meter = Meter()
        gates: list[CallGate] = [*client.caller.gates, self.meter]
        if budget is not None:
            from ..._http.budget_gate import BudgetGate

            gates.insert(0, BudgetGate(budget, client._find_model, client.caller.clock))  # noqa: SLF001
        # A copy, so that an overridden `create` is obeyed.
        self._completions = copy.copy(completions)
        self._completions._client = _with_gates(client, tuple(gates))  # noqa: SLF001
        self._limiter = client.limiter
        self.limited: bool = client.limiter in gates
        """Whether the client has its limiter on."""
        self.private: bool = client.min_privacy == "e2ee"
        """Whether nothing may be kept unencrypted."""
        self.settings: dict[str, str] = {
            "base_url": client.base_url,
            "response_format": _format_name(response_format),
            "tools": tool_names,
        }
        """What a journal is made with."""
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

    def begin(self, end: Callable[[], Awaitable[None]]) -> None:
        """The batch begins; `end` is waited for when the client is closed meanwhile."""
        self._end = end
        self._client.before_close.append(end)

    def close(self) -> None:
        """The batch is over."""
        with suppress(ValueError):
            self._client.before_close.remove(self._end)


def _with_gates(client: Connection, gates: tuple[CallGate, ...]) -> Connection:
    """The same client with other gates."""
    twin = cast("Connection", object.__new__(type(client)))
    caller = copy.copy(client.caller)
    caller.gates = gates
    vars(twin).update({**vars(client), "caller": caller})
    return twin


def _format_name(shape: Any) -> str:
    """What stands for a `response_format`: its name, and a hash that tells another one of the same name."""
    if shape is None:
        return ""
    if not isinstance(shape, Mapping):
        from ..._structured.strict_schema import requested_format  # needs pydantic, which a chat does not

        shape = requested_format(shape)[0]
    fields = cast("Mapping[str, Any]", shape)
    name = fields.get("json_schema", fields).get("name", fields.get("type"))
    return f"{name} ({hashed(b'format', canonical(fields)).hex()[:8]})"
