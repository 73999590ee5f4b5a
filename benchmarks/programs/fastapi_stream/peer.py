"""Streams answers to the browser; the end of the stream is checked by hand."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI, AsyncStream, OpenAIError
from openai.types.chat import ChatCompletionChunk
from starlette.types import Receive, Scope, Send

client = AsyncOpenAI()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    async with client:
        yield


app = FastAPI(lifespan=lifespan)


async def pieces(stream: AsyncStream[ChatCompletionChunk]) -> AsyncIterator[str]:
    finish_reason = None
    try:
        async for chunk in stream:
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""
                finish_reason = chunk.choices[0].finish_reason or finish_reason
        if finish_reason is None:
            yield "\n[The answer broke off: no finish reason]"
    except (OpenAIError, ValueError) as error:
        yield f"\n[The answer broke off: {type(error).__name__}]"


class StreamedAnswer(StreamingResponse):
    def __init__(self, stream: AsyncStream[ChatCompletionChunk]) -> None:
        super().__init__(pieces(stream), media_type="text/plain")
        self.stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.stream:
            await super().__call__(scope, receive, send)


@app.get("/ask", response_class=StreamingResponse)
async def ask(question: str) -> StreamedAnswer:
    try:
        stream = await client.chat.completions.create(
            model="venice-1",
            messages=[{"role": "user", "content": question}],
            stream=True,
        )
    except OpenAIError as error:
        raise HTTPException(status_code=502, detail=type(error).__name__) from error
    return StreamedAnswer(stream)
