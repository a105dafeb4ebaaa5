"""What the commands that train share: options from dataclasses, `--from`, and several processes."""

from __future__ import annotations

import dataclasses
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, _ActionsContainer
from typing import TYPE_CHECKING, Any, Callable, Mapping, TypeVar

from gluonfr.cli.arguments import keywords, names, numbers
from gluonfr.cli.dash_values import protect_values
from gluonfr.core import TrainingInterrupted
from gluonfr.core.compat import prepare_mxnet
from gluonfr.core.cpu import share_cores
from gluonfr.engine.launch_options import LaunchOptions
from gluonfr.engine.option_fields import is_auto, value_type

if TYPE_CHECKING:
    from gluonfr.engine.loop.options import RunOptions
    from gluonfr.engine.train_result import TrainResult

    _Options = TypeVar("_Options", bound=RunOptions)


def fraction_or_count(text: str) -> int | float:
    """Read a fraction or a number of classes.

    Examples
    --------
    >>> fraction_or_count("0.1"), fraction_or_count("1"), fraction_or_count("5000")
    (0.1, 1.0, 5000)
    """
    return float(text) if "." in text or "e" in text or text == "1" else int(text)


# How the text of an option is read, by the type of its field; all others take text as it is.
_READERS = {
    "int": int,
    "float": float,
    "int | float": fraction_or_count,
    "Sequence[str]": names,
    "Sequence[int]": numbers(int),
    "Sequence[float]": numbers(float),
    "dict[str, Any]": keywords,
}


def add_option_groups(parser: ArgumentParser, groups: Mapping[str, type]) -> None:
    """Add `--from`, and an option for every field of the option dataclasses, by the titles of their groups."""
    parser.add_argument(
        "--from",
        dest="parent",
        metavar="RUN",
        help="start a new run with all options of this run folder, except those that are given (default folder: RUN-2)",
    )
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for field in dataclasses.fields(options):
            if field.metadata["cli"]:
                _add_option(group, field)


def _add_option(group: _ActionsContainer, field: dataclasses.Field) -> None:
    kind = value_type(field)
    settings: dict[str, Any] = {}
    if kind == "bool":
        settings["action"] = "store_true"
    else:
        settings["default"] = {} if field.default is dataclasses.MISSING else field.default
        if kind == "bool | str":
            settings.update(nargs="?", const=True)
        elif kind in _READERS:
            settings["type"] = _READERS[kind]
        if field.metadata["metavar"]:
            settings["metavar"] = field.metadata["metavar"]
    text = field.metadata["help"] + (" (default: by the recipe for the data)" if is_auto(field) else "")
    group.add_argument(f"--{field.name.replace('_', '-')}", help=text, **settings)


def values_of(arguments: Namespace, options: type) -> dict[str, Any]:
    """Return the arguments that are fields of an option dataclass."""
    return {field.name: getattr(arguments, field.name) for field in dataclasses.fields(options) if field.metadata["cli"]}


def derived_options(arguments: Namespace, kind: type[_Options], add_arguments: Callable[[ArgumentParser], None]) -> _Options:
    """Return the options of the run of `--from`, with those that are given on the command line instead."""
    from gluonfr.engine.tracking.derived_options import derive_options

    parser = ArgumentParser(argument_default=SUPPRESS)
    add_arguments(parser)
    for action in parser._actions:
        action.default = SUPPRESS
    # Others, such as --quiet, are options of the command.
    given = vars(parser.parse_known_args(protect_values(arguments.typed[1:], parser))[0])
    names = {field.name for field in dataclasses.fields(kind) if field.metadata["cli"]}
    return derive_options(arguments.parent, kind, **{name: value for name, value in given.items() if name in names})


def run_training(
    arguments: Namespace,
    options: _Options,
    load_train: Callable[[], Callable[..., TrainResult]],
    print_result: Callable[[TrainResult], None],
    prepare: Callable[[_Options], Any] | None = None,
) -> int:
    """Train in this process, or start the processes of `--workers` and `--hosts`, and return the exit status.

    Parameters
    ----------
    arguments : Namespace
        With the fields of `LaunchOptions`, and `typed`, the words of the command line.
    options : RunOptions
    load_train : callable
        Returns the function that trains; called once MXNet may be imported.
    print_result : callable
        Called in the process of rank 0.
    prepare : callable, optional
        Called with the options before several processes are started.
    """
    launch_options = LaunchOptions(**values_of(arguments, LaunchOptions))
    if not options.gpus:
        share_cores(max(options.cpus, launch_options.workers))
    # The parser works without MXNet, and so imports nothing that would have prepared it.
    prepare_mxnet()
    from gluonfr.engine.distributed.launcher import launch_training
    from gluonfr.engine.distributed.ranks import is_rank, joined, own_gpus

    if launch_options.distributed and not is_rank():
        if prepare:
            prepare(options)
        # All ranks write to the folder that is chosen here.
        typed = [*arguments.typed, "--out", options.out]
        outcome = launch_training(typed, options.gpus, options.cpus, options.out, launch_options)
        if outcome.message:
            print(f"gluonfr {arguments.command}: {outcome.message}", file=sys.stderr)
        return outcome.status
    options.gpus = own_gpus(options.gpus)
    train = load_train()
    with joined() as group:
        try:
            result = train(options, group)
        except TrainingInterrupted as stop:
            if is_rank():
                # The launcher expects the status of an error.
                raise
            raise KeyboardInterrupt(str(stop).rstrip(".")) from stop
        if group.rank == 0:
            print_result(result)
    return 0


def print_speed_and_files(result: TrainResult) -> None:
    """Print the speed of a training run, its folder and its pictures."""
    if result.seconds:
        print(
            f"{result.steps} steps, {result.images} images in {result.seconds:.0f} s of training: "
            f"{result.images / result.seconds:.1f} images/s; peak memory {result.peak_memory:.2f} GB"
        )
    print(f"networks, log and results in {result.folder}")
    for picture in result.pictures:
        print(f"picture: {picture}")
