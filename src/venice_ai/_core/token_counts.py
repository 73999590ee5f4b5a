"""How many tokens the input of a chat has, learnt for each model from the usage of earlier chats.

The tokens of a text follow from how many letters, blanks, digits, signs and bytes beyond ASCII it has, with weights that differ
from model to model, and a constant for the template. A chat is only counted, in at most 2 KB of its body; no text is kept.
When an estimate is asked for, the weights are found (`token_weights.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from .privacy import PREFIX  # of models whose chats are sealed: what is counted there is not what is sent
from .token_weights import Count, Features, Weights

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


class TokenCounts:
    """What was learnt of each model."""

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
    beyond = 0 if unsigned.isascii() else len(unsigned.translate(None, _BLANKS))
    counts = letters, spaces, text.count(b"  "), digits, len(other) - len(unsigned), drawn, text.count(b"\\n"), beyond
    scale = size / len(text)
    return 1.0, float(body.count(b'"role":')), *(each * scale for each in counts)
