"""The parsers of the commands: help with defaults and kinds of values, and suggestions for mistyped options."""

from __future__ import annotations

import difflib
from argparse import SUPPRESS, Action, ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, NoReturn, Sequence

# Kinds of values by option, where the type of the value is text.
_KINDS = {
    "augment": "NAME",
    "calibrate": "SET",
    "classifier": "KIND",
    "data": "SET,...",
    "dataset": "SET,...",
    "dtype": "TYPE",
    "ending": "TEXT",
    "host": "ADDRESS",
    "hosts": "HOST:N,...",
    "identities": "CSV",
    "loss": "NAME",
    "model": "MODEL",
    "name": "NAME",
    "network": "NAME",
    "optimizer": "NAME",
    "out": "PATH",
    "root": "FOLDER",
    "schedule": "NAME",
    "sync": "KIND",
    "template": "NAME",
    "title": "TEXT",
    "token": "SECRET",
    "val": "SET,...",
}
# By the name of the function that reads the value.
_TYPES = {
    "int": "N",
    "float": "X",
    "names": "NAME,...",
    "keywords": "NAME=VALUE,...",
    "image_size": "H,W",
    "numbers": "N,...",
    "fraction_or_count": "X",
}


class CommandParser(ArgumentParser):
    """A parser with one-sentence errors, whose help shows the kind and the default of every option.

    Examples
    --------
    >>> parser = CommandParser(prog="gluonfr train")
    >>> action = parser.add_argument("--seed", type=int, default=0, help="seed of the order")
    >>> print(parser.format_help().splitlines()[-1])
      --seed N    seed of the order (default: 0)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _HelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """Print one sentence and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}{'' if message.endswith('?') else ';'} see `{self.prog} --help`.\n")

    def check_options(self, words: Sequence[str]) -> None:
        """Exit with status 2 for an option that the command does not have, and name the nearest one.

        The parser itself would first report arguments that are missing, often because an option is mistyped.
        """
        known = list(self._option_string_actions)
        for word in words:
            name = word.partition("=")[0]
            if word == "--":
                return
            if name.startswith("--") and not any(option.startswith(name) for option in known):
                # Dashes would make short names similar.
                long = [option[2:] for option in known if option.startswith("--")]
                nearest = difflib.get_close_matches(name[2:], long, 1, 0.6)
                self.error(f"unknown option {name}{f': did you mean --{nearest[0]}?' if nearest else ''}")


class _HelpFormatter(RawDescriptionHelpFormatter):
    """Shows the kind of the value of an option, and its default."""

    def _get_default_metavar_for_optional(self, action: Action) -> str:
        read = getattr(action.type, "__qualname__", "").partition(".")[0]
        return _TYPES.get(read) or _KINDS.get(action.dest) or action.dest.upper()

    def _get_help_string(self, action: Action) -> str | None:
        default = action.default
        if "default" in (action.help or "") or default is None or default is False or default in (SUPPRESS, "", (), {}):
            return action.help
        shown = ",".join(f"{value:g}" for value in default) if isinstance(default, (list, tuple)) else default
        return f"{action.help} (default: {shown})"
