"""Streams in the shapes in which servers send them: what else stands in each chunk beside the text.

`USUAL` are chunks that differ in one text, `OTHERS` those that differ in more, and `LONG` the odd streams whose cost must grow
with their length alone. Each gives the chunks of a stream of so many; `texts` says how much text is in it.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

Chunk = dict[str, Any]
Word = Callable[[int], str]
Make = Callable[[dict[str, Any]], Chunk]
Shape = Callable[[int, Make, Word], Iterator[Chunk]]


def _five(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    return (chunk({"content": word(number)}) for number in range(count))


def _nulls(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    for made in (chunk({"content": word(number), "reasoning_content": None}) for number in range(count)):
        made["choices"][0]["stop_reason"] = None
        yield {**made, "usage": None, "service_tier": None}


def _reasoning(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    for number in range(count):
        yield chunk({"content" if 2 * number >= count else "reasoning_content": word(number)})


def _arguments(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    yield chunk({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]})
    for number in range(count):
        yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": word(number)}}]})


def _in_turn(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    for number in range(count):
        yield _with(chunk({"content": word(number)}), index=number % 2)
    yield _with(chunk({}), index=1, finish_reason="stop")


def _usage(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    for number in range(count):
        usage = {"prompt_tokens": 10, "completion_tokens": number, "total_tokens": 10 + number}
        yield {**chunk({"content": word(number)}), "usage": usage}


def _logprobs(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    for number in range(count):
        token = {"token": word(number), "logprob": -number / 7, "bytes": [number % 256], "top_logprobs": []}
        yield _with(chunk({"content": word(number)}), logprobs={"content": [token]})


def _token_ids(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    return (_with(chunk({"content": word(number)}), token_ids=[number]) for number in range(count))


def _random(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    noise = random.Random(0)
    return ({**chunk({"content": word(number)}), "obfuscation": f"{noise.random():.12f}"} for number in range(count))


def _with(made: Chunk, **fields: Any) -> Chunk:
    made["choices"][0].update(fields)
    return made


def _names(count: int, chunk: Make, _: Word) -> Iterator[Chunk]:
    """Fragments of one call, each of which repeats its name."""
    for number in range(count):
        arguments = '{"a":"' if not number else '"}' if number == count - 1 else "some more"
        yield chunk({"tool_calls": [{"index": 0, "function": {"name": "add", "arguments": arguments}}]})


def _calls(count: int, chunk: Make, _: Word) -> Iterator[Chunk]:
    """Calls without an index."""
    for number in range(count):
        yield chunk({"tool_calls": [{"id": f"c{number}", "function": {"name": "add", "arguments": "{}"}}]})


def _choices(count: int, chunk: Make, word: Word) -> Iterator[Chunk]:
    """One chunk for each of many choices."""
    return (_with(chunk({"content": word(number)}), index=number, finish_reason="stop") for number in range(count))


USUAL: dict[str, Shape] = {"five": _five, "nulls": _nulls, "reasoning": _reasoning, "arguments": _arguments}
OTHERS: dict[str, Shape] = {"usage": _usage, "logprobs": _logprobs, "tokens": _token_ids, "turns": _in_turn, "random": _random}
LONG: dict[str, Shape] = {"names": _names, "calls": _calls, "choices": _choices}
TITLES = {
    "five": "five keys",
    "nulls": "`usage: null` and the like",
    "reasoning": "reasoning, then content",
    "arguments": "arguments of a call",
    "usage": "usage in each chunk",
    "logprobs": "log probabilities",
    "tokens": "token ids",
    "turns": "two choices in turn",
    "random": "a random field in each",
    "names": "fragments that repeat their call's name",
    "calls": "calls without an index",
    "choices": "choices",
}


def text_of(name: str, count: int, word: Word) -> str:
    """The text that a client counts in a stream of a shape; of many choices it collects the first."""
    if name == "choices":
        return word(0)
    start = {"reasoning": (count + 1) // 2, "arguments": count, "names": count, "calls": count}.get(name, 0)
    return "".join(word(number) for number in range(start, count))
