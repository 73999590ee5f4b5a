"""What a batch sends with: a client of its own that shares everything with the caller's, and has two more gates."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ..._limits.budget import Budget
from ...batches.driver import Batch
from ...batches.identity import canonical, hashed
from ...exceptions import InvalidArgumentError
from ...types.api.chat import ChatCompletionResponse

if TYPE_CHECKING:
    from ..._core.ports import CallGate
    from ..._http.connection import Connection
    from .arguments import Tools
    from .completions import ChatCompletions


class ChatBatch(Batch):
    """Sends the requests of one batch: as `create` does, as `parse` with a class, as `run_with_tools` with tools."""

    def __init__(
        self,
        completions: ChatCompletions,
        requests: Any,
        *,
        budget: Budget | None,
        response_format: Any,
        tools: Tools | None,
        **options: Any,
    ) -> None:
        if budget is not None and not isinstance(budget, Budget):
            raise InvalidArgumentError(f"budget={budget!r} is not a Budget")
        settings = {"base_url": completions._client.base_url, "response_format": _format_name(response_format), "tools": ""}  # noqa: SLF001
        self._asked_format = {} if response_format is None else {"response_format": response_format}
        self._format = dict[str, Any] if isinstance(response_format, Mapping) else response_format
        self._tools: list[Any] | None = None
        if tools is not None:
            from ...tools.toolbox import Toolbox, prepared, tool_name  # they need pydantic, which a chat does not

            self._tools = prepared(tools)
            names = sorted(tool_name(each) or "a tool of Venice's" for each in Toolbox(self._tools).definitions)
            settings["tools"] = ", ".join(names)
        client: Connection = completions._client  # noqa: SLF001  # of the same client
        super().__init__(client, settings, requests, **options)
        gates: list[CallGate] = [*client.caller.gates, self]
        if budget is not None:
            from ..._http.budget_gate import BudgetGate

            gates.insert(0, BudgetGate(budget, client._find_model, client.caller.clock))  # noqa: SLF001
        twin, caller = cast("Connection", object.__new__(type(client))), copy.copy(client.caller)
        caller.gates = tuple(gates)
        vars(twin).update({**vars(client), "caller": caller})
        # A copy, so that an overridden `create` is obeyed.
        self._calls: Any = copy.copy(completions)
        self._calls._client = twin  # noqa: SLF001

    async def send(self, keywords: dict[str, Any]) -> tuple[ChatCompletionResponse, Any]:
        """The answer to a request, and the object in it."""
        asked = {**keywords, **self._asked_format}
        if self._tools is not None:
            response = (await self._calls.run_with_tools(**asked, tools=self._tools)).response
        elif self._format is None or self._format == dict[str, Any]:
            response = await self._calls._one(asked)  # noqa: SLF001
        else:
            parsed = await self._calls.parse(**asked)
            return parsed.response, parsed.parsed
        return response, self.parsed(response)

    def parsed(self, response: ChatCompletionResponse) -> Any:
        """The object in an answer; None if none was asked for."""
        return None if self._format is None else response.parse_as(self._format)


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
