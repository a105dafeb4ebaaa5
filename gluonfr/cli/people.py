from __future__ import annotations

from gluonfr.cli.arguments import add_gallery, add_json, write_json
from gluonfr.cli.tables import print_table


def add_arguments(parser) -> None:
    add_gallery(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rename", nargs=2, metavar=("NAME", "NEW"), help="give a person another name")
    what.add_argument("--remove", metavar="NAME", help="take a person away, with every byte of the name and the embeddings")
    what.add_argument("--merge", nargs=2, metavar=("NAME", "INTO"), help="give all photos of NAME to INTO, the same person")
    what.add_argument("--export", metavar="FILE", help="write all people to this .npz")
    what.add_argument("--import", dest="source", metavar="FILE", help="enroll what --export or `gluonfr embed` wrote")
    add_json(parser, "the list")


def run(arguments) -> None:
    from gluonfr.apps.gallery.exchange import export_gallery, import_gallery, read_card
    from gluonfr.apps.gallery.gallery import Gallery, checked_name
    from gluonfr.core.output import display_path

    card = read_card(arguments.source) if arguments.source else None
    with Gallery(arguments.gallery, card, create=arguments.source is not None) as gallery:
        if arguments.remove:
            name = checked_name(arguments.remove)
            _tell(gallery.remove(name), f"{display_path(name)} is removed")
        elif arguments.rename:
            old, new = map(checked_name, arguments.rename)
            _tell(gallery.rename(old, new), f"{display_path(old)} is now {display_path(new)}")
        elif arguments.merge:
            name, into = map(checked_name, arguments.merge)
            _tell(gallery.merge(name, into), f"{display_path(name)} is now {display_path(into)}")
        elif arguments.export:
            people, photos = export_gallery(gallery, arguments.export)
            print(f"{photos:,} photos of {people:,} people: {display_path(arguments.export)}")
        elif arguments.source:
            print(f"{import_gallery(gallery, arguments.source):,} photos enrolled: {display_path(gallery.where)}")
        else:
            _list(gallery)
        write_json(arguments, [dict(vars(person)) for person in gallery.people()])


def _tell(removed, what) -> None:
    print(f"{what}, {removed.photos:,} photos")
    if removed.left:
        print(removed.left)


def _list(gallery) -> None:
    from gluonfr.core.output import display_path
    from gluonfr.weights.network_identity import network_name

    people, photos = gallery.count()
    if people:
        print_table([[display_path(person.name), person.photos] for person in gallery.people()], ["person", "photos"])
    print(f"{people:,} people, {photos:,} photos; embeddings of {network_name(gallery.card)}")
