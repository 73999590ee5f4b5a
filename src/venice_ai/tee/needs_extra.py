"""Imported first where nothing works without the extra `e2ee`: the ImportError that names it, in place of one that does not."""

from __future__ import annotations

from .extra import require_extra

require_extra()
