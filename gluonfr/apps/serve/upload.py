"""Photos in requests: the body itself or the files of a form, limited in bytes and in time."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from email.message import Message

from starlette.requests import ClientDisconnect, Request

from gluonfr.apps.serve.decoding import MOST_PIXELS
from gluonfr.apps.serve.errors import RequestError

__all__ = ["MOST_BYTES", "MOST_PIXELS", "Upload", "parse_form", "read_upload"]

MOST_BYTES = 20_000_000
SECONDS = 30.0
_MOST_PARTS = 20
# What a form adds to its photos.
_FORM_BYTES = 100_000
# Parsing a header takes time proportional to the square of its length.
_HEADER_BYTES = 4000
_BOUNDARY = re.compile(r"""[-A-Za-z0-9'()+_,./:=? ]{1,70}""")


@dataclass
class Upload:
    """What a client has sent.

    Attributes
    ----------
    files : list of bytes
        The photos.
    fields : dict of str to str
        Text fields of a form.
    file_name : str
        Name of the first file of a form; empty for a body without a form.

    Examples
    --------
    >>> Upload([b"photo"], {"name": "Ann"}).photo()
    b'photo'
    """

    files: list[bytes] = field(repr=False)
    fields: dict[str, str] = field(default_factory=dict)
    file_name: str = ""

    def photo(self) -> bytes:
        """Return the only photo; `RequestError` if there is none or there are several."""
        if len(self.files) != 1 or not self.files[0]:
            what = "no photo" if not any(self.files) else f"{len(self.files)} photos"
            raise RequestError(400, f"There is {what} in the request; send one photo as the body or as a file of a form.")
        return self.files[0]

    def two_photos(self, first: int | None) -> list[bytes]:
        """Return two photos: two files of a form, or a body that is split after `first` bytes."""
        if len(self.files) == 1 and first is not None and first < len(self.files[0]):
            return [self.files[0][:first], self.files[0][first:]]
        if len(self.files) != 2 or first is not None or not all(self.files):
            raise RequestError(
                400,
                "Two photos are required; send two files in a form, or both in the body and the size of the first as first.",
            )
        return self.files

    def field(self, name: str, default: str | None) -> str:
        """Return a text field of the form, or the default; `RequestError` if there is neither."""
        value = self.fields.get(name, default)
        if value is None:
            raise RequestError(400, f"{name}: field required.")
        return value


async def read_upload(request: Request, most: int = MOST_BYTES) -> Upload:
    """Receive the photos of a request.

    Parameters
    ----------
    request : starlette.requests.Request
    most : int, default 20,000,000
        Largest number of bytes.

    Returns
    -------
    Upload

    Raises
    ------
    RequestError
        413 for too many bytes, 408 for a slow client, 400 for an empty body or a damaged form.

    Examples
    --------
    >>> upload = await read_upload(request)  # doctest: +SKIP
    """
    boundary = _boundary(request)
    limit = most + (_FORM_BYTES if boundary else 0)
    content = bytearray()

    async def collect() -> None:
        async for part in request.stream():
            if len(content) + len(part) > limit:
                raise _too_large(most)
            content.extend(part)

    try:
        declared = int(request.headers.get("content-length", 0))
    except ValueError:
        declared = 0
    if declared > limit:
        raise _too_large(most)
    try:
        await asyncio.wait_for(collect(), SECONDS)
    except (asyncio.TimeoutError, ClientDisconnect) as error:
        raise RequestError(408, f"The photo was not received within {SECONDS:.0f} seconds; send it again.") from error
    if not content:
        raise RequestError(400, "There is no photo in the request; send the file as its body or as a file of a form.")
    return parse_form(bytes(content), boundary) if boundary else Upload([bytes(content)])


def parse_form(content: bytes, boundary: bytes) -> Upload:
    r"""Return the files and fields of a `multipart/form-data` body.

    Examples
    --------
    >>> head = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    >>> upload = parse_form(head + b"bytes\r\n--x--\r\n", b"x")
    >>> upload.files, upload.file_name
    ([b'bytes'], 'a.jpg')
    """
    upload = Upload([])
    parts = (b"\r\n" + content).split(b"\r\n--" + boundary, _MOST_PARTS + 1)
    if len(parts) < 3 or len(parts) > _MOST_PARTS + 1 or not parts[-1].startswith(b"--"):
        raise RequestError(400, f"The form is incomplete or has more than {_MOST_PARTS} parts; send it again.")
    for part in parts[1:-1]:
        headers, separator, value = part.lstrip(b" \t").partition(b"\r\n\r\n")
        name, file_name = _names(headers) if len(headers) <= _HEADER_BYTES else (None, None)
        if not separator or name is None:
            raise RequestError(400, "A part of the form has no name; send a multipart/form-data body.")
        if file_name is None:
            upload.fields[name] = value.decode("utf-8", "replace")
        else:
            upload.files.append(value)
            upload.file_name = upload.file_name or file_name
    return upload


def _names(headers: bytes) -> tuple[str | None, str | None]:
    """Return the field name and the file name of a part."""
    for line in headers.decode("utf-8", "replace").split("\r\n"):
        kind, _, value = line.partition(":")
        if kind.strip().lower() == "content-disposition":
            message = Message()
            message["Content-Disposition"] = " ".join(value.split())
            name, file_name = (message.get_param(key, None, "content-disposition") for key in ("name", "filename"))
            return name if isinstance(name, str) else None, file_name if isinstance(file_name, str) else None
    return None, None


def _boundary(request: Request) -> bytes | None:
    """Return the boundary of a form, or None if the body is the photo."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    message = Message()
    message["Content-Type"] = content_type[:_HEADER_BYTES]
    boundary = message.get_param("boundary", "")
    if not isinstance(boundary, str) or not _BOUNDARY.fullmatch(boundary):
        raise RequestError(400, "The form has no valid boundary; send a multipart/form-data body.")
    return boundary.encode("ascii")


def _too_large(most: int) -> RequestError:
    return RequestError(413, f"The file is larger than {most / 1e6:.0f} MB; send a smaller photo.")
