from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import (
    LABELED_SOURCE,
    add_aligned,
    add_devices,
    add_model,
    add_root,
    aligned,
    make_embedder,
)
from gluonfr.cli.tables import print_left_out


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr picture`."""
    parser.add_argument("data", help=LABELED_SOURCE)
    parser.add_argument("--out", required=True, metavar="PNG", help="file to write")
    parser.add_argument("--method", default="tsne", choices=("tsne", "pca"), help="projection to two dimensions")
    parser.add_argument("--people", type=int, default=12, help="number of people to show, those with the most images first")
    parser.add_argument("--images-per-person", type=int, default=50, help="largest number of images per person")
    parser.add_argument("--seed", type=int, default=0, help="seed of the projection")
    add_root(parser)
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr picture`."""
    from gluonfr.core import display_path
    from gluonfr.evaluation.labeled_embeddings import labeled_embeddings
    from gluonfr.viz import plot_embeddings

    embedder = None if arguments.data.endswith(".npz") else make_embedder(arguments, detector=arguments.detector)
    found = labeled_embeddings(arguments.data, embedder, arguments.root, aligned(arguments), "embed")
    plot_embeddings(
        found.embeddings,
        found.labels,
        method=arguments.method,
        people=arguments.people,
        images_per_person=arguments.images_per_person,
        seed=arguments.seed,
        path=arguments.out,
        images=found.images,
    )
    print(f"picture: {display_path(arguments.out)}")
    return print_left_out(found.left_out)
