from __future__ import annotations

from gluonfr.cli.tables import print_results


def add_arguments(parser) -> None:
    parser.add_argument("--out", default="runs/demo", help="folder for the data, the run and its pictures; made anew")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other people and other weights")
    parser.add_argument("--steps", type=int, default=None, help="training steps, fewer for a quick look")


def run(arguments) -> None:
    from gluonfr.apps.demo import run_demo

    demo = run_demo(arguments.out, arguments.seed, arguments.steps)
    print()
    print_results({"raw pixels": demo.baseline, "trained network": demo.trained.validation["val_data"]})
    print(
        f"\nrendering {demo.rendering_seconds:.0f} s, training {demo.trained.seconds:.0f} s at "
        f"{demo.trained.images / demo.trained.seconds:.0f} images/s, peak memory {demo.trained.peak_memory:.2f} GB"
    )
    print("These faces are synthetic: the numbers prove that the pipeline works and say nothing about real faces.")
    for picture in demo.trained.pictures:
        print(f"picture: {picture}")
