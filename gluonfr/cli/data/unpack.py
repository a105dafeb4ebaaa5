from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.data.records import add_skip_damaged, print_written


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr unpack`."""
    parser.add_argument("set", help="training set (.rec, or a folder with train.rec) or verification set (.bin)")
    parser.add_argument("out", help="new folder; a training set gets one subfolder per person")
    add_skip_damaged(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr unpack`."""
    from gluonfr.photos.unpacking import unpack

    return print_written(unpack(arguments.set, arguments.out, arguments.skip_damaged), arguments.out)
