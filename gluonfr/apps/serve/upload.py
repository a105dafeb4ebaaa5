"""Photos that come in as the body of a request: bounded in bytes, in pixels and in time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect

from gluonfr.apps.serve.errors import RequestError
from gluonfr.photos.reading import Photo, PhotoError

MOST_BYTES = 20_000_000
MOST_PIXELS = 50_000_000
SECONDS = 30.0


async def read_body(request, most=MOST_BYTES):
    """The body of a request of at most so many bytes; `RequestError` 413, 408, or 400 where there is none."""
    try:
        declared = int(request.headers.get("content-length", 0))
    except ValueError:
        declared = 0
    content = bytearray()

    async def collect() -> None:
        async for part in request.stream():
            if len(content) + len(part) > most:
                raise _too_large(most)
            content.extend(part)

    if declared > most:
        raise _too_large(most)
    try:
        await asyncio.wait_for(collect(), SECONDS)
    except (asyncio.TimeoutError, ClientDisconnect) as error:
        raise RequestError(408, f"The photo did not arrive within {SECONDS:.0f} seconds; send it again.") from error
    if not content:
        raise RequestError(400, "There is no photo in the request; send the file as its body.")
    return bytes(content)


def pixels_of(content):
    """uint8 (H, W, 3) RGB of a file; `PhotoError`, from its header alone when it holds more pixels than a photo."""
    photo = Photo(content)
    height, width = photo.size
    if height * width > MOST_PIXELS:
        raise PhotoError("too large", f"{width} x {height} pixels")
    return photo.pixels()


def _too_large(most):
    return RequestError(413, f"The file is larger than {most / 1e6:.0f} MB; send a smaller photo.")
