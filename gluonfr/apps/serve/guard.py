"""Access control: requests of this page and of programs with the token, but not of pages of other sites."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gluonfr.apps.serve.errors import RequestError

# The page loads only from this server, runs no inline script, and creates no markup from text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# Headers of every response.
SECURITY_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
# Paths that require the token; the page itself contains nothing of the gallery.
_SECRET = ("/api/", "/openapi.json")
_AUTHENTICATE = {"WWW-Authenticate": "Bearer"}
# Wrong tokens of one client before its next ones are answered slowly, for this time, and the delay.
_WRONG_TOKENS, _MEMORY_SECONDS, _DELAY = 5, 60.0, 1.0


class Guard:
    """ASGI application that passes permitted requests on to another one.

    Parameters
    ----------
    app : ASGI application
    host : str
        Name or address on which the server listens. Requests may name it, `localhost`, or any IP address as their host. Other
        names may belong to a site that points its own name to this server in order to read from it.
    token : str, optional
        Secret that programs and the page must send.

    Examples
    --------
    >>> guard = Guard(app, "localhost", "a-long-secret-token")  # doctest: +SKIP
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None = None) -> None:
        self._app, self._token = app, token.encode() if token else None
        self._names = {"localhost", host.lower()}
        # Number and time of the wrong tokens of each client.
        self._wrong: dict[str, tuple[int, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        try:
            await self._check(scope, Headers(scope=scope))
        except RequestError as error:
            await error.response()(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    async def _check(self, scope: Scope, headers: Headers) -> None:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if not self._is_own_name(host):
            raise RequestError(403, "The server does not have this name; use its address or localhost.")
        # Links of other pages may lead to the page, which contains nothing of the gallery.
        if scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
            foreign = origin is not None and origin.lower() != f"{scope['scheme']}://{host}"
            if foreign or headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin"):
                raise RequestError(403, "Pages of other sites must not use this server; open its own page.")
        if self._token and scope["path"].startswith(_SECRET) and not self._has_token(headers.get("authorization", "")):
            await self._delay_wrong_token((scope.get("client") or ("", 0))[0])
            message = "The token is missing or wrong; send the token with which the server was started."
            raise RequestError(401, message, _AUTHENTICATE)

    async def _delay_wrong_token(self, client: str) -> None:
        """Make guessing slow: after some wrong tokens of a client, its next ones are answered with a delay."""
        now = time.monotonic()
        self._wrong = {name: seen for name, seen in self._wrong.items() if now - seen[1] < _MEMORY_SECONDS}
        count = self._wrong.get(client, (0, now))[0] + 1
        self._wrong[client] = count, now
        if count > _WRONG_TOKENS:
            await asyncio.sleep(_DELAY)

    def _is_own_name(self, host: str) -> bool:
        try:
            name = urlsplit("//" + host).hostname or ""
        except ValueError:
            return False
        return "@" not in host and (name in self._names or _is_address(name))

    def _has_token(self, authorization: str) -> bool:
        kind, _, token = authorization.partition(" ")
        equal = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token or b"")
        return equal and kind.lower() == "bearer"


def _is_address(name: Any) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
