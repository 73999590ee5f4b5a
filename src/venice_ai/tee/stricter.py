"""Merges the `TeeOptions` of a client, of a call and of the environment: each can demand more than the others, never less."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from itertools import chain
from typing import Any, Final, Literal, get_args

from ..exceptions import InvalidRequestError
from .types import INTEL_AND_NVIDIA, LEVELS, GpuPolicy, QuoteVerifier, SignaturePolicy, TeeOptions, Verification

MIN_LEVEL_VARIABLE: Final = "VENICE_TEE_MIN_LEVEL"


def effective(call: TeeOptions | None, client: TeeOptions | None, environment: Mapping[str, str]) -> TeeOptions:
    """The options that hold for a call."""
    options = stricter(call, client) if call and client else call or client or TeeOptions()
    least = environment.get(MIN_LEVEL_VARIABLE)
    if not least:
        return options
    if least not in LEVELS:
        raise InvalidRequestError(f"{MIN_LEVEL_VARIABLE}={least!r} must be one of {', '.join(map(repr, LEVELS))}")
    if least == "pinned" and options.pins is None:
        raise InvalidRequestError(f"{MIN_LEVEL_VARIABLE}='pinned' needs TeeOptions(pins=...): what may run in the enclave")
    return options.replace(verification=_most(Verification, least, options.verification))


def check_floor(floor: Literal["tee", "e2ee"] | None, options: TeeOptions) -> None:
    """Refuses options that look at no evidence for a client with `min_privacy`: Venice's own statement is not evidence."""
    if floor is not None and options.verification == "server":
        why = "verification='server' asks for Venice's own statement alone; leave one of them out"
        raise InvalidRequestError(f"min_privacy={floor!r} needs an enclave that was verified here, and {why}")


def stricter(call: TeeOptions, client: TeeOptions) -> TeeOptions:
    """The options of a call, raised to the client's wherever they demand less."""
    if call.trust not in (client.trust, INTEL_AND_NVIDIA):
        raise InvalidRequestError("the options of a call must not trust other roots than the client's")
    if call.pins is not None and client.pins is not None and call.pins != client.pins:
        raise InvalidRequestError("the options of a call must not pin other measurements than the client's")
    roles = call.encrypt_roles, client.encrypt_roles
    return call.replace(
        verification=_most(Verification, call.verification, client.verification),
        gpu=_most(GpuPolicy, call.gpu, client.gpu),
        verify_signature=_most(SignaturePolicy, call.verify_signature, client.verify_signature),
        tcb_statuses=call.tcb_statuses & client.tcb_statuses,
        min_tcb_eval=max(call.min_tcb_eval, client.min_tcb_eval),
        allowed_td_attributes_mask=call.allowed_td_attributes_mask & client.allowed_td_attributes_mask,
        allow_dev_image=call.allow_dev_image and client.allow_dev_image,
        # What a call knows besides, its client does not; and what it does not repeat, it does not take back.
        os_images=tuple(image for image in call.os_images or client.os_images if image in client.os_images),
        attestation_ttl=min(call.attestation_ttl, client.attestation_ttl),
        pins=call.pins or client.pins,
        trust=client.trust,
        encrypt_roles="all" if "all" in roles else tuple(dict.fromkeys(chain(*roles))),
        verifier=_both(call.verifier, client.verifier),
        collateral=client.collateral if call.collateral is None else call.collateral,
        clock=client.clock if call.clock is time.time else call.clock,
    )


def _most(policy: Any, *given: str) -> Any:
    return max(given, key=get_args(policy).index)


class _All(tuple[QuoteVerifier, ...]):
    """Verifiers of which each must accept."""

    __slots__ = ()

    async def verify(self, attestation: Any) -> bool:
        for verifier in self:
            answer = verifier.verify(attestation)
            if (await answer if inspect.isawaitable(answer) else answer) is not True:
                return False
        return True


def _each(verifier: QuoteVerifier | None) -> tuple[QuoteVerifier, ...]:
    return verifier if isinstance(verifier, _All) else () if verifier is None else (verifier,)


def identity(verifier: QuoteVerifier | None) -> tuple[int, ...]:
    """The identities of the verifiers that must accept, as a cache key."""
    return tuple(map(id, _each(verifier)))


def _both(one: QuoteVerifier | None, other: QuoteVerifier | None) -> QuoteVerifier | None:
    return one or other if one is None or other is None or one is other else _All((*_each(one), *_each(other)))
