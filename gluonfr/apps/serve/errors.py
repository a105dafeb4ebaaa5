"""Errors as an HTTP status and one sentence."""

from __future__ import annotations

import sqlite3
import sys

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gluonfr.core import GluonFRError
from gluonfr.photos.reading import PhotoError

# By the reason of a PhotoError.
_PHOTO_ERRORS = {
    "no face": (422, "The photo shows no face{detail}; take another photo, nearer and from the front."),
    "several faces": (422, "The photo shows several faces{detail}; give the box of the face that is meant."),
    "too small": (422, "The photo is too small{detail}; take a larger one."),
    "too large": (413, "The photo is too large{detail}; make it smaller."),
    "too slow": (413, "The photo takes too long to decode{detail}; save it again, as a plain JPEG or PNG."),
    "no image": (415, "The file is not a photo that can be read{detail}; send a JPEG, PNG or WebP."),
    "unreadable": (422, "The photo is damaged or incomplete{detail}; send it again, or another one."),
}
_OTHER_PHOTO_ERRORS = (422, "The photo cannot be used{detail}; send another one.")


class RequestError(Exception):
    """A request that is refused.

    Parameters
    ----------
    status : int
        HTTP status.
    sentence : str
        What is wrong and what to do.
    headers : dict, optional
        Headers of the response.

    Examples
    --------
    >>> RequestError(404, "There is nothing here.").response().body
    b'{"error":"There is nothing here."}'
    """

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, sentence)
        self.status, self.sentence, self.headers = status, sentence, headers

    def response(self) -> JSONResponse:
        """Return the response to the client."""
        return JSONResponse({"error": self.sentence}, self.status, self.headers)


def as_request_error(error: Exception) -> RequestError:
    """Return an exception as a `RequestError`.

    Examples
    --------
    >>> as_request_error(GluonFRError("name: is empty.")).status
    400
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, PhotoError):
        status, sentence = _PHOTO_ERRORS.get(error.reason, _OTHER_PHOTO_ERRORS)
        return RequestError(status, sentence.format(detail=f" ({error.detail})" if error.detail else ""))
    if isinstance(error, GluonFRError):
        # The client is not to blame for a locked file, a full disk, or a server that is away.
        outside = isinstance(error.__cause__, (OSError, sqlite3.Error, *_milvus_errors()))
        return RequestError(503 if outside else 400, str(error))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return RequestError(400, f"{first['loc'][-1]}: {first['msg'][:1].lower()}{first['msg'][1:]}.")
    if isinstance(error, HTTPException):
        texts = {404: "There is nothing at this address", 405: "This address does not have that method"}
        text = texts.get(error.status_code, str(error.detail))
        return RequestError(error.status_code, f"{text}; /openapi.json lists the addresses.")
    return RequestError(500, "The server failed; see its log. Nothing was changed.")


def add_error_handlers(app: FastAPI) -> None:
    """Make a FastAPI application respond to every exception with the JSON `{"error": sentence}`.

    Examples
    --------
    >>> add_error_handlers(FastAPI())
    """

    async def respond(_: Request, error: Exception) -> JSONResponse:
        return as_request_error(error).response()

    for kind in (RequestError, PhotoError, GluonFRError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, respond)


def _milvus_errors() -> tuple[type[Exception], ...]:
    # If the package is not loaded, nothing raised its errors.
    pymilvus = sys.modules.get("pymilvus")
    return (pymilvus.MilvusException,) if pymilvus else ()
