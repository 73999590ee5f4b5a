"""Runs the rules of an attestation, each of which becomes a `Check` in the report.

A rule returns what it found, or raises: a ValueError for what is wrong, `CheckWarning` or `CheckSkipped`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ..types.attestation import Check, Status

NOT_REACHED: Final = "not reached, because of the check that failed"


class CheckWarning(Exception):  # it is not an error
    """Raised by a rule: nothing is wrong, but something is not proved. The check is a warning."""


class CheckSkipped(Exception):  # it is not an error
    """Raised by a rule: the evidence has a form that is not known here. The check is skipped."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Makes checks, each with the attack that it stops."""

    stops: Mapping[str, str]

    def __call__(self, name: str, status: Status, detail: str) -> Check:
        """A check whose outcome is known."""
        return Check(name, status, detail, self.stops[name])

    def run(self, name: str, rule: Callable[[], str]) -> Check:
        """The check that a rule makes."""
        try:
            return self(name, "pass", rule())
        except CheckWarning as doubt:
            return self(name, "warn", str(doubt))
        except CheckSkipped as unchecked:
            return self(name, "skip", str(unchecked))
        except ValueError as error:
            return self(name, "fail", str(error))
        except Exception as error:  # noqa: BLE001  # whatever evidence does to a check, it has not passed it
            return self(name, "fail", f"it could not be examined ({type(error).__name__})")
