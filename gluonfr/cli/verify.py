from gluonfr.cli.arguments import add_devices, add_model, add_root, make_embedder, names, print_results


def add_arguments(parser):
    add_model(parser)
    parser.add_argument("--data", type=names, required=True, help="verification sets under the root, or .bin files")
    add_root(parser)
    add_devices(parser)
    parser.add_argument("--batch-size", type=int, default=64, help="images a batch")
    parser.add_argument("--json", help="write all results to this file")


def run(arguments):
    import json

    from gluonfr.core import whole_file
    from gluonfr.engine import devices, validate

    embedder = make_embedder(arguments)
    sets = _sets(arguments, embedder.card)
    results = validate(
        embedder.net,
        sets,
        devices(arguments.gpus, arguments.cpus),
        arguments.batch_size,
        flip=not arguments.no_flip,
        image_size=embedder.card.image_size,
    )
    print_results(results)
    if arguments.json:
        with whole_file(arguments.json, "w", encoding="utf-8") as file:
            json.dump({name: result.to_dict() for name, result in results.items()}, file)


def _sets(arguments, card):
    import os

    from gluonfr.core import GluonFRError
    from gluonfr.engine.sets import find_pairs

    sets = {}
    for name in arguments.data:
        if name.endswith(".bin"):
            folder, file = os.path.split(os.path.abspath(os.path.expanduser(name)))
            pairs = find_pairs(file[: -len(".bin")], folder)
        else:
            pairs = find_pairs(name, arguments.root, card.trained_on or None)
        sets[name] = pairs
    if not sets:
        raise GluonFRError("--data names no verification set.")
    return sets
