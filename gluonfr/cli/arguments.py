"""Arguments that several commands share, and how they are read."""

import argparse
import ast

from gluonfr.core import DEFAULT_MODELS, DEFAULT_ROOT


def names(text):
    """'a,b' -> ['a', 'b']."""
    return [each.strip() for each in text.split(",") if each.strip()]


def numbers(kind):
    """Reader of '0,1,2' as a list of `kind`."""

    def read(text):
        try:
            return [kind(each) for each in names(text)]
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected numbers separated by commas, got {text!r}") from None

    return read


def keywords(text):
    """'s=30,units=(1,1,1,1),name=x' -> dict; values are Python literals, anything else is text."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        one_call = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args
        if not one_call or any(each.arg is None for each in call.keywords):
            raise SyntaxError
        return {each.arg: _literal(each.value) for each in call.keywords}
    except SyntaxError:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE,NAME=VALUE, got {text!r}") from None


def _literal(node):
    try:
        return ast.literal_eval(node)
    except ValueError:
        if isinstance(node, ast.Name):
            return node.id
        raise SyntaxError from None


def add_devices(parser):
    """--gpus and --cpus."""
    parser.add_argument("--gpus", type=numbers(int), default=(), help="GPUs to use, such as 0,1,2,3")
    parser.add_argument("--cpus", type=int, default=1, help="number of CPU contexts where no GPUs are given")


def add_root(parser):
    """--root."""
    parser.add_argument("--root", default=DEFAULT_ROOT, help="folder that holds the data sets")


def add_model(parser):
    """--model, --models, --backend and --no-flip."""
    parser.add_argument(
        "--model",
        help="a stored model's name, a folder that a training wrote (RUN/best), -symbol.json, .onnx or .pt "
        "(default: the only stored model)",
    )
    parser.add_argument("--models", default=DEFAULT_MODELS, help="folder of the stored models")
    parser.add_argument("--backend", default="gluon", choices=("gluon", "onnxruntime"), help="what runs the network")
    parser.add_argument("--no-flip", action="store_true", help="leave the mirrored image out")


def make_embedder(arguments, **options):
    """The Embedder that the arguments of `add_model` and `add_devices` describe."""
    from gluonfr.deploy import Embedder
    from gluonfr.engine import devices

    return Embedder(
        arguments.model,
        contexts=devices(arguments.gpus, arguments.cpus),
        flip=not arguments.no_flip,
        backend=arguments.backend,
        root=arguments.models,
        **options,
    )


def print_table(rows, header):
    """Print rows under a header in columns of their own width, numbers to the right."""
    table = [[str(each) for each in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table)]
    for row in table:
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))
        )
        print("  ".join([first, *others]).rstrip())


def print_results(results):
    """A table of verification results: one row a set."""
    far = sorted({at.target for result in results.values() for at in result.tar_at_far}, reverse=True)
    header = ["set", "pairs", "accuracy", "+-", *(f"TAR@FAR={each:g}" for each in far), "AUC", "EER", "threshold"]
    rows = []
    for name, result in results.items():
        tar = {at.target: at for at in result.tar_at_far}
        cells = [f"{tar[each].tar:.4f}{'' if tar[each].resolvable else '*'}" for each in far]
        rows.append(
            [name, result.pairs, f"{result.accuracy:.5f}", f"{result.accuracy_std:.5f}", *cells]
            + [f"{result.auc:.5f}", f"{result.eer:.4f}", f"{result.threshold:.3f}"]
        )
    print_table(rows, header)
    if any(not at.resolvable for result in results.values() for at in result.tar_at_far):
        print("* fewer impostor pairs than 1 / FAR: this rate cannot be resolved by the set")
