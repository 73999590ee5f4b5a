"""Streams answers to the browser, as the guide to web services does it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request
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


async def cancel_when_left(receive: Receive, call: asyncio.Task[ChatStream]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    call.cancel()


@app.get("/ask", response_class=StreamingResponse)
async def ask(question: str, request: Request) -> StreamedAnswer:
    call = asyncio.create_task(
        client.chat.completions.stream(model="venice-1", messages=question)
    )
    listener = asyncio.create_task(cancel_when_left(request.receive, call))
    try:
        return StreamedAnswer(await call)
    except VeniceError as error:
        raise HTTPException(status_code=502, detail=type(error).__name__) from error
    except asyncio.CancelledError:
        if not listener.done():  # not the reader, but the server ends this
            raise
        raise HTTPException(status_code=499) from None
    finally:
        listener.cancel()
