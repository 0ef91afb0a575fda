"""A bounded set of addresses, shared by the cameras' threads."""

import threading

_MAX_URLS = 256


class RecentUrls:
    """Holds the newest addresses. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._urls: dict[str, None] = {}

    def __contains__(self, url: str) -> bool:
        return url in self._urls

    def add(self, url: str) -> None:
        """Add an address; the oldest one is dropped if there are too many."""
        with self._lock:
            self._urls[url] = None
            while len(self._urls) > _MAX_URLS:
                del self._urls[next(iter(self._urls))]
