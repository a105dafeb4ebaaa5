from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack

from gluonfr.cli.arguments import (
    add_aligned,
    add_devices,
    add_gallery,
    add_min_face,
    add_model,
    aligned,
    open_gallery_and_embedder,
)
from gluonfr.core.wording import counted


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `gluonfr serve`."""
    add_gallery(parser, "gallery, created when missing")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; an address that other machines can reach requires a token"
    )
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0 chooses a free one")
    parser.add_argument(
        "--token", help="secret that the page and API clients must send (default: the environment variable GLUONFR_TOKEN)"
    )
    add_min_face(parser)
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)


def run(arguments: Namespace) -> int:
    """Run `gluonfr serve`."""
    from gluonfr.apps.serve.server import listen, serve_gallery
    from gluonfr.core import display_path
    from gluonfr.detection.registry import get_detector
    from gluonfr.weights.network_identity import network_name

    token = arguments.token or os.environ.get("GLUONFR_TOKEN") or None
    with ExitStack() as stack:
        listening = stack.enter_context(listen(arguments.host, arguments.port, token))
        # Loaded first, so that missing weights leave no new gallery.
        arguments.detector = get_detector(arguments.detector)
        gallery, embedder = open_gallery_and_embedder(arguments, stack)
        people, photos = gallery.count()
        size = f"{counted(people, 'person')}, {counted(photos, 'photo')}"
        print(f"{network_name(gallery.card)}; {size} in {display_path(gallery.where)}")

        def ready(address: str) -> None:
            print(f"{address} is ready; press Ctrl-C to stop", flush=True)

        serve_gallery(
            *(gallery, embedder, listening, arguments.host, token),
            *(aligned(arguments), arguments.min_face, ready),
        )
    return 0
