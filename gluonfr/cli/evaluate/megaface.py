from __future__ import annotations

from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_json, numbers, write_json


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr megaface`."""
    parser.add_argument("--probes", required=True, metavar="FOLDER", help="features of the probes: PERSON/FILE + --ending")
    parser.add_argument(
        "--distractors", required=True, metavar="FOLDER", help="features of the distractors: a/b/FILE + --ending"
    )
    parser.add_argument("--ending", default=".bin", help="ending of the feature files after the image's name, such as _y1.bin")
    parser.add_argument(
        "--probe-list", metavar="FILE", help="the devkit's JSON, or text with one path per line (default: all features found)"
    )
    parser.add_argument(
        "--distractor-list",
        metavar="FILE",
        help="the same for the distractors, which are added in its order (default: all features found)",
    )
    parser.add_argument("--probe-noises", metavar="FILE", help="list of noisy probes, replaced by the center of their person")
    parser.add_argument(
        "--distractor-noises", metavar="FILE", help="list of noisy distractors, which are moved away from all probes"
    )
    parser.add_argument("--sizes", type=numbers(int), help="numbers of distractors (default: 10 to 1,000,000)")
    parser.add_argument("--ranks", type=numbers(int), default=(1, 10), help="ranks of the CMC curve")
    parser.add_argument("--far", type=numbers(float), default=(1e-6,), help="false accept rates")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise that is added to the centers")
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr megaface`."""
    from gluonfr.cli.tables import print_megaface
    from gluonfr.evaluation.megaface_files import FeatureFolder
    from gluonfr.metrics import evaluate_megaface
    from gluonfr.metrics.megaface import SIZES
    from gluonfr.metrics.unit import unit_rows

    probes = FeatureFolder(arguments.probes, arguments.ending, arguments.probe_list, 2, arguments.probe_noises)
    distractors = FeatureFolder(
        arguments.distractors, arguments.ending, arguments.distractor_list, 3, arguments.distractor_noises
    )
    # Normalized in place: a million features of 512 numbers take 2 GB.
    features = [
        unit_rows(folder.read(name), name, folder.images, in_place=True)
        for name, folder in (("probes", probes), ("distractors", distractors))
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
    for name, rows in results.items():
        print_megaface(name, rows)
    write_json(arguments, {name: [row.to_dict() for row in rows] for name, rows in results.items()})
    return 0
