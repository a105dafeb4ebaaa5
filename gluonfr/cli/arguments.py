"""Arguments that several commands share, and how they are read."""

from __future__ import annotations

import argparse
import ast
import json
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Callable

from gluonfr.core import DEFAULT_MODELS, DEFAULT_ROOT, atomic_file

if TYPE_CHECKING:
    from argparse import _ActionsContainer

    from gluonfr.apps.gallery.gallery import Gallery
    from gluonfr.deploy import Embedder

LABELED_SOURCE = "an .npz of embeddings and labels, a training set, or a folder with one folder of photos per person"


def names(text: str) -> list[str]:
    """Split a list at its commas.

    Examples
    --------
    >>> names("lfw, cfp_fp")
    ['lfw', 'cfp_fp']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(kind: type) -> Callable[[str], list[Any]]:
    """Return a function that reads numbers separated by commas.

    Examples
    --------
    >>> numbers(int)("0,1,2")
    [0, 1, 2]
    """

    def read(text: str) -> list[Any]:
        try:
            return [kind(part) for part in names(text)]
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected numbers separated by commas, got {text!r}") from None

    return read


def image_size(text: str) -> tuple[int, ...]:
    """Read a height and a width in pixels.

    Examples
    --------
    >>> image_size("112,96")
    (112, 96)
    """
    size = tuple(numbers(int)(text))
    if len(size) != 2:
        raise argparse.ArgumentTypeError(f"expected HEIGHT,WIDTH in pixels, got {text!r}")
    return size


def keywords(text: str) -> dict[str, Any]:
    """Read keyword arguments; values are Python literals, and anything else is text.

    Examples
    --------
    >>> keywords("s=30,units=(1,1),name=x")
    {'s': 30, 'units': (1, 1), 'name': 'x'}
    """
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise SyntaxError
        return {_keyword(keyword): _literal(keyword.value) for keyword in call.keywords}
    except SyntaxError:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE,NAME=VALUE, got {text!r}") from None


def _keyword(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise SyntaxError
    return keyword.arg


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        if isinstance(node, ast.Name):
            return node.id
        raise SyntaxError from None


def add_devices(parser: _ActionsContainer) -> None:
    """Add `--gpus` and `--cpus`."""
    parser.add_argument("--gpus", type=numbers(int), default=(), help="numbers of the GPUs to use, such as 0,1 (default: none)")
    parser.add_argument("--cpus", type=int, default=1, help="number of CPU contexts to use without GPUs")


def add_root(parser: _ActionsContainer) -> None:
    """Add `--root`."""
    parser.add_argument("--root", default=DEFAULT_ROOT, help="folder that contains the data sets")


def add_gallery(parser: _ActionsContainer, what: str = "the gallery", required: bool = True) -> None:
    """Add `--gallery`."""
    parser.add_argument("--gallery", required=required, metavar="FILE", help=f"{what}: a file, or milvus://HOST:PORT/NAME")


def add_json(parser: _ActionsContainer, what: str = "all results") -> None:
    """Add `--json`."""
    parser.add_argument("--json", metavar="FILE", help=f"write {what} to this file")


def write_json(arguments: Namespace, results: Any) -> None:
    """Write the results to the file of `--json`, if the option is set."""
    if arguments.json:
        with atomic_file(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


def add_model(parser: _ActionsContainer, several: bool = False) -> None:
    """Add `--model`, `--models`, `--backend` and `--no-flip`."""
    kinds = "name of a stored model, folder that `gluonfr train` wrote (RUN/best), -symbol.json, .onnx or .pt"
    more = "; several are separated by commas" if several else ""
    parser.add_argument("--model", help=f"network: {kinds}{more} (default: the only stored model)")
    parser.add_argument("--models", default=DEFAULT_MODELS, metavar="FOLDER", help="folder of the stored models")
    parser.add_argument("--backend", default="gluon", choices=("gluon", "onnxruntime"), help="library that runs the network")
    parser.add_argument("--no-flip", action="store_true", help="do not add the embedding of the mirrored image")


def add_detector(parser: _ActionsContainer) -> None:
    """Add `--detector`."""
    parser.add_argument(
        "--detector",
        metavar="DETECTOR",
        help="face detector: mtcnn, retinaface=FOLDER with the folder of its weights, or a trained one by its folder or its "
        "name in ~/.mxnet/models/face (default: mtcnn)",
    )


def add_template(parser: _ActionsContainer, default: str | None = "arcface") -> None:
    """Add `--template`."""
    positions = "positions of the landmarks on a crop: arcface, arcface_96x112 or dlib (default: arcface)"
    parser.add_argument("--template", default=default, help=positions)


def add_min_face(parser: _ActionsContainer) -> None:
    """Add `--min-face`."""
    smallest = "shorter side of the smallest face to use, in pixels"
    parser.add_argument("--min-face", type=int, default=32, metavar="PIXELS", help=smallest)


def add_aligned(parser: ArgumentParser) -> None:
    """Add `--aligned`, `--photos` and `--detector`."""
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--aligned", action="store_true", help="all images are aligned crops (default: all are photos)")
    # A destination of its own, because some commands have an argument `photos`.
    kind.add_argument("--photos", dest="as_photos", action="store_true", help="all images are photos (the default)")
    add_detector(parser)


def add_faces(parser: ArgumentParser, results: str = "all results") -> None:
    """Add the options of a command that embeds faces on photos."""
    add_min_face(parser)
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)
    add_json(parser, results)


def aligned(arguments: Namespace) -> bool | None:
    """Return True or False as `--aligned` or `--photos` asks, or None, which treats files as photos."""
    return True if arguments.aligned else False if arguments.as_photos else None


def make_embedder(arguments: Namespace, **options: Any) -> Embedder:
    """Return the Embedder that the arguments of `add_model` and `add_devices` describe."""
    from gluonfr.deploy import Embedder
    from gluonfr.deploy.devices import devices

    return Embedder(
        arguments.model,
        contexts=devices(arguments.gpus, arguments.cpus),
        flip=not arguments.no_flip,
        backend=arguments.backend,
        root=arguments.models,
        **options,
    )


def make_face_embedder(arguments: Namespace, gallery: Gallery | None = None) -> Embedder:
    """Return the Embedder of a command that finds faces; without `--model` the stored network of the gallery."""
    from gluonfr.weights.network_identity import find_same_stored_model

    if arguments.model is None and gallery is not None:
        arguments.model = find_same_stored_model(gallery.card, arguments.models)
    embedder = make_embedder(arguments, detector=arguments.detector)
    # Computed once, where the card does not state it.
    embedder.card.embedding_size = embedder.embedding_size
    if gallery is not None:
        gallery.check_network(embedder.card)
    return embedder


def open_gallery_and_embedder(arguments: Namespace, stack: ExitStack) -> tuple[Gallery, Embedder]:
    """Open the gallery of `--gallery`, created when missing, and load its network; `stack` closes the gallery."""
    from gluonfr.apps.gallery.gallery import Gallery, gallery_exists

    # Before a network is chosen: an existing gallery records its own.
    known = stack.enter_context(Gallery(arguments.gallery, create=False)) if gallery_exists(arguments.gallery) else None
    embedder = make_face_embedder(arguments, known)
    return known or stack.enter_context(Gallery(arguments.gallery, embedder.card)), embedder
