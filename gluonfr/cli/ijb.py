from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_json, add_model, make_embedder, write_json


def add_arguments(parser) -> None:
    parser.add_argument("folder", help="IJB-B or IJB-C as InsightFace lays it out: loose_crop/ and meta/")
    parser.add_argument("--detector-score", action="store_true", help="weight each image by the detector's score")
    parser.add_argument("--embeddings", help=".npz that --save wrote, in place of a network")
    parser.add_argument("--save", metavar="NPZ", help="write the embeddings of all images there")
    add_model(parser)
    add_devices(parser)
    add_json(parser)


def run(arguments) -> None:
    from gluonfr.cli.tables import print_identification, print_rates
    from gluonfr.evaluation.ijb import evaluate_ijb, image_embeddings
    from gluonfr.evaluation.ijb_files import read_ijb

    lists = read_ijb(arguments.folder)
    embedder = None if arguments.embeddings else make_embedder(arguments)
    embeddings = image_embeddings(lists, embedder, arguments.embeddings, arguments.save, progress="embed")
    verification, identified = evaluate_ijb(lists, embeddings, arguments.detector_score, progress="search")
    results = {}
    if verification:
        print(f"1:1, {verification.pairs:,} pairs of templates, {verification.genuine:,} of one person")
        print_rates(verification.name_values())
        results["1:1"] = verification.to_dict()
    if identified:
        for name, each in identified.galleries.items():
            print(f"\n1:N, gallery {name}")
            print_identification(each)
        print("\n1:N, mean over the galleries")
        print_rates(identified.mean.items())
        results["1:N"] = identified.to_dict()
    write_json(arguments, results)
