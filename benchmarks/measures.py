"""What is measured, in which unit, among whom, and what was promised of it.

A promise is the largest ratio of our figure to a contender's; for OURS itself it is the largest figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.contenders import BARE, LINES, OPENAI, OURS, READS, VENICE_PY, Contender
from benchmarks.job import Job, Work
from benchmarks.shapes import LONG, OTHERS, TITLES, USUAL

ALL = (OURS, LINES, READS, BARE, VENICE_PY, OPENAI)
# The two ways to read a stream with aiohttp are one way to read a whole reply.
ALL_BUT_READS = (OURS, LINES, BARE, VENICE_PY, OPENAI)
SDKS = (OURS, VENICE_PY, OPENAI)
# venice-py reads no event of more than 512 KB, and aiohttp no line of that length.
PATIENT_WITH_LONG_EVENTS = (OURS, OPENAI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    name: str
    title: str
    unit: str
    """A unit of `report.UNITS`."""
    contenders: tuple[Contender, ...]
    promises: Mapping[Contender, float] = field(default_factory=dict[Contender, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls(Measure):
    """CPU time, or memory, of a job; divided by how many of `per` it has."""

    job: Job
    per: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart(Measure):
    """CPU time of a new process up to its first finished `create`."""

    model: str = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(Measure):
    """CPU time of a new process that runs a statement, above that of one that runs none."""

    statements: Mapping[Contender, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra(Measure):
    """What `larger` costs above `smaller`: the names of two measures above it."""

    larger: str
    smaller: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth(Measure):
    """How many times `larger` costs what `smaller` does: the names of two measures above it."""

    larger: str
    smaller: str


def create(in_flight: int, calls: int, promises: Mapping[Contender, float]) -> Calls:
    job = Job(work="create", model="plain", warm_up="plain", calls=calls, in_flight=in_flight)
    return Calls(
        name=f"create-{in_flight}",
        title=f"`create`, {in_flight} in flight",
        unit="us a call",
        contenders=ALL_BUT_READS,
        promises=promises,
        job=job,
        per=calls * in_flight,
    )


def stream(kind: str, title: str, chunks: int, streams: int, promises: Mapping[Contender, float]) -> Calls:
    job = Job(work="stream", model=f"{kind}-{chunks}", warm_up=f"{kind}-20", in_flight=streams)
    return Calls(
        name=f"{kind}-{streams}",
        title=f"{streams} {'streams' if streams > 1 else 'stream'}, {title}",
        unit="us a chunk",
        contenders=ALL,
        promises=promises,
        job=job,
        per=chunks * streams,
    )


def shaped(shape: str, manner: str, title: str, most: float) -> Calls:
    promises = {LINES: most, VENICE_PY: 0.5, OPENAI: 1 / 12}
    return stream(f"{shape}.{manner}", f"{TITLES[shape]}, {title}", 5000, 1, promises)


def odd(kind: str, title: str, size: int) -> tuple[Calls, Calls, Growth]:
    """`collect()` of an odd stream and of one half as long, and how the cost grows."""
    halves = [
        Calls(
            name=f"odd-{kind.partition('.')[0]}-{each}",
            title=f"`collect()` of {each:,} {title}",
            unit="ms",
            contenders=(OURS,),
            job=Job(work="collect", model=f"{kind}-{each}", warm_up="blocks-20"),
            per=1,
        )
        for each in (size // 2, size)
    ]
    names = [each.name for each in halves]
    return halves[0], halves[1], growth(f"{names[1]}-growth", f"twice as many {title}", names[1], names[0], (OURS,), 2.6)


def long_event(megabytes: int) -> Calls:
    job = Job(work="stream", model=f"event-{megabytes}", warm_up="blocks-20")
    return Calls(
        name=f"event-{megabytes}",
        title=f"one event of {megabytes} MB",
        unit="ms",
        contenders=PATIENT_WITH_LONG_EVENTS,
        job=job,
        per=1,
    )


def long_stream(work: str, chunks: int) -> Calls:
    job = Job(work="collect" if work == "collect" else "stream", model=f"blocks-{chunks}", warm_up="blocks-20")
    return Calls(
        name=f"{work}-{chunks}",
        title=f"{'`collect()` of' if work == 'collect' else 'iterating'} {chunks:,} chunks",
        unit="ms",
        contenders=(OURS,),
        job=job,
        per=1,
    )


def sync_create(calls: int, promises: Mapping[Contender, float]) -> Calls:
    return Calls(
        name="sync-create",
        title="`create` of the synchronous client",
        unit="us a call",
        contenders=SDKS,
        promises=promises,
        job=Job(work="create_sync", model="plain", warm_up="plain", calls=calls),
        per=calls,
    )


def sync_stream(kind: str, title: str, chunks: int, promises: Mapping[Contender, float]) -> Calls:
    return Calls(
        name=f"sync-{kind}",
        title=f"1 stream of the synchronous client, {title}",
        unit="us a chunk",
        contenders=SDKS,
        promises=promises,
        job=Job(work="stream_sync", model=f"{kind}-{chunks}", warm_up=f"{kind}-20"),
        per=chunks,
    )


def envelopes(work: Work, title: str, kind: str, promises: Mapping[Contender, float]) -> Calls:
    job = Job(work=work, model=f"{kind}-50", warm_up=f"{kind}-50", calls=10)
    return Calls(
        name=f"{work}-{kind}",
        title=f"{title}{', by OpenSSL' if kind == 'openssl' else ''}",
        unit="us a text",
        contenders=(OURS, BARE, VENICE_PY),
        promises=promises,
        job=job,
        per=10 * 50,
    )


def verification(kind: str, title: str, calls: int, promises: Mapping[Contender, float]) -> Calls:
    return Calls(
        name=f"verify-{kind}",
        title=f"verifying an attestation, {title}",
        unit="ms",
        contenders=(OURS,),
        promises=promises,
        job=Job(work="verify", model=f"verify-{kind}", warm_up="verify-ready", calls=calls),
        per=calls,
    )


def with_enclave(work: Work, title: str) -> Calls:
    return Calls(
        name=work.replace("_", "-"),
        title=title,
        unit="ms",
        contenders=(OURS,),
        job=Job(work=work, model="e2ee-model", warm_up="e2ee-model", calls=100),
        per=100,
    )


def growth(name: str, title: str, larger: str, smaller: str, contenders: tuple[Contender, ...], most: float) -> Growth:
    return Growth(
        name=name, title=title, unit="times", contenders=contenders, promises={OURS: most}, larger=larger, smaller=smaller
    )


MEASURES: tuple[Measure, ...] = (
    Import(
        name="import",
        title="`import venice_ai`, or the peer's",
        unit="ms",
        contenders=SDKS,
        promises={OURS: 5},
        statements={OURS: "import venice_ai", VENICE_PY: "import venice_ai", OPENAI: "import openai"},
    ),
    Import(
        name="import-client",
        title="`from venice_ai import VeniceClient`, and one made",
        unit="ms",
        contenders=(OURS,),
        promises={OURS: 15},
        statements={OURS: "from venice_ai import VeniceClient; VeniceClient(api_key='any')"},
    ),
    ColdStart(
        name="cold-start",
        title="new process to the first `create`",
        unit="ms",
        contenders=ALL_BUT_READS,
        promises={LINES: 1.2, VENICE_PY: 0.4, OPENAI: 0.4},
    ),
    create(1, 300, {}),
    create(10, 50, {LINES: 1.15, VENICE_PY: 0.75, OPENAI: 1 / 8}),
    create(100, 8, {LINES: 1.15, VENICE_PY: 0.75, OPENAI: 1 / 8}),
    stream("packets", "one event a packet", 5000, 1, {LINES: 0.75, VENICE_PY: 0.45, OPENAI: 1 / 15}),
    stream("packets", "one event a packet", 500, 100, {LINES: 0.75, VENICE_PY: 0.45, OPENAI: 1 / 15}),
    stream("blocks", "writes of 16 KB", 5000, 1, {LINES: 0.4, VENICE_PY: 0.45, OPENAI: 1 / 15}),
    stream("blocks", "writes of 16 KB", 500, 100, {LINES: 0.4, VENICE_PY: 0.45, OPENAI: 1 / 15}),
    stream("live", "a chunk every millisecond", 300, 1, {}),
    *(shaped(shape, "packets", "one event a packet", 0.75) for shape in USUAL),
    *(shaped(shape, "blocks", "writes of 16 KB", 0.4) for shape in USUAL),
    *(shaped(shape, "packets", "one event a packet", 0.9) for shape in OTHERS),
    *(shaped(shape, "blocks", "writes of 16 KB", 0.9) for shape in OTHERS),
    sync_create(300, {VENICE_PY: 0.5, OPENAI: 1 / 6}),
    # No promise: a bare socket costs as much as a fifteenth of a peer here.
    sync_stream("packets", "one event a packet", 5000, {}),
    sync_stream("blocks", "writes of 16 KB", 5000, {VENICE_PY: 1 / 15, OPENAI: 1 / 15}),
    long_event(4),
    long_event(8),
    growth("event-growth", "8 MB in one event against 4 MB", "event-8", "event-4", PATIENT_WITH_LONG_EVENTS, 2.3),
    long_stream("iterate", 25_000),
    long_stream("iterate", 50_000),
    growth("iterate-growth", "50,000 chunks against 25,000, iterating", "iterate-50000", "iterate-25000", (OURS,), 2.2),
    long_stream("collect", 25_000),
    long_stream("collect", 50_000),
    growth("collect-growth", "50,000 chunks against 25,000, `collect()`", "collect-50000", "collect-25000", (OURS,), 2.2),
    *(measure for shape in LONG for measure in odd(f"{shape}.blocks", TITLES[shape], 8_000)),
    *odd("tiny", "tiny pieces before the first event", 100_000),
    *odd("returns", "chunks whose lines end with CR alone", 16_000),
    Calls(
        name="parse-stream",
        title="`stream_parse` of 20 kB in 5,000 chunks",
        unit="ms",
        contenders=(OURS,),
        promises={OURS: 300},
        job=Job(work="stream_parse", model="object-5000", warm_up="object-50"),
        per=1,
    ),
    # OpenSSL's is the fair comparison; where coincurve is installed it does the same several times faster.
    envelopes("seal", "sealing a text", "openssl", {BARE: 1.15}),
    envelopes("seal", "sealing a text", "fastest", {BARE: 1.15}),
    envelopes("open_reused", "opening 50 texts under one key", "openssl", {BARE: 1.15}),
    envelopes("open_fresh", "opening texts under keys of their own", "openssl", {BARE: 1.15}),
    envelopes("open_fresh", "opening texts under keys of their own", "fastest", {BARE: 1.15}),
    with_enclave("create_plain", "`create` of two messages and 50 words, in clear"),
    with_enclave("create_sealed", "the same end-to-end encrypted, the enclave verified before"),
    Extra(
        name="create-extra",
        title="what encryption adds",
        unit="ms",
        contenders=(OURS,),
        promises={OURS: 1.5},
        larger="create-sealed",
        smaller="create-plain",
    ),
    verification("first", "level `quote`, a machine not seen before", 20, {OURS: 3}),
    verification("again", "level `quote`, a machine seen before", 50, {OURS: 3}),
    verification("gpus", "the same with 8 GPUs", 10, {}),
    Calls(
        name="open-streams",
        title="900 open streams",
        unit="KB a stream",
        contenders=ALL_BUT_READS,
        promises={OURS: 22},
        job=Job(work="hold", model="hold", warm_up="packets-20", in_flight=900),
        per=900,
    ),
)
