"""The attacks that the emulated enclave, or a server in front of it, can perform.

`faults.json` has them all: what each is about, and, if it only sets values, those, below a name of `_KINDS`. The others have
their code here. What a client must do about each is a matter of the tests.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial, reduce
from importlib.resources import files
from itertools import permutations
from operator import methodcaller
from typing import Any, Final

from venice_ai.tee.crypto import seal
from venice_ai.tee.curve import compressed
from venice_ai.tee.quote import LAYOUT

from ..sending import HTTPReply
from .attestation import Domain, Draft, EnclaveKey, Event, compose, event
from .channel import Change, Channel, Chunk
from .hardware import Intel, Nvidia

ELSEWHERE: Final = "http://127.0.0.1:9/elsewhere"
_ANOTHER: Final = hashlib.sha256(b"another").digest()
_LONG_COMPOSE: Final = compose("\n" * 200_000 + "x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An attack: what it is about, and what it does at which step."""

    about: str = ""
    booted: Callable[[Draft], object] = lambda _: None  # to the domain, before it is measured
    measured: Callable[[Draft], object] = lambda _: None  # to what the quote signs
    replied: Callable[[Draft], object] = lambda _: None  # to the reply
    written: Callable[[Draft], bytes] = Draft.written  # the bytes of the reply
    answered: HTTPReply | None = None  # what comes instead of the attestation
    published: Callable[[Intel, float], dict[str, str]] = Intel.collateral  # the collateral
    chat_answered: HTTPReply | None = None  # what comes instead of a chat's answer
    sealed: Change | None = None  # what is sent for a chunk of a sealed answer
    attested: Callable[[dict[str, Any]], object] = lambda _: None  # to the signature of an answer
    signed: Callable[[str], str] = str  # what is signed of an answer


def _reply(members: dict[str, Any], draft: Draft) -> None:
    """The reply with other members, each named by its path; null takes one out."""
    for path, value in members.items():
        *parents, name = path.split(".")
        holder = reduce(lambda outer, each: outer[each], parents, draft.reply)
        if value is None:
            holder.pop(name, None)
        else:
            holder[name] = value


def _swapped_key_and_address(draft: Draft) -> None:
    other = EnclaveKey()
    draft.reply |= {"signing_public_key": other.public.hex(), "signing_address": other.address}
    draft.reply.pop("server_verification")


def _gateway(draft: Draft, key: bytes, count: int = 1, **more: Any) -> None:
    """The reply shows the set of a gateway's keys: `count` times the same."""
    shown = {"key_id": "e2ee-1", "algo": "ecdsa", "public_key": key.hex()}
    draft.reply["attestation"] = {"workload_keyset": {"e2ee_public_keys": [shown] * count}, **more}


def _keys_of_others(draft: Draft, count: int = 1) -> None:
    """The shape aci/1, in which the key is one of a set; none in this set has the address."""
    reply = draft.reply
    shown = {name: reply.pop(name) for name in ("event_log", "vm_config")}
    for name in ("signing_public_key", "request_nonce", "quote", "info"):
        del reply[name]
    reply["api_version"] = "aci/1"
    _gateway(draft, EnclaveKey().public, count, evidence=shown)


def _other_spelling(draft: Draft) -> None:
    draft.reply["signing_address"] = "0x" + draft.reply["signing_address"][2:].upper()
    draft.reply["intel_quote"] = draft.reply["quote"] = base64.b64encode(draft.quote).decode()


def _replayed_quote(draft: Draft) -> None:
    """A quote and GPU evidence of another time, with the echo that is wanted."""
    old = Draft(draft.key, draft.intel, draft.nvidia, draft.model, hashlib.sha256(b"an old nonce").digest())
    old.measure()
    old.answer()
    new = {name: draft.reply[name] for name in ("nonce", "request_nonce")}
    draft.reply = {name: value for name, value in old.reply.items() if name != "server_verification"} | new
    draft.reply["nvidia_payload"]["nonce"] = draft.nonce.hex()


def _doubled_keys(draft: Draft) -> bytes:
    """As long a reply as is read, whose first key comes again at the end."""
    return b"{" + ",".join(f'"{number:x}":0' for number in range(320_000)).encode() + b',"0":0,' + draft.written()[1:]


def _binds(parts: list[str], draft: Draft) -> None:
    own, another = (bytes.fromhex(key.address[2:]) for key in (draft.key, EnclaveKey()))
    there = {"address": own, "another": another, "zeros": bytes(12), "nonce": draft.nonce, "no nonce": bytes(32)}
    there |= {"hashed nonce": hashlib.sha256(draft.nonce).digest(), "tls": hashlib.sha256(own + b"spki").digest()}
    draft.put(LAYOUT["report_data"][0], b"".join(there[part] for part in parts))


def _flipped(raw: bytes, position: int) -> bytes:
    changed = bytearray(raw)
    changed[position] ^= 1
    return bytes(changed)


def _log(change: Callable[[list[Event]], list[Event]]) -> Callable[[Draft], None]:
    return lambda draft: draft.show_log(change(draft.domain.log))


def _measures(events: list[list[str]], draft: Draft, *, later: bool = False) -> None:
    """Further events are measured, each a name and perhaps a payload: before the boot ends, or later by a container."""
    place = len(draft.domain.log) - (not later)
    draft.domain.log[place:place] = [event(name, "".join(payload).encode() or _ANOTHER) for name, *payload in events]


def _starts(draft: Draft, **changes: Any) -> None:
    draft.domain = Domain(**changes)


def _gpus(change: Callable[[list[dict[str, str]], Draft], list[dict[str, str]]]) -> Callable[[Draft], None]:
    return lambda draft: draft.reply["nvidia_payload"].update(evidence_list=change(draft.gpus, draft))


def _gpu(draft: Draft, *, nonce: str = "", chip: str = "GH100", **measured: Any) -> None:
    """The first GPU shows other evidence, made with other arguments of `Nvidia.item`; bytes are in hex."""
    made: dict[str, Any] = {
        name: bytes.fromhex(each) if isinstance(each, str) else [*map(bytes.fromhex, each)] for name, each in measured.items()
    }
    draft.gpus[0] = draft.nvidia.item(0, bytes.fromhex(nonce) or draft.nonce, chip=chip, **made)


def _gpu_byte(position: int, draft: Draft) -> None:
    draft.gpus[0]["evidence"] = base64.b64encode(_flipped(base64.b64decode(draft.gpus[0]["evidence"]), position)).decode()


def _edited_tcb_info(intel: Intel, now: float) -> dict[str, str]:
    found = intel.collateral(now, status="OutOfDate")
    return {**found, "tcb_info": found["tcb_info"].replace("OutOfDate", "UpToDate")}


def _second(bend: Callable[[Chunk, Channel], Iterable[Chunk] | None]) -> Change:
    """Something happens to the chunk with the second sealed text; `bend` may say what is sent for it."""
    return lambda chunk, channel: (channel.contents == 2 and channel.delta != {} and bend(chunk, channel)) or (chunk,)


def _envelope(change: Callable[[str, Channel], str]) -> Change:
    return _second(lambda _, channel: channel.delta.update(content=change(channel.delta["content"], channel)))


def _second_choice(chunk: Chunk, channel: Channel) -> Iterable[Chunk]:
    return chunk, {**chunk, "choices": [{**chunk["choices"][0], "index": 1, "delta": {"content": channel.last}}]}


def _other_signer(reply: dict[str, Any]) -> None:
    other = EnclaveKey()
    reply |= {"signature": other.sign(reply["text"]), "signing_address": other.address}


def _signature_number(place: tuple[int, str], reply: dict[str, Any]) -> None:
    """Another r or s (hex) in a signature; they begin at the digits 2 and 66."""
    (start, number), text = place, reply["signature"]
    reply["signature"] = text[:start] + number + text[start + len(number) :]


_KINDS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "reply": ("replied", lambda given: partial(_reply, given)),
    "quote": ("measured", lambda given: methodcaller("put", given[0], bytes.fromhex(given[1]))),
    "binds": ("measured", lambda given: partial(_binds, given)),
    "event": ("replied", lambda given: _log(lambda log: [{**each, **given.get(each["event"], {})} for each in log])),
    "log": ("replied", lambda given: _log(lambda log: [*log[:-2], *(log[at] for at in given)])),
    "gpu": ("replied", lambda given: partial(_gpu, **given)),
    "gpus": ("replied", lambda given: _gpus(lambda shown, _: [shown[at] for at in given])),
    "events": ("booted", lambda given: partial(_measures, given)),
    "later_events": ("booted", lambda given: partial(_measures, given, later=True)),
    "boots": ("booted", lambda given: partial(_starts, os_image=bytes.fromhex(given))),
    "services": ("booted", lambda given: partial(_starts, app_compose=compose(given))),
    "gpu_byte": ("replied", lambda given: partial(_gpu_byte, given)),
    "collateral": ("published", lambda given: partial(Intel.collateral, **given)),
    "envelope_byte": ("sealed", lambda given: _envelope(lambda text, _: _flipped(bytes.fromhex(text), given).hex())),
    "delta": ("sealed", lambda given: _second(lambda _, channel: channel.delta.update(given))),
    "choice": ("sealed", lambda given: _second(lambda chunk, _: chunk["choices"][0].update(given))),
    "chunk": ("sealed", lambda given: _second(lambda chunk, _: chunk.update(given))),
    "signature": ("attested", lambda given: methodcaller("update", given)),
    "signature_number": ("attested", lambda given: partial(_signature_number, given)),
}
"""The step of a fault in `faults.json`, and what makes the function for it of the row's values."""
_ROWS: Final[dict[str, dict[str, Any]]] = json.loads(files("venice_ai.emulator.enclave").joinpath("faults.json").read_bytes())

_CODE: Final[dict[str, Fault]] = {
    "swapped_key": Fault(replied=lambda draft: draft.reply.update(signing_public_key=EnclaveKey().public.hex())),
    "swapped_key_and_address": Fault(replied=_swapped_key_and_address),
    "two_keys": Fault(replied=lambda draft: draft.reply.update(signing_key=EnclaveKey().public.hex())),
    "key_off_curve": Fault(replied=lambda draft: draft.reply.update(signing_public_key=_flipped(draft.key.public, -1).hex())),
    "key_compressed": Fault(replied=lambda draft: draft.reply.update(signing_public_key=compressed(draft.key.public).hex())),
    "keyset_of_others": Fault(replied=_keys_of_others),
    "replayed_quote": Fault(replied=_replayed_quote),
    "doubled_keys": Fault(written=_doubled_keys),
    "many_keys": Fault(replied=lambda draft: _keys_of_others(draft, 20_000)),
    "keys_beside": Fault(replied=lambda draft: _gateway(draft, EnclaveKey().public, 65)),
    "duplicate_members": Fault(written=lambda draft: b'{"verified":false,' + draft.written()[1:]),
    "other_spelling": Fault(replied=_other_spelling),
    "redirect": Fault(answered=HTTPReply(302, {"location": ELSEWHERE})),
    "quote_flipped": Fault(replied=lambda draft: draft.show_quote(_flipped(draft.quote, LAYOUT["mrtd"][0]))),
    "trailing_garbage": Fault(replied=lambda draft: draft.show_quote(draft.quote + b"garbage")),
    "truncated_quote": Fault(replied=lambda draft: draft.show_quote(draft.quote[:-100])),
    "other_intel": Fault(replied=lambda draft: draft.show_quote(Intel("somebody else").quote(bytes(draft.signed)))),
    "boot_without_end": Fault(booted=lambda draft: draft.domain.log.pop()),
    "compose_edited": Fault(replied=lambda draft: _reply({"info.tcb_info.app_compose": f"{draft.domain.app_compose} "}, draft)),
    "long_compose": Fault(booted=partial(_starts, app_compose=_LONG_COMPOSE)),
    "long_compose_unsigned": Fault(
        booted=partial(_starts, app_compose=_LONG_COMPOSE),
        replied=lambda draft: draft.show_quote(_flipped(draft.quote, LAYOUT["signature"][0])),
    ),
    "gateway_without_version": Fault(replied=lambda draft: _gateway(draft, draft.key.public)),
    "gpu_other_root": Fault(replied=_gpus(lambda shown, draft: [Nvidia("somebody else").item(0, draft.nonce), *shown[1:]])),
    "gpu_other_chain": Fault(
        replied=_gpus(lambda shown, _: [{**one, "certificate": other["certificate"]} for one, other in permutations(shown)])
    ),
    "gpu_two_keys": Fault(replied=_gpus(lambda shown, draft: [*shown[:1], draft.nvidia.again(0, draft.nonce)])),
    "forged_collateral": Fault(published=lambda _, now: Intel("somebody else").collateral(now)),
    "edited_tcb_info": Fault(published=_edited_tcb_info),
    "chat_redirect": Fault(chat_answered=HTTPReply(307, {"location": ELSEWHERE})),
    "plaintext_chunk": Fault(sealed=_envelope(lambda _, channel: channel.last)),
    "plaintext_reply": Fault(sealed=lambda chunk, own: (own.delta != {} and own.delta.update(content=own.last)) or (chunk,)),
    "plaintext_choice": Fault(sealed=_second(_second_choice)),
    "chunk_short": Fault(sealed=_envelope(lambda envelope, _: envelope[:184])),
    "chunk_odd": Fault(sealed=_envelope(lambda envelope, _: envelope + "0")),
    "chunk_prefix": Fault(sealed=_envelope(lambda envelope, _: "02" + envelope[2:])),
    "chunk_other_key": Fault(sealed=_envelope(lambda text, _: seal(EnclaveKey().public, b"other" + bytes(len(text) // 1_000)))),
    "upper_case": Fault(sealed=_envelope(lambda envelope, _: envelope.upper())),
    "replayed_chunk": Fault(sealed=_second(lambda chunk, _: (chunk, chunk))),
    "signature_signer": Fault(attested=_other_signer),
    "signature_text": Fault(attested=lambda reply: reply.update(text=":".join(reversed(reply["text"].split(":"))))),
    "signature_relabelled": Fault(
        signed=lambda _: ":".join(hashlib.sha256(part).hexdigest() for part in (b"another question", b"another answer"))
    ),
}


def _fault(name: str, row: dict[str, Any]) -> Fault:
    steps = {step: make(row[kind]) for kind, (step, make) in _KINDS.items() if kind in row}
    return replace(_CODE.get(name, Fault()), about=row["about"], **steps)


FAULTS: Final[dict[str, Fault]] = {name: _fault(name, row) for name, row in _ROWS.items()}  # the attacks by their names
