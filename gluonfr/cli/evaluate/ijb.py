from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_devices, add_json, add_model, make_embedder, write_json


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr ijb`."""
    parser.add_argument("folder", help="IJB-B or IJB-C in InsightFace's layout, with loose_crop/ and meta/")
    parser.add_argument("--detector-score", action="store_true", help="weight each image by the score of its detection")
    parser.add_argument("--embeddings", metavar="NPZ", help="embeddings that --save wrote, instead of a network")
    parser.add_argument("--save", metavar="NPZ", help="write the embeddings of all images to this file")
    add_model(parser)
    add_devices(parser)
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr ijb`."""
    from gluonfr.cli.tables import print_identification, print_rates
    from gluonfr.evaluation.ijb import embed_ijb, evaluate_ijb, read_ijb_embeddings
    from gluonfr.evaluation.ijb_files import read_ijb

    lists = read_ijb(arguments.folder)
    if arguments.embeddings:
        embeddings = read_ijb_embeddings(lists, arguments.embeddings)
    else:
        embeddings = embed_ijb(lists, make_embedder(arguments), arguments.save, progress="embed")
    verification, identification = evaluate_ijb(lists, embeddings, arguments.detector_score, progress="search")
    results = {}
    if verification:
        print(f"1:1, {verification.pairs:,} pairs of templates, {verification.genuine:,} of them genuine")
        print_rates(verification.name_values())
        results["1:1"] = verification.to_dict()
    if identification:
        for name, result in identification.galleries.items():
            print(f"\n1:N, gallery {name}")
            print_identification(result)
        print("\n1:N, mean over the galleries")
        print_rates(identification.mean.items())
        results["1:N"] = identification.to_dict()
    write_json(arguments, results)
    return 0
