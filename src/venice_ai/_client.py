"""`VeniceClient`: a connection to Venice with the parts of the API on it."""

from __future__ import annotations

from ._core.first_use import load, made_once
from ._http.connection import Connection

TYPE_CHECKING = False  # start-up: what a client is made of does without `typing`
if TYPE_CHECKING:
    from .resources.chat import Chat
    from .resources.limits import Limits
    from .resources.models import Models
    from .resources.tee import Tee
    from .types.api.models import ModelResponse


class VeniceClient(Connection):
    """A client of Venice's Chat Completions API.

    Making one costs next to nothing and never touches the network; what is heavy is imported when the first request is
    sent. Close it with `close()` or `async with`. It may be used from several event loops, also one after the other.

    Args:
        api_key: the key; else the variable `VENICE_API_KEY`. Without one, `models` works, and chats raise.
        base_url: root of the API; else the variable `VENICE_BASE_URL`; else `https://api.venice.ai/api/v1`.
        timeout: seconds, or a `Timeout`. A number is the deadline of plain calls, whose answers must come within 300 s without
            one; of streams it limits the wait for the first chunk, between bytes and between pieces of content.
        max_retries: how often a failed request is sent again, from 0, where that is safe.
        retry_timeouts: also send again what ran out of time, here or at a gateway (504), or lost its connection, and may have
            been billed.
        headers: HTTP headers for every request.
        proxy: address of an HTTP proxy; else the environment's, if `trust_env`.
        trust_env: heed `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
        ssl_context: the TLS context to use; else one with the operating system's trust store.
        ca_bundle: path of a file with certificates to trust instead of the operating system's.
        session: an `aiohttp.ClientSession` to send through. Its pool, resolver, TLS, keep-alive, proxy, cookies and headers
            count; redirects, `raise_for_status`, time limits and decompression are this client's. It is used on its own event
            loop alone, and stays open when the client is closed. The asynchronous client alone takes one.
        transport: what sends the requests, in place of HTTP; then the settings of HTTP have no effect.
        clock: what waits are slept on, in place of the system's clock.
        tee: what to demand of enclaves, in every call. The options of a call may demand more, never less.
        min_privacy: `"e2ee"` lets only end-to-end encrypted chats leave; `"tee"` also chats in clear with models whose enclave
            was attested. Anything weaker raises, whatever it is part of.
        budget: a `Budget`, the cap on what all chats of this client cost.
        fallback_models: models to ask, one after the other, where the one of a chat was retired, is overloaded, or does not
            begin to answer in time; never one that is less private, or lacks what the request needs. `meta.models_tried` tells.
        preflight: check each chat against the catalogue before it is sent, as `client.models.check` does, and raise
            `InvalidRequestError` for what its model would refuse.
        limits: keep requests within the limits of the account: hold them before a known limit, pause all after a refusal, and
            fail at most 20 in 30 s. All clients of a process with the same key and base URL share what is known; see
            `client.limits`. False sends everything at once.
        fail_fast: while the circuit breaker is open, raise `CircuitOpenError` at once rather than wait for its end.
        rate_share: a `RateShare(path)`, through which several processes with this key keep within its limits together.
        on_wait: called with a `WaitNotice` (`model`, `why`, `seconds`) for each call that waits for more than a second.
        telemetry: a `Telemetry`: spans and metrics of chats, tools and tool loops, for OpenTelemetry. If not given, and
            `VENICE_OTEL` is 1, one with the program's own providers, where the extra `otel` is installed.

    Raises:
        InvalidRequestError: an argument is not allowed.
        AuthenticationError: the key holds characters that a header cannot carry.
    """

    @made_once
    def chat(self) -> Chat:
        """Chats: `client.chat.completions`."""
        load(".resources.chat")
        from .resources.chat import Chat

        return Chat(self)

    @made_once
    def models(self) -> Models:
        """The catalogue of models."""
        load(".resources.models")
        from .resources.models import Models

        return self.resource(Models)

    @made_once
    def limits(self) -> Limits:
        """The limits of the account: `client.limits.snapshot()`."""
        from .resources.limits import Limits

        return Limits(self)

    @made_once
    def tee(self) -> Tee:
        """Attestations and signatures of enclaves; an ImportError if the extra `e2ee` is not installed."""
        from .resources import tee_of

        return tee_of(self)

    async def _find_model(self, name: str) -> ModelResponse:
        return await self.models.find(name)
