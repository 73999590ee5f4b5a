"""How many tokens the input of a chat has, learnt for each model from the usage of earlier chats.

A tokenizer is not needed for that: the tokens of a text follow from how many letters, blanks, digits, signs and bytes beyond
ASCII it has, with weights that differ from model to model, and a constant for the model's template and Venice's own prompt.
The weights are found by recursive least squares, which keeps a small matrix and no text; chats count by their relative error.
What is counted are the bytes of the request, as they are sent.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

_ASCII: Final = bytes(range(128))
_LETTERS: Final = bytes(byte for byte in range(128) if chr(byte).isalpha())
_DIGITS: Final = b"0123456789"
_NO_SIGNS: Final = _LETTERS + _DIGITS + bytes(range(33)) + bytes(range(127, 256))
# Of models as they are: a constant, then tokens for a message, letter, space, two spaces, digit, sign, four signs of a drawn
# line, line break, byte beyond ASCII.
_USUAL: Final = (0.0, 0.0, 0.15, 0.3, -0.5, 0.5, 0.4, -1.5, 0.3, 0.25)
_SPREADS: Final = (600.0, 8.0, 0.05, 0.2, 0.2, 0.15, 0.2, 0.2, 0.3, 0.12)
_NOISE: Final = 0.04  # the relative error that no weights take away
_MEMORY: Final = 0.995  # older chats count less, for models change behind their names
_LEARNT: Final = 5
_MODELS: Final = 200
_MORE_THAN_TEXT: Final = (
    *(b'"tools":', b'"response_format":', b'"type":"image', b'"type":"input', b'"type":"video', b'"type":"file'),
    *(b'"enable_web_search":', b'"enable_web_scraping":', b'"enable_x_search":', b'"character_slug":'),
)
_WITHOUT_VENICE_PROMPT: Final = b'"include_venice_system_prompt":false'
_ALL_OF_THE_FIRST: Final = 50
_ONE_OF: Final = 16


class Count(NamedTuple):
    """A number of tokens, and how far off it is likely to be (relative, at most so far in nine of ten cases)."""

    tokens: float
    spread: float


class TokenCounts:
    """What was learnt of each model."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, _Weights] = OrderedDict()
        self._met: dict[str, int] = {}

    def learn(self, model: str, body: bytes, prompt_tokens: object) -> None:
        """Takes in that this body of a request was counted as so many tokens."""
        if len(self._met) >= _MODELS:
            self._met.clear()
        met = self._met[model] = self._met.get(model, 0) + 1
        if met > _ALL_OF_THE_FIRST and met % _ONE_OF:
            return
        if not isinstance(prompt_tokens, int) or prompt_tokens < 1 or ":" in model:
            return
        if any(map(body.__contains__, _MORE_THAN_TEXT)):
            return
        # Without Venice's own prompt a model counts as another one.
        name = model + "\n" * (_WITHOUT_VENICE_PROMPT in body)
        weights = self._models.setdefault(name, _Weights())
        self._models.move_to_end(name)
        if len(self._models) > _MODELS:
            self._models.popitem(last=False)
        weights.learn(_counted(body), prompt_tokens)

    def tokens(self, model: str, body: bytes) -> Count | None:
        """The likely tokens of a body; None as long as too little is known."""
        weights = self._models.get(model)
        return None if weights is None or weights.seen < _LEARNT else weights.count(_counted(body))


class _Weights:
    """Recursive least squares with relative errors."""

    def __init__(self) -> None:
        self.seen = 0
        self._weights = list(_USUAL)
        self._covariance = [
            [spread * spread * (row == column) for column, spread in enumerate(_SPREADS)] for row in range(len(_SPREADS))
        ]
        self._errors: list[float] = []

    def learn(self, features: tuple[int, ...], tokens: int) -> None:
        error = tokens - self._dot(features)
        moved = [sum(map(float.__mul__, row, map(float, features))) for row in self._covariance]
        noise = (_NOISE * tokens) ** 2 + 1
        scale = noise + sum(feature * each for feature, each in zip(features, moved, strict=True))
        gains = [each / scale for each in moved]
        self._weights = [weight + gain * error for weight, gain in zip(self._weights, gains, strict=True)]
        self._covariance = [
            [(value - gain * each) / _MEMORY for value, each in zip(row, moved, strict=True)]
            for row, gain in zip(self._covariance, gains, strict=True)
        ]
        self.seen += 1
        if self.seen > 2:  # the first ones are far off, for nothing was known
            self._errors = [*self._errors[-49:], abs(error) / tokens]

    def count(self, features: tuple[int, ...]) -> Count:
        spread = sorted(self._errors)[len(self._errors) * 9 // 10]
        return Count(max(self._dot(features), 1.0), max(spread, 0.01))

    def _dot(self, features: tuple[int, ...]) -> float:
        return sum(weight * feature for weight, feature in zip(self._weights, features, strict=True))


def _counted(body: bytes) -> tuple[int, ...]:
    size = len(body)
    ascii_bytes = size - len(body.translate(None, _ASCII))
    letters, digits = size - len(body.translate(None, _LETTERS)), size - len(body.translate(None, _DIGITS))
    signs, spaces = len(body.translate(None, _NO_SIGNS)), body.count(b" ")
    drawn = body.count(b"----") + body.count(b"====")
    lines, beyond = body.count(b"\\n"), size - ascii_bytes
    return 1, body.count(b'"role":'), letters, spaces, body.count(b"  "), digits, signs, drawn, lines, beyond
