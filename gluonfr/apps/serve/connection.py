"""Connections, none of which is held without asking, and of which nobody has them all."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gluonfr.apps.serve.errors import RequestError

# A request's line and headers take so long at most.
SECONDS = 10.0
MOST, MOST_OF_ONE = 256, 128


class Connection(H11Protocol):
    """uvicorn's connection, closed when no whole request comes, and at once where there are too many."""

    _deadline = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        peer = self.client and self.client[0]
        of_peer = sum((each.client and each.client[0]) == peer for each in self.connections)
        if of_peer > MOST_OF_ONE:
            self._refuse(f"This machine holds {MOST_OF_ONE} connections; close some of them, or try again in a second.")
        elif len(self.connections) > MOST:
            self._refuse(f"The server holds {MOST} connections; try again in a second.")
        else:
            self._watch()

    def data_received(self, data) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Set a deadline while nothing is being answered; what trickles in does not move it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(SECONDS, self._end)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        # Between two requests uvicorn counts by itself.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _refuse(self, sentence) -> None:
        # It counts no longer, also while the other side does not look.
        self.connections.discard(self)
        answer = RequestError(429, sentence, {"Retry-After": "1", "Connection": "close"}).response()
        for event in (
            h11.Response(status_code=429, headers=answer.raw_headers),
            h11.Data(data=answer.body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()
