from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_model, make_embedder, names
from gluonfr.cli.tables import print_results
from gluonfr.cli.verify import add_pairs, evaluate_all, refuse_idle


def add_arguments(parser) -> None:
    add_model(parser, several=True)
    add_pairs(parser)
    add_devices(parser)
    parser.add_argument("--batch-size", type=int, default=64, help="images a batch")
    parser.add_argument("--out", required=True, help="folder for report.html, report.json and the pictures")
    parser.add_argument("--title", help="of the page")


def run(arguments) -> None:
    from gluonfr.evaluation.report.entry import ReportEntry
    from gluonfr.evaluation.report.write import write_report
    from gluonfr.evaluation.reporting import facts_of, labels_of, network_of_run
    from gluonfr.evaluation.verification import pair_sources

    stored = [name for name in arguments.data if name.endswith(".npz")]
    refuse_idle(arguments, stored)
    with_images = [name for name in arguments.data if name not in stored]
    entries, curves = [], None
    models = (names(arguments.model or "") or [None]) if with_images else []
    for model, label in zip(models, labels_of(models)):
        arguments.model, rows = network_of_run(model) if model else (None, None)
        curves = curves or rows
        embedder = make_embedder(arguments)
        sources = pair_sources(with_images, arguments.root, embedder.card.trained_on or None, arguments.table, arguments.pairs)
        facts = facts_of(embedder.card)
        evaluations = evaluate_all(arguments, embedder, sources)
        label = label or facts["network"]
        entries += [ReportEntry(label, source.name, evaluations[source.name], source.images, facts) for source in sources]
        print(label)
        print_results({key: each.verification for key, each in evaluations.items()})
    if stored:
        sources = pair_sources(stored, arguments.root, None, arguments.table, arguments.pairs)
        evaluations = evaluate_all(arguments, None, sources)
        entries += [ReportEntry("embeddings", source.name, evaluations[source.name], source.images, {}) for source in sources]
    print(f"report: {write_report(arguments.out, entries, arguments.title, curves)}")
