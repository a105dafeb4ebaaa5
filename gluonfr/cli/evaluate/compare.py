from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_aligned, add_devices, add_json, add_model, aligned, make_embedder, write_json


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr compare`."""
    parser.add_argument("first", help="image of a face")
    parser.add_argument("second", help="image of the face to compare it with")
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr compare`."""
    from gluonfr.evaluation.face_comparison import compare_faces

    embedder = make_embedder(arguments, detector=arguments.detector)
    comparison = compare_faces(embedder, arguments.first, arguments.second, aligned(arguments))
    print(comparison)
    write_json(arguments, comparison.to_dict())
    return 0
