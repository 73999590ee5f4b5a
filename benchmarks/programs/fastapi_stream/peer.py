"""Streams answers to the browser; the end of the stream is checked by hand."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request
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


async def cancel_when_left(
    receive: Receive, call: asyncio.Task[AsyncStream[ChatCompletionChunk]]
) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    call.cancel()


@app.get("/ask", response_class=StreamingResponse)
async def ask(question: str, request: Request) -> StreamedAnswer:
    call = asyncio.create_task(
        client.chat.completions.create(
            model="venice-1",
            messages=[{"role": "user", "content": question}],
            stream=True,
        )
    )
    listener = asyncio.create_task(cancel_when_left(request.receive, call))
    try:
        return StreamedAnswer(await call)
    except OpenAIError as error:
        raise HTTPException(status_code=502, detail=type(error).__name__) from error
    except asyncio.CancelledError:
        if not listener.done():  # not the reader, but the server ends this
            raise
        raise HTTPException(status_code=499) from None
    finally:
        listener.cancel()
