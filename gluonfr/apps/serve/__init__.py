"""A gallery as a page and a JSON API over HTTP."""

from __future__ import annotations

from gluonfr.apps.serve.server import listen, serve_gallery

__all__ = ["listen", "serve_gallery"]
