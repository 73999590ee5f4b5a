"""An agent with four tools, of which one waits for a person."""

from typing import Any

from pydantic import BaseModel
from venice_ai import SyncVeniceClient, ToolCall


class Trip(BaseModel):
    start: str
    end: str
    guests: int


async def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"clear skies over {city}"


def plan_trip(trip: Trip) -> str:
    """Plans a trip."""
    return f"{trip.guests} guests from {trip.start} to {trip.end}"


def find_boat(day: str) -> str:
    """Finds a boat."""
    raise LookupError(f"no boat on {day}")


def pay(amount: float) -> str:
    """Pays for the trip."""
    return f"paid {amount}"


def approve(call: ToolCall, arguments: dict[str, Any]) -> bool:
    return call.function.name != "pay" or input(f"pay {arguments}? ") == "yes"


with SyncVeniceClient() as client:
    result = client.chat.completions.run_with_tools(
        model="venice-1",
        messages="Plan and pay my trip to Venice.",
        tools=[get_weather, plan_trip, find_boat, pay],
        approve=approve,
    )
print(result.text)
