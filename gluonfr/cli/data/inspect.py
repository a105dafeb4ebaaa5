from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Iterator

from gluonfr.cli.arguments import add_json, add_root, write_json
from gluonfr.cli.data.records import ANY_SET


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr inspect`."""
    parser.add_argument("set", help=ANY_SET)
    parser.add_argument("--sheet", metavar="PNG", help="write a contact sheet of sampled images to this file")
    add_root(parser)
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr inspect`."""
    from gluonfr.cli.tables import print_table
    from gluonfr.core import display_path
    from gluonfr.data.dataset.catalog import find_set
    from gluonfr.data.inspection import inspect

    source = find_set(arguments.set, arguments.root)
    found = inspect(source)
    write_json(arguments, found.to_dict())
    print_table(list(_rows(found)), [found.kind, found.path])
    for warning in found.warnings:
        print(f"warning: {display_path(warning)}")
    if found.empty_labels:
        print("`gluonfr relabel` writes a set without empty labels")
    for number in sorted(found.bad)[:20]:
        print(f"damaged: {display_path(found.bad[number])}")
    if len(found.bad) > 20:
        print(f"damaged: {len(found.bad) - 20} more; --json lists all")
    if arguments.sheet:
        _write_sheet(source, arguments.sheet)
    return 1 if found.bad else 0


def _write_sheet(source: str, path: str) -> None:
    import cv2

    from gluonfr.core import atomic_file, disk_errors
    from gluonfr.data.inspection import contact_sheet_of_set

    png = cv2.imencode(".png", contact_sheet_of_set(source)[:, :, ::-1])[1].tobytes()
    with disk_errors(path), atomic_file(path) as file:
        file.write(png)


def _rows(found: Any) -> Iterator[tuple[str, Any]]:
    yield "images", found.images
    if found.kind == "training":
        yield "layout", found.layout
        yield "identities", found.identities
        yield "classes in property", "no property file" if found.classes is None else found.classes
        if found.empty_labels is not None:
            yield "labels without images", found.empty_labels
        counts = found.images_per_identity
        yield "images per identity", f"{counts['min']} to {counts['max']}, median {counts['median']:g}" if counts else "unknown"
        yield "header records", found.headers
        yield "images stored more than once", len(found.duplicates)
        yield "of these, under several labels", len(found.mixed)
    else:
        yield "pairs", found.pairs
        yield "genuine pairs", found.same
        yield "genuine pairs per fold", " ".join(map(str, found.folds))
        yield "distinct images", found.distinct
        yield "pairs of an image with itself", len(found.duplicates)
    yield "sizes", ", ".join(f"{size} {count}" for size, count in list(found.sizes.items())[:5]) or "none"
    yield "formats", ", ".join(f"{name} {count}" for name, count in found.formats.items()) or "none"
    yield "damaged", len(found.bad)
