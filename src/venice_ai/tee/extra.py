"""Checks that the packages of the extra `e2ee` are installed."""

from __future__ import annotations

from importlib.util import find_spec


def require_extra() -> None:
    """Raises before anything is sent if the extra `e2ee` is missing.

    Raises:
        ImportError: it is; the message says how to install it.
    """
    if find_spec("cryptography") is None:
        raise ImportError(
            "confidential compute needs the extra e2ee, which is not installed: pip install 'venice-chat[e2ee]'",
            name="cryptography",
        )
