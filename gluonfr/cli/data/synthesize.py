from __future__ import annotations

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr synthesize`."""
    parser.add_argument("out", help="folder to write: train.rec, train.idx, property and val_data.bin")
    parser.add_argument("--identities", type=int, default=400, help="number of people in the training set")
    parser.add_argument("--images", type=int, default=18, help="images per person in the training set")
    parser.add_argument(
        "--pairs", type=int, default=1000, help="number of verification pairs, of people who are not in the training set"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the people and images")


def run(arguments: Namespace) -> int:
    """Run `gluonfr synthesize`."""
    from gluonfr.core import display_path
    from gluonfr.data import synthetic

    sizes = {"identities": arguments.identities, "images_per_identity": arguments.images, "val_pairs": arguments.pairs}
    synthetic.make_dataset(arguments.out, seed=arguments.seed, **sizes)
    print(f"wrote {display_path(arguments.out)}; results on rendered faces do not predict results on real ones")
    return 0
