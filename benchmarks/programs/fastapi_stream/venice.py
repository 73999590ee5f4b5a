"""Streams answers to the browser, as the guide to web services does it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from venice_ai import ChatStream, VeniceClient, VeniceError

client = VeniceClient()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    async with client:
        yield


app = FastAPI(lifespan=lifespan)


async def pieces(stream: ChatStream) -> AsyncIterator[str]:
    try:
        async for text in stream.text_deltas():
            yield text
    except VeniceError as error:
        yield f"\n[The answer broke off: {type(error).__name__}]"


class StreamedAnswer(StreamingResponse):
    def __init__(self, stream: ChatStream) -> None:
        super().__init__(pieces(stream), media_type="text/plain")
        self.stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.stream:
            await super().__call__(scope, receive, send)


@app.get("/ask", response_class=StreamingResponse)
async def ask(question: str) -> StreamedAnswer:
    try:
        stream = await client.chat.completions.stream(
            model="venice-1", messages=question
        )
    except VeniceError as error:
        raise HTTPException(status_code=502, detail=type(error).__name__) from error
    return StreamedAnswer(stream)
