from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_root
from gluonfr.cli.data.records import TRAINING_SET, add_skip_damaged, print_written


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr shuffle`."""
    parser.add_argument("set", help=TRAINING_SET)
    parser.add_argument("out", help="new folder")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order")
    add_root(parser)
    add_skip_damaged(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr shuffle`."""
    from gluonfr.data.dataset.catalog import find_set
    from gluonfr.data.operations import shuffle

    return print_written(
        shuffle(find_set(arguments.set, arguments.root, "training"), arguments.out, arguments.seed, arguments.skip_damaged),
        arguments.out,
    )
