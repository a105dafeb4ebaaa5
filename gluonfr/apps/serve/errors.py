"""What can go wrong as an HTTP status and one sentence."""

from __future__ import annotations

import sqlite3
import sys

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gluonfr.core import GluonFRError
from gluonfr.photos.reading import PhotoError

# By the reason why a photo is refused.
_REFUSED = {
    "no face": (422, "The photo shows no face{detail}; take another one, nearer and from the front."),
    "several faces": (422, "The photo shows several faces{detail}; say which one is meant by its box."),
    "too small": (422, "The photo is too small{detail}; take a larger one."),
    "too large": (413, "The photo is too large{detail}; make it smaller."),
    "no image": (415, "The file is no photo that can be read{detail}; send a JPEG, PNG or WebP."),
    "unreadable": (422, "The photo is damaged or was cut off{detail}; send it again, or another one."),
}
_OTHERWISE = (422, "The photo cannot be used{detail}; send another one.")


class RequestError(Exception):
    """A request that is not done: HTTP status, one sentence, and headers of the answer."""

    def __init__(self, status, sentence, headers=None) -> None:
        super().__init__(status, sentence)
        self.status, self.sentence, self.headers = status, sentence, headers

    def response(self):
        return JSONResponse({"error": self.sentence}, self.status, self.headers)


def problem_of(error):
    """The `RequestError` that an exception is."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, PhotoError):
        status, sentence = _REFUSED.get(error.reason, _OTHERWISE)
        return RequestError(status, sentence.format(detail=f" ({error.detail})" if error.detail else ""))
    if isinstance(error, GluonFRError):
        # Locked, full, read-only, a server away: nothing that the caller did.
        outside = isinstance(error.__cause__, (OSError, sqlite3.Error, *_of_milvus()))
        return RequestError(503 if outside else 400, str(error))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return RequestError(400, f"{first['loc'][-1]}: {first['msg'][:1].lower()}{first['msg'][1:]}.")
    if isinstance(error, HTTPException):
        words = {404: "There is nothing at this address", 405: "This address does not take that method"}
        return RequestError(
            error.status_code, words.get(error.status_code, str(error.detail)) + "; /openapi.json lists what is."
        )
    return RequestError(500, "Something failed in the server; its log says what. Nothing was half-done.")


def _of_milvus():
    # Where it is not loaded, nothing raised it.
    pymilvus = sys.modules.get("pymilvus")
    return (pymilvus.MilvusException,) if pymilvus else ()


def answer_problems(app) -> None:
    """Let a FastAPI application answer every exception as JSON: {"error": sentence}."""

    async def answer(_, error):
        return problem_of(error).response()

    for kind in (RequestError, PhotoError, GluonFRError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
