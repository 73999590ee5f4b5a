"""A tool call that waits until a person allows it.

The loop stops and becomes JSON. It can be continued later, also by another process.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from venice_ai import (
    Approval,
    ToolCall,
    ToolLoopPausedError,
    ToolLoopState,
    UserMessage,
    VeniceClient,
)


def get_balance() -> float:
    """The balance of the account."""
    return 250.0


def transfer_money(amount: float, recipient: str) -> str:
    """Transfers money."""
    return f"transferred {amount:.2f} to {recipient}"


TOOLS: list[Callable[..., Any]] = [get_balance, transfer_money]


def approve(call: ToolCall, arguments: dict[str, Any]) -> Approval:
    """Allows what only reads; a person decides about payments."""
    if call.function.name == "transfer_money" and arguments["amount"] > 0:
        return Approval.wait()
    return Approval.allow()


async def start(question: str) -> str:
    """Returns the answer, or the state of the paused loop as JSON."""
    async with VeniceClient() as client:
        model = await client.models.resolve_chat(require_function_calling=True)
        try:
            result = await client.chat.completions.run_with_tools(
                model=model,
                messages=[UserMessage(content=question)],
                tools=TOOLS,
                approve=approve,
            )
        except ToolLoopPausedError as paused:
            names = [call.function.name for call in paused.waiting_calls]
            print(f"waiting for a decision on {names}")
            return paused.state.model_dump_json()
    return result.text or ""


async def resume(stored: str) -> str:
    """Continues the paused loop. Calls that ran before do not run again."""
    state = ToolLoopState.model_validate_json(stored)
    # Here, a person has looked at the calls and allows them with other arguments.
    allowed = Approval.edit({"amount": 10, "recipient": "Ada"})
    async with VeniceClient() as client:
        result = await client.chat.completions.run_with_tools(
            model=await client.models.resolve_chat(require_function_calling=True),
            tools=TOOLS,
            approve=approve,
            resume=state,
            decisions={call.id: allowed for call in state.waiting_calls},
        )
    return result.text or ""


if __name__ == "__main__":
    stored = asyncio.run(start("What is my balance? Then transfer some money."))
    print(asyncio.run(resume(stored)) if stored.startswith("{") else stored)
