from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gluonfr.apps.serve.errors import RequestError
from gluonfr.apps.serve.guard import SECURITY_HEADERS

# Seconds for the request line and the headers.
SECONDS = 10.0
MOST, MOST_PER_CLIENT = 256, 128


class Connection(H11Protocol):
    """uvicorn's connection with limits: on the time of a request's headers, and on the number of connections.

    Examples
    --------
    >>> import uvicorn
    >>> config = uvicorn.Config(app, http=Connection)  # doctest: +SKIP
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Refuse the connection if there are too many, otherwise start the deadline of the first request."""
        super().connection_made(transport)
        host = self.client and self.client[0]
        others: set[Any] = self.connections
        of_client = sum((other.client and other.client[0]) == host for other in others)
        if of_client > MOST_PER_CLIENT:
            self._refuse(f"This machine has {MOST_PER_CLIENT} connections; close some of them, or try again in a second.")
        elif len(self.connections) > MOST:
            self._refuse(f"The server has {MOST} connections; try again in a second.")
        else:
            self._update_deadline()

    def data_received(self, data: bytes) -> None:
        """Pass data on, and update the deadline."""
        super().data_received(data)
        self._update_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Respond to a request that is not valid HTTP as the API does."""
        self._respond(RequestError(400, "The request is not valid HTTP; send an HTTP/1.1 request.", {"Connection": "close"}))

    def _update_deadline(self) -> None:
        """Set a deadline unless a request is being answered; single bytes do not extend it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(SECONDS, self._close_idle)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_idle(self) -> None:
        self._deadline = None
        # Between two requests uvicorn has a timeout of its own.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _refuse(self, sentence: str) -> None:
        # A refused connection does not count, even if the client does not close it.
        self.connections.discard(self)
        self._respond(RequestError(429, sentence, {"Retry-After": "1", "Connection": "close"}))

    def _respond(self, error: RequestError) -> None:
        response = error.response()
        headers = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
        for event in (
            h11.Response(status_code=error.status, headers=[*response.raw_headers, *headers]),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
