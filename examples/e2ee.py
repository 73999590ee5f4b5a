"""An end-to-end encrypted chat: only the enclave that runs the model can read it.

With Venice, `VeniceClient(tee=TeeOptions(verification="hardware"))` and `e2ee=True` are
all it takes. This example runs anywhere, because the emulator has its own enclave: the
client is told to trust that enclave's test certificates in place of Intel's.

It needs the extra `e2ee`: `pip install '.[e2ee]'` in a copy of the repository.
"""

import asyncio
import warnings

from venice_ai import UserMessage, VeniceClient
from venice_ai.emulator import Emulator
from venice_ai.emulator.enclave import Enclave
from venice_ai.tee import TeeAttestationError

MESSAGES = [UserMessage(content="Where did Casanova hide the key?")]

# Each client warns once of what the protocol does not protect from; the page on
# confidential compute lists it.
warnings.filterwarnings("ignore", "end-to-end encryption")


async def main() -> None:
    enclave = Enclave()
    emulator = Emulator(tee=enclave)
    async with VeniceClient(
        api_key="any",
        transport=emulator.transport(),
        tee=enclave.options(verification="hardware"),
        min_privacy="e2ee",  # calls without e2ee=True are refused
    ) as client:
        model = await client.models.resolve_chat(require_e2ee=True)
        response = await client.chat.completions.create(
            model=model, messages=MESSAGES, e2ee=True
        )
        print(response.text)
        if report := response.attestation:
            print(f"{model}: level {report.level}, roots: {report.trust_root}")
            for check in report.checks[:3]:
                print(f"  {check.status:4}  {check.id} stops {check.stops}")
        sent = emulator.requests[-1].body["messages"][0]["content"]
        print("what Venice saw:", sent[:40], "...")

        # The evidence of an enclave whose memory can be read by its host says so.
        # Such an enclave is refused, and no message is sent to it.
        enclave.fault = "debug"
        try:
            await client.tee.attest(model)
        except TeeAttestationError as error:
            print("refused:", error)


if __name__ == "__main__":
    asyncio.run(main())
