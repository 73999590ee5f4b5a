"""Checks that the packages of the extra `e2ee` are installed. Modules that need them import this one first."""

from __future__ import annotations

from importlib.util import find_spec


def require_extra() -> None:
    """Raises an ImportError that says how to install the extra `e2ee`, if it is missing."""
    if find_spec("cryptography") is None:
        why = "confidential compute needs the extra e2ee, which is not installed: pip install 'venice-chat[e2ee]'"
        raise ImportError(why, name="cryptography")


require_extra()
