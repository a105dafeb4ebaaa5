"""`gluonfr train-detector`: its options are the fields of `DetectorOptions` and `LaunchOptions`."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from gluonfr.cli.training import add_option_groups, derived_options, print_speed_and_files, run_training, values_of
from gluonfr.core import UsageError
from gluonfr.engine.detector.options import DetectorDataOptions, DetectorNetworkOptions, DetectorOptions
from gluonfr.engine.launch_options import LaunchOptions
from gluonfr.engine.loop.options import DeviceOptions, OptimizationOptions, OutputOptions

if TYPE_CHECKING:
    from gluonfr.engine.train_result import TrainResult

# Scenes of the demo, which are rendered and learned in minutes on two cores.
_DEMO_SCENES = 1200
_GROUPS = {
    "data": DetectorDataOptions,
    "network": DetectorNetworkOptions,
    "optimization": OptimizationOptions,
    "devices": DeviceOptions,
    "several processes and machines": LaunchOptions,
    "output": OutputOptions,
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr train-detector`."""
    parser.add_argument(
        "--demo", action="store_true", help=f"train on {_DEMO_SCENES:,} rendered scenes, which takes minutes and needs no data"
    )
    add_option_groups(parser, _GROUPS)


def run(arguments: Namespace) -> int:
    """Run `gluonfr train-detector`."""
    if arguments.demo and (arguments.data or arguments.parent):
        raise UsageError("--demo renders its own data; leave out --data and --from, or leave out --demo.")
    if arguments.demo:
        arguments.scenes = arguments.scenes or _DEMO_SCENES
        arguments.out = arguments.out or "runs/detector-demo"
    if arguments.parent is not None:
        options = derived_options(arguments, DetectorOptions, add_arguments)
    else:
        options = DetectorOptions(**values_of(arguments, DetectorOptions))
    scenes = options.scenes

    def print_result(result: TrainResult) -> None:
        _print_result(result, scenes)

    return run_training(arguments, options, _load_train, print_result, _prepare)


def _load_train() -> Any:
    from gluonfr.engine.detector.run import train_detector

    return train_detector


def _prepare(options: DetectorOptions) -> None:
    if options.scenes:
        from gluonfr.engine.detector.data import prepare_scenes

        prepare_scenes(options)


def _print_result(result: TrainResult, scenes: int) -> None:
    for subset, of_subset in result.validation.items():
        values = dict(of_subset.name_values())
        print(
            f"{subset} ({of_subset.faces:,} faces): average precision {of_subset.ap:.3f}; at a score of "
            f"{values['threshold']:.2f} precision {values['precision']:.3f}, recall {values['recall']:.3f}"
        )
    if result.best:
        of_subsets = ", ".join(f"{subset} {ap:.3f}" for subset, ap in result.best["ap_of"].items())
        print(f"best by the mean average precision: step {result.best['step']}, {of_subsets}")
        if "start_ap" in result.best:
            print(f"mean average precision: {result.best['start_ap']:.3f} before training, {result.best['ap']:.3f} best")
        if result.best["step"] == 0:
            print("training did not improve the pretrained detector: best/ is the detector before training")
    if scenes:
        print("These scenes are rendered: the numbers show that the pipeline works and do not predict results on photos.")
    print_speed_and_files(result)
    print(f"use it in any command: --detector {os.path.join(result.folder, 'best' if result.best else 'last')}")
