"""`unpack`, `inspect`, `shuffle`, `merge` and `split`: sets made of sets, and what is in them."""

from __future__ import annotations

from gluonfr.cli.arguments import add_json, write_json


def add_arguments(parser) -> None:
    command = parser.prog.split()[-1]
    if command == "merge":
        parser.add_argument("sets", nargs="+", metavar="SET", help="two or more: .rec, or folder with train.rec")
        parser.add_argument("out", help="new folder")
        parser.add_argument("--by-name", action="store_true", help="people of one name in identities.csv are one person")
    else:
        parser.add_argument(
            "set", help="a .rec, a folder with train.rec" + (", or a .bin" if command in ("unpack", "inspect") else "")
        )
    if command in ("unpack", "shuffle"):
        parser.add_argument("out", help="new folder")
    if command == "split":
        parser.add_argument("out_a", help="new folder of the first part")
        parser.add_argument("out_b", help="new folder of the second part, with the other people")
        share = parser.add_mutually_exclusive_group(required=True)
        share.add_argument("--fraction", type=float, help="share of the people in the first part, between 0 and 1")
        share.add_argument("--identities", type=int, help="number of people in the first part")
    if command in ("shuffle", "split"):
        parser.add_argument("--seed", type=int, default=0, help="another seed, another result")
    if command == "inspect":
        parser.add_argument("--sheet", metavar="PNG", help="write a contact sheet of a sample")
        add_json(parser, "everything found")
    else:
        parser.add_argument("--skip-damaged", action="store_true", help="leave out damaged images instead of stopping")


def run(arguments):
    commands = {"unpack": _unpack, "inspect": _inspect, "shuffle": _shuffle, "merge": _merge, "split": _split}
    return commands[arguments.command](arguments)


def _unpack(arguments):
    from gluonfr.photos.unpacking import unpack

    return _done(unpack(arguments.set, arguments.out, arguments.skip_damaged), arguments.out)


def _shuffle(arguments):
    from gluonfr.data.records.tools import shuffle

    return _done(shuffle(arguments.set, arguments.out, arguments.seed, arguments.skip_damaged), arguments.out)


def _merge(arguments):
    from gluonfr.data.records.tools import merge

    left_out = merge(arguments.sets, arguments.out, arguments.by_name, arguments.skip_damaged)
    return _done([number for each in left_out for number in each], arguments.out)


def _split(arguments):
    from gluonfr.data.records.tools import split

    names = ("out_a", "out_b", "fraction", "identities", "seed")
    options = {name: getattr(arguments, name) for name in names}
    left_out = split(arguments.set, skip=arguments.skip_damaged, **options)
    return _done(left_out, f"{arguments.out_a} and {arguments.out_b}")


def _done(left_out, out) -> int:
    from gluonfr.core.output import display_path

    print(f"wrote {display_path(out)}" + (f"; {len(left_out)} damaged images or pairs left out" if left_out else ""))
    return 1 if left_out else 0


def _inspect(arguments) -> int:
    from gluonfr.cli.tables import print_table
    from gluonfr.core import atomic_file
    from gluonfr.core.output import disk_errors, display_path
    from gluonfr.data.inspection import inspect, sheet

    found = inspect(arguments.set)
    write_json(arguments, found.to_dict())
    if arguments.sheet:
        import cv2

        picture = cv2.imencode(".png", sheet(arguments.set)[:, :, ::-1])[1].tobytes()
        with disk_errors(arguments.sheet), atomic_file(arguments.sheet) as file:
            file.write(picture)
    print_table(list(_rows(found)), [found.kind, display_path(found.path)])
    for number in sorted(found.bad)[:20]:
        print(f"damaged: {display_path(found.bad[number])}")
    if len(found.bad) > 20:
        print(f"damaged: {len(found.bad) - 20} more, see --json")
    return 1 if found.bad else 0


def _rows(found):
    yield "images", found.images
    if found.kind == "training":
        yield "layout", found.layout
        yield "identities", found.identities
        yield "classes in property", "no property file" if found.classes is None else found.classes
        counts = found.images_per_identity
        yield "images per identity", f"{counts['min']} to {counts['max']}, median {counts['median']:g}"
        yield "header records", found.headers
        yield "pictures more than once", len(found.duplicates)
        yield "of these, under several labels", len(found.mixed)
    else:
        yield "pairs", found.pairs
        yield "of one person", found.same
        yield "of one person, by fold", " ".join(map(str, found.folds))
        yield "different images", found.distinct
        yield "pairs of an image with itself", len(found.duplicates)
    yield "sizes", ", ".join(f"{size} {count}" for size, count in list(found.sizes.items())[:5]) or "none"
    yield "formats", ", ".join(f"{name} {count}" for name, count in found.formats.items()) or "none"
    yield "damaged", len(found.bad)
