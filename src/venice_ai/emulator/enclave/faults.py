"""Every attack that the emulated enclave, or whoever stands before it, can play.

A fault acts at one step: on the domain before it is measured, on the quote before it is signed, on the reply, on its bytes, on
the collateral, on the chunks of an answer, on its signature. What a client has to make of each is not said here.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from ..sending import Answer
from .attestation import Draft
from .channel import Channel, Chunk
from .domain import SEPT_VE_DISABLE, Event, compose, event
from .intel import DAY, Intel
from .keys import EnclaveKey
from .nvidia import Nvidia

ELSEWHERE: Final = "http://127.0.0.1:9/elsewhere"
_MRTD_AT = 184
_KNOWN_IMAGE: Final = "9b69bb1698bacbb6985409a2c272bcb892e09cdcea63d5399c6768b67d3ff677"
_SIGNATURE_AT = 636
_MANY_KEYS = 20_000
_OLD_NONCE: Final = hashlib.sha256(b"an old nonce").digest()
_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An attack: what it is about, and what it does at which step."""

    about: str
    booted: Callable[[Draft], None] | None = None
    """To the domain, before it is measured."""
    measured: Callable[[Draft], None] | None = None
    """To what the quote signs."""
    replied: Callable[[Draft], None] | None = None
    """To the reply."""
    written: Callable[[Draft], bytes] | None = None
    """The bytes of the reply."""
    answered: Answer | None = None
    """What comes instead of the attestation."""
    published: Callable[[Intel, float], dict[str, str]] | None = None
    """The collateral."""
    chat_answered: Answer | None = None
    """What comes instead of a chat's answer."""
    sealed: Callable[[Chunk, Channel], Iterable[Chunk]] | None = None
    """What is sent for a chunk of a sealed answer."""
    attested: Callable[[dict[str, Any]], None] | None = None
    """To the signature of an answer."""
    signed: Callable[[str], str] | None = None
    """What is signed of an answer."""


# -- what Venice says ----------------------------------------------------------------------------------------------------


def _says(**members: Any) -> Callable[[Draft], None]:
    """The reply with other members; None takes one out."""

    def bend(draft: Draft) -> None:
        draft.reply |= members
        draft.reply = {name: value for name, value in draft.reply.items() if not (name in members and value is None)}

    return bend


def _swapped_key(draft: Draft) -> None:
    draft.reply["signing_public_key"] = EnclaveKey().public.hex()


def _swapped_key_and_address(draft: Draft) -> None:
    other = EnclaveKey()
    draft.reply |= {"signing_public_key": other.public.hex(), "signing_address": other.address}
    draft.reply.pop("server_verification")


def _two_keys(draft: Draft) -> None:
    draft.reply["signing_key"] = EnclaveKey().public.hex()


def _off_curve(draft: Draft) -> None:
    key = bytearray(draft.key.public)
    key[-1] ^= 1
    draft.reply["signing_public_key"] = key.hex()


def _compressed(draft: Draft) -> None:
    key = draft.key.public
    draft.reply["signing_public_key"] = (bytes([2 + (key[-1] & 1)]) + key[1:33]).hex()


def _keys_of_others(draft: Draft) -> None:
    """The shape aci/1, in which the key is one of a set; none in this set has the address."""
    reply = draft.reply
    shown = {name: reply.pop(name) for name in ("event_log", "vm_config")}
    for name in ("signing_public_key", "request_nonce", "quote", "info"):
        del reply[name]
    key = {"key_id": "e2ee-1", "algo": "ecdsa", "public_key": EnclaveKey().public.hex()}
    reply["api_version"] = "aci/1"
    reply["attestation"] = {"workload_keyset": {"e2ee_public_keys": [key]}, "evidence": shown}


def _keys_beside(draft: Draft) -> None:
    key = {"key_id": "e2ee-1", "algo": "ecdsa", "public_key": EnclaveKey().public.hex()}
    draft.reply["attestation"] = {"workload_keyset": {"e2ee_public_keys": [key] * 65}}


def _other_spelling(draft: Draft) -> None:
    draft.reply["signing_address"] = "0x" + draft.reply["signing_address"][2:].upper()
    draft.reply["intel_quote"] = draft.reply["quote"] = base64.b64encode(draft.quote).decode()


def _replayed_quote(draft: Draft) -> None:
    """A quote and GPU evidence of another time, with the echo that is wanted."""
    old = Draft(draft.key, draft.intel, draft.nvidia, draft.model, _OLD_NONCE)
    old.measure()
    old.answer()
    new = {name: draft.reply[name] for name in ("nonce", "request_nonce")}
    draft.reply = {name: value for name, value in old.reply.items() if name != "server_verification"} | new
    draft.gpus["nonce"] = draft.nonce.hex()


def _claims_invalid(draft: Draft) -> None:
    draft.reply["server_verification"]["tdx"]["valid"] = False


def _claims_other_data(draft: Draft) -> None:
    draft.reply["server_verification"]["tdx"]["reportData"] = "00" * 64


def _claims_debug(draft: Draft) -> None:
    draft.reply["server_verification"]["tdx"]["measurements"] = {"tdAttributes": "0100001000000000"}
    _no_quote(draft)


def _doubled_keys(draft: Draft) -> bytes:
    """As long a reply as is read, whose first key comes again at the end."""
    return _padded(draft, ",".join(f'"{number:x}":0' for number in range(320_000)) + ',"0":0')


def _gateway_keys(draft: Draft) -> bytes:
    """A gateway that has more keys than anybody looks at."""
    _keys_of_others(draft)
    draft.reply["attestation"]["workload_keyset"]["e2ee_public_keys"] *= _MANY_KEYS
    return draft.written()


def _padded(draft: Draft, members: str) -> bytes:
    return b"{" + members.encode() + b"," + draft.written()[1:]


def _provider_of_lines(draft: Draft) -> None:
    draft.reply["tee_provider"] = draft.reply["model"] = "x\nverdict: e2ee-m verified at level pinned"


def _duplicate_members(draft: Draft) -> bytes:
    return draft.written().replace(b'{"verified":true', b'{"verified":false,"verified":true', 1)


# -- what is signed ------------------------------------------------------------------------------------------------------


def _bytes(offset: int, value: bytes) -> Callable[[Draft], None]:
    return lambda draft: draft.put(offset, value)


def _attributes(value: int) -> Callable[[Draft], None]:
    return lambda draft: draft.attributes(value)


def _binds(data: Callable[[bytes, bytes], bytes]) -> Callable[[Draft], None]:
    """The quote binds something else, made of the address and the nonce."""
    return lambda draft: draft.report_data(data(bytes.fromhex(draft.key.address[2:]), draft.nonce))


def _other_domain(draft: Draft) -> None:
    draft.report_data(bytes.fromhex(EnclaveKey().address[2:]) + bytes(12) + draft.nonce)


def _no_quote(draft: Draft) -> None:
    for name in ("intel_quote", "quote"):
        draft.reply.pop(name)


def _quote(change: Callable[[bytes], bytes]) -> Callable[[Draft], None]:
    return lambda draft: draft.show_quote(change(draft.quote))


def _flipped_byte(quote: bytes) -> bytes:
    """The quote with another measurement of the domain than was signed."""
    return quote[:_MRTD_AT] + bytes([quote[_MRTD_AT] ^ 1]) + quote[_MRTD_AT + 1 :]


def _other_intel(draft: Draft) -> None:
    draft.show_quote(Intel("somebody else").quote(bytes(draft.signed)))


# -- the log -------------------------------------------------------------------------------------------------------------


def _log(change: Callable[[list[Event]], list[Event]]) -> Callable[[Draft], None]:
    """Another log is shown than was measured."""
    return lambda draft: draft.show_log(change(draft.domain.log))


def _edited(log: list[Event]) -> list[Event]:
    """A payload is another one, and the digest is kept."""
    return [{**each, "event_payload": "00" * 32} if each["event"] == "compose-hash" else each for each in log]


def _measures(
    name: str, payload: bytes = hashlib.sha256(b"another").digest(), *, later: bool = False
) -> Callable[[Draft], None]:
    """A further event is measured: before the boot ends, or later by a container."""

    def extend(draft: Draft) -> None:
        log = draft.domain.log
        log.insert(len(log) if later else len(log) - 1, event(name, payload))

    return extend


def _container_measures_twice(draft: Draft) -> None:
    for name in ("compose-hash", "compose-hash", "system-ready"):
        _measures(name, later=True)(draft)


def _endless_boot(draft: Draft) -> None:
    draft.domain.log.pop()


def _boots(os_image: str) -> Callable[[Draft], None]:
    """Another operating system is booted, as far as its own log says."""

    def boot(draft: Draft) -> None:
        draft.domain = type(draft.domain)(os_image=bytes.fromhex(os_image))

    return boot


def _other_config(draft: Draft) -> None:
    draft.put(232, b"\x01" + hashlib.sha256(b"another compose file").digest())


def _compose_shown(draft: Draft) -> None:
    draft.reply["info"]["tcb_info"]["app_compose"] += " "


def _forged_image(draft: Draft) -> None:
    draft.reply["info"]["os_image_hash"] = "ab" * 32


def _dev_image(draft: Draft) -> None:
    settings = json.loads(draft.reply["vm_config"])
    draft.reply["vm_config"] = json.dumps({**settings, "image": "dstack-nvidia-dev-0.5.8"})


def _compose_of_line_breaks(draft: Draft) -> None:
    draft.domain = type(draft.domain)(compose("\n" * 200_000 + "x"))


def _compose_of_line_breaks_unsigned(draft: Draft) -> None:
    """The same, and nobody signed it: the quote's registers and log agree with each other alone."""
    draft.show_quote(_flipped_signature(draft.quote))


def _flipped_signature(quote: bytes) -> bytes:
    return quote[:_SIGNATURE_AT] + bytes([quote[_SIGNATURE_AT] ^ 1]) + quote[_SIGNATURE_AT + 1 :]


def _loose_images(draft: Draft) -> None:
    draft.domain = type(draft.domain)(compose("services:\n  model:\n    image: emulator/model:latest\n    privileged: true\n"))


# -- what is left out ----------------------------------------------------------------------------------------------------


def _no_compose(draft: Draft) -> None:
    del draft.reply["info"]["tcb_info"]["app_compose"]


def _no_machine(draft: Draft) -> None:
    """Neither GPUs nor the configuration that says how many there are."""
    for name in ("nvidia_payload", "vm_config", "server_verification"):
        del draft.reply[name]


def _gpus_denied(draft: Draft) -> None:
    """There were none, says the machine."""
    _no_machine(draft)
    draft.reply["vm_config"] = json.dumps({"num_gpus": 0})


def _gateway_without_version(draft: Draft) -> None:
    """A gateway that shows but one of its parts, and no word about its version."""
    key = {"key_id": "e2ee-1", "algo": "ecdsa", "public_key": draft.key.public.hex()}
    draft.reply["attestation"] = {"workload_keyset": {"e2ee_public_keys": [key]}}


# -- GPUs ----------------------------------------------------------------------------------------------------------------


def _gpu(change: Callable[[Draft, list[dict[str, Any]]], None]) -> Callable[[Draft], None]:
    return lambda draft: change(draft, draft.gpus["evidence_list"])


def _evidence(position: int) -> Callable[[Draft, list[dict[str, Any]]], None]:
    """One bit of the first GPU's evidence."""

    def flip(_: Draft, items: list[dict[str, Any]]) -> None:
        evidence = bytearray(base64.b64decode(items[0]["evidence"]))
        evidence[position] ^= 1
        items[0]["evidence"] = base64.b64encode(evidence).decode()

    return flip


def _gpu_of_another_root(draft: Draft, items: list[dict[str, Any]]) -> None:
    items[0] = Nvidia("somebody else").item(0, draft.nonce)


def _gpu_of_another_nonce(draft: Draft, items: list[dict[str, Any]]) -> None:
    items[0] = draft.nvidia.item(0, _OLD_NONCE)


def _gpu_with_another_chain(draft: Draft, items: list[dict[str, Any]]) -> None:
    items[0]["certificate"] = items[1]["certificate"]
    items[1] = draft.nvidia.item(0, draft.nonce)


def _gpu_twice(_: Draft, items: list[dict[str, Any]]) -> None:
    items[1] = items[0]


def _gpu_measured(**measured: Any) -> Callable[[Draft, list[dict[str, Any]]], None]:
    """A GPU that measures something else."""

    def measure(draft: Draft, items: list[dict[str, Any]]) -> None:
        items[0] = draft.nvidia.item(0, draft.nonce, **measured)

    return measure


def _gpu_no_gpu(draft: Draft, items: list[dict[str, Any]]) -> None:
    items[0] = draft.nvidia.other("LS10", draft.nonce)


def _gpu_with_two_keys(draft: Draft, items: list[dict[str, Any]]) -> None:
    items[1] = draft.nvidia.again(0, draft.nonce)


def _gpu_less(_: Draft, items: list[dict[str, Any]]) -> None:
    items.pop()


def _gpu_none(_: Draft, items: list[dict[str, Any]]) -> None:
    items.clear()


# -- collateral ----------------------------------------------------------------------------------------------------------


def _published(**changes: Any) -> Callable[[Intel, float], dict[str, str]]:
    return lambda intel, now: intel.collateral(now, **changes)


def _edited_tcb_info(intel: Intel, now: float) -> dict[str, str]:
    found = intel.collateral(now, status="OutOfDate")
    return {**found, "tcb_info": found["tcb_info"].replace("OutOfDate", "UpToDate")}


# -- chunks --------------------------------------------------------------------------------------------------------------


def _envelope(change: Callable[[str, Channel], str]) -> Callable[[Chunk, Channel], Iterable[Chunk]]:
    """The second text of an answer is not the envelope that it was."""

    def bend(chunk: Chunk, channel: Channel) -> Iterator[Chunk]:
        delta = _content(chunk)
        if delta is not None and channel.contents == 2:
            delta["content"] = change(delta["content"], channel)
        yield chunk

    return bend


def _content(chunk: Chunk) -> dict[str, Any] | None:
    """The delta of a chunk that has a sealed text."""
    for choice in chunk["choices"]:
        delta: dict[str, Any] = choice["delta"]
        if len(cast("str", delta.get("content") or "")) > 1:
            return delta
    return None


def _flipped(digit: int) -> Callable[[Chunk, Channel], Iterable[Chunk]]:
    def flip(envelope: str, _: Channel) -> str:
        raw = bytearray.fromhex(envelope)
        raw[digit] ^= 1
        return raw.hex()

    return _envelope(flip)


def _in_clear(chunk: Chunk, channel: Channel) -> Iterator[Chunk]:
    delta = _content(chunk)
    if delta is not None:
        delta["content"] = channel.last
    yield chunk


def _repeated(chunk: Chunk, channel: Channel) -> Iterator[Chunk]:
    yield chunk
    if _content(chunk) is not None and channel.contents == 2:
        yield chunk


def _adds(**members: Any) -> Callable[[Chunk, Channel], Iterable[Chunk]]:
    """Something stands in clear beside a sealed text."""

    def bend(chunk: Chunk, channel: Channel) -> Iterator[Chunk]:
        delta = _content(chunk)
        if delta is not None and channel.contents == 2:
            delta |= members
        yield chunk

    return bend


def _says_in_clear(**members: Any) -> Callable[[Chunk, Channel], Iterable[Chunk]]:
    """A chunk is another one than it was by these members."""

    def bend(chunk: Chunk, channel: Channel) -> Iterator[Chunk]:
        yield {**chunk, **members} if channel.contents == 2 else chunk

    return bend


def _adds_logprobs(chunk: Chunk, channel: Channel) -> Iterator[Chunk]:
    if _content(chunk) is not None and channel.contents == 2:
        chunk["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    yield chunk


def _second_choice(chunk: Chunk, channel: Channel) -> Iterator[Chunk]:
    yield chunk
    if _content(chunk) is not None and channel.contents == 2:
        first = chunk["choices"][0]
        yield {**chunk, "choices": [{**first, "index": 1, "delta": {"content": channel.last}}]}


def _downgraded(chunk: Chunk, channel: Channel) -> Iterator[Chunk]:
    yield {**chunk, "venice_parameters": {"enable_e2ee": False}} if channel.contents == 2 else chunk


def _for_another(envelope: str, _: Channel) -> str:
    from venice_ai.tee.crypto import seal

    return seal(EnclaveKey().public, b"not for you" + bytes(len(envelope) // 1_000))


# -- signatures ----------------------------------------------------------------------------------------------------------


def _other_signer(reply: dict[str, Any]) -> None:
    other = EnclaveKey()
    reply |= {"signature": other.sign(reply["text"]), "signing_address": other.address}


def _edited_text(reply: dict[str, Any]) -> None:
    reply["text"] = ":".join(reversed(reply["text"].split(":")))


def _of_another_answer(reply: dict[str, Any]) -> None:
    reply["requested_request_id"] = "chatcmpl-another"


def _another_answer(_: str) -> str:
    """What the key signed of another question and its answer."""
    return ":".join(hashlib.sha256(part).hexdigest() for part in (b"another question", b"another answer"))


def _numbers(r: int | None = None, s: int | None = None) -> Callable[[dict[str, Any]], None]:
    """A signature with another r or s."""

    def bend(reply: dict[str, Any]) -> None:
        raw = bytes.fromhex(reply["signature"][2:])
        halves = [raw[:32] if r is None else r.to_bytes(32, "big"), raw[32:64] if s is None else s.to_bytes(32, "big")]
        reply["signature"] = "0x" + (b"".join(halves) + raw[64:]).hex()

    return bend


# -- all of them ---------------------------------------------------------------------------------------------------------

_CLAIMS = {
    "swapped_key": Fault(about="the key is another one than the address's", replied=_swapped_key),
    "swapped_key_and_address": Fault(about="key and address are another one's", replied=_swapped_key_and_address),
    "two_keys": Fault(about="the reply has two keys that differ", replied=_two_keys),
    "key_off_curve": Fault(about="the key is no point of the curve", replied=_off_curve),
    "key_compressed": Fault(about="the key is in the form that is not taken", replied=_compressed),
    "key_infinity": Fault(about="the key is the point at infinity", replied=_says(signing_public_key="04" + "00" * 64)),
    "keyset_of_others": Fault(about="none of a gateway's keys has the address", replied=_keys_of_others),
    "no_key": Fault(about="the reply has no key", replied=_says(signing_public_key=None)),
    "stale_nonce": Fault(about="an old nonce is echoed", replied=_says(nonce=_OLD_NONCE.hex())),
    "replayed_quote": Fault(about="an old quote comes with a forged echo", replied=_replayed_quote),
    "server_nonce": Fault(about="the nonce is said to be the server's", replied=_says(nonce_source="server")),
    "not_verified": Fault(about="Venice did not verify the enclave", replied=_says(verified=False)),
    "verified_as_text": Fault(about="verified is a text", replied=_says(verified="true")),
    "verified_missing": Fault(about="verified is not there", replied=_says(verified=None)),
    "other_model": Fault(about="the reply is about another model", replied=_says(model="e2ee-another")),
    "no_model": Fault(about="the reply names no model", replied=_says(model=None)),
    "other_hardware": Fault(about="the reply is about other hardware", replied=_says(tee_hardware="amd-sev-snp")),
    "other_algorithm": Fault(about="the key is of another algorithm", replied=_says(signing_algo="ed25519")),
    "claims_invalid": Fault(about="Venice says that the quote is not valid", replied=_claims_invalid),
    "claims_other_data": Fault(about="Venice reports other data than the quote has", replied=_claims_other_data),
    "claims_debug": Fault(about="Venice reports a domain in debug mode, and shows no quote", replied=_claims_debug),
    "debug_switch": Fault(about="the reply says that the domain is in debug mode", replied=_says(debug=True)),
    "debug_in_a_list": Fault(
        about="Venice reports domains, one of them in debug mode",
        replied=_says(server_verification={"domains": [{"debug": False}, {"is-debug": True}]}),
    ),
    "doubled_keys": Fault(about="a key of very many comes twice", written=_doubled_keys),
    "many_keys": Fault(about="a gateway has 20,000 keys", written=_gateway_keys),
    "keys_beside": Fault(about="a good key, and beside it a gateway's set of 65", replied=_keys_beside),
    "forged_lines": Fault(about="names have line breaks, and a verdict of their own", replied=_provider_of_lines),
    "no_claims": Fault(about="harmless: Venice says nothing of its own verification", replied=_says(server_verification=None)),
    "duplicate_members": Fault(about="the reply says verified twice", written=_duplicate_members),
    "other_spelling": Fault(about="harmless: the quote in base64, the address in capitals", replied=_other_spelling),
    "redirect": Fault(about="the attestation is somewhere else", answered=Answer(302, {"location": ELSEWHERE})),
}

_QUOTES = {
    "no_quote": Fault(about="there is no quote", replied=_no_quote),
    "quote_flipped": Fault(about="a byte of the quote is another one than was signed", replied=_quote(_flipped_byte)),
    "trailing_garbage": Fault(about="something follows the quote", replied=_quote(lambda raw: raw + b"garbage")),
    "truncated_quote": Fault(about="the quote is cut off", replied=_quote(lambda raw: raw[:-100])),
    "other_domain": Fault(about="the quote is of another trust domain", measured=_other_domain),
    "other_intel": Fault(about="a whole hierarchy of somebody else's", replied=_other_intel),
    "report_data_padding": Fault(about="the padding between address and nonce is not zero", measured=_bytes(590, b"\x01")),
    "right_aligned_address": Fault(
        about="the address stands at the right", measured=_binds(lambda own, nonce: bytes(12) + own + nonce)
    ),
    "swapped_halves": Fault(about="nonce first", measured=_binds(lambda own, nonce: nonce + own + bytes(12))),
    "hashed_nonce": Fault(
        about="the nonce is hashed", measured=_binds(lambda own, nonce: own + bytes(12) + hashlib.sha256(nonce).digest())
    ),
    "zero_nonce": Fault(about="no nonce is bound", measured=_binds(lambda own, _: own + bytes(44))),
    "bound_to_tls": Fault(
        about="the address is hashed with a TLS key",
        measured=_binds(lambda own, nonce: hashlib.sha256(own + b"spki").digest() + nonce),
    ),
    "debug": Fault(about="the host can read the domain's memory", measured=_attributes(SEPT_VE_DISABLE | 1)),
    "no_sept_ve_disable": Fault(about="SEPT_VE_DISABLE is not set", measured=_attributes(0)),
    "migratable": Fault(about="the domain can be moved", measured=_attributes(SEPT_VE_DISABLE | 1 << 29)),
    "pks": Fault(about="PKS is set", measured=_attributes(SEPT_VE_DISABLE | 1 << 30)),
    "perfmon": Fault(about="PERFMON is set", measured=_attributes(SEPT_VE_DISABLE | 1 << 63)),
    "seam_signer": Fault(about="the TDX module is not Intel's", measured=_bytes(112, b"\x01")),
    "sgx_quote": Fault(about="the quote is of an SGX enclave", measured=_bytes(4, bytes(4))),
    "quote_v5": Fault(about="the quote is of version 5", measured=_bytes(0, b"\x05\x00")),
}

_LOGS = {
    "event_removed": Fault(about="an event is not shown", replied=_log(lambda log: [*log[:-2], log[-1]])),
    "event_reordered": Fault(about="two events change places", replied=_log(lambda log: [*log[:-2], log[-1], log[-2]])),
    "event_edited": Fault(about="the payload of an event is another one", replied=_log(_edited)),
    "event_duplicated": Fault(about="an event is measured twice in the boot", booted=_measures("storage-fs")),
    "extra_compose_hash": Fault(about="a second compose file is measured in the boot", booted=_measures("compose-hash")),
    "event_with_colon": Fault(about="the name of an event has a colon", booted=_measures("app-id:00")),
    "event_without_name": Fault(about="an event has no name", booted=_measures("")),
    "event_split": Fault(about="an event may be another one of a longer name", booted=_measures("a", b"b:c", later=True)),
    "boot_without_end": Fault(about="the log ends before the boot", booted=_endless_boot),
    "container_events": Fault(about="harmless: a container measures what it likes", booted=_container_measures_twice),
    "unknown_image": Fault(about="nobody knows the operating system", booted=_boots("ab" * 32)),
    "image_of_another": Fault(about="the log names a known image, and another one was measured", booted=_boots(_KNOWN_IMAGE)),
    "compose_edited": Fault(about="the compose file shown has one blank more", replied=_compose_shown),
    "other_config_id": Fault(about="MRCONFIGID is of another compose file", measured=_other_config),
    "forged_os_image": Fault(about="another operating system is shown than was measured", replied=_forged_image),
    "dev_image": Fault(about="the operating system lets its operator in", replied=_dev_image),
    "long_compose": Fault(about="harmless: the compose file has 200,000 line breaks", booted=_compose_of_line_breaks),
    "long_compose_unsigned": Fault(
        about="the compose file has 200,000 line breaks, and nobody signed it",
        booted=_compose_of_line_breaks,
        replied=_compose_of_line_breaks_unsigned,
    ),
    "loose_images": Fault(about="containers are privileged, and not pinned by their hash", booted=_loose_images),
}

_LEFT_OUT = {
    "no_gpus": Fault(about="there is no evidence of GPUs", replied=_says(nvidia_payload=None)),
    "gpu_less": Fault(about="one GPU gives no evidence", replied=_gpu(_gpu_less)),
    "no_machine": Fault(about="neither GPUs nor the machine's configuration are shown", replied=_no_machine),
    "gpus_denied": Fault(about="GPUs that were there before are said not to exist", replied=_gpus_denied),
    "no_compose": Fault(about="the compose file is not shown", replied=_no_compose),
    "gateway_without_version": Fault(about="a gateway shows one of its parts alone", replied=_gateway_without_version),
}

_GPUS = {
    "gpu_nonce": Fault(
        about="the payload names another nonce", replied=lambda draft: draft.gpus.update(nonce=_OLD_NONCE.hex())
    ),
    "gpu_replayed": Fault(about="a GPU answered another nonce", replied=_gpu(_gpu_of_another_nonce)),
    "gpu_other_root": Fault(about="a GPU that NVIDIA did not make", replied=_gpu(_gpu_of_another_root)),
    "gpu_other_chain": Fault(about="two GPUs have each other's certificates", replied=_gpu(_gpu_with_another_chain)),
    "gpu_measurement": Fault(about="a measurement is another one", replied=_gpu(_evidence(60))),
    "gpu_signature": Fault(about="a signature is another one", replied=_gpu(_evidence(-1))),
    "gpu_opaque": Fault(about="a field of the driver's is another one", replied=_gpu(_evidence(-100))),
    "gpu_twice": Fault(about="one GPU answers for two", replied=_gpu(_gpu_twice)),
    "gpu_empty": Fault(about="the list of GPUs is empty", replied=_gpu(_gpu_none)),
    "gpu_two_keys": Fault(about="one GPU answers for two with two keys", replied=_gpu(_gpu_with_two_keys)),
    "gpu_switch": Fault(about="a switch answers as a GPU", replied=_gpu(_gpu_no_gpu)),
    "gpu_firmware": Fault(about="a GPU's key is of another firmware", replied=_gpu(_gpu_measured(firmware=b"\1" * 48))),
    "gpu_empty_record": Fault(about="a GPU measured nothing", replied=_gpu(_gpu_measured(measurements=()))),
    "gpu_zeros": Fault(about="a GPU measured zeros", replied=_gpu(_gpu_measured(measurements=(bytes(51), bytes(51))))),
}

_COLLATERAL = {
    "forged_collateral": Fault(about="somebody else's", published=lambda _, now: Intel("somebody else").collateral(now)),
    "edited_tcb_info": Fault(about="what Intel signed was edited", published=_edited_tcb_info),
    "other_fmspc": Fault(about="of another kind of platform", published=_published(fmspc="20A06F000000")),
    "expired_collateral": Fault(about="expired", published=_published(issued=-60 * DAY, expires=-DAY)),
    "early_collateral": Fault(about="not yet valid", published=_published(issued=DAY, expires=30 * DAY)),
    "expired_crl": Fault(
        about="the lists of what was revoked expired", published=_published(crl_issued=-60 * DAY, crl_expires=-DAY)
    ),
    "platform_revoked": Fault(about="the platform was revoked", published=_published(revoked=("platform",))),
    "ca_revoked": Fault(about="the platform's issuer was revoked", published=_published(revoked=("ca",))),
    "status_revoked": Fault(about="the firmware is revoked", published=_published(status="Revoked")),
    "out_of_date": Fault(about="the firmware is old", published=_published(status="OutOfDate", advisories=("INTEL-SA-00001",))),
    "module_out_of_date": Fault(about="the TDX module is old", published=_published(module_status="OutOfDate")),
    "qe_out_of_date": Fault(about="the quoting enclave is old", published=_published(qe_status="OutOfDate")),
    "needs_configuration": Fault(about="settings are unsafe", published=_published(status="ConfigurationNeeded")),
    "needs_hardening": Fault(about="software has to help", published=_published(status="SWHardeningNeeded")),
    "unknown_status": Fault(about="a status that nobody knows", published=_published(status="Splendid")),
    "rolled_back": Fault(about="collateral of an older evaluation", published=_published(evaluation=18)),
    "older_lists": Fault(about="older lists of what was revoked", published=_published(crl_number=0)),
    "platform_signed": Fault(about="a platform signed the collateral", published=_published(signed_by="platform")),
    "authority_signed": Fault(about="the platforms' authority signed the collateral", published=_published(signed_by="ca")),
    "other_pce": Fault(about="of another provisioning enclave", published=_published(pce_id="0001")),
    "other_tcb_type": Fault(about="compared in another way", published=_published(tcb_type=1)),
    "qe_needs_configuration": Fault(
        about="settings of the quoting enclave are unsafe", published=_published(qe_status="ConfigurationNeeded")
    ),
}

_ANSWERS = {
    "chat_redirect": Fault(about="the chat is somewhere else", chat_answered=Answer(307, {"location": ELSEWHERE})),
    "plaintext_chunk": Fault(about="one text comes in clear", sealed=_envelope(lambda _, channel: channel.last)),
    "plaintext_reply": Fault(about="all texts come in clear", sealed=_in_clear),
    "plaintext_reasoning": Fault(about="reasoning comes in clear", sealed=_adds(reasoning_content="Let me think.")),
    "plaintext_choice": Fault(about="a second choice comes in clear", sealed=_second_choice),
    "chunk_tag": Fault(about="the tag of an envelope is another one", sealed=_flipped(-1)),
    "chunk_text": Fault(about="the text of an envelope is another one", sealed=_flipped(77)),
    "chunk_nonce": Fault(about="the nonce of an envelope is another one", sealed=_flipped(65)),
    "chunk_key": Fault(about="the key of an envelope is no point of the curve", sealed=_flipped(64)),
    "chunk_short": Fault(about="an envelope is too short", sealed=_envelope(lambda envelope, _: envelope[:184])),
    "chunk_odd": Fault(about="an envelope has an odd digit", sealed=_envelope(lambda envelope, _: envelope + "0")),
    "chunk_prefix": Fault(about="an envelope begins otherwise", sealed=_envelope(lambda envelope, _: "02" + envelope[2:])),
    "chunk_other_key": Fault(about="an envelope is for somebody else", sealed=_envelope(_for_another)),
    "upper_case": Fault(about="harmless: an envelope in capitals", sealed=_envelope(lambda envelope, _: envelope.upper())),
    "replayed_chunk": Fault(about="a chunk comes twice", sealed=_repeated),
    "role_in_clear": Fault(about="the role is a text", sealed=_adds(role="user")),
    "role_of_text": Fault(about="the role is an answer in clear", sealed=_adds(role="The door is behind the third arch.")),
    "name_in_clear": Fault(about="a field's name is an answer in clear", sealed=_adds(**{"The door is behind the arch": 0})),
    "id_in_clear": Fault(about="the id is an answer in clear", sealed=_says_in_clear(id="The door is behind the third arch.")),
    "id_in_a_delta": Fault(
        about="an id stands where none is, and is an answer", sealed=_adds(id="The door is behind the arch.")
    ),
    "model_in_clear": Fault(
        about="the model's name is an answer in clear", sealed=_says_in_clear(model="behind the third arch")
    ),
    "object_in_clear": Fault(about="the object is an answer in clear", sealed=_says_in_clear(object="behind the third arch")),
    "time_in_clear": Fault(about="the time is an answer in clear", sealed=_says_in_clear(created="behind the third arch")),
    "odd_blanks": Fault(about="blanks spell a message", sealed=_adds(reasoning_content="\u2003\u2009\u2003\u00a0")),
    "other_name": Fault(about="harmless: the model calls itself otherwise", sealed=_says_in_clear(model="upstream/other")),
    "tool_call_in_clear": Fault(
        about="a tool is called in clear",
        sealed=_adds(
            tool_calls=[{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        ),
    ),
    "refusal_in_clear": Fault(about="a refusal comes in clear", sealed=_adds(refusal="I will not.")),
    "logprobs_in_clear": Fault(about="log probabilities come in clear", sealed=_adds_logprobs),
    "downgraded": Fault(about="the answer says that it is not encrypted", sealed=_downgraded),
}

_SIGNATURES = {
    "signature_signer": Fault(about="somebody else signed", attested=_other_signer),
    "signature_text": Fault(about="the signed text was edited", attested=_edited_text),
    "signature_request": Fault(about="it is of another answer", attested=_of_another_answer),
    "signature_relabelled": Fault(about="it is a good one of another answer, under this one's id", signed=_another_answer),
    "signature_zero_r": Fault(about="r is zero", attested=_numbers(r=0)),
    "signature_zero_s": Fault(about="s is zero", attested=_numbers(s=0)),
    "signature_large_r": Fault(about="r is the order of the curve", attested=_numbers(r=_ORDER)),
    "signature_large_s": Fault(about="s is the order of the curve", attested=_numbers(s=_ORDER)),
}

FAULTS: Final[dict[str, Fault]] = {
    **_CLAIMS,
    **_QUOTES,
    **_LOGS,
    **_LEFT_OUT,
    **_GPUS,
    **_COLLATERAL,
    **_ANSWERS,
    **_SIGNATURES,
}
"""The attacks by their names."""
