"""Who may ask: this page and programs with the token, never another site's page."""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from gluonfr.apps.serve.errors import RequestError

# The page loads from here alone, runs no script of its markup and makes no markup of text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
# What needs the token; the page itself holds nothing of the gallery.
_SECRET = ("/api/", "/openapi.json")


class Guard:
    """ASGI application around another one, which it asks only for those who may.

    Parameters
    ----------
    app : ASGI application
    host : str
        The name or address that the server listens at, by which browsers may call it; any address and `localhost` are taken
        too. Other names may belong to a site that lets its own name point here, to read what its page must not.
    token : str, optional
        What programs and the page must know.
    """

    def __init__(self, app, host, token=None) -> None:
        self._app, self._token = app, token.encode() if token else None
        self._names = {"localhost", host.lower()}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            self._check(scope, Headers(scope=scope))
        except RequestError as problem:
            await problem.response()(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)

    def _check(self, scope, headers) -> None:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if not self._is_here(host):
            raise RequestError(403, "The server is not known by this name; call it by its address or as localhost.")
        # A link on another page may lead here, and shows what holds nothing yet.
        if scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
            foreign = origin is not None and origin.lower() != f"{scope['scheme']}://{host}"
            if foreign or headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin"):
                raise RequestError(403, "Pages of other sites may not ask this server.")
        if self._token and scope["path"].startswith(_SECRET) and not self._knows(headers.get("authorization", "")):
            raise RequestError(
                401, "The token is missing or wrong; give the one that the server was started with.", _AUTHENTICATE
            )

    def _is_here(self, host):
        try:
            name = urlsplit("//" + host).hostname or ""
        except ValueError:
            return False
        return "@" not in host and (name in self._names or _is_address(name))

    def _knows(self, authorization):
        kind, _, token = authorization.partition(" ")
        return hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token) and kind.lower() == "bearer"


_AUTHENTICATE = {"WWW-Authenticate": "Bearer"}


def _is_address(name) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
