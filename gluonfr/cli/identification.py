from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_json, add_model, add_root, make_embedder, numbers, write_json
from gluonfr.cli.embed import add_aligned, aligned
from gluonfr.cli.tables import print_identification


def add_arguments(parser) -> None:
    what = "an .npz of embeddings and labels, a training set, or a folder of photos, a folder a person"
    parser.add_argument("--gallery", help=f"who is known: {what}")
    parser.add_argument("--probes", help="who is to be recognized: the same kinds")
    parser.add_argument("--data", help="in place of both: a set that is split into gallery and probes")
    split = parser.add_argument_group("with --data")
    split.add_argument("--enroll", type=int, default=1, help="images of each person for the gallery")
    split.add_argument("--strangers", type=float, default=0.0, help="share of the people who are left out of the gallery")
    split.add_argument("--seed", type=int, default=0, help="another seed, another split")
    parser.add_argument("--ranks", type=numbers(int), default=(1, 5, 10, 20), help="ranks of the CMC")
    parser.add_argument("--fpir", type=numbers(float), default=(1e-1, 1e-2, 1e-3), help="false alarm rates of the open set")
    parser.add_argument("--save", metavar="FOLDER", help="write gallery.npz and probes.npz there")
    add_root(parser)
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser)


def run(arguments) -> int:
    import sys

    from gluonfr.core import GluonFRError
    from gluonfr.evaluation.verification import gallery_and_probes
    from gluonfr.metrics import evaluate_identification

    sources = (arguments.data,) if arguments.data else (arguments.gallery, arguments.probes)
    if not all(sources) or (arguments.data and (arguments.gallery or arguments.probes)):
        raise GluonFRError("give --gallery and --probes, or --data, which is split into both.")
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
    left_out = {**gallery.left_out, **probes.left_out}
    for reason in left_out.values():
        print(f"left out: {reason}", file=sys.stderr)
    return 1 if left_out else 0
