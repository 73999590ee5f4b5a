"""Tools with end-to-end encryption: Venice sees neither them nor what they are for.

The tools are described in an encrypted message, the model writes its calls into its
encrypted answer, and their results go back encrypted. The functions run here.

The emulator's enclave stands for a real one, and its model says what it is told to say.
It needs the extra `e2ee`: `pip install '.[e2ee]'` in a copy of the repository.
"""

import asyncio
import json
import warnings

from venice_ai import UserMessage, VeniceClient
from venice_ai.emulator import Emulator, text
from venice_ai.emulator.enclave import Enclave

CALL = {"name": "get_blood_values", "arguments": {"patient": "Ada"}}

warnings.filterwarnings("ignore", "end-to-end encryption")


def get_blood_values(patient: str) -> dict[str, object]:
    """The latest blood values of a patient."""
    return {"patient": patient, "haemoglobin": 14.1, "ferritin": 9.0}


async def main() -> None:
    enclave = Enclave()
    emulator = Emulator(tee=enclave)
    emulator.script(
        text("I will look.\n" + json.dumps({"tool_calls": [CALL]})),
        text("Ada's ferritin is low."),
    )
    async with VeniceClient(
        api_key="any",
        transport=emulator.transport(),
        tee=enclave.options(verification="hardware"),
        min_privacy="e2ee",
    ) as client:
        result = await client.chat.completions.run_with_tools(
            model=await client.models.resolve_chat(require_e2ee=True),
            messages=[UserMessage(content="How are Ada's blood values?")],
            tools=[get_blood_values],
            e2ee=True,
            sealed_tools=True,
        )
    for message in result.messages:
        print(f"{message['role']}: {message['content']}".strip())
    seen = json.dumps([request.body for request in emulator.requests])
    print("Venice saw the tool:", "blood" in seen or "ferritin" in seen)


if __name__ == "__main__":
    asyncio.run(main())
