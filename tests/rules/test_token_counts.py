"""Estimates that learn from usage: how far off they are after 20 chats, by real tokenizers; which chats teach nothing."""

from __future__ import annotations

import json
import os
import random
import re
import warnings
from decimal import Decimal
from functools import cache
from importlib import import_module
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from venice_ai import SyncVeniceClient, VeniceClient
from venice_ai._core.token_counts import TokenCounts
from venice_ai._wire.request_body import encode
from venice_ai.costs import estimate_chat_cost
from venice_ai.emulator import Emulator, text_model
from venice_ai.types.api.models import ModelResponse

ROOT = Path(__file__).parents[2]
TOKENIZERS = ("o200k_base", "cl100k_base", "voyage3_base")
CHINESE = (
    "机器学习是人工智能的一个分支,它使计算机能够从数据中学习规律。今天的天气非常好,我们打算去公园散步,然后在湖边吃午饭。"
    "请把下面的合同翻译成英文,并指出其中的风险条款。数据库的索引可以显著提高查询速度,但也会增加写入的成本。"
    "中国的高速铁路网络已经覆盖了大多数主要城市。他在二〇二三年毕业于北京大学物理系。编写清晰的代码比编写聪明的代码更重要。"
    "昨天晚上,股市出现了大幅波动,投资者感到担忧。这篇文章讨论了气候变化对农业生产的影响。孩子们在操场上奔跑,笑声传得很远。"
    "医生建议病人多喝水、多休息,并按时服药。量子计算利用叠加和纠缠来解决某些经典计算机难以解决的问题。"
    "传统的茶文化强调礼仪与内心的平静。这款手机的电池续航时间比上一代提升了百分之二十。老师让学生们写一篇关于家乡的作文。"
    "请根据用户的评论判断情绪是积极还是消极。城市规划需要考虑交通、住房和环境保护。她喜欢在雨天读小说,听窗外的声音。"
)


def tokenizer(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it loads its tables by a call that the standard library deprecates
        found: Any = import_module("bpe_openai") if os.environ.get("CI") else pytest.importorskip("bpe_openai")
    return found.get_encoding(name)


@cache
def corpus(kind: str) -> tuple[list[str], str]:
    """Pieces of real text of a kind, and what stands between two of them."""
    if kind == "chinese":
        return re.findall("[^。]+。", CHINESE), ""
    if kind == "code":
        files = sorted((ROOT / "scripts").glob("*.py")) + sorted((ROOT / "tests" / "client").glob("*.py"))[:10]
        return [part for file in files for part in file.read_text("utf-8").split("\n\n") if len(part) > 40], "\n\n"
    if kind == "json":
        fixtures = json.loads((ROOT / "tests" / "data" / "completion-fixtures.json").read_bytes())
        return [json.dumps(part) for part in [*fixtures, *(part["body"] for part in fixtures if "body" in part)]], "\n"
    prose = re.sub(
        r"```.*?```", "", "\n".join(file.read_text("utf-8") for file in (ROOT / "docs").rglob("*.md")), flags=re.DOTALL
    )
    return [part for part in re.split(r"(?<=[.])\s+", prose) if len(part) > 30 and "|" not in part], " "


def chats(kind: str, seed: int) -> Any:
    """Endless texts of a kind, of 1 to 20 pieces."""
    rng, (pieces, between) = random.Random(seed), corpus(kind)
    while True:
        yield between.join(rng.choice(pieces) for _ in range(rng.choice((1, 2, 5, 10, 20))))


@cache
def counted(name: str, kind: str, seed: int) -> list[tuple[str, int]]:
    """45 such texts, each with its number of tokens."""
    encoding, texts = tokenizer(name), chats(kind, seed)
    return [(text, len(encoding.encode(text))) for text in islice(texts, 45)]


def body(text: str, model: str = "m", **more: Any) -> bytes:
    return encode({"model": model, "messages": [{"role": "user", "content": text}], **more})


@pytest.mark.parametrize("own_prompt", [0, 1_000], ids=["no prompt of its own", "a prompt of its own"])
@pytest.mark.parametrize("kind", ["english", "code", "chinese", "json"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_after_20_chats_of_a_kind_nine_of_ten_costs_are_at_most_15_percent_off(name: str, kind: str, own_prompt: int) -> None:
    entry = ModelResponse.model_validate(text_model("m", input=1.0, output=1.0))
    errors: list[float] = []
    for seed in range(2 if own_prompt else 6):  # with fewer, luck decides: texts of this repository change with every commit
        counts = TokenCounts()
        for number, (text, tokens) in enumerate(counted(name, kind, seed)):
            true = own_prompt + 7 + tokens
            if number < 20:
                counts.learn("m", body(text), true)
                continue
            estimate = estimate_chat_cost(
                entry, [{"role": "user", "content": text}], expected_completion_tokens=0, learnt=counts.tokens("m", body(text))
            )
            assert estimate.method == "usage"
            assert estimate.low <= estimate.likely <= estimate.high
            errors.append(abs(float(estimate.likely * 1_000_000) / true - 1))
    assert sorted(errors)[len(errors) * 9 // 10] <= 0.15


def test_counts_learnt_from_mixed_chats_serve_each_kind_of_text() -> None:
    encoding, kinds = tokenizer("o200k_base"), ("english", "code", "chinese", "json")
    counts, streams = TokenCounts(), {kind: chats(kind, 1) for kind in kinds}
    for _ in range(20):
        for kind in kinds:
            text = next(streams[kind])
            counts.learn("m", body(text), 7 + len(encoding.encode(text)))
    for kind in kinds:
        errors: list[float] = []
        for _ in range(30):
            text = next(streams[kind])
            found = counts.tokens("m", body(text))
            assert found is not None
            errors.append(abs(found.tokens / (7 + len(encoding.encode(text))) - 1))
        assert sorted(errors)[27] <= 0.2, kind


UNSEEN = {
    "digits": " ".join(str(10**11 + number * 829_368_751) for number in range(300)),
    "signs": "!?;:,.()[]{}" * 300,
    "line breaks": "word\n" * 500,
    "blanks": "\n".join(" " * (4 * (number % 6)) + "return value" for number in range(400)),
    "chinese": CHINESE,
    "tables": "| ---- | -------- |\n| word | another |\n" * 100,
    "headings": "Title\n=====\n\nSome text here.\n\n" * 80,
}


PROSE = (
    "The harbour lay quiet under a thin fog, and the first boats were coming in with the night's catch.",
    "Nobody on the pier spoke; a bell rang twice, and somewhere behind the warehouses a dog began to bark.",
    "She counted the crates (there were nineteen), wrote the number down, and went to look for the master.",
    "By noon the wind had turned: it brought rain from the hills, and the market closed an hour early.",
    "Old letters say that the lighthouse was built of driftwood first, and of stone after the second winter.",
)
"""Not of this repository, whose texts change with every commit."""


@pytest.mark.parametrize("kind", UNSEEN)
def test_a_kind_of_text_that_no_chat_held_yet_is_counted_as_models_usually_count_it(kind: str) -> None:
    encoding = tokenizer("o200k_base")
    counts = TokenCounts()
    for number in range(1, 6):
        text = " ".join(PROSE[:number])
        counts.learn("m", body(text), 7 + len(encoding.encode(text)))

    found = counts.tokens("m", body(UNSEEN[kind]))

    assert found is not None
    assert 0.5 < found.tokens / (7 + len(encoding.encode(UNSEEN[kind]))) < 2


# How many tokens 1,000 of a kind usually are, from what models differ in least to what they differ in most.
USUAL = {"a": 150, "7": 500, "!": 400, "é": 500, "\n": 850, "  ": 100, "----": 100}


def of_1_000(counts: TokenCounts, unit: str) -> float:
    """What so many of a kind add to the tokens of an empty chat."""
    many, none = (counts.tokens("m", body(text)) for text in (unit * 1_000, ""))
    assert many is not None
    assert none is not None
    return many.tokens - none.tokens


@pytest.mark.parametrize("unit", USUAL, ids=ascii)
def test_chats_of_the_expected_tokens_change_nothing_of_what_other_kinds_cost(unit: str) -> None:
    counts = learnt(body("a" * 100), tokens=30)
    assert of_1_000(counts, unit) == pytest.approx(USUAL[unit], rel=0.02)


@pytest.mark.parametrize(("less", "more"), list(pairwise(USUAL)), ids=ascii)
def test_tokens_more_than_expected_are_put_down_to_what_models_differ_in_most(less: str, more: str) -> None:
    counts = learnt(body((less * 20 + more * 20) * 20), tokens=5_000)
    surplus = {unit: of_1_000(counts, unit) - USUAL[unit] for unit in (less, more)}
    assert surplus[more] > 1.2 * surplus[less] > 0


# What a model might count by, and a text of nothing else. A byte of a body that is not text's costs nothing here.
PRICES = {
    "a": 0.3, " ": 0.2, "7": 0.5, "=.": 0.9, "\n": 1.1, "é": 0.6, "----": 0.25, "  ": 0.1, "A": 0.4, "!": 0.8, "~": 0.7,
    "z9Z": 2.0,
}  # fmt: skip


@pytest.mark.parametrize("unit", PRICES, ids=ascii)
@pytest.mark.parametrize("times", [150, 3_000])
def test_the_tokens_of_each_kind_of_character_are_learnt_from_short_and_long_texts(unit: str, times: int) -> None:
    counts, chance = TokenCounts(), random.Random(unit)
    for number in range(24):
        length = chance.randrange(20, 400) * (12 if number % 3 == 0 else 1)
        counts.learn("m", body(unit * length), round(9 + length * PRICES[unit]))

    found = counts.tokens("m", body(unit * times))

    assert found is not None
    assert found.tokens == pytest.approx(9 + times * PRICES[unit], rel=0.07)


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("size", [9_000, 9_001, 9_002])
def test_each_quarter_of_a_long_text_counts_for_what_is_learnt(quarter: int, size: int) -> None:
    counts, step = TokenCounts(), 750
    for number in range(24):
        kinds, length = ["a"] * 4, (size + number * step) // 4
        kinds[quarter] = "7" if number % 2 else "a"
        text = "".join(kind * length for kind in kinds) + "a" * (size % 4)
        counts.learn("m", body(text), round(9 + 0.1 * text.count("a") + 2 * text.count("7")))

    found = counts.tokens("m", body("7" * 1_000))

    assert found is not None
    assert found.tokens == pytest.approx(2_009, rel=0.1)


def test_of_a_long_body_four_pieces_of_512_bytes_teach() -> None:
    counts = TokenCounts()
    for size in range(9_000, 27_000, 750):
        chat = body("7" * (size - len(body(""))))
        for at in range(0, size - 511, (size - 512) // 3):
            chat = chat[:at] + chat[at : at + 512].replace(b"7", b"a") + chat[at + 512 :]
        counts.learn("m", chat, round(9 + 0.3 * size))

    assert of_1_000(counts, "a") == pytest.approx(300, rel=0.05)
    assert of_1_000(counts, "7") == pytest.approx(USUAL["7"], rel=0.02), "no digit was seen"


def test_blanks_between_characters_beyond_ascii_are_counted_as_blanks() -> None:
    counts = TokenCounts()
    for length in range(50, 290, 10):
        counts.learn("m", body("é" * length), round(9 + 0.6 * length))

    found = counts.tokens("m", body("é " * 1_000))

    assert found is not None
    assert found.tokens == pytest.approx(9 + 0.6 * 1_000 + 0.3 * 1_000, rel=0.1)  # 0.3 is what models usually count for a blank


def test_of_a_long_text_pieces_from_its_beginning_to_its_end_are_counted() -> None:
    counts, chance = TokenCounts(), random.Random(1)
    kinds = ("a", "7", "~", " ")

    def text(length: int) -> tuple[bytes, int]:
        return body("".join(kind * length for kind in kinds)), round(9 + length * sum(PRICES[kind] for kind in kinds))

    for _ in range(24):
        counts.learn("m", *text(chance.randrange(700, 3_000)))
    long, tokens = text(2_000)
    found = counts.tokens("m", long)

    assert found is not None
    assert found.tokens == pytest.approx(tokens, rel=0.05)


def test_an_estimate_is_at_least_a_token_and_at_least_one_percent_off() -> None:
    counts = TokenCounts()
    for _ in range(24):
        counts.learn("m", body("a" * 4_000), 1)
    for text in ("", "a" * 400, "a" * 4_000):
        found = counts.tokens("m", body(text))
        assert found is not None
        assert 1 <= found.tokens < 1.5
        assert 0.01 <= found.spread < 0.5


@pytest.mark.parametrize(("odd", "least", "most"), [(0, 0.01, 0.1), (2, 0.01, 0.1), (3, 0.2, 0.6)])
def test_the_spread_is_that_of_nine_of_ten_estimates(odd: int, least: float, most: float) -> None:
    counts = TokenCounts()
    for number in range(24):  # of the first two, the estimates do not count
        counts.learn("m", body("a" * 1_000), 300 if number < 24 - odd else 600)

    found = counts.tokens("m", body("a" * 1_000))

    assert found is not None
    assert least <= found.spread <= most


@pytest.mark.parametrize(("odd", "counts"), [(1, False), (2, False), (3, True), (4, True), (5, True)])
def test_how_far_off_the_first_two_estimates_are_does_not_count(odd: int, counts: bool) -> None:
    estimates = TokenCounts()
    for number in range(1, 6):
        estimates.learn("m", body("a" * 1_000), 3_000 if number == odd else 300)

    found = estimates.tokens("m", body("a" * 1_000))

    assert found is not None
    assert (found.spread > 0.5) is counts


def test_a_line_that_is_drawn_costs_the_same_of_either_sign() -> None:
    counts = learnt(body("a" * 100), tokens=30)

    assert of_1_000(counts, "====") == pytest.approx(of_1_000(counts, "----"))
    assert of_1_000(counts, "++++") > 10 * of_1_000(counts, "----"), "four signs of another kind are four signs"


def learnt(*bodies: bytes, tokens: int = 100, model: str = "m") -> TokenCounts:
    counts = TokenCounts()
    for each in bodies * 10:
        counts.learn(model, each, tokens)
    return counts


def test_models_are_learnt_apart_and_few_chats_teach_nothing() -> None:
    counts = learnt(body("one two three"))
    assert counts.tokens("m", body("one two three")) is not None
    assert counts.tokens("other", body("one two three")) is None
    few = TokenCounts()
    for number in range(5):
        assert few.tokens("m", body("hi")) is None, number
        few.learn("m", body("hi"), 5)
    assert few.tokens("m", body("hi")) is not None


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"tools": []}, id="tools"),
        pytest.param({"response_format": {"type": "json_object"}}, id="schema"),
        pytest.param({"venice_parameters": {"enable_web_search": "on"}}, id="search"),
        pytest.param({"venice_parameters": {"character_slug": "a"}}, id="character"),
        pytest.param({"venice_parameters": {"include_venice_system_prompt": False}}, id="without Venice's prompt"),
        pytest.param({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, id="image"),
    ],
)
def test_chats_that_are_more_than_text_teach_nothing_of_text(more: dict[str, Any]) -> None:
    assert learnt(body("hi", **more)).tokens("m", body("hi")) is None


@pytest.mark.parametrize("size", [511, 512, 513, 2_047, 2_048, 2_049])
def test_a_body_of_any_size_teaches(size: int) -> None:
    chat = body("a" * (size - len(body(""))))
    found = learnt(chat, tokens=300).tokens("m", chat)

    assert len(chat) == size
    assert found is not None
    assert found.tokens == pytest.approx(300, rel=0.1)


def test_text_in_parts_teaches_as_ever() -> None:
    parts = [{"type": "text", "text": "hi"}, {"type": "text", "text": "you"}]
    assert learnt(body("", messages=[{"role": "user", "content": parts}])).tokens("m", body("hi")) is not None


@pytest.mark.parametrize("switches", [{"strip_thinking_response": True}, {"include_venice_system_prompt": True}])
def test_chats_with_switches_that_add_nothing_to_a_prompt_are_learnt_from(switches: dict[str, bool]) -> None:
    assert learnt(body("hi", venice_parameters=switches)).tokens("m", body("hi")) is not None


def test_after_the_first_24_chats_one_of_64_is_counted_and_64_wait_at_most() -> None:
    counts = TokenCounts()
    for _ in range(1_024):
        counts.learn("m", body("hi"), 5)
    assert len(counts._models["m"].waiting) == 24 + 16
    for _ in range(3_072):
        counts.learn("m", body("hi"), 5)
    assert len(counts._models["m"].waiting) == 64, "no more wait until somebody asks for an estimate"


def test_older_chats_count_less_as_models_change_behind_their_names() -> None:
    counts = TokenCounts()
    for tokens in (100, 110):
        for number in range(200 * 64):
            counts.learn("m", body("hi"), tokens)
            if number % 2_000 == 0:
                counts.tokens("m", body("hi"))
    found = counts.tokens("m", body("hi"))
    assert found is not None
    assert 106 < found.tokens < 110


@pytest.mark.parametrize("tokens", [None, 0, -3, "7", 1.5])
def test_odd_usage_teaches_nothing(tokens: Any) -> None:
    assert learnt(body("hi"), tokens=tokens).tokens("m", body("hi")) is None


@pytest.mark.parametrize("model", ["m:enable_web_search=on", "m:", "e2ee-m", "e2ee-m:x"])
def test_a_model_with_a_suffix_and_a_sealed_chat_teach_nothing(model: str) -> None:
    assert learnt(body("hi", model), model=model).tokens(model, body("hi", model)) is None


def test_no_text_and_no_memory_without_end_is_kept() -> None:
    counts = learnt(body("canary-7f3a"))
    for number in range(1_000):
        counts.learn(f"model {number}", body("hi"), 5)
    assert "canary" not in repr([vars(each) for each in counts._models.values()])  # what is kept
    assert len(counts._models) == 200


def test_of_more_models_than_are_kept_the_one_that_taught_longest_ago_is_forgotten() -> None:
    counts, chat = learnt(body("hi"), model="in use"), body("hi")
    for _ in range(10):
        counts.learn("out of use", chat, 5)
    for number in range(250):
        for _ in range(6):
            counts.learn(f"model {number}", chat, 5)
        counts.learn("in use", chat, 5)

    assert [counts.tokens(model, chat) is None for model in ("in use", "model 249", "model 60")] == [False, False, False]
    assert [counts.tokens(model, chat) is None for model in ("out of use", "model 40")] == [True, True]


async def test_a_client_learns_from_plain_answers_and_streams() -> None:
    emulator = Emulator(models=[text_model("m", input=1.0, output=1.0)])
    completions = VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock).chat.completions
    rng = random.Random(1)

    def asked() -> Any:
        return [{"role": "user", "content": " ".join(["some words to count"] * rng.randrange(1, 40))}]

    before = await completions.estimate_cost(model="m", messages=asked())
    assert (before.method, before.likely) == ("words", before.total_cost_usd + Decimal("0.001"))
    for _ in range(10):
        await completions.create(model="m", messages=asked())
        await (await completions.stream(model="m", messages=asked())).collect()
    messages = asked()
    estimate = await completions.estimate_cost(model="m", messages=messages, expected_completion_tokens=0)
    response = await completions.create(model="m", messages=messages)
    assert response.usage is not None
    assert estimate.method == "usage"
    assert estimate.low <= estimate.likely <= estimate.high
    assert abs(estimate.likely * 1_000_000 / response.usage.prompt_tokens - 1) < Decimal("0.05")
    assert estimate.prompt_tokens == int(len(messages[0]["content"].split()) * 1.3), "the documented field is what it was"


def test_the_synchronous_client_learns_too() -> None:
    emulator = Emulator(models=[text_model("m")])
    with SyncVeniceClient(api_key="any", transport=emulator.transport()) as client:
        for count in range(6):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "word " * count}])
        assert client.chat.completions.estimate_cost(model="m", messages=[{"role": "user", "content": "hi"}]).method == "usage"
