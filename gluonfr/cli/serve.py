from __future__ import annotations

from gluonfr.cli.arguments import add_devices, add_gallery, add_model, gallery_and_embedder
from gluonfr.cli.embed import add_aligned, aligned


def add_arguments(parser) -> None:
    add_gallery(parser, "file of the gallery, which is made when it is missing")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; one that others reach demands a token")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at; 0 takes a free one")
    parser.add_argument("--token", help="what the page and programs must know; also taken from GLUONFR_TOKEN")
    parser.add_argument("--min-face", type=int, default=32, help="shorter side of the smallest face taken, in pixels")
    add_model(parser)
    add_aligned(parser)
    add_devices(parser)


def run(arguments) -> None:
    import os
    from contextlib import ExitStack

    from gluonfr.apps.serve.server import listen, serve_gallery
    from gluonfr.core.output import display_path
    from gluonfr.detection.registry import get_detector
    from gluonfr.weights.network_identity import network_name

    token = arguments.token or os.environ.get("GLUONFR_TOKEN") or None
    with ExitStack() as opened:
        listening = opened.enter_context(listen(arguments.host, arguments.port, token))
        # Weights that are missing are told before a gallery is made.
        arguments.detector = get_detector(arguments.detector)
        gallery, embedder = gallery_and_embedder(arguments, opened)
        people, photos = gallery.count()
        print(f"{network_name(gallery.card)}; {people:,} people, {photos:,} photos in {display_path(gallery.where)}")

        def ready(address) -> None:
            print(f"{address} answers now; Ctrl-C ends it", flush=True)

        serve_gallery(
            *(gallery, embedder, listening, arguments.host, token),
            *(aligned(arguments), arguments.min_face, ready),
        )
