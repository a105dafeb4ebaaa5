from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from gluonfr.cli.arguments import add_root
from gluonfr.core import DEFAULT_MODELS


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr export`."""
    parser.add_argument(
        "--model",
        help="network: name of a stored model, folder that `gluonfr train` wrote (RUN/best), -symbol.json or .pt "
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
    add_root(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr export`."""
    from gluonfr.core import display_path
    from gluonfr.deploy import load_model
    from gluonfr.deploy.export import export_network
    from gluonfr.deploy.quantize import open_calibration

    faces = open_calibration(arguments.calibrate, arguments.root) if arguments.calibrate else None
    net, card = load_model(arguments.model, root=arguments.models)
    check = export_network(net, card, arguments.out, arguments.format, arguments.dtype, faces)
    out = os.path.expanduser(arguments.out)
    ends = (".onnx",) if out.endswith(".onnx") else ("-symbol.json", "-0000.params")
    stem = out[: -len(".onnx")] if out.endswith(".onnx") else out
    sizes = [f"{display_path(stem + end)} ({os.path.getsize(stem + end) / 1e6:.2f} MB)" for end in ends]
    print(f"wrote {', '.join([*sizes, display_path(stem + '.card.json')])}")
    if check is None:
        print("not checked, because onnxruntime is not installed")
    else:
        print(f"largest difference from the original: {check.difference:.2g}; lowest cosine to it: {check.cosine:.6f}")
    return 0
