from __future__ import annotations

import sys

from gluonfr.cli.arguments import embedder_of, write_json
from gluonfr.cli.embed import add_faces, aligned
from gluonfr.cli.tables import print_table


def add_arguments(parser) -> None:
    parser.add_argument("photo", help="photo of the person; of several faces the large one in the middle is meant")
    parser.add_argument("images", nargs="+", help="where to look: photos, videos, or folders of them")
    parser.add_argument(
        "--fpir", type=float, default=0.01, help="chance of finding somebody although the person is on no photo"
    )
    parser.add_argument("--top", type=int, default=20, help="photos to list")
    parser.add_argument("--out", help="contact sheet of the best faces to write, .png or .jpg")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between the frames of a video that are looked at")
    add_faces(parser)


def run(arguments) -> int:
    from gluonfr.apps.gallery.identifying import need_output, write_image
    from gluonfr.apps.gallery.searching import search_photos
    from gluonfr.core.output import display_path
    from gluonfr.weights.network_identity import network_name

    if arguments.out:
        need_output(arguments.out, [arguments.photo, *arguments.images])
    embedder = embedder_of(arguments)
    found = search_photos(
        *(embedder, arguments.photo, arguments.images, arguments.fpir),
        *(aligned(arguments), arguments.min_face, arguments.every, arguments.top),
        progress="search",
    )
    print(f"{network_name(embedder.card)}; {found.faces:,} faces looked at")
    if found.taken():
        print(found.taken())
    print(found.explain())
    rows = [
        [display_path(file), f"{similarity:.4f}", "same person" if similarity > found.threshold.similarity else ""]
        for file, similarity in zip(found.files, found.similarities)
    ]
    print_table(rows, ["file", "similarity", ""])
    if arguments.out:
        write_image(arguments.out, found.sheet())
    for file, reason in found.left_out.items():
        print(f"left out: {display_path(file)}: {reason}", file=sys.stderr)
    write_json(arguments, found.to_dict())
    return 1 if found.left_out else 0
