"""Every measure, in turn for each contender, and all of that again in every round.

So whatever else the machine does falls on all of them alike, and the median forgets it. Each round starts new workers, and
another contender goes first.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.contenders import OURS, Contender
from benchmarks.job import Finding
from benchmarks.measures import Calls, ColdStart, Extra, Growth, Import, Measure
from benchmarks.processes import BrokenError, Worker, cold_start, cpu_seconds_of
from benchmarks.replies import text_length

# A start takes some 20 ms, of which one may be noise: as much as what is looked for in ours.
_STARTS_A_ROUND = 15
_COLD_STARTS_A_ROUND = 3


@dataclass(slots=True)
class Results:
    figures: dict[tuple[str, Contender], list[float]] = field(default_factory=dict[tuple[str, Contender], list[float]])
    failures: dict[tuple[str, Contender], str] = field(default_factory=dict[tuple[str, Contender], str])

    def figure(self, measure: Measure, contender: Contender) -> float | None:
        """The median over the rounds; of a growth, the ratio of two medians, and of what is extra, their difference."""
        if isinstance(measure, Growth):
            larger = self._median(measure.larger, contender)
            smaller = self._median(measure.smaller, contender)
            return larger / smaller if larger and smaller else None
        if isinstance(measure, Extra):
            larger, smaller = (self._median(name, contender) for name in (measure.larger, measure.smaller))
            return larger - smaller if larger and smaller else None
        return self._median(measure.name, contender)

    def failed(self, measure: Measure, contender: Contender) -> bool:
        return (measure.name, contender) in self.failures

    def _median(self, name: str, contender: Contender) -> float | None:
        figures = self.figures.get((name, contender))
        return statistics.median(figures) if figures else None


class Round:
    """One pass over all measures. Its workers start when first needed."""

    def __init__(self, number: int, base_url: str, results: Results) -> None:
        self._number = number
        self._base_url = base_url
        self._results = results
        self._workers: dict[Contender, Worker] = {}

    def run(self, measures: Iterable[Measure], present: Sequence[Contender]) -> None:
        try:
            for measure in measures:
                for contender in self._order(measure, present):
                    self._record(measure, contender)
        finally:
            for worker in self._workers.values():
                worker.end()

    def _order(self, measure: Measure, present: Sequence[Contender]) -> list[Contender]:
        taking_part = [one for one in measure.contenders if one in present and self._number % one.rest == 0]
        first = self._number % max(1, len(taking_part))
        return taking_part[first:] + taking_part[:first]

    def _record(self, measure: Measure, contender: Contender) -> None:
        key = measure.name, contender
        if key in self._results.failures:
            return
        try:
            figure = self._measured(measure, contender)
        except BrokenError as why:
            self._results.failures[key] = str(why)
            return
        if figure is not None:
            self._results.figures.setdefault(key, []).append(figure)

    def _measured(self, measure: Measure, contender: Contender) -> float | None:
        match measure:
            case Import():
                return _import_milliseconds(contender, measure.statements[contender])
            case ColdStart():
                findings = [cold_start(contender, self._base_url, measure.model) for _ in range(_COLD_STARTS_A_ROUND)]
                for finding in findings:
                    _check(finding, text_length(measure.model))
                return statistics.median(finding.cpu_seconds for finding in findings) * 1e3
            case Calls():
                return self._calls(measure, contender)
            case _:
                return None

    def _calls(self, measure: Calls, contender: Contender) -> float:
        job = measure.job
        if job.work == "hold":
            # Memory is measured in a process that has done nothing before.
            with Worker(contender, self._base_url) as worker:
                return worker.do(job).resident_bytes / 1024 / measure.per
        finding = self._do(measure, contender)
        _check(finding, text_length(job.model) * job.calls * job.in_flight)
        return finding.cpu_seconds / measure.per * (1e6 if measure.unit.startswith("us") else 1e3)

    def _do(self, measure: Calls, contender: Contender) -> Finding:
        worker = self._workers.get(contender) or Worker(contender, self._base_url)
        self._workers[contender] = worker
        try:
            return worker.do(measure.job)
        except BrokenError:
            self._workers.pop(contender).end()
            raise


def _import_milliseconds(contender: Contender, statement: str) -> float:
    starts = _STARTS_A_ROUND if contender is OURS else 1
    above = [cpu_seconds_of(contender, statement) - cpu_seconds_of(contender, "pass") for _ in range(starts)]
    return statistics.median(above) * 1e3


def _check(finding: Finding, expected: int) -> None:
    """A benchmark must not measure a wrong answer."""
    if finding.text_length != expected:
        raise BrokenError(f"read {finding.text_length:,} characters of text instead of {expected:,}")
