from __future__ import annotations

from gluonfr.cli.arguments import add_json, write_json
from gluonfr.cli.tables import print_table
from gluonfr.core import DEFAULT_MODELS


def add_arguments(parser) -> None:
    kinds = "a folder such as RUN/best, an InsightFace checkpoint, a PyTorch .pt, Gluon's .params (with --network)"
    parser.add_argument("--add", metavar="PATH", help=f"store this network: {kinds}")
    parser.add_argument("--name", help="name under which --add stores it")
    parser.add_argument("--network", help="which of the zoo's networks --add must find in the file")
    parser.add_argument("--remove", metavar="NAME", help="remove a stored model")
    parser.add_argument("--models", default=DEFAULT_MODELS, help="folder of the stored models")
    parser.add_argument("--complexity", action="store_true", help="count parameters and multiply-adds too; takes some seconds")
    add_json(parser, "the list")


def run(arguments) -> None:
    from gluonfr.core import GluonFRError
    from gluonfr.weights.store import add_model, remove_model

    if arguments.add and not arguments.name:
        raise GluonFRError("--add needs --name NAME, under which the model is stored.")
    if not arguments.add and (arguments.name or arguments.network):
        raise GluonFRError("--name and --network belong to --add PATH.")
    if arguments.add and arguments.remove:
        raise GluonFRError("--add and --remove are two commands: when the one failed, the other would be half of the work.")
    if arguments.remove:
        remove_model(arguments.remove, arguments.models)
    if arguments.add:
        print(add_model(arguments.name, arguments.add, arguments.models, arguments.network))
    if arguments.json or not (arguments.add or arguments.remove):
        _list(arguments)


def _list(arguments) -> None:
    from gluonfr.model_zoo import get_model_list
    from gluonfr.weights.store import list_models

    networks = {name: _counts(name) if arguments.complexity else {} for name in get_model_list()}
    stored = list_models(arguments.models)
    if arguments.complexity:
        rows = [[name, f"{each['parameters']:,}", f"{each['multiply_adds'] / 1e9:.3f} G"] for name, each in networks.items()]
        print_table(rows, ["network", "parameters", "multiply-adds"])
    else:
        print_table([[name] for name in networks], ["network"])
    print()
    if stored:
        rows = [
            [name, card.network, card.embedding_size, "x".join(map(str, card.image_size)), card.trained_on or "?", card.license]
            for name, card in stored.items()
        ]
        print_table(rows, ["stored model", "network", "embedding", "image", "trained on", "license"])
    else:
        print(f"No model is stored under {arguments.models}.")
    write_json(arguments, {"networks": networks, "stored": {name: card.to_dict() for name, card in stored.items()}})


def _counts(name):
    from gluonfr.model_zoo import get_model
    from gluonfr.model_zoo.complexity import complexity

    net = get_model(name)
    return complexity(net, getattr(net, "image_size", (112, 112)))._asdict()
