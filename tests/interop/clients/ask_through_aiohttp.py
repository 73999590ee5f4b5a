"""Our client, watched and replaced by what others wrote for aiohttp. Each scenario runs where its package is installed."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
# Both are for the same reason: the packages it imports are not installed where the types are checked.

from __future__ import annotations

from typing import Any

import aiohttp
from asked import answer

from venice_ai import VeniceClient, VeniceError

HI = [{"role": "user", "content": "hi"}]


async def asked(base_url: str, *, session: aiohttp.ClientSession | None = None) -> list[str | None]:
    """A plain answer and a streamed one."""
    async with VeniceClient(api_key="secret-key", base_url=base_url, session=session, max_retries=0) as client:
        whole = await client.chat.completions.create(model="venice-1", messages=HI)
        async with await client.chat.completions.stream(model="venice-1", messages=HI) as stream:
            return [whole.text, (await stream.collect()).text]


async def traced(base_url: str, own: bool) -> Any:
    """With OpenTelemetry's instrumentation: the spans, and what was answered."""
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    try:
        if own:
            texts = await asked(base_url)
        else:
            async with aiohttp.ClientSession() as session:
                texts = await asked(base_url, session=session)
    finally:
        AioHttpClientInstrumentor().uninstrument()
    finished = spans.get_finished_spans()
    return {
        "texts": texts,
        "names": [span.name for span in finished],
        "traces": [f"{at.trace_id:032x}-{at.span_id:016x}" for span in finished if (at := span.context)],
        "shown": [str(dict(span.attributes or {})) for span in finished],
    }


async def recorded(base_url: str, cassette: str) -> Any:
    """With vcrpy: what is answered while it records, or from the cassette if there is one."""
    import vcr

    with vcr.use_cassette(cassette, filter_headers=["authorization"], record_mode="once", allow_playback_repeats=False):
        return await asked(base_url)


async def mocked(base_url: str) -> Any:
    """With aioresponses: its answers, whole and streamed, its refusal, and what it saw of a request."""
    from aioresponses import aioresponses

    url = f"{base_url}/chat/completions"
    message = {"role": "assistant", "content": "mocked"}
    whole = {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    events = 'data: {"id":"1","choices":[{"index":0,"delta":{"content":"mocked"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    with aioresponses() as mock:
        mock.post(url, payload=whole)
        mock.post(url, body=events, content_type="text/event-stream")
        texts = await asked(base_url)
        mock.post(url, status=401, payload={"error": "no"})
        try:
            refused = str(await asked(base_url))
        except VeniceError as error:
            refused = type(error).__name__
        calls = [call.kwargs["data"].decode() for calls in mock.requests.values() for call in calls]
    return {"texts": texts, "refused": refused, "first": calls[0]}


if __name__ == "__main__":
    answer(traced, recorded, mocked)
