from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import (
    LABELED_SOURCE,
    add_aligned,
    add_devices,
    add_json,
    add_model,
    add_root,
    aligned,
    make_embedder,
    numbers,
    write_json,
)
from gluonfr.cli.tables import print_identification, print_left_out
from gluonfr.core import UsageError


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr identification`."""
    parser.add_argument("--gallery", metavar="SOURCE", help=f"enrolled people: {LABELED_SOURCE}")
    parser.add_argument("--probes", metavar="SOURCE", help="faces to identify: the same kinds as --gallery")
    parser.add_argument("--data", metavar="SOURCE", help="instead of both: one source to split into gallery and probes")
    parser.add_argument("--enroll", type=int, default=1, help="with --data: images per person in the gallery")
    parser.add_argument(
        "--strangers", type=float, default=0.0, help="with --data: fraction of the people who are left out of the gallery"
    )
    parser.add_argument("--seed", type=int, default=0, help="with --data: seed of the split")
    parser.add_argument("--ranks", type=numbers(int), default=(1, 5, 10, 20), help="ranks of the CMC curve")
    parser.add_argument(
        "--fpir", type=numbers(float), default=(1e-1, 1e-2, 1e-3), help="false positive identification rates (FPIR)"
    )
    parser.add_argument("--save", metavar="FOLDER", help="write gallery.npz and probes.npz to this folder")
    add_root(parser)
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr identification`."""
    from gluonfr.evaluation.identification import gallery_and_probes
    from gluonfr.metrics import evaluate_identification

    sources = (arguments.data,) if arguments.data else (arguments.gallery, arguments.probes)
    if not all(sources) or (arguments.data and (arguments.gallery or arguments.probes)):
        raise UsageError("give either --gallery and --probes, or --data, which is split into both.")
    stored = all(source.endswith(".npz") for source in sources)
    embedder = None if stored else make_embedder(arguments, detector=arguments.detector)
    gallery, probes = gallery_and_probes(
        sources,
        embedder,
        arguments.root,
        aligned(arguments),
        (arguments.enroll, arguments.strangers, arguments.seed),
        arguments.save,
    )
    result = evaluate_identification(
        gallery.embeddings, gallery.labels, probes.embeddings, probes.labels, arguments.ranks, arguments.fpir, progress="search"
    )
    print_identification(result)
    write_json(arguments, result.to_dict())
    return print_left_out({**gallery.left_out, **probes.left_out})
