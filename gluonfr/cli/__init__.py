"""The command line: `gluonfr COMMAND ...`. The module of a command is imported only when the command runs."""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import re
import sys
import traceback
from argparse import SUPPRESS, Namespace, RawDescriptionHelpFormatter
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import Any, Iterator, Sequence, TextIO

from gluonfr.cli.commands import COMMANDS, GROUPS
from gluonfr.cli.dash_values import protect_values
from gluonfr.cli.parser import CommandParser
from gluonfr.core import GluonFRError, UsageError, describe_os_error, display_lines
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
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command, chosen = _command_name(arguments), None
    prefix = "gluonfr" if command not in COMMANDS else f"gluonfr {command}"
    try:
        parser, chosen = _parser(arguments)
        if chosen is not None:
            arguments = protect_values(arguments, chosen)
            chosen.check_options(arguments)
        options, unknown = parser.parse_known_args(arguments)
        if unknown:
            (chosen or parser).error(f"unexpected argument {unknown[0]!r}")
        module = importlib.import_module(f"gluonfr.cli.{COMMANDS[options.command].module}")
        with _output(options):
            return module.run(options) or 0
    except (ImportError, KeyboardInterrupt, GluonFRError, OSError) as error:
        message, status = _describe(error, chosen)
        if "--verbose" in arguments:
            traceback.print_exc()
    print(f"{prefix}: {display_lines(message)}", file=sys.stderr)
    return status


def _describe(error: BaseException, parser: CommandParser | None) -> tuple[str, int]:
    """Return the sentence and the exit status for an error of a command; an unexpected one is raised again."""
    if isinstance(error, KeyboardInterrupt):
        # 130 is the status that shells expect after Ctrl-C.
        return f"interrupted; {error.args[0] if error.args else 'no partial files were left'}.", 130
    if isinstance(error, GluonFRError):
        return str(error) + (_option_hint(str(error), parser) if parser else ""), 2
    if isinstance(error, OSError):
        return describe_os_error(error), 2
    if str(error) != mxnet_problem():
        raise error
    return str(error), 2


@contextmanager
def _output(options: Namespace) -> Iterator[None]:
    """Show as much of the log and of progress as `--quiet` and `--verbose` ask for."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    level = logging.WARNING if options.quiet else logging.DEBUG if options.verbose else logging.INFO
    logging.getLogger("gluonfr").setLevel(level)
    with redirect_stderr(_NoTerminal(sys.stderr)) if options.quiet else nullcontext():
        yield


class _Formatter(logging.Formatter):
    """Escapes control characters, as names in files of unknown origin may contain them."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the name is that of logging)
        record.message = display_lines(record.message)
        return super().formatMessage(record)


class _NoTerminal:
    """A stream that does not report itself as a terminal, so that no progress bars are drawn on it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return False


def _complete() -> None:
    """Answer a shell that asks for completions, and exit; see `argcomplete`."""
    import argcomplete

    argcomplete.autocomplete(_parser(os.environ.get("COMP_LINE", "").split()[1:])[0])


def _command_name(arguments: Sequence[str]) -> str | None:
    return next((word for word in arguments if not word.startswith("-")), None)


def _parser(arguments: Sequence[str]) -> tuple[CommandParser, CommandParser | None]:
    """Return the parser of all commands, and that of the command in `arguments`, the only one with its options."""
    parser = CommandParser(
        prog="gluonfr",
        usage="gluonfr [-h] [--version] COMMAND ...",
        description=f"Face recognition with Apache MXNet/Gluon.\n\n{_overview()}",
        epilog="Run `gluonfr COMMAND --help` for the options of a command and an example.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gluonfr {__version__}")
    commands = parser.add_subparsers(prog="gluonfr", dest="command", metavar="COMMAND", required=True, help=SUPPRESS)
    name = _command_name(arguments)
    if name is not None and name not in COMMANDS and "_ARGCOMPLETE" not in os.environ:
        nearest = difflib.get_close_matches(name, COMMANDS, 1, 0.5)
        hint = f": did you mean {nearest[0]!r}? " if nearest else "; "
        raise UsageError(f"unknown command {name!r}{hint}`gluonfr --help` lists all commands.")
    chosen = None
    for command in COMMANDS.values():
        sub = commands.add_parser(command.name, help=command.summary)
        sub.description = f"{command.summary[0].upper()}{command.summary[1:]}."
        sub.epilog = f"example:\n  {command.example}"
        if command.name == name:
            chosen = sub
            importlib.import_module(f"gluonfr.cli.{command.module}").add_arguments(sub)
            _add_output(sub)
            # `gluonfr train` starts the processes of a distributed run with the same words.
            sub.set_defaults(typed=list(arguments))
    return parser, chosen


def _add_output(parser: CommandParser) -> None:
    """Add `--quiet` and `--verbose`."""
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--quiet", action="store_true", help="print results and warnings only, no log and no progress")
    amount.add_argument("--verbose", action="store_true", help="print more of the log, and where an error was raised")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = []
    for group, commands in GROUPS.items():
        lines += [f"{group}:", *(f"  {command.name:{width}}  {command.summary}" for command in commands), ""]
    return "\n".join(lines)


def _option_hint(message: str, parser: CommandParser) -> str:
    """Return a sentence with the options for the arguments that a message of the library names as `name=value`."""
    named = dict.fromkeys(re.findall(r"\b([a-z][a-z0-9_]*)=", message))
    options = re.findall(r"--[a-z][a-z0-9-]*", parser.format_help())
    hints = [option for option in (f"--{name.replace('_', '-')}" for name in named) if option in options]
    return f" On the command line: {', '.join(hints)}." if hints else ""
