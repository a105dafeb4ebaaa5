from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from gluonfr.cli.arguments import add_gallery, add_json, write_json
from gluonfr.cli.tables import print_table
from gluonfr.core.wording import counted


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr people`."""
    add_gallery(parser)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--rename", nargs=2, metavar=("NAME", "NEW"), help="rename a person")
    action.add_argument("--merge", nargs=2, metavar=("NAME", "INTO"), help="move all photos of NAME to INTO, the same person")
    action.add_argument("--show", metavar="NAME", help="list the photos of a person with their ids")
    action.add_argument(
        "--move-photo",
        nargs=3,
        metavar=("NAME", "PHOTO", "INTO"),
        help="move a photo of NAME to INTO; PHOTO is a source or an id of --show, or the beginning of an id",
    )
    action.add_argument("--remove-photo", nargs=2, metavar=("NAME", "PHOTO"), help="remove a photo of a person")
    action.add_argument("--remove", metavar="NAME", help="remove a person and erase every byte of the name and the embeddings")
    action.add_argument("--export", metavar="FILE", help="write all people to this .npz")
    action.add_argument("--import", dest="source", metavar="FILE", help="enroll an .npz of --export or of `gluonfr embed`")
    add_json(parser, "the list of people")


def run(arguments: Namespace) -> int:
    """Run `gluonfr people`."""
    from gluonfr.apps.gallery.gallery import Gallery
    from gluonfr.apps.gallery.import_export import export_gallery, import_gallery, read_card
    from gluonfr.core import display_path

    card = read_card(arguments.source) if arguments.source else None
    with Gallery(arguments.gallery, card, create=arguments.source is not None) as gallery:
        if arguments.show:
            rows = [[entry.digest.hex()[:16], entry.source] for _, entry in gallery.entries(arguments.show)]
            print_table(rows, ["id", "source"])
        elif arguments.export:
            people, photos = export_gallery(gallery, arguments.export)
            print(f"{counted(photos, 'photo')} of {counted(people, 'person')}: {display_path(arguments.export)}")
        elif arguments.source:
            print(f"{counted(import_gallery(gallery, arguments.source), 'photo')} enrolled: {display_path(gallery.where)}")
        elif not _change(gallery, arguments):
            _list(gallery)
        write_json(arguments, [dict(vars(person)) for person in gallery.people()])
    return 0


def _change(gallery: Any, arguments: Namespace) -> bool:
    """Run the change that the arguments ask for, and return whether there is one."""
    from gluonfr.apps.gallery.names import person_name
    from gluonfr.core import display_path

    def shown(name: str) -> str:
        return display_path(person_name(name))

    if arguments.remove:
        _print_change(gallery.remove(arguments.remove), f"{shown(arguments.remove)} is removed")
    elif arguments.rename:
        old, new = arguments.rename
        _print_change(gallery.rename(old, new), f"{shown(old)} is now {shown(new)}")
    elif arguments.merge:
        name, into = arguments.merge
        _print_change(gallery.merge(name, into), f"{shown(name)} is now {shown(into)}")
    elif arguments.remove_photo:
        name, photo = arguments.remove_photo
        _print_change(gallery.remove_photos(name, [gallery.find_photo(name, photo)]), f"removed from {shown(name)}")
    elif arguments.move_photo:
        name, photo, into = arguments.move_photo
        change = gallery.move_photos(name, [gallery.find_photo(name, photo)], into)
        _print_change(change, f"moved from {shown(name)} to {shown(into)}")
    else:
        return False
    return True


def _print_change(change: Any, what: str) -> None:
    print(f"{what}, {counted(change.photos, 'photo')}")
    if change.left:
        print(change.left)


def _list(gallery: Any) -> None:
    from gluonfr.weights.network_identity import network_name

    people, photos = gallery.count()
    if people:
        print_table([[person.name, person.photos] for person in gallery.people()], ["person", "photos"])
    print(f"{counted(people, 'person')}, {counted(photos, 'photo')}; embeddings of {network_name(gallery.card)}")
