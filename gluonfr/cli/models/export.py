from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_root, image_size
from gluonfr.core import DEFAULT_MODELS, UsageError


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr export`."""
    parser.add_argument(
        "--model",
        help="network or detector: name of a stored one, folder that training wrote (RUN/best), -symbol.json or .pt "
        "(default: the only stored model)",
    )
    parser.add_argument("--models", default=DEFAULT_MODELS, metavar="FOLDER", help="folder of the stored models")
    parser.add_argument("--out", required=True, help="FILE.onnx, or the PREFIX of PREFIX-symbol.json and PREFIX-0000.params")
    parser.add_argument("--format", choices=("onnx", "symbol"), help="kind of the files (default: decided by the end of --out)")
    parser.add_argument(
        "--dtype", default="float32", choices=("float32", "float16", "int8"), help="type of the weights in an .onnx"
    )
    parser.add_argument(
        "--calibrate",
        metavar="SET",
        help="set of faces that determines the ranges for int8: a set below --root, a folder with train.rec, or a .bin",
    )
    parser.add_argument(
        "--image-size",
        type=image_size,
        default=(640, 640),
        metavar="H,W",
        help="of a detector: height and width of its images in pixels, multiples of 32 (default: 640,640)",
    )
    add_root(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr export`."""
    from gluonfr.deploy import load_model
    from gluonfr.deploy.export import export_network
    from gluonfr.deploy.quantize import open_calibration
    from gluonfr.detection.saved import find_detector

    detector = find_detector(arguments.model, arguments.models) if arguments.model else None
    if detector:
        return _export_detector(arguments, detector)
    faces = open_calibration(arguments.calibrate, arguments.root) if arguments.calibrate else None
    net, card = load_model(arguments.model, root=arguments.models)
    check = export_network(net, card, arguments.out, arguments.format, arguments.dtype, faces)
    compared = f"{check.difference:.2g}; lowest cosine to it: {check.cosine:.6f}" if check else None
    _print_outcome(arguments.out, compared)
    return 0


def _export_detector(arguments: Namespace, folder: str) -> int:
    from gluonfr.deploy.detector_export import export_detector
    from gluonfr.detection.saved import load_detector

    if arguments.dtype != "float32" or arguments.calibrate:
        raise UsageError("a detector is exported in float32 only; leave out --dtype and --calibrate.")
    difference = export_detector(*load_detector(folder), arguments.out, arguments.format, arguments.image_size)
    _print_outcome(arguments.out, None if difference is None else f"{difference:.2g}")
    return 0


def _print_outcome(out: str, difference: str | None) -> None:
    """Print the files of an export with their sizes, and how they differ from the original, or that this is not known."""
    from gluonfr.core import display_path

    out = os.path.expanduser(out)
    ends = (".onnx",) if out.endswith(".onnx") else ("-symbol.json", "-0000.params")
    stem = out[: -len(".onnx")] if out.endswith(".onnx") else out
    sizes = [f"{display_path(stem + end)} ({os.path.getsize(stem + end) / 1e6:.2f} MB)" for end in ends]
    print(f"wrote {', '.join([*sizes, display_path(stem + '.card.json')])}")
    unknown = "not checked, because onnxruntime is not installed"
    print(unknown if difference is None else f"largest difference from the original: {difference}")
