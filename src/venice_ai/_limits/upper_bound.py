"""The most that a chat request can cost, and what its answer did cost, in whole billionths of a US dollar (nano-USD).

The bound takes a token for each byte of the body and 64 for each message, since no token is shorter than a byte and no template
adds more; less for media, and the whole context for what is as large as it likes. The rates are the highest that may hold: of
long inputs, and of writing to the cache, for Venice sets marks of its own. Searches are charged apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, NamedTuple

from .._core.json_values import items, members
from .._core.privacy import switches_in
from ..costs import VENICE_PROMPT_TOKENS_MOST, rate
from ..exceptions import InvalidArgumentError
from ..tee.guard import search_in
from ..types.api.chat import ChatUsage
from ..types.api.models import ModelResponse

NANO: Final = 1_000_000_000  # nano-USD in a US dollar
_NANO_PER_TOKEN: Final = NANO // 1_000_000  # of a rate in US dollars for a million tokens
_TOKENS_PER_MESSAGE: Final = 64
_TOKENS_PER_IMAGE: Final = 16_384  # the most of the vision models served today, however many bytes it has
_BASE64_PER_AUDIO_TOKEN: Final = 16  # 40 tokens a second at the lowest rate that a codec has, 6 kbit/s
# US dollars; Venice's prices beside those of the catalogue. Up to five pages are read.
_FEES: Final = {"enable_web_search": Decimal("0.01"), "enable_web_scraping": Decimal("0.05"), "enable_x_search": Decimal("0.1")}
_INPUT: Final = ("input", "cache_input", "cache_write")


class Chat(NamedTuple):
    """A chat that is about to be sent."""

    entries: Sequence[ModelResponse]
    """The catalogue's entries of the model, and of those that the server may answer with in its place."""
    body: Mapping[str, Any]  # what is sent
    size: int  # its bytes

    def most(self) -> int:
        """The most that it can cost, in nano-USD. A ValueError without prices."""
        return max(self._most_with(entry) for entry in self.entries)

    def cost(self, usage: ChatUsage) -> int:
        """What an answer with this usage cost, in nano-USD."""
        fees = self._fees()
        return max(_nano(_priced(entry, usage) + fees) for entry in self.entries)

    def _most_with(self, entry: ModelResponse) -> int:
        context = _count(entry.model_spec.availableContextTokens) or _count(entry.context_length)
        tokens = _most_input(self.body, self.size)
        if tokens is None or (context and tokens > context):
            tokens = context
        longest = _count(entry.model_spec.maxCompletionTokens) or context
        asked = _count(self.body.get("max_completion_tokens")) or _count(self.body.get("max_tokens")) or longest
        answer = min(asked, longest) if asked and longest else asked
        if not tokens or not answer:
            raise InvalidArgumentError(
                f"the cost of this request has no bound: the catalogue does not say how many tokens {entry.id!r} takes. Pass "
                "max_completion_tokens, and no files, videos or searches"
            )
        if switches_in(self.body).get("include_venice_system_prompt") is not False:  # it comes before the conversation
            tokens += VENICE_PROMPT_TOKENS_MOST
        tiers = (0, tokens)
        into = max(_rate(entry, tier, side) for tier in tiers for side in _INPUT)
        out = max(_rate(entry, tier, "output") for tier in tiers)
        return _nano(tokens * into + answer * (_count(self.body.get("n")) or 1) * out + self._fees())

    def _fees(self) -> Decimal:
        """What is charged beside tokens, in nano-USD."""
        suffix = (part.partition("=") for part in str(self.body.get("model")).partition(":")[2].split("&"))
        switches = {**switches_in(self.body), **{name: value for name, _, value in suffix}}
        on = (fee for name, fee in _FEES.items() if switches.get(name) not in (None, False, "off", "false"))
        return sum(on, Decimal(0)) * NANO


def nano_usd(dollars: object) -> int | None:
    """An amount in US dollars as nano-USD, rounded up; None for what is no amount."""
    if isinstance(dollars, bool) or not isinstance(dollars, (int, float, Decimal)):
        return None
    amount = Decimal(str(dollars))  # through text, because 0.1 as a binary fraction is not 0.1
    return _nano(amount * NANO) if amount.is_finite() and amount >= 0 else None


def _nano(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_CEILING))


def _priced(entry: ModelResponse, usage: ChatUsage) -> Decimal:
    prompt, read, written = (_count(n) or 0 for n in (usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens))
    counts = {"input": max(prompt - read - written, 0), "cache_input": read, "cache_write": written}
    into = sum((count * _rate(entry, prompt, side) for side, count in counts.items()), Decimal(0))
    return into + (_count(usage.completion_tokens) or 0) * _rate(entry, prompt, "output")


def _rate(entry: ModelResponse, prompt_tokens: int, side: str) -> Decimal:
    """Nano-USD for a token; what the cache costs where that is not said is what input costs."""
    sides = (side, "input") if side in _INPUT else (side,)
    usd = next((usd for each in sides if (usd := rate(entry.model_spec.pricing, prompt_tokens, each)) is not None), None)
    if usd is None:
        raise InvalidArgumentError(f"model {entry.id!r} has no prices for tokens, so no budget can be kept with it")
    return usd * _NANO_PER_TOKEN


def _most_input(body: Mapping[str, Any], size: int) -> int | None:
    """The tokens of the input at most; None if only the context bounds them."""
    messages = items(body.get("messages"))
    if search_in(body) is not None or switches_in(body).get("character_slug"):
        return None
    tokens = size + _TOKENS_PER_MESSAGE * len(messages)
    for part in (members(part) for message in messages for part in items(members(message).get("content"))):
        kind = part.get("type")
        if kind == "image_url":
            url = members(part.get(kind)).get("url")
            tokens += _TOKENS_PER_IMAGE - (len(url) if isinstance(url, str) and url.startswith("data:") else 0)
        elif kind == "input_audio":
            data = members(part.get(kind)).get("data")
            tokens -= len(data) - len(data) // _BASE64_PER_AUDIO_TOKEN if isinstance(data, str) else 0
        elif kind != "text":
            return None
    return tokens


def _count(number: object) -> int | None:
    """A count above 0; None for anything else."""
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else None
