from __future__ import annotations

import sys

from gluonfr.cli.arguments import add_gallery, embedder_of, write_json
from gluonfr.cli.embed import add_faces, aligned
from gluonfr.cli.tables import print_table


def add_arguments(parser) -> None:
    parser.add_argument("images", nargs="+", help="photos, videos, or folders of them")
    add_gallery(parser)
    parser.add_argument("--fpir", type=float, default=0.01, help="share of strangers' faces for which somebody may be named")
    parser.add_argument("--threshold", type=float, help="similarity above which somebody is named, in place of --fpir")
    parser.add_argument("--top", type=int, default=3, help="people to name as candidates")
    parser.add_argument("--out", help="write the photo with boxes and names there; of several images, a new folder")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between the frames of a video that are looked at")
    add_faces(parser)


def run(arguments) -> int:
    from gluonfr.apps.gallery.gallery import Gallery
    from gluonfr.apps.gallery.identifying import identify_files, need_place, write_pictures
    from gluonfr.core.output import display_path
    from gluonfr.weights.network_identity import network_name

    # A mistyped name is told before a network is loaded.
    need_place(arguments.out, arguments.images)
    with Gallery(arguments.gallery, create=False) as gallery:
        threshold = gallery.threshold(arguments.fpir, arguments.threshold)
        embedder = embedder_of(arguments, gallery)
        people, photos = gallery.count()
        print(f"{network_name(gallery.card)}; {people:,} people, {photos:,} photos in {display_path(gallery.where)}")
        print(threshold)
        looked_at = identify_files(
            *(gallery, embedder, arguments.images, threshold, arguments.top),
            *(aligned(arguments), arguments.min_face, arguments.every),
            progress="identify",
        )
        found, rows = [], []
        for picture in write_pictures(looked_at, arguments.out, arguments.images):
            found.append(picture.to_dict())
            rows += [_row(picture.name, number, face.answer) for number, face in enumerate(picture.faces, 1)]
    if rows:
        print_table(rows, ["file", "face", "person", "similarity", "candidates"])
    left_out = [each for each in found if each["left_out"]]
    for each in left_out:
        print(f"left out: {display_path(each['file'])}: {each['left_out']}", file=sys.stderr)
    results = {"network": network_name(gallery.card), "threshold": threshold.to_dict(), "pictures": found}
    write_json(arguments, results)
    return 1 if left_out else 0


def _row(file, number, answer):
    from gluonfr.core.output import display_path

    candidates = ", ".join(f"{display_path(match.name)} {match.similarity:.4f}" for match in answer.matches)
    name = "unknown" if answer.name is None else display_path(answer.name)
    return [display_path(file), number, name, f"{answer.similarity:.4f}", candidates]
