from __future__ import annotations

from argparse import ArgumentParser
from typing import Mapping, Sequence


def protect_values(arguments: Sequence[str], parser: ArgumentParser) -> list[str]:
    """Return arguments in which values that begin with a dash are not taken for options.

    The value of an option with one value is joined to it by "=". Values of options with several values, which are names of
    people, get a leading space, which names ignore.

    Parameters
    ----------
    arguments : sequence of str
    parser : ArgumentParser
        Parser of the command.

    Examples
    --------
    >>> parser = ArgumentParser()
    >>> _ = parser.add_argument("--remove"), parser.add_argument("--rename", nargs=2)
    >>> protect_values(["--remove", "-x"], parser), protect_values(["--rename", "-x", "Ann"], parser)
    (['--remove=-x'], ['--rename', ' -x', 'Ann'])
    """
    counts = {name: action.nargs for action in parser._actions for name in action.option_strings}
    rest, protected = list(arguments), []
    while rest:
        word = rest.pop(0)
        count = counts.get(word, 0)
        if count is None and rest and _is_value(rest[0], counts):
            word = f"{word}={rest.pop(0)}"
        protected.append(word)
        if isinstance(count, int):
            values, rest = rest[:count], rest[count:]
            protected += [f" {value}" if _is_value(value, counts) else value for value in values]
    return protected


def _is_value(word: str, options: Mapping[str, object]) -> bool:
    """Return whether a word looks like an option but is none."""
    return word.startswith("-") and word.partition("=")[0] not in options
