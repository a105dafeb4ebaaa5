from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_root
from gluonfr.cli.data.records import ANY_SET, add_skip_damaged, print_written


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr unpack`."""
    parser.add_argument("set", help=ANY_SET)
    parser.add_argument("out", help="new folder; a training set gets one subfolder per person")
    add_root(parser)
    add_skip_damaged(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr unpack`."""
    from gluonfr.data.dataset.catalog import find_set
    from gluonfr.photos.unpacking import unpack

    return print_written(unpack(find_set(arguments.set, arguments.root), arguments.out, arguments.skip_damaged), arguments.out)
