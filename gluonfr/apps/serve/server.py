"""The server process: the socket, and the loop that answers requests."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from contextlib import contextmanager
from typing import Any, Callable, Iterator

import numpy as np

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.core import UsageError
from gluonfr.deploy import Embedder
from gluonfr.photos.faces import MIN_FACE

logger = logging.getLogger(__name__)

_SHORTEST_TOKEN = 16
# Seconds for requests that are being answered when the server must stop, and then for its threads.
_GRACEFUL_SECONDS, _THREAD_SECONDS = 7, 1.5
# After this time the process ends whatever it does: a thread may be stuck in native code or hold a lock.
_LONGEST_SECONDS = 9.5


def listen(host: str = "127.0.0.1", port: int = 8000, token: str | None = None) -> socket.socket:
    """Return a listening socket for `serve_gallery`; use it in a `with` statement.

    Parameters
    ----------
    host : str, default '127.0.0.1'
        Name or address. An address that other machines can reach requires a token.
    port : int, default 8000
        0 chooses a free port.
    token : str, optional
        At least 16 ASCII characters without spaces.

    Raises
    ------
    UsageError
        The token is missing or invalid, or the address cannot be used.

    Examples
    --------
    >>> with listen(port=0) as listening:
    ...     page_address(listening).startswith("http://127.0.0.1:")
    True
    """
    if token is not None and (len(token) < _SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token):
        raise UsageError(f"token: it must have at least {_SHORTEST_TOKEN} ASCII characters and no space.")
    if token is None and not _is_loopback(host):
        raise UsageError(
            f"host: other machines can reach {host or 'every address of this machine'}, so a token is required; set one, or "
            "use 127.0.0.1, which only this machine can reach."
        )
    if not 0 <= port <= 65535:
        raise UsageError(f"port must be a number from 0 to 65535, got {port}.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be used ({error.strerror}); choose another host or port.") from error


def serve_gallery(
    gallery: Gallery,
    embedder: Embedder,
    listening: socket.socket,
    host: str,
    token: str | None = None,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve a gallery as a page and an API until SIGTERM or Ctrl-C.

    Requests that are being answered then get up to 7 seconds. After SIGTERM the process ends within 10 seconds, whatever its
    threads do.

    Parameters
    ----------
    gallery : Gallery
    embedder : Embedder
        With the gallery's network.
    listening : socket.socket
        From `listen`.
    host : str
        As for `listen`.
    token : str, optional
        Requests without it are refused.
    aligned, min_face
        As `enroll_folder`.
    ready : callable, optional
        Called with the address of the page when it can be opened.

    Raises
    ------
    GluonFRError
        FastAPI, uvicorn or the weights of the detector are not installed.
    KeyboardInterrupt
        After Ctrl-C; SIGTERM ends the server quietly.

    Examples
    --------
    >>> with listen() as listening:  # doctest: +SKIP
    ...     serve_gallery(gallery, embedder, listening, "127.0.0.1", ready=print)
    """
    try:
        import uvicorn

        from gluonfr.apps.serve.api.state import ServerState
        from gluonfr.apps.serve.app import make_app
        from gluonfr.apps.serve.connection import Connection
        from gluonfr.apps.serve.guard import Guard
    except ImportError as error:
        raise UsageError(f'serving requires FastAPI and uvicorn ({error}); run `pip install "gluonfr[serve]"`.') from error
    state = ServerState(gallery, embedder, aligned, min_face)
    config = uvicorn.Config(
        Guard(make_app(state), host, token),
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Do not trust proxy headers: clients could send them.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
    )
    try:
        # Networks are built before the first request, in the thread that runs them.
        state.networks.call(_warm_up, embedder)
        state.decoder.start()
        with _stopped_by_signals():
            if ready:
                ready(page_address(listening))
            server = uvicorn.Server(config)
            server.handle_exit = _with_deadline(server.handle_exit)  # type: ignore[assignment]
            server.run(sockets=[listening])
    finally:
        state.close(_THREAD_SECONDS)


def page_address(listening: socket.socket) -> str:
    """Return the address of the page for a browser on this machine.

    Examples
    --------
    >>> with listen(port=0) as listening:
    ...     page_address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"
    True
    """
    host, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(host.split("%")[0])
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{f'[{address}]' if address.version == 6 else address}:{port}/"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _warm_up(embedder: Embedder) -> None:
    embedder.detect(np.zeros((64, 64, 3), np.uint8))
    # Batches of one image, and of as many as one pass of the network processes.
    blank = np.full((*embedder.card.image_size, 3), 128, np.uint8)
    embedder([blank], aligned=True)
    embedder([blank] * 8, aligned=True)


def _with_deadline(handler: Callable[[int, Any], None]) -> Callable[[int, Any], None]:
    """Return the handler of a signal; after SIGTERM the system ends this process when the longest time has passed."""

    def handle(number: int, frame: Any) -> None:
        if number == signal.SIGTERM:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, _LONGEST_SECONDS)
        handler(number, frame)

    return handle


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end the block quietly, and Ctrl-C with KeyboardInterrupt."""
    terminated: list[int] = []

    def terminate(number: int, _frame: Any) -> None:
        terminated.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        if not terminated:
            raise KeyboardInterrupt("the server has stopped") from None
        logger.info("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)
