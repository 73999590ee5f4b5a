"""This machine: which hosts are it, and where its user keeps what can be had again."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: an address, or `localhost` and names below it (RFC 6761, section 6.3), not looked up."""
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def cache_folder() -> Path | None:
    """The user's folder for what can be had again; None without platformdirs, which comes with the extras."""
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return None
    return user_cache_path("venice-chat", appauthor=False)
