"""What all routes of the API share: the gallery, the networks, and bounded queues of requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np
from starlette.requests import Request

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.serve.decoding import PhotoDecoder
from gluonfr.apps.serve.upload import MOST_BYTES, Upload, read_upload
from gluonfr.apps.serve.worker import Slots, Worker
from gluonfr.deploy import Embedder
from gluonfr.photos.faces import MIN_FACE

# Requests that wait: a photo takes a quarter of a second, everything else milliseconds.
_PHOTOS, _OTHERS = 8, 64
# Photos that are being received. Slow uploads do not take the slots of photos that wait; both bound the memory. One client
# cannot take all slots.
_UPLOADS, _UPLOADS_PER_CLIENT = 32, 24


@dataclass
class ServerState:
    """The gallery and the networks of a server.

    The networks run in one thread and the gallery is queried in another; photos are decoded in a process of their own.

    Attributes
    ----------
    gallery : Gallery
    embedder : Embedder
    aligned : bool, optional
        As `Embedder`.
    min_face : int, default 32
        Shorter side of the smallest face to use, in pixels.

    Examples
    --------
    >>> state = ServerState(gallery, embedder)  # doctest: +SKIP
    """

    gallery: Gallery
    embedder: Embedder
    aligned: bool | None = None
    min_face: int = MIN_FACE
    networks: Worker = field(default_factory=lambda: Worker("networks", _PHOTOS), repr=False)
    queries: Worker = field(default_factory=lambda: Worker("gallery", _OTHERS), repr=False)
    uploads: Slots = field(default_factory=lambda: Slots(_UPLOADS, _UPLOADS_PER_CLIENT), repr=False)
    decoder: PhotoDecoder = field(default_factory=PhotoDecoder, repr=False)

    def close(self, seconds: float = 2.0) -> None:
        """Stop the decoder, and wait a limited time for the threads."""
        self.decoder.close()
        self.networks.close(seconds / 2)
        self.queries.close(seconds / 2)

    async def query(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the thread of the gallery."""
        with self.queries.slot():
            return await self.queries.run(function, *arguments)

    async def receive(self, request: Request, most: int = MOST_BYTES) -> Upload:
        """Receive the photos of a request."""
        with self.uploads.slot(request.client.host if request.client else ""):
            return await read_upload(request, most)

    async def process(self, function: Callable[..., Any], *photos: bytes) -> Any:
        """Decode photos, and call a function with their pixels in the thread of the networks."""

        def work() -> Any:
            pixels: list[np.ndarray] = [self.decoder.decode(content) for content in photos]
            return function(*pixels)

        with self.networks.slot():
            return await self.networks.run(work)
