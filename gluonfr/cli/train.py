"""`gluonfr train`: its options are the fields of `TrainOptions` and `LaunchOptions`."""

from __future__ import annotations

import dataclasses
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, _ActionsContainer
from typing import TYPE_CHECKING, Any

from gluonfr.cli.arguments import keywords, names, numbers
from gluonfr.cli.dash_values import protect_values
from gluonfr.cli.tables import print_results
from gluonfr.core import TrainingInterrupted, UsageError
from gluonfr.core.compat import prepare_mxnet
from gluonfr.core.cpu import share_cores
from gluonfr.engine.launch_options import LaunchOptions
from gluonfr.engine.loop.options import DeviceOptions, OptimizationOptions, OutputOptions
from gluonfr.engine.option_fields import is_auto, value_type
from gluonfr.engine.options import DataOptions, DistillationOptions, FineTuningOptions, NetworkOptions, TrainOptions

if TYPE_CHECKING:
    from gluonfr.engine.run import TrainResult

_GROUPS = {
    "data": DataOptions,
    "network and loss": NetworkOptions,
    "optimization": OptimizationOptions,
    "start from a trained network": FineTuningOptions,
    "distillation": DistillationOptions,
    "devices": DeviceOptions,
    "several processes and machines": LaunchOptions,
    "output": OutputOptions,
}


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


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr train`."""
    parser.add_argument(
        "--from",
        dest="parent",
        metavar="RUN",
        help="start a new run with all options of this run folder, except those that are given (default folder: RUN-2)",
    )
    for title, options in _GROUPS.items():
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


def run(arguments: Namespace) -> int:
    """Run `gluonfr train`."""
    launch_options = LaunchOptions(**_values(arguments, LaunchOptions))
    options = _train_options(arguments)
    if not options.gpus:
        share_cores(max(options.cpus, launch_options.workers))
    # The parser works without MXNet, and so imports nothing that would have prepared it.
    prepare_mxnet()
    from gluonfr.engine.distributed.launcher import launch_training
    from gluonfr.engine.distributed.ranks import is_rank, joined, own_gpus
    from gluonfr.engine.run import train

    if launch_options.distributed and not is_rank():
        # All ranks write to the folder that is chosen here.
        typed = [*arguments.typed, "--out", options.out]
        outcome = launch_training(typed, options.gpus, options.cpus, options.out, launch_options)
        if outcome.message:
            print(f"gluonfr train: {outcome.message}", file=sys.stderr)
        return outcome.status
    options.gpus = own_gpus(options.gpus)
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


def _train_options(arguments: Namespace) -> TrainOptions:
    """Return the options of the run: those that are given and, with `--from`, the others of that run."""
    if arguments.parent is None:
        if not arguments.dataset:
            raise UsageError("dataset= is required; name a training set below the root.")
        return TrainOptions(**_values(arguments, TrainOptions))
    from gluonfr.engine.tracking.derived_options import options_from_run

    parser = ArgumentParser(argument_default=SUPPRESS)
    add_arguments(parser)
    for action in parser._actions:
        action.default = SUPPRESS
    given = vars(parser.parse_args(protect_values(arguments.typed[1:], parser)))
    names = {field.name for field in dataclasses.fields(TrainOptions) if field.metadata["cli"]}
    return options_from_run(arguments.parent, **{name: value for name, value in given.items() if name in names})


def _values(arguments: Namespace, options: type) -> dict[str, Any]:
    """Return the arguments that are fields of an option dataclass."""
    return {field.name: getattr(arguments, field.name) for field in dataclasses.fields(options) if field.metadata["cli"]}


def print_result(result: TrainResult) -> None:
    """Print the result of a training run."""
    if result.validation:
        print_results(result.validation)
    if result.best:
        accuracies = ", ".join(f"{name} {accuracy:.5f}" for name, accuracy in result.best["accuracy"].items())
        print(f"best by the AUC of the first set: step {result.best['step']}, accuracy {accuracies}")
        if "start_auc" in result.best:
            print(f"AUC of the first set: {result.best['start_auc']:.5f} before training, {result.best['auc']:.5f} best")
        if result.best["step"] == 0:
            print("training did not improve the pretrained network: best/ is the network before training")
    if result.seconds:
        print(
            f"{result.steps} steps, {result.images} images in {result.seconds:.0f} s of training: "
            f"{result.images / result.seconds:.1f} images/s; peak memory {result.peak_memory:.2f} GB"
        )
    print(f"networks, log and results in {result.folder}")
    for picture in result.pictures:
        print(f"picture: {picture}")
