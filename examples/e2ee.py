"""A chat that nobody between you and the enclave can read: attested on your side, sealed to the enclave's key.

Against the service, `VeniceClient(tee=TeeOptions(verification="hardware"))` and `e2ee=True` are all it takes. Here the embedded
Venice has an enclave of its own, under test roots that the client is told to trust, so that the program runs anywhere
(`pip install 'venice-chat[e2ee]'`).
"""

import asyncio
import warnings

from venice_ai import UserMessage, VeniceClient
from venice_ai.emulator import Emulator
from venice_ai.emulator.enclave import Enclave
from venice_ai.tee import TeeAttestationError

QUESTION = [UserMessage(content="Where did Casanova hide the key?")]


# Each client says once what the protocol cannot protect from; the page on confidential compute says more.
warnings.filterwarnings("ignore", "end-to-end encryption")


async def main() -> None:
    enclave = Enclave()
    emulator = Emulator(tee=enclave)
    tee = enclave.options(verification="hardware")  # with Venice: TeeOptions(verification="hardware")
    # Nothing weaker than end-to-end encryption leaves this client, whatever a call asks for.
    async with VeniceClient(api_key="any", transport=emulator.transport(), tee=tee, min_privacy="e2ee") as client:
        model = await client.models.resolve_chat(require_e2ee=True)
        reply = await client.chat.completions.create(model=model, messages=QUESTION, e2ee=True)
        print(reply.text)
        if reply.attestation:
            print(f"{model}: level {reply.attestation.level}, roots: {reply.attestation.trust_root}")
            for check in reply.attestation.checks[:3]:
                print(f"  {check.status:4}  {check.id} stops {check.stops}")
        print("what Venice saw:", emulator.requests[-1].body["messages"][0]["content"][:40], "...")

        # An enclave whose host can read its memory proves so itself. It gets no message.
        enclave.fault = "debug"
        try:
            await client.tee.attest(model)
        except TeeAttestationError as error:
            print("refused:", error)


if __name__ == "__main__":
    asyncio.run(main())
