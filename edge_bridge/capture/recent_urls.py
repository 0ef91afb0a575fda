"""A bounded set of addresses, shared by the cameras' threads."""

import threading

_MAX_URLS = 256


class RecentUrls:
    """Holds the newest addresses, each with a reason. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._urls: dict[str, str] = {}

    def __contains__(self, url: str) -> bool:
        return url in self._urls

    def reason(self, url: str) -> str:
        """Return why an address was added; empty if that is not known."""
        return self._urls.get(url, "")

    def add(self, url: str, reason: str = "") -> None:
        """Add an address; the oldest one is dropped if there are too many."""
        with self._lock:
            self._urls[url] = reason
            while len(self._urls) > _MAX_URLS:
                del self._urls[next(iter(self._urls))]


class RecentTexts:
    """Holds the newest text for each address: so it is logged once. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[str, str] = {}

    def changed(self, url: str, text: str) -> bool:
        """Keep the text; return whether it is a new one that is not empty."""
        with self._lock:
            before = self._texts.pop(url, "")
            self._texts[url] = text
            while len(self._texts) > _MAX_URLS:
                del self._texts[next(iter(self._texts))]
        return bool(text) and text != before
