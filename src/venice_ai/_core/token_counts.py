"""How many tokens a chat's input has, learnt for each model from the usage of earlier chats by recursive least squares."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from .privacy import PREFIX  # of models whose chats are sealed: what is counted there is not what is sent

_LETTERS: Final = bytes(byte for byte in range(128) if chr(byte).isalpha())
_DIGITS: Final = b"0123456789"
_SIGNS: Final = bytes(byte for byte in range(33, 127) if byte not in _LETTERS + _DIGITS)
_BLANKS: Final = bytes([*range(33), 127])
_MODELS: Final = 200
_TYPE: Final = b'"type":"'  # other types than text are media, tools and schemas
_TEXT: Final = b'"type":"text"'
_OF_VENICE: Final = b'"venice_parameters":'
_MORE_THAN_TEXT: Final = b'"enable_web_search":', b'"enable_web_scraping":', b'"enable_x_search":', b'"character_slug":'
_WITHOUT_VENICE_PROMPT: Final = b'"include_venice_system_prompt":false'
_ALL_OF_THE_FIRST: Final = 24
_ONE_OF: Final = 64
_PIECES: Final = 4
_PIECE: Final = 512
# Of models as they are: a constant, then tokens for a message, letter, space, two spaces, digit, sign, four signs of a drawn
# line, line break, byte beyond ASCII.
_USUAL: Final = (0.0, 0.0, 0.15, 0.3, -0.5, 0.5, 0.4, -1.5, 0.3, 0.25)
_SPREADS: Final = (600.0, 8.0, 0.05, 0.2, 0.2, 0.15, 0.2, 0.2, 0.3, 0.12)
_NOISE: Final = 0.04  # the relative error that no weights take away
_MEMORY: Final = 0.995  # older chats count less, for models change behind their names
_LEARNT: Final = 5
_MOST_WAITING: Final = 64  # counts that wait for an estimate to be asked for
Features: TypeAlias = tuple[float, ...]


class Count(NamedTuple):
    """A number of tokens, and how far off it is likely to be (relative, at most so far in nine of ten cases)."""

    tokens: float
    spread: float


class Weights:
    """The weights learnt for one model; `waiting` are the chats that were counted since the last estimate."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Features, int]] = deque(maxlen=_MOST_WAITING)
        self._weights = list(_USUAL)
        self._covariance: list[list[float]] = []  # of no chats yet, as the first calls have no time for it
        self._errors: deque[float] = deque(maxlen=50)
        self._seen = 0

    def count(self, features: Features) -> Count | None:
        while self.waiting:
            self._learn(*self.waiting.popleft())
        if self._seen < _LEARNT:
            return None
        spread = sorted(self._errors)[len(self._errors) * 9 // 10]
        return Count(max(_product(self._weights, features), 1.0), max(spread, 0.01))

    def _learn(self, features: Features, tokens: int) -> None:
        error = tokens - _product(self._weights, features)
        covariance = self._covariance or [
            [spread * spread * (row == column) for column, spread in enumerate(_SPREADS)] for row in range(len(_SPREADS))
        ]
        moved = [_product(row, features) for row in covariance]
        scale = (_NOISE * tokens) ** 2 + 1 + _product(moved, features)
        gains = [each / scale for each in moved]
        self._weights = [weight + gain * error for weight, gain in zip(self._weights, gains, strict=True)]
        self._covariance = [
            [(value - gain * each) / _MEMORY for value, each in zip(row, moved, strict=True)]
            for row, gain in zip(covariance, gains, strict=True)
        ]
        self._seen += 1
        if self._seen > 2:  # the first ones are far off, for nothing was known
            self._errors.append(abs(error) / tokens)


def _product(one: Iterable[float], other: Iterable[float]) -> float:
    return sum(map(float.__mul__, one, other))


class TokenCounts:
    """Estimates the tokens of a chat's input, by weights that it learns for each model."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, Weights] = OrderedDict()
        self._met: dict[str, int] = {}

    def learn(self, model: str, body: bytes, prompt_tokens: object) -> None:
        """Takes in that this body of a request was counted as so many tokens; of later chats, one of 64."""
        met = self._met[model] = self._met.get(model, 0) + 1
        if met > _ALL_OF_THE_FIRST and met % _ONE_OF:
            return
        if len(self._met) > _MODELS:
            self._met.clear()
        if not isinstance(prompt_tokens, int) or prompt_tokens < 1 or ":" in model or model.startswith(PREFIX):
            return
        types, switches = body.count(_TYPE), _OF_VENICE in body
        if b'"tools":' in body or (types and types != body.count(_TEXT)):
            return
        if switches and any(map(body.__contains__, _MORE_THAN_TEXT)):
            return
        # Without Venice's own prompt a model counts as another one.
        name = model + "\n" * (switches and _WITHOUT_VENICE_PROMPT in body)
        weights = self._models.get(name) or self._models.setdefault(name, Weights())
        self._models.move_to_end(name)
        if len(self._models) > _MODELS:
            self._models.popitem(last=False)
        weights.waiting.append((_features(body), prompt_tokens))

    def tokens(self, model: str, body: bytes) -> Count | None:
        """The likely tokens of a body; None as long as too little is known."""
        weights = self._models.get(model)
        return None if weights is None else weights.count(_features(body, whole=True))


def _features(body: bytes, *, whole: bool = False) -> Features:
    """The counts in a body by kind of byte; in pieces of a long one, spread over it, unless `whole` asks for all of it."""
    text, size = body, len(body)
    if size > _PIECES * _PIECE and not whole:
        text = b"".join([body[at : at + _PIECE] for at in range(0, size - _PIECE + 1, (size - _PIECE) // (_PIECES - 1))])
    other = text.translate(None, _LETTERS)
    unlettered, letters = len(other), len(text) - len(other)
    other = other.translate(None, _DIGITS)
    digits, spaces, drawn = unlettered - len(other), other.count(b" "), other.count(b"----") + other.count(b"====")
    unsigned = other.translate(None, _SIGNS)
    beyond = len(unsigned.translate(None, _BLANKS))
    counts = letters, spaces, text.count(b"  "), digits, len(other) - len(unsigned), drawn, text.count(b"\\n"), beyond
    scale = size / len(text)
    return 1.0, float(body.count(b'"role":')), *(each * scale for each in counts)
