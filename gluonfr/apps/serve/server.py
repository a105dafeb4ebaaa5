"""The process that listens."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from contextlib import contextmanager

import numpy as np

from gluonfr.core import GluonFRError

logger = logging.getLogger(__name__)

_SHORTEST_TOKEN = 8
# What is under way when the server is told to end may take so long.
_SECONDS_TO_END = 10


def listen(host="127.0.0.1", port=8000, token=None):
    """A socket that listens for `serve_gallery`, closed at the end of a `with`.

    Parameters
    ----------
    host : str, default '127.0.0.1'
        Name or address; one that other machines reach demands a token.
    port : int, default 8000
        0 takes any that is free.
    token : str, optional

    Raises
    ------
    GluonFRError
        The token is missing or none, or the address cannot be listened at.
    """
    if token is not None and (len(token) < _SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token):
        raise GluonFRError(f"token: it must have at least {_SHORTEST_TOKEN} ASCII characters and no space.")
    if token is None and not _is_loopback(host):
        raise GluonFRError(
            f"host: {host or 'every address'} can be reached from other machines, which demands a --token; "
            "or leave --host away to be reached from this one only."
        )
    if not 0 <= port <= 65535:
        raise GluonFRError(f"port must be a number from 0 to 65535, got {port}.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise GluonFRError(f"{host}:{port} cannot be listened at ({error.strerror}); name another --host or --port.") from error


def serve_gallery(gallery, embedder, listening, host, token=None, aligned=None, min_face=32, ready=None) -> None:
    """Serve a gallery as a page and an API until SIGTERM or Ctrl-C.

    Parameters
    ----------
    gallery : Gallery
    embedder : Embedder
        Of the gallery's network.
    listening : socket
        From `listen`.
    host : str
        As for `listen`.
    token : str, optional
        Who does not know it is refused.
    aligned, min_face
        As `enroll_folder`.
    ready : callable, optional
        Called with the page's address as soon as it answers.

    Raises
    ------
    GluonFRError
        FastAPI or uvicorn are not installed, or the detector's weights are not.
    """
    try:
        import uvicorn

        from gluonfr.apps.serve.app import Desk, make_app
        from gluonfr.apps.serve.connection import Connection
        from gluonfr.apps.serve.guard import Guard
    except ImportError as error:
        raise GluonFRError(
            f'serving needs FastAPI and uvicorn ({error}): run `pip install ".[serve]"` in the checkout.'
        ) from error
    desk = Desk(gallery, embedder, aligned, min_face)
    config = uvicorn.Config(
        Guard(make_app(desk), host, token),
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Nobody before this server may say from where and how it is asked.
        proxy_headers=False,
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    try:
        # The network is put together, so that nobody waits for that, in the thread that it runs in.
        desk.photos.call(_warm_up, embedder)
        with _ended_by_signals():
            if ready:
                ready(address_of(listening))
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        desk.close()


def address_of(listening) -> str:
    """The page's address for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(host.split("%")[0])
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{f'[{address}]' if address.version == 6 else address}:{port}/"


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _warm_up(embedder) -> None:
    embedder.detect(np.zeros((64, 64, 3), np.uint8))
    # One, and as many as go through the network together.
    blank = np.full((*embedder.card.image_size, 3), 128, np.uint8)
    embedder([blank], aligned=True)
    embedder([blank] * 8, aligned=True)


@contextmanager
def _ended_by_signals():
    """End the block by SIGTERM as by Ctrl-C, and quietly by both."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        logger.info("ended")
    finally:
        signal.signal(signal.SIGTERM, before)
