"""`venice-chat attest`: verifies that a model runs in an enclave, online or from saved evidence (`tee/evidence_file.py`)."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any, TypeAlias, get_args

import click

from ..exceptions import APIError, InvalidRequestError, NotFoundError, TeeAttestationError
from ..resources.model_choice import CAPABILITIES, can
from ..tee.canonical import as_object, parse
from ..tee.evidence_file import as_file, from_file, members_as_written
from ..tee.types import END_OF_TIME, OS_PINS, TCB_STATUSES, CollectedEvidence, GpuPolicy, Level, MeasurementPins, TeeOptions
from ..types.attestation import AttestationReport, one_line
from . import _options, _output
from ._errors import in_our_words, listed

EXIT_CODES = {
    0: "the level was reached",
    1: "the verification failed",
    2: "wrong usage, or a part is not installed",
    3: "no connection, no such model, or no enclave",
    4: "verified, but below the requested level",
}
_Judged: TypeAlias = tuple[CollectedEvidence, AttestationReport]
_GPU = click.Choice([policy for policy in get_args(GpuPolicy) if policy != "nras"])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_AGAIN = "venice-chat attest e2ee-glm-5-1 --offline --evidence kept/evidence.json --collateral kept/collateral.json"
_EPILOG = f"{listed(EXIT_CODES)}\n\n\b\nvenice-chat attest e2ee-glm-5-1 --save-evidence kept/\n{_AGAIN}"


@click.command(epilog=_EPILOG)
@click.argument("model", shell_complete=_options.model_ids)
@click.option("--level", type=click.Choice(get_args(Level)), default="hardware", show_default=True, help="What to reach.")
@_options.json
@click.option("--nonce", metavar="HEX", help="The 64 hex digits to be answered.  [default: random ones]")
@click.option("--offline", is_flag=True, help="Verify the evidence in a file; ask nobody.")
@click.option("--evidence", type=_FILE, help="With --offline: a reply of /tee/attestation, or what --save-evidence kept.")
@click.option("--collateral", type=_FILE, help="Intel's collateral.  [default: asks Intel]")
@click.option("--now", type=float, metavar="EPOCH", help="The time to judge at.  [default: the evidence's, or now]")
@click.option("--pin", type=_FILE, help="The software to accept, as --write-pin wrote it.")
@click.option("--write-pin", type=_NEW_FILE, metavar="FILE", help="Write down the software that was found.")
@click.option("--gpu", type=_GPU, default="verify-if-present", show_default=True, help="What to do about the GPUs' evidence.")
@click.option("--refuse-dev-image", is_flag=True, help="Refuse an operating system made for development.")
@click.option("--nras", is_flag=True, help="Ask NVIDIA's service about the GPUs, too; it learns of that.")
@click.option("--save-evidence", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Keep what was judged.")
@click.option("--allow-status", type=click.Choice(TCB_STATUSES), multiple=True, metavar="STATUS", help="Accept it, too.")
@_options.with_endpoint
async def attest(endpoint: _options.Endpoint, /, **given: Any) -> int:
    """Verify that MODEL runs in an enclave: a line for each check, what it stops, and the verdict. No key is needed.

    With --save-evidence everything is kept that --offline needs to come to the same verdict again.
    """
    _check(args := SimpleNamespace(**given))
    _options.need_confidential()
    now = time.time() if args.now is None else args.now
    try:
        options = TeeOptions(  # every check that can run runs; the level is judged from the report
            nonce=args.nonce,
            collateral=None if args.collateral is None else read_object(args.collateral),
            tcb_statuses=frozenset({"UpToDate", *args.allow_status}),
            gpu="nras" if args.nras else args.gpu,
            allow_dev_image=not args.refuse_dev_image,
            pins=None if args.pin is None else MeasurementPins.from_dict(read_object(args.pin)),
            clock=lambda: now,
        )
        evidence, report = await _examine(endpoint, args, options)
    except (TeeAttestationError, APIError) as error:
        usage = isinstance(error, InvalidRequestError) and error.status_code is None
        # A TeeAttestationError is a redirect, or an answer that is no evidence.
        code = 1 if isinstance(error, TeeAttestationError) else 2 if usage else 3
        return _output.tell(error, in_our_words(error), code, as_json=args.as_json)
    code = 1 if not report.ok else 0 if report.reaches(args.level) else 4
    if args.as_json:
        _output.line(report.to_json(indent=2))
    else:
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(evidence.now))
        who = one_line(f"nonce {report.nonce}, provider {report.provider or 'unknown'}")
        _output.line(f"{report.model}, judged at {at} ({evidence.now:.0f})\n{who}\n{in_our_words(report.summary())}")
    if code == 4:
        _output.note(f"the level {report.level!r} was reached, and {args.level!r} was asked for")
    try:
        if args.save_evidence is not None:
            _save(args, evidence, report, options)
        if args.write_pin is not None:
            _write_pin(args.write_pin, report if code == 0 else None)
    except OSError as error:
        _output.note(f"not everything was kept: {error}")
        return code or 2
    return code


def _check(args: SimpleNamespace) -> None:
    offline, now = args.offline, args.now
    for wrong, why in (
        (offline != (args.evidence is not None), "--offline and --evidence FILE need each other"),
        (offline and args.nras, "--nras asks NVIDIA's service, and --offline asks nobody"),
        (args.nras and args.gpu == "off", "--nras asks about the GPUs, and --gpu off leaves them out"),
        (now is not None and not 0 <= now < END_OF_TIME, f"--now {now} is not a time in seconds since 1970"),
        (args.level == "pinned" and args.pin is None, "--level pinned needs --pin FILE; --write-pin FILE makes one"),
    ):
        if wrong:
            raise click.UsageError(why)
    # What is wished for must be writable: few attestations may be asked for, and none for nothing.
    folders = {"--save-evidence": args.save_evidence, "--write-pin": args.write_pin and args.write_pin.parent}
    for option, folder in folders.items():
        try:
            if folder is not None:
                if option == "--save-evidence":
                    folder.mkdir(parents=True, exist_ok=True)
                TemporaryFile(dir=folder).close()
        except OSError as error:
            raise click.UsageError(f"{option}: {folder} is not a folder that can be written to: {error.strerror}") from None


def read_object(path: Path) -> dict[str, Any]:
    """Reads the JSON object in a file."""
    try:
        return as_object(parse(path.read_bytes()), "it")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from None


async def _examine(endpoint: _options.Endpoint, args: SimpleNamespace, options: TeeOptions) -> _Judged:
    if args.offline:
        from ..tee import attestation  # it needs the extra

        evidence = from_file(args.evidence.read_bytes(), model=args.model, options=options, now=args.now)
        if evidence is None:
            raise click.UsageError(f"{args.evidence} does not say which nonce it answers: pass --nonce HEX")
        return evidence, attestation.verify(evidence, options if evidence.nras is None else options.replace(gpu="nras"))
    async with endpoint.client() as client:
        try:
            return await client.tee.examine(args.model, client.tee.options(options))
        except TeeAttestationError as error:  # an answer without evidence
            if (report := error.report) is None:
                raise
            nonce = bytes.fromhex(report.nonce)
            return CollectedEvidence(model=args.model, nonce=nonce, reply=b"", now=report.fetched_at), report
        except (NotFoundError, InvalidRequestError) as error:
            listed = (await client.models.list()).data if error.status_code else ()
            able = [str(each.id) for each in listed if can(each, CAPABILITIES["require_tee"])]
            if able and args.model not in able:
                error.args = (f"{args.model!r} does not run in an enclave; these models do: {', '.join(able)}",)
            raise


def _save(args: SimpleNamespace, evidence: CollectedEvidence, report: AttestationReport, options: TeeOptions) -> None:
    folder = args.save_evidence
    (file := folder / "evidence.json").write_bytes(as_file(evidence))
    (folder / "report.json").write_text(report.to_json(indent=2) + "\n", encoding="utf-8")
    again = ["venice-chat", "attest", args.model, "--level", args.level, "--offline", "--evidence", str(file)]
    if not members_as_written(evidence.reply):
        again += ["--nonce", evidence.nonce.hex(), "--now", f"{evidence.now:.0f}"]
    for name, document in (("collateral", evidence.collateral), ("pin", options.pins and options.pins.to_dict())):
        if isinstance(document, Mapping):
            (path := folder / f"{name}.json").write_text(json.dumps(dict(document), indent=1) + "\n", encoding="utf-8")
            again += [f"--{name}", str(path)]
    again += ["--gpu", args.gpu, *(["--refuse-dev-image"] if args.refuse_dev_image else [])]
    again += [part for status in args.allow_status for part in ("--allow-status", status)]
    _output.note(f"kept in {folder}; to verify it again: {shlex.join(again)}")


def _write_pin(path: Path, report: AttestationReport | None) -> None:
    """Pins what was measured, but RTMR0, which varies with the machine's shape, and RTMR3, which varies with the instance."""
    if report is None or report.td is None:
        _output.note(f"{path} was not written: only what was verified at the level asked for is worth pinning")
        return
    found = {name: getattr(report.td, name) for name in OS_PINS}
    found |= {name: getattr(report.workload, name, None) for name in ("os_image_hash", "compose_hash")}
    pins = MeasurementPins.from_dict({name: [value] for name, value in found.items() if value})
    path.write_text(json.dumps(pins.to_dict(), indent=2) + "\n", encoding="utf-8")
    _output.note(f"{path} pins what runs there now: trust on first use. Whether that software is good, nothing here says.")
