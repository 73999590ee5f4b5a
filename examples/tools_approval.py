"""A tool that waits for a person: the loop becomes a text, and goes on later, in this process or another one."""

import asyncio
from collections.abc import Callable
from typing import Any

from venice_ai import Approval, ToolCall, ToolLoopPausedError, ToolLoopState, UserMessage, VeniceClient


def get_balance() -> float:
    """The balance of the account."""
    return 250.0


def transfer_money(amount: float, recipient: str) -> str:
    """Transfers money."""
    return f"transferred {amount:.2f} to {recipient}"


TOOLS: list[Callable[..., Any]] = [get_balance, transfer_money]


def approve(call: ToolCall, arguments: dict[str, Any]) -> Approval:
    """Looking is free; paying is for a person to decide."""
    if call.function.name == "transfer_money" and arguments["amount"] > 0:
        return Approval.wait()
    return Approval.allow()


async def ask(question: str) -> str:
    """The answer; or, as JSON to be stored, the loop that waits."""
    async with VeniceClient() as client:
        model = await client.models.resolve_chat(require_function_calling=True)
        try:
            result = await client.chat.completions.run_with_tools(
                model=model, messages=[UserMessage(content=question)], tools=TOOLS, approve=approve
            )
        except ToolLoopPausedError as paused:
            print(f"waiting for a decision on {[call.function.name for call in paused.waiting_calls]}")
            return paused.state.model_dump_json()
    return result.text or ""


async def go_on(stored: str) -> str:
    """What becomes of the loop. What ran before does not run again."""
    state = ToolLoopState.model_validate_json(stored)
    # A person looked at these calls, and allows them with other arguments.
    decisions = {call.id: Approval.edit({"amount": 10, "recipient": "Ada"}) for call in state.waiting_calls}
    async with VeniceClient() as client:
        model = await client.models.resolve_chat(require_function_calling=True)
        result = await client.chat.completions.run_with_tools(
            model=model, tools=TOOLS, approve=approve, resume=state, decisions=decisions
        )
    return result.text or ""


if __name__ == "__main__":
    stored = asyncio.run(ask("What is my balance? Then transfer some money."))
    print(asyncio.run(go_on(stored)) if stored.startswith("{") else stored)
