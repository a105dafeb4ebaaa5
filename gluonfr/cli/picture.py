from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_model, add_root, make_embedder
from gluonfr.cli.embed import add_aligned, aligned


def add_arguments(parser) -> None:
    parser.add_argument(
        "data", help="an .npz of embeddings and labels, a training set, or a folder of photos, a folder a person"
    )
    parser.add_argument("--out", required=True, help="PNG to write")
    parser.add_argument("--method", default="tsne", choices=("tsne", "pca"), help="how the space becomes two dimensions")
    parser.add_argument("--people", type=int, default=12, help="people to show, those with most images first")
    parser.add_argument("--images-per-person", type=int, default=50, help="images of each of them, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the projection")
    add_root(parser)
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)


def run(arguments) -> int:
    import sys

    from gluonfr.evaluation.labeled import labeled_embeddings
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
    print(f"picture: {arguments.out}")
    for reason in found.left_out.values():
        print(f"left out: {reason}", file=sys.stderr)
    return 1 if found.left_out else 0
