from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_root
from gluonfr.cli.data.records import TRAINING_SET, add_skip_damaged, print_written


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr merge`."""
    parser.add_argument("sets", nargs="+", metavar="SET", help=f"two or more; {TRAINING_SET}")
    parser.add_argument("out", help="new folder")
    parser.add_argument("--by-name", action="store_true", help="give people of the same name in identities.csv the same label")
    add_root(parser)
    add_skip_damaged(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr merge`."""
    from gluonfr.data.dataset.catalog import find_set
    from gluonfr.data.operations import merge

    # A single set is refused for being alone, whether it exists or not.
    sets = [find_set(name, arguments.root, "training") if len(arguments.sets) > 1 else name for name in arguments.sets]
    left_out = merge(sets, arguments.out, arguments.by_name, arguments.skip_damaged)
    return print_written([number for part in left_out for number in part], arguments.out)
