"""`TeeOptions`, the options of confidential compute, and the types of its fields."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Protocol, TypeAlias, cast, get_args, runtime_checkable

from ..exceptions import InvalidRequestError
from ..types.attestation import Level as Level  # noqa: PLC0414  # users import it from here

Verification: TypeAlias = Literal["auto", "server", "quote", "hardware", "pinned"]
GpuPolicy: TypeAlias = Literal["verify-if-present", "require", "nras", "off"]
SignaturePolicy: TypeAlias = Literal["off", "try", "require"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
ROLES: Final = ("system", "developer", "user", "assistant", "tool")
TCB_STATUSES: Final = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "TDRelaunchAdvisedConfigurationNeeded",
)
"""The statuses of Intel's TCB levels that a caller can accept. `Revoked` cannot be accepted."""

INTEL_ROOT_SHA256: Final = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
"""SHA-256 of the DER form of the Intel SGX Root CA."""
NVIDIA_ROOT_SHA256: Final = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"
"""SHA-256 of the DER form of the NVIDIA Device Identity CA."""

_HEX = re.compile(r"[0-9a-f]*")


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
    if not text or not _HEX.fullmatch(text) or len(text) != (digits or len(text) + len(text) % 2):
        raise InvalidRequestError(f"{name}={value!r} must be {digits or 'an even number of'} hex digits")
    return text


@dataclass(frozen=True, slots=True)
class TrustRoots:
    """What certificate chains must end in. Anything but the default is for tests, and reports say `custom`.

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


OS_PINS: Final = ("mrtd", "rtmr1", "rtmr2")
"""What firmware, kernel and file system are measured into."""


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
        _kind("is_dev", self.is_dev, bool, "True or False")


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
                allowed = frozenset(_hex(f"pins.{name}", each, digits) for each in _strings(f"pins.{name}", value))
                if not allowed:
                    raise InvalidRequestError(f"pins.{name} is empty, so that nothing could pass; leave it out to allow any")
                object.__setattr__(self, name, allowed)
        missing = [name for name in OS_PINS if getattr(self, name) is None]
        if self.compose_hash is None and self.rtmr3 is None:
            missing.append("compose_hash (or rtmr3)")
        if missing:
            raise InvalidRequestError(
                f"pins must also name {', '.join(missing)}: mrtd, rtmr1 and rtmr2 are the operating system, compose_hash or "
                "rtmr3 what it started, and everything else is stated by software that only these measure"
            )

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
        if self.nonce is not None:
            object.__setattr__(self, "nonce", _hex("nonce", self.nonce, 64))
        _one_of("verification", self.verification, get_args(Verification))
        _one_of("gpu", self.gpu, get_args(GpuPolicy))
        _one_of("verify_signature", self.verify_signature, get_args(SignaturePolicy))
        object.__setattr__(self, "tcb_statuses", _statuses(self.tcb_statuses))
        object.__setattr__(self, "encrypt_roles", _roles(self.encrypt_roles))
        object.__setattr__(self, "os_images", _images(self.os_images))
        self._check_objects()
        self._check_numbers()
        self._check_level()

    def _check_level(self) -> None:
        if self.verification == "pinned" and self.pins is None:
            raise InvalidRequestError("verification='pinned' needs pins=MeasurementPins(...): what may run in the enclave")
        if self.verification == "server" and (self.pins is not None or self.gpu in {"require", "nras"}):
            wanted = f"gpu={self.gpu!r}" if self.pins is None else "pins"
            raise InvalidRequestError(f"verification='server' looks at no evidence, so {wanted} could not be heeded")

    def _check_objects(self) -> None:
        _kind("pins", self.pins, MeasurementPins, "a MeasurementPins")
        _kind("trust", self.trust, TrustRoots, "a TrustRoots")
        _kind("allow_dev_image", self.allow_dev_image, bool, "True or False")
        if self.verifier is not None and not callable(getattr(self.verifier, "verify", None)):
            raise InvalidRequestError("verifier must have a method verify(attestation)")
        if not (
            self.collateral is None or isinstance(self.collateral, Mapping) or callable(getattr(self.collateral, "get", None))
        ):
            raise InvalidRequestError("collateral must be a mapping, or have a method get(fmspc, ca, now)")
        if not callable(self.clock):
            raise InvalidRequestError("clock must be a function that gives the time, as time.time does")

    def _check_numbers(self) -> None:
        _number("attestation_ttl", self.attestation_ttl, (int, float))
        _number("min_tcb_eval", self.min_tcb_eval, (int,))
        _number("allowed_td_attributes_mask", self.allowed_td_attributes_mask, (int,))
        if self.allowed_td_attributes_mask >> 64 or self.allowed_td_attributes_mask & 1:
            raise InvalidRequestError("allowed_td_attributes_mask must have 64 bits at most, without bit 0 (debug)")

    def replace(self, **changes: Any) -> TeeOptions:
        """These options with some fields changed."""
        return TeeOptions(**({each.name: getattr(self, each.name) for each in fields(self)} | changes))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a `QuoteVerifier` is given: the reply as Venice sent it, and the nonce that was asked with.

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


def _strings(name: str, value: Any) -> Iterable[Any]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable):
        raise InvalidRequestError(f"{name}={value!r} must be a set of strings")
    return cast("Iterable[Any]", value)


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise InvalidRequestError(f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")


def _kind(name: str, value: Any, kind: type, words: str) -> None:
    if not (isinstance(value, kind) or (value is None and name == "pins")):
        raise InvalidRequestError(f"{name}={value!r} must be {words}")


def _number(name: str, value: Any, kinds: tuple[type, ...]) -> None:
    good = isinstance(value, kinds) and not isinstance(value, bool)
    if not good or not 0 <= cast("float", value) < float("inf"):
        raise InvalidRequestError(f"{name}={value!r} must be a {'whole ' if kinds == (int,) else ''}number, 0 or above")


def _statuses(value: Any) -> frozenset[str]:
    statuses = frozenset(_strings("tcb_statuses", value))
    for status in statuses:
        _one_of("tcb_statuses", status, TCB_STATUSES)
    if not statuses:
        raise InvalidRequestError("tcb_statuses is empty, so that no platform could pass")
    return statuses


def _images(value: Any) -> tuple[OsImage, ...]:
    images = tuple(cast("Iterable[Any]", value)) if isinstance(value, Iterable) else (value,)
    for image in images:
        _kind("os_images", image, OsImage, "some OsImage")
    return images


def _roles(value: Any) -> Any:
    if value == "all":
        return value
    roles = tuple(_strings("encrypt_roles", value))
    for role in roles:
        _one_of("encrypt_roles", role, ROLES)
    if not roles:
        raise InvalidRequestError("encrypt_roles is empty, so that nothing would be sealed")
    return roles
