"""The command with its subcommands, and the place where errors become messages and exit codes."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path

import click

from .._version import __version__
from . import _output, _signals
from ._errors import EXIT_CODES, code_of, did_you_mean, in_our_words, listed

_COMMANDS = {
    "chat": "Ask a model, or talk with it.",
    "sessions": "Look into the conversations that were kept.",
    "spend": "Sum what chats cost, by day and model.",
    "batch": "Answer a table, or an OpenAI batch file.",
    "models": "List the models and their prices.",
    "cost": "Estimate the cost of an answer.",
    "attest": "Verify that a model runs in an enclave.",
    "serve": "Start a Venice of your own, without key or network.",
    "gateway": "Serve programs that speak OpenAI's API.",
    "doctor": "Check the installation, the key and the connection.",
    "completion": "Print the completion script of a shell.",
}
COMPLETION_VARIABLE = "_VENICE_CHAT_COMPLETE"
_MODULES, _SETTINGS = {"spend": "sessions", "cost": "models", "completion": "app"}, {"help_option_names": ["-h", "--help"]}


class _Command(click.Group):
    """A group that imports its commands when they are used, and turns what they raise into an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            raise click.UsageError(f"there is no command {cmd_name!r}{did_you_mean(cmd_name, _COMMANDS)}", ctx)
        command: click.Command = getattr(import_module(f".{_MODULES.get(cmd_name, cmd_name)}", __package__), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Command, epilog=listed(EXIT_CODES), invoke_without_command=True, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="venice-chat")
@click.option("--debug", is_flag=True, expose_value=False, help="Show retries, and the traceback of errors.")
@click.pass_context
def app(context: click.Context) -> None:
    """Talk to language models in private.

    The key is read from VENICE_API_KEY. `venice-chat serve` starts a Venice of your own, which needs none.
    """
    if context.invoked_subcommand is None:
        _output.line(context.get_help())


@click.command(epilog='\b\neval "$(venice-chat completion bash)"  # in ~/.bashrc; of zsh in ~/.zshrc')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script with which SHELL completes commands, options, model ids and attacks (--tee-fault)."""
    _output.line(Path(__file__).with_name(f"completion.{shell}").read_text("utf-8"))


def run(arguments: list[str]) -> int:
    """Runs the command; gives the exit code."""
    _signals.handle(_signals.end)
    _output.prepare()
    # Warnings, and what the library logs, look like every other message of the command.
    logging.basicConfig(handlers=[_Notes()], level=logging.WARNING, format="%(message)s")
    if "--debug" in arguments:
        logging.getLogger("venice_ai").setLevel(logging.INFO)
    if not sys.warnoptions:
        warnings.showwarning = lambda warning, *_: _output.note(f"warning: {in_our_words(warning)}")  # pyright: ignore[reportUnknownLambdaType]
    if arguments[:1] in (["help"], ["version"]):
        arguments = [*arguments[1:], f"--{arguments[0]}"]
    try:
        if instruction := os.environ.get(COMPLETION_VARIABLE):
            from click.shell_completion import shell_complete

            return shell_complete(app, {"obj": arguments}, "venice-chat", COMPLETION_VARIABLE, instruction)
        with app.make_context("venice-chat", list(arguments), obj=arguments) as typed:
            return app.invoke(typed) or 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:  # `| head -1`: the reader has what it wanted
        _output.abandon_stdout()
        return 0
    except KeyboardInterrupt as stopped:
        return 130 if _signals.received else _output.tell(stopped, "stopped", 130, as_json="--json" in arguments)
    except Exception as error:  # noqa: BLE001  # our own are not imported yet
        return _failed(error, arguments)
    finally:
        for number in _signals.received:
            _signals.end(number)


def _failed(error: Exception, arguments: list[str]) -> int:
    """Tells of an error on stderr, with `--json` as a line of JSON, and gives its exit code; others than ours are raised."""
    from ..exceptions import VeniceError  # the help does without it

    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        code, text = error.exit_code, error.format_message()
        if isinstance(error, click.NoSuchOption) and context:
            known = (name for each in context.command.params for name in each.opts)
            text = f"there is no option {error.option_name!r}{did_you_mean(error.option_name, known)}"
        message = in_our_words(text) + (f"\nTry '{context.command_path} --help'." if context else "")
    elif isinstance(error, (VeniceError, OSError)):
        if "--debug" in arguments:
            traceback.print_exc()
        if not isinstance(error, VeniceError):  # a full disk, most likely
            _output.abandon_stdout()
        code, message = code_of(type(error)), in_our_words(error)
    else:
        raise error
    return _output.tell(error, message, code, as_json="--json" in arguments)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _output.note(in_our_words(self.format(record)))
