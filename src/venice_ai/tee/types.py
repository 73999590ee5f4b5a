"""`TeeOptions`, the options of confidential compute, the types of its fields, and all that an attestation is judged by."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, cast, get_args, runtime_checkable

from ..exceptions import InvalidRequestError
from ..types.attestation import LEVELS as LEVELS  # noqa: PLC0414  # users import both from here
from ..types.attestation import Level as Level  # noqa: PLC0414

# From the least to the most. `auto` accepts no less than `quote`, but runs every further check that can run.
Verification: TypeAlias = Literal["server", "auto", "quote", "hardware", "pinned"]
GpuPolicy: TypeAlias = Literal["off", "verify-if-present", "require", "nras"]
SignaturePolicy: TypeAlias = Literal["off", "try", "require"]

ROLES: Final = ("system", "developer", "user", "assistant", "tool")
TCB_STATUSES: Final = (
    *("UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate"),
    *("OutOfDateConfigurationNeeded", "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"),
)
"""The statuses of Intel's TCB levels that a caller can accept. `Revoked` cannot be accepted."""

INTEL_ROOT_SHA256: Final = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
"""SHA-256 of the DER form of the Intel SGX Root CA."""
NVIDIA_ROOT_SHA256: Final = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"
"""SHA-256 of the DER form of the NVIDIA Device Identity CA."""
END_OF_TIME: Final = 2**37  # the year 6325, in seconds since 1970; beyond it the calendars of some systems end


@runtime_checkable
class QuoteVerifier(Protocol):
    """A further check of the caller's own. It can refuse what the built-in checks accept, never the reverse."""

    def verify(self, attestation: Any, /) -> bool | Awaitable[bool]:
        """True, and nothing else, accepts. `attestation` is an `Evidence`."""
        ...


FullQuoteVerifier = QuoteVerifier


@runtime_checkable
class CollateralProvider(Protocol):
    """Provides Intel's collateral in place of Intel's servers. It is verified all the same."""

    def get(self, fmspc: str, ca: str, now: float, /) -> Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None:
        """The collateral of a platform (`fmspc`: 12 hex digits; `ca`: platform or processor) at `now`; None if none."""
        ...


def _hex(name: str, value: Any, digits: int | None) -> str:
    text = value.lower() if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9a-f]+", text) or len(text) != (digits or len(text) + len(text) % 2):
        raise InvalidRequestError(f"{name}={value!r} must be {digits or 'an even number of'} hex digits")
    return text


_Rule: TypeAlias = tuple[Callable[[Any], bool], str]
"""Which values are allowed, and that in words."""
_FLAG: Final[_Rule] = (lambda value: isinstance(value, bool), "True or False")


def _one_of(*allowed: str) -> _Rule:
    return lambda value: isinstance(value, str) and value in allowed, f"one of {', '.join(map(repr, allowed))}"


def _has_method(name: str) -> Callable[[Any], bool]:
    return lambda value: value is None or callable(getattr(value, name, None))


def _is_number(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= cast("float", value) < inf


def _check(name: str, value: Any, rule: _Rule) -> None:
    if not rule[0](value):
        raise InvalidRequestError(f"{name}={value!r} must be {rule[1]}")


def _each(name: str, value: Any, otherwise: str | None = None) -> tuple[Any, ...]:
    """Some values, or one that is given alone. With `otherwise`, which says why, there must be one."""
    values: tuple[Any, ...] = (value,)
    if isinstance(value, Iterable) and not isinstance(value, str):
        values = tuple(cast("Iterable[Any]", value))
    if not values and otherwise:
        raise InvalidRequestError(f"{name} is empty, so that {otherwise}")
    return values


@dataclass(frozen=True, slots=True)
class TrustRoots:
    """The root certificates that chains must end in. Anything but the default is for tests, and reports say `custom`.

    Args:
        intel_root_der: the root certificate of the quotes, DER; None is the pinned Intel SGX Root CA.
        nvidia_root_sha256: SHA-256 (64 hex digits) of the DER form of the root certificate of the GPUs.

    Raises:
        InvalidRequestError: not bytes, or not 64 hex digits.
    """

    intel_root_der: bytes | None = None
    nvidia_root_sha256: str = NVIDIA_ROOT_SHA256

    def __post_init__(self) -> None:
        if self.intel_root_der is not None and not (isinstance(self.intel_root_der, bytes) and self.intel_root_der):
            raise InvalidRequestError("intel_root_der must be the bytes of a certificate (DER), or None")
        object.__setattr__(self, "nvidia_root_sha256", _hex("nvidia_root_sha256", self.nvidia_root_sha256, 64))

    @property
    def name(self) -> Literal["intel", "custom"]:
        """`intel` for the pinned roots, `custom` for any other."""
        return "intel" if self == INTEL_AND_NVIDIA else "custom"


INTEL_AND_NVIDIA: Final = TrustRoots()
"""The pinned roots of Intel and NVIDIA."""

_PIN_DIGITS = {
    **dict.fromkeys(("mrtd", "mrseam", "rtmr0", "rtmr1", "rtmr2", "rtmr3"), 96),
    **dict.fromkeys(("os_image_hash", "compose_hash"), 64),
    "app_id": 40,
    "kms_root": None,
}
OS_PINS: Final = ("mrtd", "rtmr1", "rtmr2")  # what firmware, kernel and file system are measured into


@dataclass(frozen=True, slots=True)
class OsImage:
    """An operating system image and what it is measured as, all in hex.

    Args:
        os_image_hash: what the event log names, and what can be recomputed from the image.
        mrtd: the firmware.
        rtmr1: the kernel.
        rtmr2: its command line, and with it the file system.
        is_dev: whether it was made for development, so that its operator can log in.
        name: what reports call it.

    Raises:
        InvalidRequestError: a value is not hex of its length.
    """

    os_image_hash: str
    mrtd: str
    rtmr1: str
    rtmr2: str
    is_dev: bool
    name: str = ""

    def __post_init__(self) -> None:
        for name in ("os_image_hash", *OS_PINS):
            object.__setattr__(self, name, _hex(name, getattr(self, name), _PIN_DIGITS[name]))
        _check("is_dev", self.is_dev, _FLAG)


@dataclass(frozen=True, slots=True)
class MeasurementPins:
    """The software a caller accepts: for each field a set of allowed values in hex; None allows any.

    `mrtd`, `rtmr1` and `rtmr2` are needed, for they are the operating system, and so is `compose_hash` or `rtmr3`, which are
    what it started: all the rest is stated by software that only these identify. `rtmr0` varies with
    the shape of the machine, `rtmr3` with the instance. `kms_root` is the key (DER) that the key provider names in the log.

    Raises:
        InvalidRequestError: a value is not hex of its length, a set is empty, or what is pinned leaves the software open.
    """

    mrtd: frozenset[str] | None = None
    mrseam: frozenset[str] | None = None
    rtmr0: frozenset[str] | None = None
    rtmr1: frozenset[str] | None = None
    rtmr2: frozenset[str] | None = None
    rtmr3: frozenset[str] | None = None
    os_image_hash: frozenset[str] | None = None
    compose_hash: frozenset[str] | None = None
    app_id: frozenset[str] | None = None
    kms_root: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for name, digits in _PIN_DIGITS.items():
            value = getattr(self, name)
            if value is not None:
                allowed = _each(f"pins.{name}", value, "nothing could pass; leave it out to allow any")
                object.__setattr__(self, name, frozenset(_hex(f"pins.{name}", each, digits) for each in allowed))
        missing = [name for name in OS_PINS if getattr(self, name) is None]
        if self.compose_hash is None and self.rtmr3 is None:
            missing.append("compose_hash (or rtmr3)")
        if missing:
            why = "mrtd, rtmr1 and rtmr2 are the operating system, compose_hash or rtmr3 what it started"
            rest = "everything else is stated by software that only these measure"
            raise InvalidRequestError(f"pins must also name {', '.join(missing)}: {why}, and {rest}")

    def sets(self) -> dict[str, frozenset[str]]:
        """The fields that are pinned, with what they allow."""
        return {name: value for name in _PIN_DIGITS if (value := getattr(self, name)) is not None}

    def to_dict(self) -> dict[str, list[str]]:
        """The pins as JSON has them."""
        return {name: sorted(allowed) for name, allowed in self.sets().items()}

    @classmethod
    def from_dict(cls, pins: Mapping[str, Any]) -> MeasurementPins:
        """The pins in a JSON object: each field a string or a list of strings.

        Raises:
            InvalidRequestError: an unknown field or a wrong value.
        """
        if unknown := [str(name) for name in pins if name not in _PIN_DIGITS]:
            raise InvalidRequestError(f"pins have no field {unknown[0]!r}; there are {', '.join(_PIN_DIGITS)}")
        return cls(**pins)


_SEVERAL: Final[dict[str, tuple[type, _Rule, str | None]]] = {
    "tcb_statuses": (frozenset, _one_of(*TCB_STATUSES), "no platform could pass"),
    "os_images": (tuple, (lambda value: isinstance(value, OsImage), "some OsImage"), None),
    "encrypt_roles": (tuple, _one_of(*ROLES), "nothing would be sealed"),
}
"""The options that hold several values: in what, the rule for each of them, and why there must be one."""
_OPTIONS: Final[dict[str, _Rule]] = {
    "verifier": (_has_method("verify"), "an object with a method verify(attestation)"),
    "verification": _one_of(*get_args(Verification)),
    "collateral": (_has_method("get"), "a mapping, or an object with a method get(fmspc, ca, now)"),
    "min_tcb_eval": (lambda value: _is_number(value, int), "a whole number, 0 or above"),
    "allowed_td_attributes_mask": (
        lambda value: type(value) is int and not value >> 64 and not value & 1,
        "64 bits at most, without bit 0 (debug)",
    ),
    "gpu": _one_of(*get_args(GpuPolicy)),
    "pins": (lambda value: value is None or isinstance(value, MeasurementPins), "a MeasurementPins"),
    "allow_dev_image": _FLAG,
    "attestation_ttl": (lambda value: _is_number(value, int, float), "a number, 0 or above"),
    "verify_signature": _one_of(*get_args(SignaturePolicy)),
    "trust": (lambda value: isinstance(value, TrustRoots), "a TrustRoots"),
    "clock": (callable, "a function that gives the time, as time.time does"),
}


@dataclass(frozen=True, slots=True)
class TeeOptions:
    """What to demand of an enclave before anything is sent to it.

    Args:
        nonce: 64 hex digits that the attestation must answer, instead of random ones. It is used once: nothing is taken
            from or put into the cache, and nothing is retried.
        verifier: a further check of your own; it makes things stricter, never looser. It may be async.
        verification: the level to reach. `auto` runs every check that can run, raises for each that fails, and warns
            when the evidence or the tools for a level are missing. `server`, `quote`, `hardware` and `pinned` refuse less.
        collateral: Intel's collateral, or where to get it; None asks Intel, without your key.
        tcb_statuses: the statuses of Intel's TCB levels to accept, of `TCB_STATUSES`.
        min_tcb_eval: the lowest evaluation number of collateral to accept.
        allowed_td_attributes_mask: TD attribute bits that may be set besides SEPT_VE_DISABLE (little-endian: bit 28 is
            SEPT_VE_DISABLE). Debug (bit 0) cannot be allowed.
        gpu: `verify-if-present`, `require` (evidence must be there), `nras` (NVIDIA's service is asked, too) or `off`.
        pins: the software to accept; reaching them is the level `pinned`.
        allow_dev_image: False refuses operating system images made for development, and those that are not known, both of
            which are reported in any case.
        os_images: images to know besides those that come with this package.
        encrypt_roles: the roles whose messages are sealed: `all`, or some of `ROLES`.
        attestation_ttl: seconds that a verified key is used for further requests; 0 attests every request.
        verify_signature: whether to fetch and verify the signature of an answer: `off`, `try` or `require`. `require` accepts
            an answer only if the bytes that came are the signed ones. Venice frames answers anew, so that no answer of its
            service has met that, and each raises `TeeEncryptionError`; a server that passes the enclave's bytes on meets it.
        trust: the roots of trust; another one than the default is for tests only.
        clock: gives the time in seconds since 1970 that certificates and collateral are judged at.

    Raises:
        InvalidRequestError: a value that cannot be right.
    """

    nonce: str | None = None
    verifier: QuoteVerifier | None = None
    verification: Verification = "auto"
    collateral: CollateralProvider | Mapping[str, Any] | None = None
    tcb_statuses: frozenset[str] = frozenset({"UpToDate"})
    min_tcb_eval: int = 19
    allowed_td_attributes_mask: int = 0
    gpu: GpuPolicy = "verify-if-present"
    pins: MeasurementPins | None = None
    allow_dev_image: bool = True
    os_images: tuple[OsImage, ...] = ()
    encrypt_roles: Literal["all"] | tuple[str, ...] = "all"
    attestation_ttl: float = 300.0
    verify_signature: SignaturePolicy = "off"
    trust: TrustRoots = INTEL_AND_NVIDIA
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        for name, rule in _OPTIONS.items():
            _check(name, getattr(self, name), rule)
        if self.nonce is not None:
            object.__setattr__(self, "nonce", _hex("nonce", self.nonce, 64))
        for name, (holder, rule, otherwise) in _SEVERAL.items():
            if (name, value := getattr(self, name)) == ("encrypt_roles", "all"):
                continue
            for each in (values := _each(name, value, otherwise)):
                _check(name, each, rule)
            object.__setattr__(self, name, holder(values))
        if self.verification == "pinned" and self.pins is None:
            raise InvalidRequestError("verification='pinned' needs pins=MeasurementPins(...): what may run in the enclave")
        if self.verification == "server" and (self.pins is not None or self.gpu in {"require", "nras"}):
            option = f"gpu={self.gpu!r}" if self.pins is None else "pins"
            raise InvalidRequestError(f"verification='server' looks at no evidence, so {option} has no effect; leave one out")

    def replace(self, **changes: Any) -> TeeOptions:
        """These options with some fields changed."""
        return TeeOptions(**({each.name: getattr(self, each.name) for each in fields(self)} | changes))


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for a `QuoteVerifier`: the reply as Venice sent it, and the nonce that was asked with.

    Nothing here but `sent_nonce` and `sent_model` is more than a claim; the built-in checks have run before.
    """

    reply: Mapping[str, Any]
    sent_nonce: str
    sent_model: str

    def __getattr__(self, name: str) -> Any:
        """A field of the reply by its name; None if it is not there."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self.reply.get(name)

    def __getitem__(self, name: str) -> Any:
        return self.reply[name]


@dataclass(frozen=True, slots=True)
class Seen:
    """The numbers that Intel's collateral had before. It never goes back to a lower one."""

    tcb_eval: int = 0
    revocation_lists: Mapping[str, int] = field(default_factory=dict[str, int])
    """By their issuer: `root`, `platform`, `processor`."""
    where: str = ""  # the file that these are kept in

    @property
    def words(self) -> str:
        """A clause for errors about a number that was seen before: the file that it is stored in."""
        return f", which was seen before{f' (kept in {self.where})' if self.where else ''}"


class Documents(NamedTuple):
    """The answer of NVIDIA's service about some evidence, and the keys that it publishes: JSON, byte by byte."""

    answer: bytes
    keys: bytes
    root_sha256: str | None = None
    """The root that keys from a file must chain to; `None` for keys that came from the service's address just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedEvidence:
    """The evidence that an attestation is judged by: request, reply, time, and what was known before."""

    model: str
    nonce: bytes  # the 32 bytes that were asked with
    reply: bytes  # the reply of `/tee/attestation`, byte by byte
    now: float  # the time to judge at, in seconds since 1970
    collateral: Mapping[str, Any] | str | None = None  # Intel's collateral. If it is missing: `None`, or the reason.
    nras: Documents | str | None = None  # what NVIDIA's service answered, or why it did not; `None` if it was not to be asked
    used_nonce: bool = False  # whether this process used the nonce before
    private: bool = True  # whether the reply came over TLS, or from this machine
    known_server: bool = True  # whether TLS showed whose server it is; without that no level above `server` is reached
    seen: Seen | None = None  # the highest numbers of Intel's collateral that were seen
    shown_before: Collection[str] = ()  # what `attestation.shown` gave for earlier reports on the model
