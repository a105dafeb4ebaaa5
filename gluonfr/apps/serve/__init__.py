"""A gallery as a web page and a JSON API."""

from __future__ import annotations

from gluonfr.apps.serve.server import listen, serve_gallery

__all__ = ["listen", "serve_gallery"]
