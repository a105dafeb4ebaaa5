from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_json, add_model, add_root, make_embedder, names, write_json
from gluonfr.cli.tables import print_evaluation, print_results


def add_arguments(parser) -> None:
    add_model(parser)
    add_pairs(parser)
    add_devices(parser)
    parser.add_argument("--batch-size", type=int, default=64, help="images a batch")
    parser.add_argument("--save", metavar="FOLDER", help="write the embeddings of each set there, for --data SET.npz later")
    add_json(parser)


def add_pairs(parser) -> None:
    """--data, --root, --table, --pairs, --far, --bootstrap and --seed."""
    parser.add_argument(
        "--data", type=names, required=True, help="verification sets under the root, .bin files, or .npz files of embeddings"
    )
    add_root(parser)
    parser.add_argument(
        "--table", help="CSV with a row a pair: identity0, identity1 and groupings (default: NAME.pairs.csv beside NAME.bin)"
    )
    parser.add_argument("--pairs", help="list of pairs of the files in an .npz that `gluonfr embed` wrote")
    parser.add_argument("--far", type=float, default=1e-3, help="false accept rate wanted in an application")
    parser.add_argument("--bootstrap", type=int, default=1000, help="draws of people for intervals, 0: none")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")


def run(arguments) -> None:
    from gluonfr.evaluation.verification import pair_sources

    stored = [name for name in arguments.data if name.endswith(".npz")]
    refuse_idle(arguments, stored)
    embedder = None if len(stored) == len(arguments.data) else make_embedder(arguments)
    trained_on = embedder.card.trained_on if embedder else None
    sources = pair_sources(arguments.data, arguments.root, trained_on or None, arguments.table, arguments.pairs)
    evaluations = evaluate_all(arguments, embedder, sources, arguments.save)
    print_results({name: each.verification for name, each in evaluations.items()})
    for name, each in evaluations.items():
        print_evaluation(name, each)
    write_json(arguments, {name: each.to_dict() for name, each in evaluations.items()})


def refuse_idle(arguments, stored) -> None:
    """Refuse options that would do nothing with the sets at hand."""
    from gluonfr.core import GluonFRError

    if len(stored) == len(arguments.data):
        for name in ("model", "save"):
            if getattr(arguments, name, None):
                raise GluonFRError(f"--{name} is about images, and --data names embeddings only; leave it out.")
    elif arguments.pairs and not stored:
        raise GluonFRError("--pairs is about embeddings, and --data names no .npz; leave it out.")
    if arguments.table and len(arguments.data) > 1:
        raise GluonFRError(f"{arguments.table} is the table of one set, and {len(arguments.data)} are named; name one.")


def evaluate_all(arguments, embedder, sources, save=None):
    """Name -> PairEvaluation of a network, or of embeddings, on all sets."""
    import os

    from gluonfr.engine import devices
    from gluonfr.evaluation.verification import evaluate

    return {
        source.name: evaluate(
            source,
            embedder and embedder.net,
            devices(arguments.gpus, arguments.cpus),
            arguments.batch_size,
            flip=not arguments.no_flip,
            image_size=embedder and embedder.card.image_size,
            template=embedder.card.template if embedder else "",
            save=save and os.path.join(save, source.name.replace(os.sep, "_") + ".npz"),
            production_far=arguments.far,
            replicates=arguments.bootstrap,
            seed=arguments.seed,
        )
        for source in sources
    }
