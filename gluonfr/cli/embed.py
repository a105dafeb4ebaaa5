from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_json, add_model, make_embedder


def add_arguments(parser) -> None:
    parser.add_argument("images", nargs="+", help="image files, or folders, whose image files are taken")
    parser.add_argument(
        "--out", required=True, help=".npz to write: embeddings (N, D), files (N,), card; with --ending a folder"
    )
    parser.add_argument(
        "--ending", help="write a MegaFace feature for each image of one folder: its path there + this, such as _y1.bin"
    )
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)


def add_aligned(parser) -> None:
    """--aligned, --photos and --detector."""
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--aligned", action="store_true", help="all images are crops already")
    kind.add_argument("--photos", action="store_true", help="all images are photos, also those of the size of a crop")
    parser.add_argument("--detector", help="finds the faces on photos: mtcnn (the default) or retinaface")


def add_faces(parser) -> None:
    """What every command has that embeds faces on photos."""
    parser.add_argument("--min-face", type=int, default=32, help="shorter side of the smallest face taken, in pixels")
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser)


def aligned(arguments) -> bool | None:
    """True, False, or None where each image's size decides."""
    return True if arguments.aligned else False if arguments.photos else None


def run(arguments) -> int:
    import os
    import sys

    from gluonfr.core import GluonFRError
    from gluonfr.evaluation.embedding_files import write_embeddings, write_features
    from gluonfr.photos.find import find_images

    if arguments.ending and (len(arguments.images) > 1 or not os.path.isdir(arguments.images[0])):
        raise GluonFRError("--ending takes one folder of images, below which the features get the same paths.")
    paths = find_images(arguments.images)
    embedder = make_embedder(arguments, detector=arguments.detector)
    embeddings, kept, left_out = embedder.files(paths, aligned(arguments), progress="embed")
    if arguments.ending:
        write_features(arguments.out, arguments.ending, embeddings, kept, arguments.images[0])
    else:
        write_embeddings(arguments.out, embeddings, kept, embedder.card)
    print(f"{len(kept)} embeddings of {embedder.embedding_size} numbers: {arguments.out}")
    for reason in left_out.values():
        print(f"left out: {reason}", file=sys.stderr)
    return 1 if left_out else 0
