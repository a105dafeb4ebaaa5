from __future__ import annotations

import os
from typing import Awaitable, Callable

from fastapi import FastAPI
from fastapi.responses import Response

from gluonfr.apps.serve.api.people_routes import add_people_routes
from gluonfr.apps.serve.api.photo_routes import add_photo_routes
from gluonfr.apps.serve.api.state import ServerState
from gluonfr.apps.serve.errors import add_error_handlers
from gluonfr.version import __version__

_PAGE = os.path.join(os.path.dirname(__file__), "page")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make_app(state: ServerState) -> FastAPI:
    """Return the FastAPI application with the page and the API, without the guard.

    Parameters
    ----------
    state : ServerState

    Returns
    -------
    FastAPI

    Examples
    --------
    >>> app = make_app(ServerState(gallery, embedder))  # doctest: +SKIP
    """
    app = FastAPI(
        title="gluonfr", version=__version__, description="Identifies the people on photos.", docs_url=None, redoc_url=None
    )
    add_error_handlers(app)
    _add_page(app)
    add_photo_routes(app, state)
    add_people_routes(app, state)
    return app


def _add_page(app: FastAPI) -> None:
    for name in sorted(os.listdir(_PAGE)):
        media_type = _TYPES.get(os.path.splitext(name)[1])
        if media_type:
            with open(os.path.join(_PAGE, name), "rb") as file:
                address = "/" if name == "index.html" else f"/page/{name}"
                app.add_api_route(address, _respond(file.read(), media_type), methods=["GET"], include_in_schema=False)


def _respond(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def respond() -> Response:
        return Response(content, media_type=media_type)

    return respond
