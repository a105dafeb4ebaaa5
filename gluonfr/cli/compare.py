from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_json, add_model, make_embedder, write_json
from gluonfr.cli.embed import add_aligned, aligned


def add_arguments(parser) -> None:
    parser.add_argument("first", help="image of a face")
    parser.add_argument("second", help="another")
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser)


def run(arguments) -> None:
    from gluonfr.evaluation.verdict import compare

    verdict = compare(
        make_embedder(arguments, detector=arguments.detector), arguments.first, arguments.second, aligned(arguments)
    )
    print(verdict)
    write_json(arguments, verdict.to_dict())
