from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from gluonfr.cli.arguments import add_faces, add_gallery, aligned, make_face_embedder, write_json
from gluonfr.cli.tables import print_table
from gluonfr.core.wording import counted


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr identify`."""
    parser.add_argument("images", nargs="+", help="photos, videos, or folders of them")
    add_gallery(parser)
    parser.add_argument(
        "--fpir", type=float, default=0.01, help="fraction of unknown faces that may get a name; sets the threshold"
    )
    parser.add_argument(
        "--threshold", type=float, help="similarity (cosine) above which a face gets a name (default: set by --fpir)"
    )
    parser.add_argument("--top", type=int, default=3, help="number of candidates to print per face")
    parser.add_argument("--out", help="image to write with boxes and names; for several images a new folder")
    add_video_times(parser)
    add_faces(parser)


def add_video_times(parser: ArgumentParser) -> None:
    """Add `--every`, `--start` and `--end`."""
    parser.add_argument(
        "--every", type=float, default=1.0, metavar="SECONDS", help="seconds between the frames of a video to search"
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="time in each video to begin at")
    parser.add_argument("--end", type=float, metavar="SECONDS", help="time in each video to stop at (default: its end)")


def run(arguments: Namespace) -> int:
    """Run `gluonfr identify`."""
    from gluonfr.apps.gallery.annotated_images import annotate_images, check_output
    from gluonfr.apps.gallery.gallery import Gallery
    from gluonfr.apps.gallery.identifying import identify_files
    from gluonfr.core import display_path
    from gluonfr.weights.network_identity import network_name

    # Before a network is loaded, so that a mistyped name is reported at once.
    check_output(arguments.out, arguments.images)
    with Gallery(arguments.gallery, create=False) as gallery:
        threshold = gallery.threshold(arguments.fpir, arguments.threshold)
        embedder = make_face_embedder(arguments, gallery)
        people, photos = gallery.count()
        size = f"{counted(people, 'person')}, {counted(photos, 'photo')}"
        print(f"{network_name(gallery.card)}; {size} in {display_path(gallery.where)}")
        print(threshold)
        identified = identify_files(
            *(gallery, embedder, arguments.images, threshold, arguments.top),
            *(aligned(arguments), arguments.min_face, arguments.every),
            progress="identify",
            start=arguments.start,
            end=arguments.end,
        )
        pictures, rows = [], []
        for picture in annotate_images(identified, arguments.out, arguments.images):
            pictures.append(picture.to_dict())
            rows += [_row(picture.name, number, face.answer) for number, face in enumerate(picture.faces, 1)]
    if rows:
        print_table(rows, ["file", "face", "person", "similarity", "candidates"])
    if arguments.out:
        print(f"wrote {display_path(arguments.out)}")
    left_out = [picture for picture in pictures if picture["left_out"]]
    for values in left_out:
        print(f"left out: {display_path(values['file'])}: {display_path(values['left_out'])}", file=sys.stderr)
    results = {"network": network_name(gallery.card), "threshold": threshold.to_dict(), "pictures": pictures}
    write_json(arguments, results)
    return 1 if left_out else 0


def _row(file: str, number: int, answer: Any) -> list[object]:
    candidates = ", ".join(f"{match.name} {match.similarity:.4f}" for match in answer.matches)
    return [file, number, "unknown" if answer.name is None else answer.name, f"{answer.similarity:.4f}", candidates]
