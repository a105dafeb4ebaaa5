"""The command line: `gluonfr COMMAND ...`. The module of a command is imported only when the command runs."""

from __future__ import annotations

import importlib
import logging
import re
import sys
from argparse import SUPPRESS, Action, ArgumentParser, RawDescriptionHelpFormatter
from typing import Sequence

from gluonfr.cli.commands import COMMANDS, GROUPS
from gluonfr.cli.dash_values import protect_values
from gluonfr.core import GluonFRError, describe_os_error
from gluonfr.core.compat import mxnet_problem
from gluonfr.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; by default that of the process.

    Returns
    -------
    int
        0 on success, 1 when something was left out, 2 for a mistake of the caller, 130 after an interruption.

    Examples
    --------
    >>> from gluonfr.cli import main
    >>> main(["models"])  # doctest: +SKIP
    0
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command, chosen = _command_name(arguments), None
    try:
        parser, chosen = _parser(arguments)
        options = parser.parse_args(arguments if chosen is None else protect_values(arguments, chosen))
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        module = importlib.import_module(f"gluonfr.cli.{COMMANDS[options.command].module}")
        return module.run(options) or 0
    except ImportError as error:
        if str(error) != mxnet_problem():
            raise
        message, status = str(error), 2
    except KeyboardInterrupt:
        message, status = "interrupted; no partial files were left.", 130  # the status that shells expect after Ctrl-C
    except GluonFRError as error:
        message, status = str(error), 2
        if chosen is not None:
            message += _option_hint(message, chosen)
    except OSError as error:
        message, status = describe_os_error(error), 2
    print(f"gluonfr {command}: {message}", file=sys.stderr)
    return status


def _command_name(arguments: Sequence[str]) -> str | None:
    return next((word for word in arguments if not word.startswith("-")), None)


def _parser(arguments: Sequence[str]) -> tuple[ArgumentParser, ArgumentParser | None]:
    """Return the parser of all commands, and that of the command in `arguments`, the only one with its options."""
    parser = ArgumentParser(
        prog="gluonfr",
        usage="gluonfr [-h] [--version] COMMAND ...",
        description=f"Face recognition with Apache MXNet/Gluon.\n\n{_overview()}",
        epilog="Run `gluonfr COMMAND --help` for the options of a command and an example.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gluonfr {__version__}")
    commands = parser.add_subparsers(prog="gluonfr", dest="command", metavar="COMMAND", required=True, help=SUPPRESS)
    name = _command_name(arguments)
    chosen = None
    for command in COMMANDS.values():
        sub = commands.add_parser(command.name, formatter_class=_HelpFormatter)
        sub.description = f"{command.summary[0].upper()}{command.summary[1:]}."
        sub.epilog = f"example:\n  {command.example}"
        if command.name == name:
            chosen = sub
            importlib.import_module(f"gluonfr.cli.{command.module}").add_arguments(sub)
            # `gluonfr train` starts the processes of a distributed run with the same words.
            sub.set_defaults(typed=list(arguments))
    return parser, chosen


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = []
    for group, commands in GROUPS.items():
        lines += [f"{group}:", *(f"  {command.name:{width}}  {command.summary}" for command in commands), ""]
    return "\n".join(lines)


def _option_hint(message: str, parser: ArgumentParser) -> str:
    """Return a sentence with the options for the arguments that a message of the library names as `name=value`."""
    named = dict.fromkeys(re.findall(r"\b([a-z][a-z0-9_]*)=", message))
    options = re.findall(r"--[a-z][a-z0-9-]*", parser.format_help())
    hints = [option for option in (f"--{name.replace('_', '-')}" for name in named) if option in options]
    return f" On the command line: {', '.join(hints)}." if hints else ""


class _HelpFormatter(RawDescriptionHelpFormatter):
    """Adds the default of an option to its help."""

    def _get_help_string(self, action: Action) -> str | None:
        default = action.default
        if "default" in (action.help or "") or default is None or default is False or default in (SUPPRESS, "", (), {}):
            return action.help
        shown = ",".join(f"{value:g}" for value in default) if isinstance(default, (list, tuple)) else default
        return f"{action.help} (default: {shown})"
