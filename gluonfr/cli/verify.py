from gluonfr.cli.arguments import add_devices, add_root, names, print_results


def add_arguments(parser):
    parser.add_argument("--model", required=True, help="a network that a training wrote, such as RUN/best")
    parser.add_argument("--data", type=names, required=True, help="verification sets under the root, or .bin files")
    add_root(parser)
    add_devices(parser)
    parser.add_argument("--batch-size", type=int, default=64, help="images a batch")
    parser.add_argument("--json", help="write all results to this file")


def run(arguments):
    import json
    import os

    from gluonfr.core import whole_file
    from gluonfr.data import get_recognition_dataset
    from gluonfr.deploy import load_network
    from gluonfr.engine import TrainOptions, validate

    sets = {}
    for name in arguments.data:
        root, inside = (
            (os.path.dirname(os.path.abspath(name)), os.path.basename(name)[:-4])
            if name.endswith(".bin")
            else (
                arguments.root,
                name,
            )
        )
        sets[inside] = get_recognition_dataset(inside, root=root)
    contexts = TrainOptions(dataset="", out=".", gpus=arguments.gpus, cpus=arguments.cpus).contexts()
    net, _ = load_network(arguments.model, contexts)
    results = validate(net, sets, contexts, arguments.batch_size)
    print_results(results)
    if arguments.json:
        with whole_file(arguments.json, "w", encoding="utf-8") as file:
            json.dump({name: result.to_dict() for name, result in results.items()}, file)
