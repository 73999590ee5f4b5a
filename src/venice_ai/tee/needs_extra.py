"""Raises an ImportError that names the extra `e2ee` if it is missing. Modules that need the extra import this one first."""

from __future__ import annotations

from .extra import require_extra

require_extra()
