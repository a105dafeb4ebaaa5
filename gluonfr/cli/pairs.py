from __future__ import annotations

from gluonfr.cli.pack import size

# Options of the one way and of the other, None where they are not given.
_LISTED = {
    "photos": None,
    "template": "arcface",
    "detector": None,
    "min_face": 0,
    "aligned": False,
    "image_size": None,
    "workers": 1,
}
_DRAWN = {"count": 6000, "seed": 0}


def add_arguments(parser) -> None:
    parser.add_argument("out", help="the .bin to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--list", help="list of pairs: CSV lines first,second,issame, or the format of LFW's pairs.txt")
    source.add_argument("--draw", metavar="SET", help="draw pairs from this .rec, or folder with train.rec")
    listed = parser.add_argument_group("with --list")
    listed.add_argument("--photos", help="where the listed photos lie (default: the list's folder)")
    listed.add_argument("--template", help="where the landmarks lie: arcface (the default), arcface_96x112, dlib")
    listed.add_argument("--detector", help="finds the faces: mtcnn (the default) or retinaface")
    listed.add_argument("--min-face", type=int, help="shorter side of the smallest face taken, in pixels (default: any)")
    listed.add_argument(
        "--aligned", action="store_true", default=None, help="the images are crops already: nothing is detected"
    )
    listed.add_argument("--image-size", type=size, help="H,W of aligned images (default: the template's)")
    listed.add_argument("--workers", type=int, help="processes (default: 1)")
    drawn = parser.add_argument_group("with --draw")
    drawn.add_argument("--count", type=int, help="pairs, a multiple of 20 (default: 6000)")
    drawn.add_argument("--seed", type=int, help="another seed, other pairs (default: 0)")


def run(arguments):
    from gluonfr.core import GluonFRError

    way, other, mine, others = ("--draw", "--list", _DRAWN, _LISTED)
    if arguments.list:
        way, other, mine, others = other, way, others, mine
    for name in others:
        if getattr(arguments, name) is not None:
            raise GluonFRError(f"--{name.replace('_', '-')} belongs to {other} and does nothing with {way}; leave it out.")
    for name, default in mine.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    return draw(arguments) if arguments.draw else listed(arguments)


def draw(arguments) -> int:
    from gluonfr.core.output import display_path
    from gluonfr.photos.pair_drawing import draw_pairs

    drawn = draw_pairs(arguments.draw, arguments.out, arguments.count, arguments.seed)
    people = "no person stands in two" if drawn.disjoint else "people stand in several: there are too few to deal them out"
    print(f"{drawn.pairs} pairs, half of them of one person, in ten folds ({people}): {display_path(drawn.path)}")
    return 0


def listed(arguments) -> int:
    import os

    from gluonfr.core.output import display_path
    from gluonfr.photos.packing.report import reasons
    from gluonfr.photos.pair_lists import make_pairs

    names = ("template", "detector", "min_face", "aligned", "image_size", "workers")
    photos = arguments.photos or os.path.dirname(os.path.abspath(os.path.expanduser(arguments.list)))
    made = make_pairs(arguments.list, photos, arguments.out, **{name: getattr(arguments, name) for name in names})
    print(f"{made.pairs} pairs, {made.same} of them of one person: {display_path(made.path)}")
    if made.ambiguous:
        print(f"{len(made.ambiguous)} photos show another face that could be meant, such as {ascii(made.ambiguous[0])}")
    if made.left_out:
        why = reasons([row[1:] for row in made.left_out])
        print(
            f"{len({row[0] for row in made.left_out})} pairs left out ({why}): {display_path(made.path[:-4])}.left_out.csv names each"
        )
    return 1 if made.left_out else 0
