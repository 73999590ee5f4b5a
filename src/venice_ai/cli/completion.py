"""`venice-chat completion`: the script with which a shell completes commands, options, model ids and attacks."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from . import _options, _output


@click.command(epilog='\b\neval "$(venice-chat completion bash)"  # in ~/.bashrc')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes commands, options, model ids and attacks (--tee-fault)."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows all three"
    _output.line(kind(context.find_root().command, {}, "venice-chat", _options.COMPLETION_VARIABLE).source())
