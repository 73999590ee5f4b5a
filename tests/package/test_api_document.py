"""The examples of the API document run as they stand there, with the line breaks and the punctuation that it lost.

Where the document is at hand, each is found in it, letter by letter and figure by figure. What an example takes for granted
(an open client, a question) is around it; the key and the address come from the environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from textwrap import indent

import pytest

from tests.shared import shared_text
from venice_ai.emulator import Emulator, run_in_thread

WHOLE = {
    "module": (
        """
import asyncio
from venice_ai import VeniceClient

async def chat_conversation():
    async with VeniceClient() as client:
        # Single-turn conversation
        response = await client.chat.completions.create(
            model="llama-3.3-70b",
            messages=[
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Explain quantum computing"}
            ],
            temperature=0.7,
            max_completion_tokens=500
        )
        print(response["choices"][0]["message"]["content"])

asyncio.run(chat_conversation())
""",
        "Explain quantum computing",
    ),
    "ChatCompletions": (
        """
from venice_ai import VeniceClient
import asyncio

async def main():
    # Initialize the async client
    async with VeniceClient(api_key="your-api-key") as client:
        # Create a chat completion asynchronously
        response = await client.chat.completions.create(
            model="venice-1",
            messages=[
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Tell me about Venice AI."}
            ]
        )
        # Access the response content
        print(response["choices"][0]["message"]["content"])

# Run the async function
asyncio.run(main())
""",
        "Tell me about Venice AI.",
    ),
    "create": (
        """
import asyncio
from venice_ai import VeniceClient

async def main():
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        response = await client.chat.completions.create(
            model=model,
            messages=[
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Explain async programming in Python."},
            ],
            temperature=0.3,
        )
        print(response.choices[0].message.content)

asyncio.run(main())

# Streaming variant

async def stream_example():
    async with VeniceClient() as client:
        model = await client.models.resolve_chat()
        async for chunk in await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Tell me a story."}],
            stream=True,
            max_completion_tokens=200,
        ):
            content = chunk.choices[0].delta.content or ""
            if content:
                print(content, end="", flush=True)

asyncio.run(stream_example())
""",
        "Tell me a story.",
    ),
}
IN_A_CLIENT = {
    "stream": (
        """
async with await client.chat.completions.stream(model=model, messages=messages) as s:
    async for text in s.text_deltas():
        print(text, end="")
""",
        "A question?",
    ),
    "estimate_cost": (
        """
estimate = await client.chat.completions.estimate_cost(
    model=await client.models.resolve_chat(),
    messages=[UserMessage(content="Summarize this contract...")],
    expected_completion_tokens=1500,
)
if estimate.total_cost_usd > Decimal("0.10"):
    raise BudgetError(f"Too expensive: ${estimate.total_cost_usd}")
""",
        "",
    ),
    "parse": (
        """
class Person(BaseModel):
    name: str
    age: int

result = await client.chat.completions.parse(
    model=await client.models.resolve_chat(),
    messages=[UserMessage(content="Tell me about Marie Curie.")],
    response_format=Person,
)
person: Person = result.parsed
print(result.usage.total_tokens, person.name, person.age)
""",
        r"\d+ .+ \d+",
    ),
    "batch": (
        """
results = await client.chat.completions.batch(
    [
        {"model": model, "messages": [UserMessage(content=q)]}
        for q in questions
    ],
    max_concurrency=5,
)
for q, r in zip(questions, results, strict=True):
    if isinstance(r, BaseException):
        print(f"{q!r} failed: {r}")
    else:
        print(f"{q!r} -> {r.choices[0].message.content!r}")
""",
        "'What is an eel\\?' -> ",
    ),
}
AROUND = """
import asyncio
from decimal import Decimal
from pydantic import BaseModel
from venice_ai import UserMessage, VeniceClient

class BudgetError(Exception):
    pass

async def run():
    model = "llama-3.3-70b"
    messages = [UserMessage(content="A question?")]
    questions = ["What is a gondola?", "What is an eel?"]
    async with VeniceClient() as client:
{example}
asyncio.run(run())
"""
EXAMPLES = {**WHOLE, **IN_A_CLIENT}


# One process runs them all, each in a namespace of its own: starting ten would take longer than all they do.
EACH = """
import contextlib, io, json, sys
said = {}
for name, code in json.load(sys.stdin).items():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
    said[name] = out.getvalue()
print(json.dumps(said))
"""


def program(name: str) -> str:
    code, _ = EXAMPLES[name]
    return code if name in WHOLE else AROUND.format(example=indent(code, " " * 8))


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What each example prints. They end well, and nothing warns."""
    with run_in_thread(Emulator()) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", EACH],
            input=json.dumps({name: program(name) for name in EXAMPLES}),
            env={**os.environ, "VENICE_BASE_URL": server.url, "VENICE_API_KEY": "any"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_of_the_document_prints_what_it_shows(name: str, said: dict[str, str]) -> None:
    assert re.search(EXAMPLES[name][1], said[name])


def squeezed(text: str) -> str:
    """Letters and figures alone: what the document kept of its examples."""
    return re.sub(r"[\W_]", "", text)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_stands_in_the_document(name: str) -> None:
    document = squeezed(shared_text("chat-completions-api.txt"))
    for part in EXAMPLES[name][0].strip().split("\n\n\n"):
        assert squeezed(part) in document


def test_no_example_of_the_document_is_left_out() -> None:
    document = shared_text("chat-completions-api.txt")
    asked = len(re.findall(r"client\.chat\.completions\.\w+\(", document))
    assert asked == sum(len(re.findall(r"client\.chat\.completions\.\w+\(", code)) for code, _ in EXAMPLES.values())
