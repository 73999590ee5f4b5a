"""`client.limits`: the account's limits as far as they are known, and the calls that wait for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .._http.connection import Connection
from .._resource import APIResource
from ..exceptions import APIError
from ..types.rate_limits import MOST_UNITS

if TYPE_CHECKING:
    from ..types.limits import LimitsSnapshot
    from ..types.response_meta import ResponseMeta


class Limits(APIResource[Connection]):
    """The limits of requests and tokens of this client's key, as far as they are known."""

    def snapshot(self) -> LimitsSnapshot:
        """The known limits of each model, and the calls that wait. Sends nothing, so what no reply has said is not in it.

        It is about all clients of this process that use the same key and base URL.
        """
        return self._client.limiter.account(self._client.build_request("GET", "/api_keys/rate_limits")).snapshot()

    async def refresh(self) -> LimitsSnapshot:
        """Asks for the limits (`GET /api_keys/rate_limits`), and tells what is known, also of a day; APIError if it fails."""
        request = self._client.build_request("GET", "/api_keys/rate_limits")
        for model, amounts in await self._client.caller.read(request, _amounts):
            self._client.limiter.learn(request, model, amounts)
        return self.snapshot()


def _amounts(body: bytes, meta: ResponseMeta, _secret: bytes) -> list[tuple[str, dict[str, int]]] | APIError:
    """The limits a minute and a day by model, in the body of a reply."""
    try:
        listed = [(str(each["apiModelId"]), each["rateLimits"]) for each in json.loads(body)["data"]["rateLimits"]]
        amounts = [(model, {str(each["type"]): int(each["amount"]) for each in kinds}) for model, kinds in listed]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return APIError("the answer does not list rate limits", status_code=meta.status_code, meta=meta)
    return [(model, {kind: min(most, MOST_UNITS) for kind, most in kinds.items() if most > 0}) for model, kinds in amounts]
