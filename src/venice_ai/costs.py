"""The cost of a completion: an estimate, the most that it can be, and what its answer did cost.

The documented fields of an estimate follow the API document: words times a factor, at the catalogue's prices for 1,000,000
tokens. It is a simple rule that is easy to check by hand. `low` and `high` say how far off it may be.

The bound takes a token for each byte of the body and 64 for each message, since no token is shorter than a byte and no template
adds more; less for media, and the whole context for what is as large as it likes. The rates are the highest that may hold: of
long inputs, and of writing to the cache, for Venice sets marks of its own. Searches are charged apart. Sums are whole
billionths of a US dollar (nano-USD), because sums of fractions drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, NamedTuple, cast

from ._core.json_values import items, members
from ._core.privacy import search_in, switches_in
from ._core.token_counts import Count
from .exceptions import APIError, APITimeoutError, InvalidArgumentError
from .types.api.chat import ChatUsage, Messages, content_texts
from .types.api.models import ModelPricing, ModelResponse

_MILLION = Decimal(1_000_000)
# Venice puts a system prompt of its own before the conversation unless told not to; it has at most about this many tokens.
VENICE_PROMPT_TOKENS_MOST = 1_750
_VENICE_PROMPT_TOKENS_LIKELY = 1_000
_BYTES_PER_TOKEN_LEAST = 2.5
_BYTES_PER_TOKEN_MOST = 6.0
_TOKENS_PER_MESSAGE = 8
NANO: Final = 1_000_000_000  # nano-USD in a US dollar
_MOST_NANO: Final = 2**53  # nine million US dollars; what names more is out of its mind, and sums of it still fit a database
_TOKENS_PER_MESSAGE_MOST: Final = 64
_TOKENS_PER_IMAGE: Final = 16_384  # the most of the vision models served today, however many bytes it has
_BASE64_PER_AUDIO_TOKEN: Final = 16  # 40 tokens a second at the lowest rate that a codec has, 6 kbit/s
# US dollars; Venice's prices beside those of the catalogue. Up to five pages are read.
_FEES: Final = {"enable_web_search": Decimal("0.01"), "enable_web_scraping": Decimal("0.05"), "enable_x_search": Decimal("0.1")}
_INPUT: Final = ("input", "cache_input", "cache_write")
_LIKE_TOTAL: Any = None  # until the total is known


class Spending(NamedTuple):
    """What the answers of one model cost on one day."""

    day: date
    """The day, in UTC, as Venice counts."""
    model: str
    """The id of the model."""
    usd: Decimal
    """US dollars."""
    calls: int
    """Requests that were, or may have been, billed."""


@dataclass(frozen=True, slots=True)
class ChatCostEstimate:
    """The likely cost of a completion in US dollars: an estimate, not a promise.

    Not counted: reasoning beyond `expected_completion_tokens`, images and files, searches (10 US dollars a thousand).
    """

    model: str
    """The id of the model whose prices these are."""
    prompt_tokens: int
    """The estimated tokens of the messages: words times `tokens_per_word`."""
    expected_completion_tokens: int
    """The expected length of the answer, as given."""
    prompt_cost_usd: Decimal
    """The likely cost of the messages."""
    completion_cost_usd: Decimal
    """The cost of an answer of the expected length."""
    total_cost_usd: Decimal
    """Both together."""
    low: Decimal = _LIKE_TOTAL
    """The total if a token of the prompt is 6 bytes long and nothing is added to the prompt; by default `total_cost_usd`."""
    high: Decimal = _LIKE_TOTAL
    """The total if a token is 2.5 bytes long, with Venice's own system prompt and 8 tokens for each message; likewise."""
    method: str = "words"
    """`usage` once at least five answers of the model have told this client how it counts: then nine of ten prompts are between
    `low` and `high`. Until then `words`, and they are as far apart as tokenizers are."""
    likely: Decimal = _LIKE_TOTAL
    """The best single figure, of what will probably be billed: the total for the tokens that were learnt from usage. Until
    then it is `total_cost_usd` and 1,000 tokens for Venice's own system prompt, where Venice puts one before the messages."""

    def __post_init__(self) -> None:
        for name in ("low", "high", "likely"):
            if getattr(self, name) is _LIKE_TOTAL:
                object.__setattr__(self, name, self.total_cost_usd)

    def _repr_html_(self) -> str:
        from .types._html import table

        return table([{name: str(getattr(self, name)) for name in self.__slots__}], "US dollars")


def estimate_chat_cost(
    entry: ModelResponse,
    messages: Messages,
    *,
    expected_completion_tokens: int = 500,
    tokens_per_word: float = 1.3,
    learnt: Count | None = None,
    venice_prompt: bool = True,
) -> ChatCostEstimate:
    """The estimate for a catalogue entry, from the tokens that usage taught; with Venice's own system prompt, or without."""
    pricing = getattr(entry.model_spec, "pricing", None)
    if entry.type != "text" or any(rate(pricing, 0, side) is None for side in ("input", "output")):
        raise InvalidArgumentError(f"model {entry.id!r} has no prices for tokens, so its cost cannot be estimated")
    given = cast("list[Mapping[str, Any]]", [{"content": messages}] if isinstance(messages, str) else list(messages))
    texts = [text for message in given for text in content_texts(message.get("content"))]
    prompt_tokens = int(sum(len(text.split()) for text in texts) * tokens_per_word)
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    if learnt is None:
        most = int(size / _BYTES_PER_TOKEN_LEAST) + _TOKENS_PER_MESSAGE * len(given) + VENICE_PROMPT_TOKENS_MOST * venice_prompt
        usual = prompt_tokens + _VENICE_PROMPT_TOKENS_LIKELY * venice_prompt
        tokens: tuple[float, ...] = min(int(size / _BYTES_PER_TOKEN_MOST), prompt_tokens), usual, most
    else:
        away = learnt.tokens * learnt.spread
        tokens = learnt.tokens - away, learnt.tokens, learnt.tokens + away
    low, likely, high = (sum(_cost(pricing, round(count), expected_completion_tokens), Decimal(0)) for count in tokens)
    prompt, completion = _cost(pricing, prompt_tokens, expected_completion_tokens)
    return ChatCostEstimate(
        model=entry.id,
        prompt_tokens=prompt_tokens,
        expected_completion_tokens=expected_completion_tokens,
        prompt_cost_usd=prompt,
        completion_cost_usd=completion,
        total_cost_usd=prompt + completion,
        low=min(low, likely),
        high=max(high, likely),
        method="words" if learnt is None else "usage",
        likely=likely,
    )


def estimate_completion_cost(
    prompt: str,
    estimated_completion_tokens: int,
    model_pricing: ModelPricing | Mapping[str, Any] | None,
    tokens_per_word: float = 1.3,
) -> dict[str, Decimal]:
    """The likely cost of one prompt as `{"usd": ...}`; 0 without prices.

    Args:
        prompt: the text to send.
        estimated_completion_tokens: how long the answer may be, from 0.
        model_pricing: `model_spec.pricing` of a catalogue entry.
        tokens_per_word: tokens for a word.

    Raises:
        ValueError: a number is out of range.
    """
    check_numbers("estimated_completion_tokens", estimated_completion_tokens, tokens_per_word)
    pricing = None if model_pricing is None else ModelPricing.model_validate(model_pricing)
    return {"usd": sum(_cost(pricing, int(len(prompt.split()) * tokens_per_word), estimated_completion_tokens), Decimal(0))}


def check_numbers(name: str, tokens: object, tokens_per_word: object) -> None:
    """Raises an InvalidArgumentError if a number is out of range; the count of tokens is called `name`."""
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise InvalidArgumentError(f"{name}={tokens!r} must be a whole number from 0")
    if not isinstance(tokens_per_word, (int, float)) or isinstance(tokens_per_word, bool) or not 0 < tokens_per_word < 1e6:
        raise InvalidArgumentError(f"tokens_per_word={tokens_per_word!r} must be a number above 0")


def _cost(pricing: ModelPricing | None, prompt_tokens: int, completion_tokens: int) -> tuple[Decimal, Decimal]:
    into, out = (rate(pricing, prompt_tokens, side) for side in ("input", "output"))
    if into is None or out is None:
        return Decimal("0.00"), Decimal("0.00")
    return prompt_tokens * into / _MILLION, completion_tokens * out / _MILLION


def rate(pricing: ModelPricing | None, prompt_tokens: int, side: str) -> Decimal | None:
    """US dollars for a million tokens of a kind such as `output`. A long input moves the whole request to the extended tier."""
    extended = getattr(pricing, "extended", None)
    threshold = getattr(extended, "context_token_threshold", None)
    is_long = isinstance(threshold, (int, float)) and prompt_tokens > threshold
    tiers: list[Any] = [extended, pricing] if is_long else [pricing]
    return next((usd for tier in tiers if (usd := _usd(getattr(tier, side, None))) is not None), None)


def _usd(price: object) -> Decimal | None:
    value = getattr(price, "usd", None)
    # Through text, because 0.086 as a binary fraction is not 0.086.
    return Decimal(str(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


class Chat(NamedTuple):
    """A chat that is about to be sent."""

    entries: Sequence[ModelResponse]
    """The catalogue's entries of the model, and of those that the server may answer with in its place."""
    body: Mapping[str, Any]
    """What is sent."""
    size: int
    """How many bytes that is."""

    def most(self) -> int:
        """The most that it can cost, in nano-USD. A ValueError without prices."""
        return max(self._most_with(entry) for entry in self.entries)

    def cost(self, usage: ChatUsage) -> int:
        """The cost of an answer with this usage, in nano-USD."""
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
            why = f"the catalogue does not say how many tokens {entry.id!r} takes"
            remedy = "Pass max_completion_tokens, and no files, videos or searches"
            raise InvalidArgumentError(f"the cost of this request has no bound: {why}. {remedy}")
        if switches_in(self.body).get("include_venice_system_prompt") is not False:  # it comes before the conversation
            tokens += VENICE_PROMPT_TOKENS_MOST
        tiers = (0, tokens)
        into = max(_rate(entry, tier, side) for tier in tiers for side in _INPUT)
        out = max(_rate(entry, tier, "output") for tier in tiers)
        return _nano(tokens * into + answer * (_count(self.body.get("n")) or 1) * out + self._fees())

    def _fees(self) -> Decimal:
        """The charges beside tokens, in nano-USD."""
        suffix = (part.partition("=") for part in str(self.body.get("model")).partition(":")[2].split("&"))
        switches = {**switches_in(self.body), **{name: value for name, _, value in suffix}}
        on = (fee for name, fee in _FEES.items() if switches.get(name) not in (None, False, "off", "false"))
        return sum(on, Decimal(0)) * NANO


def may_be_billed(failure: BaseException) -> bool:
    """Whether an attempt that failed may have been billed: not if it never left, or the server refused it."""
    if getattr(failure, "unsent", False) or (isinstance(failure, APITimeoutError) and failure.clock == "connect"):
        return False
    return not isinstance(failure, APIError) or failure.counts_as in {None, 200, 504}


def nano_usd(dollars: object) -> int | None:
    """An amount in US dollars as nano-USD, rounded up; None for a value that is not an amount."""
    if isinstance(dollars, bool) or not isinstance(dollars, (int, float, Decimal)):
        return None
    amount = Decimal(str(dollars))  # through text, because 0.1 as a binary fraction is not 0.1
    return _nano(amount * NANO) if amount.is_finite() and amount >= 0 else None


def _nano(amount: Decimal) -> int:
    return min(int(amount.to_integral_value(ROUND_CEILING)), _MOST_NANO)


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
    return usd * NANO / _MILLION


def _most_input(body: Mapping[str, Any], size: int) -> int | None:
    """The tokens of the input at most; None if only the context bounds them."""
    messages = items(body.get("messages"))
    if search_in(body) is not None or switches_in(body).get("character_slug"):
        return None
    tokens = size + _TOKENS_PER_MESSAGE_MOST * len(messages)
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


__all__ = ["ChatCostEstimate", "Spending", "estimate_chat_cost", "estimate_completion_cost"]
