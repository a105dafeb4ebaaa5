"""Error responses of the routes, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

from gluonfr.apps.serve.api import responses

PROBLEMS = {
    400: "A parameter is invalid, or the state of the gallery does not allow the change",
    401: "The token is missing or wrong",
    403: "The request comes from a page of another site",
    429: "Too many requests are waiting; `Retry-After` has the seconds to wait",
    503: "The gallery is locked or read-only, or its disk is full",
}
PHOTO_PROBLEMS = {
    408: "The photo was not received in time",
    413: "The photo has too many bytes or pixels",
    415: "The file is not a photo",
    422: "The photo is damaged, or shows no face or not the one that is meant",
}


def problems(*kinds: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Return the error responses for a route.

    Examples
    --------
    >>> problems({400: "invalid"})[400]["description"]
    'invalid'
    """
    texts = {status: text for kind in kinds for status, text in kind.items()}
    return {status: {"model": responses.Error, "description": text} for status, text in texts.items()}
