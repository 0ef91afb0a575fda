"""One outside system as the edge sees it: up, or down since when and why.

Requests after a failure wait longer and longer, up to half a minute, spread at random so that many
edges do not come back at once. It never ends by itself, and is visible.
"""

import asyncio
import logging
import random
import time

from edge_bridge import metrics

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0


class Link:
    """S3 or SQS."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.down_since_s: float | None = None
        self.detail = ""
        """The last failure in words, or nothing."""
        self._kind: type[Exception] | None = None
        self._failures = 0
        self._not_before_s = 0.0
        metrics.LINK_UP.labels(name).set(1)

    def succeeded(self) -> None:
        """Note that a request was answered."""
        if self.down_since_s is not None:
            log.info("%s answers again after %.0f s", self.name, time.time() - self.down_since_s)
        self.down_since_s, self.detail, self._failures = None, "", 0
        self._not_before_s = 0.0
        metrics.LINK_UP.labels(self.name).set(1)

    def failed(self, error: Exception) -> None:
        """Note that a request failed; the next ones wait."""
        now = time.monotonic()
        if self.down_since_s is None or type(error) is not self._kind:
            log.error("%s fails: %s Trying again until it answers.", self.name, error)
        self.down_since_s = self.down_since_s or time.time()
        self._kind = type(error)
        self.detail = str(error)[:500]
        metrics.FAILURES.labels(self.name).inc()
        metrics.LINK_UP.labels(self.name).set(0)
        if now < self._not_before_s:
            return  # requests that were on their way together count as one failure
        pause = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self._failures, 10))
        self._failures += 1
        self._not_before_s = now + pause * (0.5 + random.random())  # noqa: S311

    async def ready(self) -> None:
        """Wait until the next request may be tried."""
        while True:
            pause = self._not_before_s - time.monotonic()
            if pause <= 0:
                return
            await asyncio.sleep(pause)
