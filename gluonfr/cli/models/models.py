from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from gluonfr.cli.arguments import add_json, write_json
from gluonfr.cli.tables import print_table
from gluonfr.core import DEFAULT_MODELS, UsageError


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr models`."""
    kinds = "a folder such as RUN/best, an InsightFace checkpoint, a PyTorch .pt, or Gluon's .params (with --network)"
    parser.add_argument("--add", metavar="PATH", help=f"store this network or detector: {kinds}")
    parser.add_argument("--name", help="with --add: name of the stored model")
    parser.add_argument("--network", help="with --add: architecture in the file (default: recognized by its shapes)")
    parser.add_argument("--remove", metavar="NAME", help="remove a stored model")
    parser.add_argument("--models", default=DEFAULT_MODELS, metavar="FOLDER", help="folder of the stored models")
    parser.add_argument(
        "--complexity", action="store_true", help="also count parameters and multiply-adds, which takes some seconds"
    )
    add_json(parser, "the list")


def run(arguments: Namespace) -> int:
    """Run `gluonfr models`."""
    from gluonfr.detection.saved import is_detector_folder
    from gluonfr.detection.store import add_detector, remove_detector
    from gluonfr.weights.store import add_model, remove_model, stored_folder

    if arguments.add and not arguments.name:
        raise UsageError("--add requires --name NAME, the name of the stored model.")
    if not arguments.add and (arguments.name or arguments.network):
        raise UsageError("--name and --network require --add PATH.")
    if arguments.add and arguments.remove:
        raise UsageError("--add and --remove cannot be combined; run the command twice.")
    if arguments.remove:
        is_detector = is_detector_folder(stored_folder(arguments.remove, arguments.models))
        (remove_detector if is_detector else remove_model)(arguments.remove, arguments.models)
    if arguments.add and is_detector_folder(arguments.add) and not arguments.network:
        print(add_detector(arguments.name, arguments.add, arguments.models))
    elif arguments.add:
        print(add_model(arguments.name, arguments.add, arguments.models, arguments.network))
    if arguments.json or not (arguments.add or arguments.remove):
        _list(arguments)
    return 0


def _list(arguments: Namespace) -> None:
    from gluonfr.detection.store import list_stored_detectors
    from gluonfr.model_zoo import list_models
    from gluonfr.weights.store import list_stored_models

    networks = {name: _counts(name) if arguments.complexity else {} for name in list_models()}
    stored, detectors = list_stored_models(arguments.models), list_stored_detectors(arguments.models)
    if arguments.complexity:
        rows = [
            [name, f"{counts['parameters']:,}", f"{counts['multiply_adds'] / 1e9:.3f} G"] for name, counts in networks.items()
        ]
        print_table(rows, ["network", "parameters", "multiply-adds"])
    else:
        print_table([[name] for name in networks], ["network"])
    print()
    if stored:
        rows = [
            [
                name,
                card.network,
                f"{card.embedding_size}",
                "x".join(map(str, card.image_size)),
                card.trained_on or "?",
                card.license,
            ]
            for name, card in stored.items()
        ]
        print_table(rows, ["stored model", "network", "embedding", "image", "trained on", "license"])
    else:
        print(f"No model is stored in {arguments.models}.")
    if detectors:
        print()
        rows = [[name, card.backbone, f"{card.threshold:.2f}", card.trained_on or "?"] for name, card in detectors.items()]
        print_table(rows, ["stored detector", "backbone", "threshold", "trained on"])
    cards = {name: card.to_dict() for name, card in stored.items()}
    found = {name: asdict(card) for name, card in detectors.items()}
    write_json(arguments, {"networks": networks, "stored": cards, "detectors": found})


def _counts(name: str) -> dict[str, int]:
    from gluonfr.model_zoo import get_model
    from gluonfr.model_zoo.complexity import complexity

    net = get_model(name)
    return complexity(net, getattr(net, "image_size", (112, 112)))._asdict()
