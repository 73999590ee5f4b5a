"""Chats with an enclave in a process of its own (`benchmarks.enclave`), in clear and sealed."""

import subprocess
import sys
import warnings

from venice_ai import VeniceClient
from venice_ai.tee import TeeOptions

_MESSAGES = [
    {"role": "system", "content": "You know everything about Venice, and you answer in one sentence."},
    {"role": "user", "content": "What did the doge throw into the sea on Ascension Day?"},
]
# What the enclave here proves is the least there is: the measure is of a key that was verified before.
_OPTIONS = TeeOptions(verification="server", attestation_ttl=86_400)


class Enclave:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.enclave"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self._client = VeniceClient(api_key="k", base_url=f"http://127.0.0.1:{port}/api/v1", tee=_OPTIONS)

    async def create(self, model: str, *, sealed: bool) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reply = await self._client.chat.completions.create(model=model, messages=_MESSAGES, e2ee=sealed)
        return len(reply.choices[0].message.content or "")

    async def aclose(self) -> None:
        await self._client.close()
        self._process.communicate()


def connect() -> Enclave:
    return Enclave()
