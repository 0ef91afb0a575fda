"""Closes the connections of an HTTP server on which no whole request arrives in time (slowloris).

aiohttp waits an hour for the rest of a request's header. Each waiting connection costs a
descriptor, and a stranger needs no key for that. A connection with a request is left alone.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol
from weakref import WeakKeyDictionary

FIRST_REQUEST_S = 15.0
"""A new connection has this long for the header of its first request."""
NEXT_REQUEST_S = 75.0
"""The same for each further one. Longer than a proxy keeps its idle connections (60 s)."""
CHECK_S = 5.0
MAX_CONNECTIONS = 4_000
"""Over this number, the connections that wait longest for a request are closed too."""


class HttpConnection(Protocol):
    """What is used of aiohttp's RequestHandler."""

    @property
    def _current_request(self) -> object | None:
        """The request that is being answered."""

    def force_close(self) -> None:
        """Close the connection."""


class ConnectionDeadlines:
    """Remembers since when each connection waits for a request."""

    def __init__(self, max_connections: int = MAX_CONNECTIONS) -> None:
        self._max_connections = max_connections
        self._waits: WeakKeyDictionary[HttpConnection, tuple[float, float]] = WeakKeyDictionary()

    def check(self, connections: Collection[HttpConnection], now_s: float) -> int:
        """Close what waits too long; return how many. `now_s` is a steady clock in seconds."""
        waiting: list[tuple[float, HttpConnection, float]] = []
        for each in connections:
            if each._current_request is not None:
                self._waits[each] = now_s, NEXT_REQUEST_S
                continue
            since_s, allowed_s = self._waits.setdefault(each, (now_s, FIRST_REQUEST_S))
            waiting.append((since_s, each, allowed_s))
        waiting.sort(key=lambda entry: entry[0])
        too_many = max(0, len(connections) - self._max_connections)
        late = [
            each
            for number, (since_s, each, allowed_s) in enumerate(waiting)
            if number < too_many or now_s - since_s >= allowed_s
        ]
        for each in late:
            each.force_close()
        return len(late)


async def enforce_deadlines(connections: Callable[[], Collection[HttpConnection]]) -> None:
    """Check an HTTP server's connections until cancelled."""
    deadlines = ConnectionDeadlines()
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(CHECK_S)
        deadlines.check(connections(), loop.time())
