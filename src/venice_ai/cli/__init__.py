"""The command `venice-chat`. Its packages are an extra: `pip install 'venice-chat[cli]'`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command and leaves the interpreter with its exit code; 2 if the extra `cli` is not installed."""
    try:
        sys.exit(_run())
    except KeyboardInterrupt:  # also while modules are imported
        print("venice-chat: stopped", file=sys.stderr)
        sys.exit(130)


def _run() -> int:
    try:
        import click as click
    except ModuleNotFoundError:
        print("venice-chat: the command needs its extra: pip install 'venice-chat[cli]'", file=sys.stderr)
        return 2
    try:
        from .app import run

        return run(sys.argv[1:])
    except ImportError:  # another distribution has written over our modules
        from .._core.packages import remedy, rivals

        if not (found := rivals()):
            raise
        print(f"venice-chat: {' and '.join(found)} overwrote a part of it; {remedy(found)}", file=sys.stderr)
        return 1
