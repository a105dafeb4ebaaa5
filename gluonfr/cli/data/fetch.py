from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_detector, add_root, add_template


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr fetch`."""
    parser.add_argument("name", help="lfw (6,000 pairs) or lfw_dev (1,000 pairs), made of scikit-learn's copy of LFW")
    add_root(parser)
    parser.add_argument("--data-home", metavar="FOLDER", help="scikit-learn's folder of data sets (default: its own)")
    add_template(parser)
    add_detector(parser)
    parser.add_argument("--workers", type=int, default=1, help="number of processes")


def run(arguments: Namespace) -> int:
    """Run `gluonfr fetch`."""
    from gluonfr.core import display_path
    from gluonfr.photos.lfw import fetch_lfw

    made = fetch_lfw(
        *(arguments.root, arguments.name, arguments.data_home, arguments.workers, arguments.template, arguments.detector)
    )
    print(f"{made.pairs} pairs, {made.same} of them genuine: {display_path(made.path)}")
    if made.ambiguous:
        print(f"{len(made.ambiguous)} photos show a second face of similar size; the large face nearest the middle was used")
    if made.replaced:
        files = ", ".join(map(display_path, made.replaced[:5]))
        print(f"no face was found on {len(made.replaced)} photos; the center of each was used: {files}")
    return 0
