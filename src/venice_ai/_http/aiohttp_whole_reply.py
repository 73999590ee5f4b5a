"""A reply whose whole body is waited for: a large answer, one that is compressed, or a refusal."""

from __future__ import annotations

import asyncio

import aiohttp

from .._core.whole_reply import WholeReply
from .._wire.content_coding import Body, BodyTooLargeError
from ..exceptions import VeniceError
from ..types.response_meta import Headers
from .aiohttp_bodies import FAULTS, ArrivingBody, release_or_abort
from .aiohttp_pools import Pool
from .transport_errors import too_large


async def whole_reply(response: aiohttp.ClientResponse, headers: Headers, pool: Pool) -> WholeReply:
    good, coding = 200 <= response.status < 300, headers.get("content-encoding")
    try:
        if good and coding is None and response.content.is_eof():
            body = await response.read()  # a recorder of requests has read it before us: it stands in the response
        else:
            body = await _body(response, coding, pool, refusal=not good)
        return WholeReply(response.status, headers, body)
    except BaseException:
        release_or_abort(response)
        raise


async def _body(response: aiohttp.ClientResponse, coding: str | None, pool: Pool, *, refusal: bool) -> bytes:
    """A body to its end. Of a refusal, what is there of its first bytes; the connection is dropped if there is more."""
    body = Body(coding, refusal=refusal)
    arriving = ArrivingBody(response, pool)
    failure: VeniceError | None = None
    try:
        while body.wants and (piece := await arriving.piece()):
            for _ in body.steps(piece):
                if coding is not None:
                    await asyncio.sleep(0)  # a bomb does not hold up the loop
        return body.finish()
    except BodyTooLargeError as error:
        failure = too_large(response.status, error)
    except FAULTS:
        if not refusal:
            raise
        return body.finish()
    finally:
        arriving.stop()
        if not response.content.at_eof():
            release_or_abort(response)
    raise failure
