from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_root
from gluonfr.cli.data.records import TRAINING_SET, add_skip_damaged, print_written


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr relabel`."""
    parser.add_argument("set", help=TRAINING_SET)
    parser.add_argument("out", help="new folder")
    add_root(parser)
    add_skip_damaged(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr relabel`."""
    from gluonfr.data.dataset.catalog import find_set
    from gluonfr.data.operations import relabel

    return print_written(
        relabel(find_set(arguments.set, arguments.root, "training"), arguments.out, arguments.skip_damaged), arguments.out
    )
