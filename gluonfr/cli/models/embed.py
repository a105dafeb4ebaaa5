from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_aligned, add_devices, add_model, aligned, make_embedder
from gluonfr.cli.tables import print_left_out
from gluonfr.core import UsageError


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr embed`."""
    parser.add_argument("images", nargs="+", help="image files, or folders that are searched for image files")
    parser.add_argument(
        "--out", required=True, help=".npz to write: embeddings (N, D), files (N,) and card; with --ending a folder"
    )
    parser.add_argument(
        "--ending", help="write one MegaFace feature file per image of one folder: the image's path + this ending, like _y1.bin"
    )
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr embed`."""
    from gluonfr.core import display_path
    from gluonfr.evaluation.embedding_files import write_embeddings, write_features
    from gluonfr.photos.find import find_photos

    if arguments.ending and (len(arguments.images) > 1 or not os.path.isdir(arguments.images[0])):
        raise UsageError("--ending requires exactly one folder of images, so that each feature gets the path of its image.")
    paths = find_photos(arguments.images)
    embedder = make_embedder(arguments, detector=arguments.detector)
    embeddings, used, left_out = embedder.files(paths, aligned(arguments), progress="embed")
    if arguments.ending:
        write_features(arguments.out, arguments.ending, embeddings, used, arguments.images[0])
    else:
        write_embeddings(arguments.out, embeddings, used, embedder.card)
    print(f"{len(used)} embeddings of {embedder.embedding_size} numbers: {display_path(arguments.out)}")
    return print_left_out(left_out)
