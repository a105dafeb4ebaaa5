from __future__ import annotations

from gluonfr.core import DEFAULT_MODELS, DEFAULT_ROOT


def add_arguments(parser) -> None:
    parser.add_argument("--model", help="a stored model's name, a folder that a training wrote (RUN/best), -symbol.json or .pt")
    parser.add_argument("--models", default=DEFAULT_MODELS, help="folder of the stored models")
    parser.add_argument("--out", required=True, help="FILE.onnx, or the PREFIX of PREFIX-symbol.json and PREFIX-0000.params")
    parser.add_argument("--format", choices=("onnx", "symbol"), help="default: what --out ends in decides")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16", "int8"), help="of the weights in an .onnx")
    parser.add_argument(
        "--calibrate",
        metavar="SET",
        help="for int8: a set under the root, a folder with train.rec or a .bin, whose faces say the ranges",
    )
    parser.add_argument("--root", default=DEFAULT_ROOT, help="folder that holds the data sets")


def run(arguments) -> None:
    import os

    from gluonfr.deploy import load_model
    from gluonfr.deploy.export import export_network
    from gluonfr.deploy.quantize import open_calibration

    faces = open_calibration(arguments.calibrate, arguments.root) if arguments.calibrate else None
    net, card = load_model(arguments.model, root=arguments.models)
    difference = export_network(net, card, arguments.out, arguments.format, arguments.dtype, faces)
    written = os.path.expanduser(arguments.out)
    size = os.path.getsize(written if written.endswith(".onnx") else f"{written}-0000.params") / 1e6
    print(f"wrote {arguments.out} ({size:.2f} MB)")
    if difference is None:
        print("not checked: onnxruntime is not installed")
    else:
        print(f"largest difference to the original: {difference:.2g}")
