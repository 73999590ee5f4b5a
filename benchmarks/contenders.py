"""Who takes part: what each is called, which client module it runs, and in which environment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    title: str
    client: str
    """Its module in `benchmarks.clients`."""
    environment: str
    """Its environment in `benchmarks.environments`."""
    rest: int = 1
    """It takes part in one round of this many: for the one whose round takes longer than all others' together."""


OURS = Contender(title="venice-chat", client="ours", environment="venice-chat")
LINES = Contender(title="aiohttp, lines", client="aiohttp_lines", environment="aiohttp")
READS = Contender(title="aiohttp, reads", client="aiohttp_reads", environment="aiohttp")
BARE = Contender(title="bare", client="bare", environment="bare")
VENICE_PY = Contender(title="venice-py", client="venice_py", environment="venice-py")
OPENAI = Contender(title="openai", client="openai_sdk", environment="openai", rest=3)

EVERYONE = (OURS, LINES, READS, BARE, VENICE_PY, OPENAI)
