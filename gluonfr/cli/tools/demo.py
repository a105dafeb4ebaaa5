from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.tables import print_results


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr demo`."""
    parser.add_argument("--out", default="runs/demo", help="folder for the data, the run and its figures; replaced if present")
    parser.add_argument("--seed", type=int, default=0, help="seed of the people and the weights")
    parser.add_argument("--steps", type=int, help="number of training steps (default: 6 epochs)")


def run(arguments: Namespace) -> int:
    """Run `gluonfr demo`."""
    from gluonfr.apps.demo import run_demo
    from gluonfr.core import display_path

    demo = run_demo(arguments.out, arguments.seed, arguments.steps)
    trained = demo.trained
    print()
    print_results({"raw pixels": demo.baseline, "trained network": trained.validation["val_data"]})
    print(
        f"\nrendering {demo.rendering_seconds:.0f} s, training {trained.seconds:.0f} s at "
        f"{trained.images / trained.seconds:.0f} images/s, peak memory {trained.peak_memory:.2f} GB"
    )
    print("These faces are synthetic: the numbers show that the pipeline works and do not predict results on real faces.")
    for picture in trained.pictures:
        print(f"picture: {display_path(picture)}")
    return 0
