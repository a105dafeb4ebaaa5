from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_faces, aligned, make_face_embedder, write_json
from gluonfr.cli.gallery.identify import add_video_times
from gluonfr.cli.tables import print_table
from gluonfr.core.wording import counted


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr search`."""
    parser.add_argument(
        "photo", help="photo of the person; if it shows several faces, the large one nearest the middle is used"
    )
    parser.add_argument("images", nargs="+", help="photos, videos, or folders of them to search")
    parser.add_argument(
        "--fpir",
        type=float,
        default=0.01,
        help="probability of a match when the person is on none of the photos; sets the threshold",
    )
    parser.add_argument("--top", type=int, default=20, help="number of photos to list")
    parser.add_argument("--out", metavar="FILE", help="write a contact sheet of the best faces to this .png or .jpg")
    add_video_times(parser)
    add_faces(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr search`."""
    from gluonfr.apps.gallery.annotated_images import check_image_path, write_image
    from gluonfr.apps.gallery.searching import search_photos
    from gluonfr.core import display_path
    from gluonfr.weights.network_identity import network_name

    if arguments.out:
        check_image_path(arguments.out, [arguments.photo, *arguments.images])
    embedder = make_face_embedder(arguments)
    found = search_photos(
        *(embedder, arguments.photo, arguments.images, arguments.fpir),
        *(aligned(arguments), arguments.min_face, arguments.every, arguments.top),
        progress="search",
        start=arguments.start,
        end=arguments.end,
    )
    print(f"{network_name(embedder.card)}; {counted(found.faces, 'face')} searched")
    if found.taken():
        print(found.taken())
    print(found.explain())
    rows = [
        [file, f"{similarity:.4f}", "same person" if similarity > found.threshold.similarity else ""]
        for file, similarity in zip(found.files, found.similarities)
    ]
    print_table(rows, ["file", "similarity", ""])
    if arguments.out:
        write_image(arguments.out, found.sheet())
    for file, reason in found.left_out.items():
        print(f"left out: {display_path(file)}: {display_path(reason)}", file=sys.stderr)
    write_json(arguments, found.to_dict())
    return 1 if found.left_out else 0
