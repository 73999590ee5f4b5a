"""`venice-chat batch`: answers a table or an OpenAI batch file, and goes on where it was interrupted.

The input is read three times: to check it, to send it, and to write it with its answers, which until then are in the journal.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
import textwrap
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, aclosing, closing, contextmanager, nullcontext, suppress
from decimal import Decimal
from hashlib import file_digest
from itertools import islice
from math import isnan, nan
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import IO, Any, TypeAlias

import click

from .._structured.columns import AnswerColumns, fault_of
from .._wire.request_body import chat_body
from ..batches.identity import identity, split
from ..batches.items import OF_THE_ACCOUNT, OF_THE_MODEL, BatchItem, BatchProgress, is_for_good
from ..batches.journal import Journal
from ..exceptions import BudgetExceededError, ConnectError, InvalidArgumentError, InvalidRequestError, OutputError, VeniceError
from . import _options, _output, _signals, _table_files
from ._batch_rows import OpenAIBatch, Prompts, named_in, progress_text
from ._errors import FAILED_ROWS, in_our_words
from ._input import require_text, response_format
from ._table_files import Row, as_text
from .chat import parameters

_Task: TypeAlias = Prompts | OpenAIBatch
_FILE, _RETRY = click.Path(dir_okay=False, path_type=Path), "--retry-failed"
_MOST_FAILED_SHOWN, _MOST_KINDS_SHOWN = 20, 5
_COUNT_RUNS_WITHOUT = """INSERT INTO spending SELECT date(), 'runs without --budget', ?1 - spent, 0
  FROM (SELECT coalesce(sum(nano_usd), 0) AS spent FROM spending) WHERE ?1 > spent
  ON CONFLICT DO UPDATE SET nano_usd = nano_usd + excluded.nano_usd"""
_EXAMPLES = """\b
venice-chat batch reviews.csv -m llama-3.3-70b -p "Is this review good or bad? {text}"
venice-chat batch reviews.csv labels.parquet -m llama-3.3-70b -p "Label: {text}" --schema labels:Label --budget 2
venice-chat batch requests.jsonl results.jsonl
"""


@click.command(epilog=_EXAMPLES)
@click.argument("source", metavar="IN", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", metavar="[OUT]", required=False, type=_FILE)
@click.option("-m", "--model", metavar="ID", help="Model to ask, also in place of those in OpenAI's bodies.")
@click.option("-p", "--prompt", metavar="TEXT", help="Prompt for each row; {name} in it is the row's column.")
@click.option("-s", "--system", metavar="TEXT", help="Instructions for the model; they may name columns, too.")
@_options.schema
@click.option("--max-tokens", type=int, metavar="N", help="Most tokens of an answer; a budget reserves as many.")
@_options.param
@click.option("--budget", type=click.FloatRange(0, min_open=True), metavar="USD", help="Most that all runs may cost together.")
@click.option("--max-concurrency", type=click.IntRange(1), metavar="N", help="Requests at once.  [default: what limits allow]")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N rows.")
@click.option(_RETRY, is_flag=True, help="Try again what failed for good, also answers that do not fit.")
@click.option("--journal", type=_FILE, metavar="FILE", help="Where answers are kept.  [default: OUT.journal]")
@click.option("--status", type=_FILE, metavar="FILE", help="Tell what is in a journal, or in the one beside OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@_options.with_endpoint
def batch(endpoint: _options.Endpoint, /, source: Path | None, target: Path | None, **given: Any) -> int:
    """Answer each row of IN, and write the rows with their answers to OUT.

    IN and OUT are JSONL, CSV, TSV or Parquet (extra 'batch'). With --prompt, each row fills it. Without, IN is a file of
    OpenAI's batch format, and so is OUT. OUT is IN.out.* if it is not given, and has the rows in the order of IN.

    Answers are kept in a journal: after Ctrl-C, a crash or a used-up budget the same command goes on, and pays for nothing
    twice. Rows that ask the same are sent once.
    """
    if given["status"] is not None:
        _show_status(given["status"], as_json=given["as_json"])
        return 0
    if source is None:
        raise click.UsageError("give the file to read, or --status FILE")
    target = target or source.with_name(f"{source.stem}.out{source.suffix}")
    journal = given["journal"] or target.with_name(f"{target.name}.journal")
    if target.resolve() == source.resolve() or journal.resolve() in {source.resolve(), target.resolve()}:
        raise click.UsageError(f"{source}, {target} and {journal} must be three files; give another OUT or --journal")
    if others := [each for each in (source, target, journal) if each.exists() and not each.is_file()]:
        raise click.UsageError(f"{others[0]} is read more than once, so it must be a file, not a pipe")
    answers = given["schema"] and response_format(given["schema"])
    task = _task(given, answers)
    if not task.columns and target.suffix not in {".jsonl", ".ndjson"}:
        raise click.UsageError("OpenAI's batch format is JSONL; give an OUT that ends in .jsonl, or --prompt for a table")
    try:
        spool = TemporaryFile(dir=target.parent)  # noqa: SIM115  # it is entered below
    except OSError as error:
        raise click.UsageError(f"{target} cannot be written: {error.strerror}") from None
    with spool:
        table = _Table(source, target, journal.with_name(f"{journal.name}.out"), given["limit"], task, spool)
        _signals.handle(_signals.stop)
        try:
            asyncio.run(_send(endpoint, table, journal, answers, given))
        finally:
            table.finish(_again(given["budget"]), as_json=given["as_json"])
    return FAILED_ROWS if table.counts["failed"] or table.counts["unusable"] else 0


def _again(budget: float | None) -> str:
    """The command that goes on: under a budget that lets it, and without --retry-failed, which the journal knows of by now."""
    again = shlex.join(["venice-chat", *(each for each in click.get_current_context().find_root().obj if each != _RETRY)])
    again = re.sub(r"(--schema[ =])/\S+/fd/\d+", r"\1<(what wrote the schema, which was a pipe)", again)
    higher, error = r"\2", sys.exception()
    if budget is not None and isinstance(error, BudgetExceededError):
        higher = f"{max(2 * Decimal(str(budget)), error.enough_usd or Decimal(0)) or 1:f}"
    return re.sub(r"(--budget[ =])(\S+)", rf"\g<1>{higher}", again)


def _task(given: Mapping[str, Any], answers: Any) -> _Task:
    if taken := {"stream", "stream_cls", "e2ee", "custom_id"}.intersection(each.partition("=")[0] for each in given["params"]):
        raise click.UsageError(f"--param {min(taken)}: a batch takes no such parameter")
    params = parameters(given["params"], {"model": given["model"], "max_completion_tokens": given["max_tokens"]})
    chat_body(model=params.get("model", "any"), messages="any", stream=False, params=params, extra=params.get("extra_body"))
    templates = {role: given[name] for role, name in (("system", "system"), ("user", "prompt")) if given[name] is not None}
    require_text("the prompt", "".join(templates.values()))
    if "user" in templates:
        if not any(map(named_in, templates.values())):
            raise click.UsageError("the prompt names no column, so that all rows would ask the same; write {column} in it")
        if "model" not in params or "n" in params:
            raise click.UsageError("--prompt needs --model ID and, for one answer a row, no --param n")
        return Prompts(params, templates, AnswerColumns(answers))
    if templates or answers is not None:
        raise click.UsageError("--system and --schema are for a table; add --prompt")
    return OpenAIBatch(params)


async def _send(endpoint: _options.Endpoint, table: _Table, path: Path, answers: Any, given: Mapping[str, Any]) -> None:
    from .._limits.budget import Budget

    fatal = (ConnectError, *OF_THE_ACCOUNT, *(OF_THE_MODEL if len(table.models) == 1 else ()))  # as every other row
    progress_bar = _progress_bar(table.total) if sys.stderr.isatty() else nullcontext()
    with Journal(path, retry_failed=given["retry_failed"]) as journal, progress_bar as show, closing(table.rows()) as rows:
        for row in () if table.task.columns else table.rows():  # without OpenAI's format there are no ids
            journal._check(table.task.request(row))  # noqa: SLF001  # now, so that OUT stays as it is
        budget = None if given["budget"] is None else Budget(given["budget"], path.with_name(f"{path.name}.budget"))
        if budget is not None:
            with budget._file.transaction() as database:  # noqa: SLF001  # no caller of a budget has spent without it
                database.execute(_COUNT_RUNS_WITHOUT, (round(journal.counts().cost_usd * 1e9),))
        async with endpoint.client() as client:
            options: dict[str, Any] = {"journal": journal, "budget": budget, "response_format": answers, "on_progress": show}
            options["max_concurrency"] = given["max_concurrency"] or "auto"
            try:
                async with aclosing(client.chat.completions.batch_iter(map(table.task.request, rows), **options)) as items:
                    async for item in items:
                        if item.error is not None and not item.replayed and isinstance(item.error, fatal):
                            raise item.error
                        table.put(item)
            finally:  # by now, what was on its way when the batch stopped is in the journal
                with suppress(VeniceError):
                    table.stored = journal.counts().answered


class _Table:
    """The rows of a file, which are checked first, and their results as they come. OUT is overwritten where it is ours."""

    def __init__(self, source: Path, target: Path, mark: Path, limit: int | None, task: _Task, spool: IO[bytes]) -> None:
        self._source, self._target, self._limit, self.task, self._spool = source, target, limit, task, spool
        self._mark = mark  # holds digests of the last two versions of OUT that this batch wrote
        self._check_target("is there already, and not as this batch wrote it")
        _table_files.check_kind(source)
        _table_files.check_kind(target)
        self._version, self._began = source.stat().st_mtime_ns, monotonic()
        self.total, self.models, self._cost, self._columns = 0, set[str](), 0.0, dict[str, None]()
        self.counts = Counter(answered=0, failed=0, unusable=0, open=0, replayed=0)
        self._faults = dict[str, list[Any]]()  # by kind: how many rows have such an error, and the first one
        self.stored: int | None = None  # how many answers the journal has at the end
        self._noted, seen = Counter[str](), dict[bytes, tuple[bytes, int]]()  # what the user is told of; bodies by id
        for row, line in islice(_table_files.numbered(source), limit):
            self.total += 1
            self._columns |= dict.fromkeys(row)
            try:
                request = task.request(row)
                self.models.add(request["model"])
                if "custom_id" in request:  # the journal would refuse its second body, in this run and in all that follow
                    key, digest, *_ = identity(*split(request))
                    body, first = seen.setdefault(key, (digest, line))
                    if body != digest:
                        raise ValueError(f"custom_id={request['custom_id']!r} stands with another body in line {first}")
            except ValueError as error:
                _table_files.wrong(source, line, error)
        if not self.total:
            raise click.UsageError(f"{source} has no rows")
        if target.suffix == ".parquet":  # before anything is sent
            _table_files.write_parquet(Path(os.devnull), [*self._columns], self.rows, source)
        self._places = array("q", [-1]) * self.total

    def rows(self) -> Generator[Row]:
        yield from islice(_table_files.read(self._source), self.total or self._limit)

    def put(self, item: BatchItem[Any]) -> None:
        error, result = item.error, self.task.result(item)
        answer = item.response or (error.response if isinstance(error, OutputError) else None)
        fault = (error and f"{type(error).__name__}: {error}") or (answer and fault_of(answer, with_tools=True))
        if fault := result["error"] if self.task.columns else fault:
            first = [0, f"{item.custom_id or f'row {item.index + 1}'}: {in_our_words(fault)}"]
            self._faults.setdefault(fault.partition(":")[0], first)[0] += 1
        self.counts.update({"answered" if not fault else "unusable" if answer else "failed": 1, "replayed": item.replayed})
        if error is not None and not is_for_good(error, item.attempts):
            self._noted["same command"] += 1
        elif error is not None and item.attempts and not isinstance(error, (InvalidArgumentError, InvalidRequestError)):
            lost = isinstance(error, ConnectionError) and not isinstance(error, ConnectError)  # and may have been billed
            self._noted.update({_RETRY: 1, "paid": bool(answer) or lost})
        self._noted["twice"] += item.maybe_billed_before and not item.replayed
        self._cost += 0 if item.replayed else nan if item.cost_usd is None and answer else item.cost_usd or 0  # NaN: not known
        self._noted["unkept"] += not item.kept and answer is not None
        self._places[item.index] = self._spool.seek(0, os.SEEK_END)
        self._spool.write(json.dumps(result, ensure_ascii=False).encode("utf-8", "replace") + b"\n")  # half a surrogate pair: ?

    def results(self) -> Iterator[Row]:
        for place, row in zip(self._places, self.rows(), strict=True):
            if place >= 0:
                self._spool.seek(place)
                result = json.loads(self._spool.readline())
                yield row | result if self.task.columns else result

    def finish(self, again: str, *, as_json: bool) -> None:
        """Writes OUT with the results, and prints a summary; `again` is the command that goes on."""
        failure: Exception | None = None
        if finished := self.counts.total() - self.counts["replayed"]:
            try:
                with ExitStack() as turn:  # in which no other run with the same journal writes OUT
                    with suppress(OSError, ImportError):  # nothing can be written beside the journal, or this is Windows
                        import fcntl

                        fcntl.flock(turn.enter_context(self._mark.open("a")), fcntl.LOCK_EX)
                    self._write(finished)
            except (click.ClickException, OSError) as error:  # no longer wrong usage: something was sent
                failure = click.ClickException(error.format_message()) if isinstance(error, click.UsageError) else error
        elif not isinstance(sys.exception(), (KeyboardInterrupt, click.exceptions.Exit, BudgetExceededError)):
            return
        self.counts["open"] = self.total - finished
        self._tell(again, str(self._target) if finished and not failure else None, failure, as_json=as_json)
        if failure and sys.exception() is None:
            raise failure
        if failure:  # beside what ended the run
            _output.note(f"{self._target} was not written: {in_our_words(failure)}")

    def _tell(self, again: str, output: str | None, failure: Exception | None, *, as_json: bool) -> None:
        errors, seconds = sorted(self._faults.values(), reverse=True), monotonic() - self._began
        if as_json:
            record = {"rows": self.total, **self.counts, "cost_usd": None if isnan(self._cost) else round(self._cost, 9)}
            more = {"seconds": seconds, "output": output, "answers_in_journal": self.stored}
            _output.line(json.dumps({**record, "errors": [{"rows": rows, "first": first} for rows, first in errors], **more}))
        else:
            words = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
            cost = f"${self._cost:.4f}".replace("$nan", "cost not known") + f" in {seconds:.1f} s"
            held = f"; answers in the journal: {self.stored:,}" if self.counts["open"] and self.stored else ""
            _output.note(f"{self.total:,} row{'s' * (self.total != 1)}: {words}; {cost}{f'; {output}' if output else ''}{held}")
            for rows, first in errors[:_MOST_KINDS_SHOWN]:
                _output.note(f"{rows:,} x {textwrap.shorten(first, 300)}")
        if unkept := self._noted["unkept"]:
            first = "" if failure else f"copy {self._target} before you go on: "
            _output.note(f"{first}answers that are not in the journal: {unkept:,}")
        if twice := self._noted["twice"]:
            _output.note(f"sent again after a run that was killed, and maybe billed before: {twice:,}")
        if self.counts["open"] or failure or (self._noted["same command"] and not self._noted[_RETRY]):
            _output.note(f"go on with: {again}")
        elif self._noted[_RETRY]:
            paid = f" (pays again for {paid:,} of them)" if (paid := self._noted["paid"]) else ""
            _output.note(f"try the failed rows again{paid} with: {again} {_RETRY}")

    def _write(self, finished: int) -> None:
        if self._source.stat().st_mtime_ns != self._version:
            raise click.ClickException(f"{self._source} was changed meanwhile; the same command reads it anew")
        self._check_target("was written by somebody else meanwhile")
        had = sum(1 for _ in _table_files.read(self._target)) if self._target.exists() else 0
        stays = had > finished and (finished < self.total or self._limit)
        if had > finished:
            why = "stays as it is, for it has more rows" if stays else f"had {had:,} rows, and has {finished:,} now"
            _output.note(f"{self._target} {why}; the journal has all answers")
        if not stays:
            _table_files.write(self._target, [*self._columns, *self.task.columns], self.results, self._source, self._put_mark)

    def _check_target(self, wrong: str) -> None:
        if self._target.exists() and not (self._mark.exists() and _digest(self._target) in self._mark.read_text("ascii")):
            raise click.UsageError(f"{self._target} {wrong}; give another OUT, or remove it")

    def _put_mark(self, new: Path) -> None:
        """Before a new version takes the place of OUT, which is written also where the journal's disk is full."""
        try:
            self._mark.write_text(f"{_digest(new)} {_digest(self._target) if self._target.exists() else ''}", "ascii")
        except OSError as error:
            _output.note(f"the next run will not know {self._target} as its own: {error}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def _progress_bar(total: int) -> Generator[Callable[[BatchProgress], object]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    words = TextColumn("{task.description}", markup=False)
    with Progress(BarColumn(), words, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda progress: bar.update(task, completed=progress.done, description=progress_text(progress, total))


def _show_status(file: Path, *, as_json: bool) -> None:
    path = next((each for each in (file.with_name(f"{file.name}.journal"), file) if each.exists()), None)
    if path is None:
        raise click.UsageError(f"there is no {file}, and no journal beside it")
    with Journal(path) as journal:
        counts = dict.fromkeys(("begun", "answered", "failed", "unusable", "in_flight", "open"), 0)
        plain = not journal.settings.get("response_format")
        failures, usd, faults = list[dict[str, Any]](), 0.0, dict[str, list[Any]]()
        for row in journal.rows():
            fault = row.error or (row.response and plain and fault_of(row.response, with_tools=bool(row.custom_id)))
            wrong = fault if row.state in {"answered", "failed"} else None
            counts["begun"] += 1
            counts["unusable" if wrong and row.response else row.state] += 1
            usd += nan if row.cost_usd is None and row.response else row.cost_usd or 0.0
            if wrong:
                faults.setdefault(wrong.partition(":")[0], [0, in_our_words(wrong)])[0] += 1
            if wrong and (as_json or len(failures) < _MOST_FAILED_SHOWN):
                asked = textwrap.shorten(as_text((row.request.get("messages") or [dict[str, Any]()])[-1].get("content")), 80)
                failures.append({"custom_id": row.custom_id, "asked": asked, "error": wrong})
    errors, cost = sorted(faults.values(), reverse=True), f"cost usd: {usd:.6f}".replace("nan", "not known")
    text = [", ".join(f"{name.replace('_', ' ')}: {value:,}" for name, value in counts.items()) + f", {cost}"]
    text += [f"{rows:,} x {textwrap.shorten(first, 200)}" for rows, first in errors[:_MOST_KINDS_SHOWN] if rows > 1]
    text += [in_our_words(f"{each['custom_id'] or each['asked']}: {textwrap.shorten(each['error'], 200)}") for each in failures]
    if more := counts["failed"] + counts["unusable"] - len(failures):
        text.append(f"... and {more:,} more; --json shows all")
    found = {**counts, "cost_usd": None if isnan(usd) else round(usd, 9), "failures": failures}
    found["errors"] = [{"rows": rows, "first": first} for rows, first in errors]
    _output.line(json.dumps(found) if as_json else "\n".join(text))
