from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from gluonfr.cli.arguments import add_model, make_embedder, names
from gluonfr.cli.evaluate.pair_arguments import add_pairs, evaluate_all, stored_sets
from gluonfr.cli.tables import print_results

if TYPE_CHECKING:
    from gluonfr.evaluation import ReportEntry


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr report`."""
    add_model(parser, several=True)
    add_pairs(parser)
    parser.add_argument("--out", required=True, help="folder for report.html, report.json and the figures")
    parser.add_argument("--title", help="title of the page (default: the models and sets)")


def run(arguments: Namespace) -> int:
    """Run `gluonfr report`."""
    from gluonfr.core import UsageError, display_path
    from gluonfr.evaluation import write_report
    from gluonfr.evaluation.report.networks import network_of_run, short_names

    # Before a network is loaded, so that a mistyped name is reported at once.
    if os.path.isfile(arguments.out):
        raise UsageError(f"{display_path(arguments.out)} is a file, but a report needs a folder; choose another name.")
    stored = stored_sets(arguments)
    images = [name for name in arguments.data if name not in stored]
    models: list[Any] = (names(arguments.model or "") or [None]) if images else []
    entries, curves = [], None
    for model, label in zip(models, short_names(models)):
        arguments.model, rows = network_of_run(model) if model else (None, None)
        curves = curves or rows
        entries += _evaluate_network(arguments, images, label)
    if stored:
        entries += _evaluate_embeddings(arguments, stored)
    print(f"report: {display_path(write_report(arguments.out, entries, arguments.title, curves))}")
    return 0


def _evaluate_network(arguments: Namespace, sets: list[str], label: str | None) -> list[ReportEntry]:
    from gluonfr.evaluation import ReportEntry
    from gluonfr.evaluation.report.networks import card_facts
    from gluonfr.evaluation.verification import pair_sources

    embedder = make_embedder(arguments)
    sources = pair_sources(sets, arguments.root, embedder.card.trained_on or None, arguments.table, arguments.pairs)
    facts = card_facts(embedder.card)
    evaluations = evaluate_all(arguments, embedder, sources)
    label = label or facts["network"]
    print(label)
    print_results({name: evaluation.verification for name, evaluation in evaluations.items()})
    return [ReportEntry(label, source.name, evaluations[source.name], source.images, facts) for source in sources]


def _evaluate_embeddings(arguments: Namespace, sets: list[str]) -> list[ReportEntry]:
    from gluonfr.evaluation import ReportEntry
    from gluonfr.evaluation.verification import pair_sources

    sources = pair_sources(sets, arguments.root, None, arguments.table, arguments.pairs)
    evaluations = evaluate_all(arguments, None, sources)
    return [ReportEntry("embeddings", source.name, evaluations[source.name]) for source in sources]
