from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from gluonfr.cli.arguments import add_devices, add_json, write_json

# Average precision counts detections of all scores; below this one there are only false alarms.
_LOWEST_SCORE = 0.02


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr evaluate-detector`."""
    parser.add_argument(
        "--detector",
        default="mtcnn",
        metavar="NAME,...",
        help="detectors: mtcnn, retinaface=FOLDER, or the folder of a trained detector; several are separated by commas",
    )
    parser.add_argument("--data", required=True, metavar="FOLDER", help="folder of annotated photos, such as WIDER FACE's")
    parser.add_argument("--annotations", metavar="PATH", help="file or folder of annotations (default: found in --data)")
    parser.add_argument("--min-face", type=float, default=10, metavar="PIXELS", help="side of the smallest face to find")
    parser.add_argument("--out", metavar="FOLDER", help="write an HTML report to this folder")
    add_devices(parser)
    add_json(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr evaluate-detector`."""
    from gluonfr.core import display_path
    from gluonfr.data.detection import read_detection_folder
    from gluonfr.deploy.devices import devices
    from gluonfr.detection import get_detector
    from gluonfr.evaluation.detectors import evaluate_detector, write_detector_report

    context = devices(arguments.gpus, arguments.cpus)[0]
    folder = read_detection_folder(arguments.data, arguments.annotations)
    evaluations = []
    for name in arguments.detector.split(","):
        is_mtcnn = name.partition("=")[0] == "mtcnn"
        options: dict[str, Any] = {"thresholds": (0.6, 0.7, _LOWEST_SCORE)} if is_mtcnn else {"threshold": _LOWEST_SCORE}
        detector = get_detector(name, ctx=context, min_size=arguments.min_face, **options)
        evaluations.append(evaluate_detector(detector, folder, _short(name)))
    subsets = list(evaluations[0].results)
    width = max(len(evaluation.name) for evaluation in evaluations)
    print(f"{len(folder.faces):,} photos; average precision at an overlap of 0.5")
    print(f"{'detector':{width}}  {'  '.join(f'{subset:>7}' for subset in subsets)}  threshold  ms per photo")
    for evaluation in evaluations:
        values = "  ".join(f"{result.ap:7.3f}" for result in evaluation.results.values())
        print(f"{evaluation.name:{width}}  {values}  {evaluation.threshold:9.2f}  {evaluation.milliseconds:12.0f}")
    write_json(arguments, {evaluation.name: evaluation.to_dict() for evaluation in evaluations})
    if arguments.out:
        print(f"report: {display_path(write_detector_report(arguments.out, evaluations, folder))}")
    return 0


def _short(name: str) -> str:
    """Return the name of a detector in tables: RUN/best for a trained one, without the folders before."""
    kind, _, path = name.rpartition("=")
    return kind or "/".join(path.rstrip("/").split("/")[-2:])
