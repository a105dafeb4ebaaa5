from __future__ import annotations

from gluonfr.cli.arguments import add_gallery, embedder_of, write_json
from gluonfr.cli.embed import add_faces, aligned


def add_arguments(parser) -> None:
    parser.add_argument("photos", help="folder of photos, whatever its tree")
    parser.add_argument("out", help="new folder: people/ a folder a person, once/, sheets/, clusters.csv, left_out.csv")
    add_gallery(parser, "a gallery that names the known ones", required=False)
    parser.add_argument("--fpir", type=float, default=0.01, help="with --gallery: share of strangers' faces that may be named")
    parser.add_argument("--join", metavar="S", type=float, help="mean similarity above which groups are one person")
    parser.add_argument("--link", action="store_true", help="hard links, which take no space, in place of copies")
    parser.add_argument(
        "--evaluate", action="store_true", help="the photos lie in a folder a person: say how well the clusters are these"
    )
    add_faces(parser)


def run(arguments) -> int:
    from contextlib import ExitStack

    from gluonfr.apps.curation.clustering.folder import cluster_photos
    from gluonfr.apps.gallery.gallery import Gallery
    from gluonfr.core import GluonFRError
    from gluonfr.core.output import display_path, require_new_folder
    from gluonfr.weights.network_identity import network_name

    # A mistyped name is told before a network is loaded.
    require_new_folder(arguments.out)
    with ExitStack() as stack:
        gallery = stack.enter_context(Gallery(arguments.gallery, create=False)) if arguments.gallery else None
        embedder = embedder_of(arguments, gallery)
        try:
            done = cluster_photos(
                *(embedder, arguments.photos, arguments.out, gallery, arguments.fpir, arguments.join),
                *(aligned(arguments), arguments.min_face, arguments.link, arguments.evaluate),
                progress="faces",
            )
        except KeyboardInterrupt:
            raise GluonFRError("interrupted; the faces found so far are kept, give the same command to go on.") from None
    print(f"{network_name(embedder.card)}; {done.faces:,} faces on {done.photos:,} photos")
    print(done.clusters.explain())
    if done.threshold is not None:
        print(f"{len(done.named):,} people of {display_path(arguments.gallery)} are among them; {done.threshold}")
    print(
        f"{display_path(arguments.out)}: {len(done.people):,} people on several photos or named, {done.once:,} on a single photo"
    )
    if done.evaluation is not None:
        result = done.evaluation
        print(
            f"B-cubed over {result.faces:,} faces of {result.people:,} people: precision {result.precision:.4f}, "
            f"recall {result.recall:.4f}, F {result.f:.4f}"
        )
    if done.left_out:
        print(f"{len(done.left_out):,} photos left out: left_out.csv says why")
    write_json(arguments, {"network": network_name(embedder.card), **done.to_dict()})
    return 1 if done.left_out else 0
