"""Confidential compute to test against: keys, quotes, collateral, GPUs, sealed answers, and every attack on them."""

from venice_ai.tee import extra as extra

from .enclave import Enclave
from .faults import FAULTS, Fault

__all__ = ["FAULTS", "Enclave", "Fault"]
