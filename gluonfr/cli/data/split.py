from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_root
from gluonfr.cli.data.records import TRAINING_SET, add_skip_damaged, print_written


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr split`."""
    parser.add_argument("set", help=TRAINING_SET)
    parser.add_argument("out_a", help="new folder of the first part")
    parser.add_argument("out_b", help="new folder of the second part, with the other people")
    share = parser.add_mutually_exclusive_group(required=True)
    share.add_argument("--fraction", type=float, help="fraction of the people in the first part, between 0 and 1")
    share.add_argument("--identities", type=int, help="number of people in the first part")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw of people")
    add_root(parser)
    add_skip_damaged(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr split`."""
    from gluonfr.data.dataset.catalog import find_set
    from gluonfr.data.operations import split

    names = ("out_a", "out_b", "fraction", "identities", "seed")
    options = {name: getattr(arguments, name) for name in names}
    left_out = split(find_set(arguments.set, arguments.root, "training"), skip=arguments.skip_damaged, **options)
    return print_written(left_out, arguments.out_a, arguments.out_b)
