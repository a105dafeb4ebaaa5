from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from typing import Any

from gluonfr.cli.arguments import add_faces, add_gallery, aligned, make_face_embedder, write_json
from gluonfr.core.wording import counted


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr cluster`."""
    parser.add_argument("photos", help="folder of photos; its subfolders are searched too")
    parser.add_argument(
        "out", help="new folder: people/ with one folder per person, once/, sheets/, clusters.csv and left_out.csv"
    )
    add_gallery(parser, "gallery that names known people", required=False)
    parser.add_argument(
        "--fpir", type=float, default=0.01, help="with --gallery: fraction of unknown faces that may get a wrong name"
    )
    parser.add_argument(
        "--join",
        metavar="S",
        type=float,
        help="mean similarity (cosine) above which two groups become one person (default: calibrated for the network)",
    )
    parser.add_argument("--link", action="store_true", help="write hard links, which take no space, instead of copies")
    parser.add_argument(
        "--evaluate", action="store_true", help="compare the clusters with the folders of the photos, one folder per person"
    )
    add_faces(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr cluster`."""
    from gluonfr.apps.curation.clustering.sorted_folder import cluster_photos
    from gluonfr.apps.gallery.gallery import Gallery
    from gluonfr.photos.resumable import require_new_output
    from gluonfr.weights.network_identity import network_name

    # Before a network is loaded, so that a mistyped name is reported at once.
    require_new_output(arguments.out)
    with ExitStack() as stack:
        gallery = stack.enter_context(Gallery(arguments.gallery, create=False)) if arguments.gallery else None
        embedder = make_face_embedder(arguments, gallery)
        try:
            done = cluster_photos(
                *(embedder, arguments.photos, arguments.out, gallery, arguments.fpir, arguments.join),
                *(aligned(arguments), arguments.min_face, arguments.link, arguments.evaluate),
                progress="faces",
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the faces found are saved, rerun the command to resume") from None
    print(f"{network_name(embedder.card)}; {counted(done.faces, 'face')} on {counted(done.photos, 'photo')}")
    _print_clusters(arguments, done)
    write_json(arguments, {"network": network_name(embedder.card), **done.to_dict()})
    return 1 if done.left_out else 0


def _print_clusters(arguments: Namespace, done: Any) -> None:
    from gluonfr.core import display_path

    print(done.clusters.explain())
    if done.threshold is not None:
        print(f"{counted(len(done.named), 'person')} of {display_path(arguments.gallery)} are among them; {done.threshold}")
    counts = f"{len(done.people):,} people with a name or several photos, {done.once:,} on a single photo"
    print(f"{display_path(arguments.out)}: {counts}")
    if done.evaluation is not None:
        result = done.evaluation
        print(
            f"B-cubed over {counted(result.faces, 'face')} of {counted(result.people, 'person')}: "
            f"precision {result.precision:.4f}, recall {result.recall:.4f}, F {result.f:.4f}"
        )
    if done.repeated:
        shown = ", ".join(display_path(file) for file in list(done.repeated)[:5])
        print(f"warning: {len(done.repeated):,} photos show the same person several times, such as a collage: {shown}")
    if done.left_out:
        print(f"{counted(len(done.left_out), 'photo')} left out: see left_out.csv")
