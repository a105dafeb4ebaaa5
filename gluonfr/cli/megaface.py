from __future__ import annotations

from gluonfr.cli.arguments import add_json, numbers, write_json


def add_arguments(parser) -> None:
    parser.add_argument("--probes", required=True, help="folder of the probes' features, PERSON/FILE + ending")
    parser.add_argument("--distractors", required=True, help="folder of the distractors' features, a/b/FILE + ending")
    parser.add_argument("--ending", default=".bin", help="what the features' names have after the images', such as _y1.bin")
    parser.add_argument("--probe-list", help="the devkit's JSON, or a path a line (default: all features in the folder)")
    parser.add_argument("--distractor-list", help="the same for the distractors; their order decides who comes first")
    parser.add_argument("--probe-noises", help="list of noisy probes, which become their person's center")
    parser.add_argument("--distractor-noises", help="list of noisy distractors, which are pushed away")
    parser.add_argument("--sizes", type=numbers(int), help="numbers of distractors (default: 10 to 1,000,000)")
    parser.add_argument("--ranks", type=numbers(int), default=(1, 10), help="ranks of the CMC")
    parser.add_argument("--far", type=numbers(float), default=(1e-6,), help="false accept rates")
    parser.add_argument("--seed", type=int, default=0, help="of what disturbs the centers")
    add_json(parser)


def run(arguments) -> None:
    from gluonfr.cli.tables import print_megaface
    from gluonfr.evaluation.megaface_files import FeatureFolder
    from gluonfr.metrics import evaluate_megaface
    from gluonfr.metrics.megaface import SIZES
    from gluonfr.metrics.unit import unit_rows

    probes = FeatureFolder(arguments.probes, arguments.ending, arguments.probe_list, 2, arguments.probe_noises)
    distractors = FeatureFolder(
        arguments.distractors, arguments.ending, arguments.distractor_list, 3, arguments.distractor_noises
    )
    # Made unit vectors where they lie, because a million of 512 numbers are 2 GB.
    features = [
        unit_rows(each.read(name), name, each.images, in_place=True)
        for name, each in (("probes", probes), ("distractors", distractors))
    ]
    options = {
        "sizes": arguments.sizes or SIZES,
        "ranks": arguments.ranks,
        "far_target": arguments.far,
        "seed": arguments.seed,
        "progress": "search",
    }
    results = {"as given": evaluate_megaface(features[0], probes.ids, features[1], **options)}
    if arguments.probe_noises or arguments.distractor_noises:
        results["cleaned"] = evaluate_megaface(features[0], probes.ids, features[1], probes.noisy, distractors.noisy, **options)
    for name, each in results.items():
        print_megaface(name, each)
    write_json(arguments, {name: [result.to_dict() for result in each] for name, each in results.items()})
