"""The command `venice-chat`. Its packages are an extra: `pip install 'venice-chat[cli]'`."""

import sys

from ._signals import end


def main() -> None:
    """Runs the command and leaves the interpreter with its exit code, or by SIGINT after Ctrl-C; 2 without the extra `cli`."""
    try:
        code = _run()
    except KeyboardInterrupt:  # also while modules are imported
        print("venice-chat: stopped", file=sys.stderr)
        code = 130
    if code == 130 and sys.platform != "win32":  # else a loop in a shell goes on
        end()
    sys.exit(code)


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
