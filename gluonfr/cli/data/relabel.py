from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.data.records import TRAINING_SET, add_skip_damaged, print_written


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr relabel`."""
    parser.add_argument("set", help=TRAINING_SET)
    parser.add_argument("out", help="new folder")
    add_skip_damaged(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr relabel`."""
    from gluonfr.data.operations import relabel

    return print_written(relabel(arguments.set, arguments.out, arguments.skip_damaged), arguments.out)
