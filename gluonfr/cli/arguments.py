"""Arguments that several commands share, and how they are read."""

from __future__ import annotations

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


def add_devices(parser) -> None:
    """--gpus and --cpus."""
    parser.add_argument("--gpus", type=numbers(int), default=(), help="GPUs to use, such as 0,1,2,3")
    parser.add_argument("--cpus", type=int, default=1, help="number of CPU contexts where no GPUs are given")


def add_root(parser) -> None:
    """--root."""
    parser.add_argument("--root", default=DEFAULT_ROOT, help="folder that holds the data sets")


def add_gallery(parser, what="the gallery", required=True) -> None:
    """--gallery."""
    parser.add_argument("--gallery", required=required, metavar="FILE", help=f"{what}: a file, or milvus://HOST:PORT/NAME")


def add_json(parser, what="all results") -> None:
    """--json."""
    parser.add_argument("--json", help=f"write {what} to this file")


def write_json(arguments, results) -> None:
    """Write what `--json` asks for, if it does: whole or not at all."""
    import json

    from gluonfr.core import atomic_file

    if arguments.json:
        with atomic_file(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


def add_model(parser, several=False) -> None:
    """--model, --models, --backend and --no-flip."""
    parser.add_argument(
        "--model",
        help="a stored model's name, a folder that a training wrote (RUN/best), -symbol.json, .onnx or .pt "
        f"{'; or several, separated by commas ' if several else ''}(default: the only stored model)",
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


def embedder_of(arguments, gallery=None):
    """The Embedder of a command that finds faces; without `--model` the gallery's own network, where it is stored."""
    from gluonfr.weights.network_identity import model_of

    if arguments.model is None and gallery is not None:
        arguments.model = model_of(gallery.card, arguments.models)
    embedder = make_embedder(arguments, detector=arguments.detector)
    # Worked out once, where the card does not state it.
    embedder.card.embedding_size = embedder.embedding_size
    if gallery is not None:
        gallery.need(embedder.card)
    return embedder


def gallery_and_embedder(arguments, opened):
    """The Gallery that `--gallery` names, made when it is missing, and the Embedder of its network.

    `opened` is an ExitStack that closes the gallery.
    """
    from gluonfr.apps.gallery.gallery import Gallery, gallery_is_there

    # Before a network is chosen: one that is there knows its own.
    known = opened.enter_context(Gallery(arguments.gallery, create=False)) if gallery_is_there(arguments.gallery) else None
    embedder = embedder_of(arguments, known)
    return known or opened.enter_context(Gallery(arguments.gallery, embedder.card)), embedder
