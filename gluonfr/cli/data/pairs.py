from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from gluonfr.cli.arguments import add_detector, add_root, add_template, image_size
from gluonfr.cli.data.records import TRAINING_SET
from gluonfr.core import UsageError

# Options that only one of the two sources uses, with their defaults.
_LISTED: dict[str, Any] = {
    "folder": None,
    "template": "arcface",
    "detector": None,
    "min_face": 0,
    "aligned": False,
    "image_size": None,
    "workers": 1,
}
_DRAWN: dict[str, Any] = {"count": 6000, "seed": 0}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr pairs`."""
    parser.add_argument("out", help="verification set to write (.bin)")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--list", metavar="FILE", help="list of pairs: CSV lines first,second,issame, or LFW's pairs.txt")
    source.add_argument("--draw", metavar="SET", help=f"draw the pairs from this {TRAINING_SET}")
    listed = parser.add_argument_group("with --list")
    listed.add_argument("--folder", metavar="PHOTOS", help="folder of the listed photos (default: the folder of the list)")
    add_template(listed, default=None)
    add_detector(listed)
    listed.add_argument(
        "--min-face", type=int, metavar="PIXELS", help="shorter side of the smallest face to use, in pixels (default: 0)"
    )
    listed.add_argument("--aligned", action="store_true", default=None, help="the images are aligned crops: detect no faces")
    listed.add_argument(
        "--image-size", type=image_size, metavar="H,W", help="size of aligned crops in pixels (default: that of the template)"
    )
    listed.add_argument("--workers", type=int, help="number of processes (default: 1)")
    drawn = parser.add_argument_group("with --draw")
    add_root(drawn)
    drawn.add_argument("--count", type=int, help="number of pairs, a multiple of 20 (default: 6000)")
    drawn.add_argument("--seed", type=int, help="seed of the draw (default: 0)")


def run(arguments: Namespace) -> int:
    """Run `gluonfr pairs`."""
    source, other = ("draw", "list") if arguments.draw else ("list", "draw")
    used, unused = (_DRAWN, _LISTED) if arguments.draw else (_LISTED, _DRAWN)
    for name in unused:
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} belongs to --{other} and has no effect with --{source}; remove it.")
    given = {name: value for name, value in vars(arguments).items() if name in used and value is not None}
    return (_draw if arguments.draw else _make_listed)(arguments, **{**used, **given})


def _draw(arguments: Namespace, count: int, seed: int) -> int:
    from gluonfr.core import display_path
    from gluonfr.data.dataset.catalog import find_set
    from gluonfr.photos.pair_drawing import draw_pairs

    drawn = draw_pairs(find_set(arguments.draw, arguments.root, "training"), arguments.out, count, seed)
    people = "no person is in two folds" if drawn.disjoint else "too few people for folds without shared people"
    print(f"{drawn.pairs} pairs, half of them genuine, in ten folds ({people}): {display_path(drawn.path)}")
    return 0


def _make_listed(arguments: Namespace, folder: str | None, **options: Any) -> int:
    from gluonfr.core import display_path
    from gluonfr.photos.packing.report import reasons
    from gluonfr.photos.pair_sets import make_pairs

    folder = folder or os.path.dirname(os.path.abspath(os.path.expanduser(arguments.list)))
    made = make_pairs(arguments.list, folder, arguments.out, **options)
    print(f"{made.pairs} pairs, {made.same} of them genuine: {display_path(made.path)}")
    if made.ambiguous:
        print(f"{len(made.ambiguous)} photos show a second face of similar size, such as {display_path(made.ambiguous[0])}")
    if made.left_out:
        pairs, why = len({row[0] for row in made.left_out}), reasons([row[1:] for row in made.left_out])
        print(f"{pairs} pairs left out ({why}): see {display_path(made.path[:-4])}.left_out.csv")
    return 1 if made.left_out else 0
