"""An agent with four tools, of which one waits for a person."""

from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    DeferredToolRequests,
    DeferredToolResults,
    RunContext,
    ToolFailed,
)
from pydantic_ai.capabilities import HandleDeferredToolCalls


class Trip(BaseModel):
    start: str
    end: str
    guests: int


def ask(_: RunContext, requests: DeferredToolRequests) -> DeferredToolResults:
    return requests.build_results(
        approvals={
            call.tool_call_id: input(f"pay {call.args}? ") == "yes"
            for call in requests.approvals
        }
    )


agent = Agent("openai-chat:venice-1", capabilities=[HandleDeferredToolCalls(ask)])


@agent.tool_plain
async def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"clear skies over {city}"


@agent.tool_plain
def plan_trip(trip: Trip) -> str:
    """Plans a trip."""
    return f"{trip.guests} guests from {trip.start} to {trip.end}"


@agent.tool_plain
def find_boat(day: str) -> str:
    """Finds a boat."""
    raise ToolFailed(f"no boat on {day}")


@agent.tool_plain(requires_approval=True)
def pay(amount: float) -> str:
    """Pays for the trip."""
    return f"paid {amount}"


print(agent.run_sync("Plan and pay my trip to Venice.").output)
