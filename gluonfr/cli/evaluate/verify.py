from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_json, add_model, make_embedder, write_json
from gluonfr.cli.evaluate.pair_arguments import add_pairs, evaluate_all, stored_sets
from gluonfr.cli.tables import print_evaluation, print_results


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr verify`."""
    add_model(parser)
    add_pairs(parser)
    parser.add_argument(
        "--save", metavar="FOLDER", help="write the embeddings of each set to FOLDER/SET.npz, which --data accepts"
    )
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr verify`."""
    from gluonfr.evaluation.verification import pair_sources

    embedder = None if len(stored_sets(arguments)) == len(arguments.data) else make_embedder(arguments)
    trained_on = embedder.card.trained_on if embedder else None
    sources = pair_sources(arguments.data, arguments.root, trained_on or None, arguments.table, arguments.pairs)
    evaluations = evaluate_all(arguments, embedder, sources, arguments.save)
    print_results({name: evaluation.verification for name, evaluation in evaluations.items()})
    for name, evaluation in evaluations.items():
        print_evaluation(name, evaluation)
    write_json(arguments, {name: evaluation.to_dict() for name, evaluation in evaluations.items()})
    return 0
