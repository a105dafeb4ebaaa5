"""`gluonfr train`: its options are the fields of `TrainOptions` and `LaunchOptions`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from gluonfr.cli.tables import print_results
from gluonfr.cli.training import add_option_groups, derived_options, print_speed_and_files, run_training, values_of
from gluonfr.core import UsageError
from gluonfr.engine.launch_options import LaunchOptions
from gluonfr.engine.loop.options import DeviceOptions, OptimizationOptions, OutputOptions
from gluonfr.engine.options import DataOptions, DistillationOptions, FineTuningOptions, NetworkOptions, TrainOptions
from gluonfr.engine.train_result import BEST_FAR

if TYPE_CHECKING:
    from gluonfr.engine.train_result import TrainResult

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


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr train`."""
    add_option_groups(parser, _GROUPS)


def run(arguments: Namespace) -> int:
    """Run `gluonfr train`."""
    return run_training(arguments, _train_options(arguments), _load_train, print_result)


def _load_train() -> Any:
    from gluonfr.engine.run import train

    return train


def _train_options(arguments: Namespace) -> TrainOptions:
    """Return the options of the run: those that are given and, with `--from`, the others of that run."""
    if arguments.parent is not None:
        return derived_options(arguments, TrainOptions, add_arguments)
    if not arguments.dataset:
        raise UsageError("dataset= is required; name a training set below the root.")
    return TrainOptions(**values_of(arguments, TrainOptions))


def print_result(result: TrainResult) -> None:
    """Print the result of a training run."""
    if result.validation:
        print_results(result.validation)
    if result.best:
        accuracies = ", ".join(f"{name} {accuracy:.5f}" for name, accuracy in result.best["accuracy"].items())
        # Runs that an older version began chose by the whole AUC, and know no other.
        names = {"partial_auc": f"mean TAR at FARs up to {BEST_FAR}", "auc": "AUC"}
        chosen_by = names["partial_auc" if "partial_auc" in result.best else "auc"]
        print(f"best by the {chosen_by} on the first set: step {result.best['step']}, accuracy {accuracies}")
        for key, name in names.items():
            if f"start_{key}" in result.best:
                start = result.best[f"start_{key}"]
                print(f"{name} on the first set: {start:.5f} before training, {result.best[key]:.5f} best")
        if result.best["step"] == 0:
            print("training did not improve the pretrained network: best/ is the network before training")
    print_speed_and_files(result)
