from gluonfr.cli.arguments import add_devices, add_model, make_embedder
from gluonfr.cli.embed import add_aligned, aligned


def add_arguments(parser):
    parser.add_argument("first", help="image of a face")
    parser.add_argument("second", help="another")
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    parser.add_argument("--json", help="write the result to this file")


def run(arguments):
    import json

    from gluonfr.core import whole_file
    from gluonfr.deploy.verdict import compare

    verdict = compare(
        make_embedder(arguments, detector=arguments.detector), arguments.first, arguments.second, aligned(arguments)
    )
    print(verdict)
    if arguments.json:
        with whole_file(arguments.json, "w", encoding="utf-8") as file:
            json.dump(verdict.to_dict(), file)
