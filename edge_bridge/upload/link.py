"""The link to one outside system: up, or down since when and why.

Requests after a failure wait longer and longer, up to half a minute. The delays have jitter, so
that many edges do not come back at once. It never gives up, and its state is visible.
"""

import asyncio
import logging
import random
import time

from domain.backoff import CENTRED_JITTER, Backoff
from edge_bridge import metrics

log = logging.getLogger(__name__)

BACKOFF = Backoff(first_s=0.5, longest_s=30.0, jitter=CENTRED_JITTER)


class Link:
    """S3 or SQS."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.down_since_s: float | None = None
        self.detail = ""
        """The last failure in words; empty: none."""
        self._kind: type[Exception] | None = None
        self._failures = 0
        """In a row."""
        self._not_before_s = 0.0
        """Monotonic clock: no request before it."""
        self._resumed = asyncio.Event()
        self._resumed.set()
        metrics.LINK_UP.labels(name).set(1)

    def pause(self, reason: str) -> None:
        """Send nothing until `resume`: requests that begin now wait. `reason`: for people."""
        self.down_since_s = self.down_since_s or time.time()
        self.detail = reason[:500]
        self._resumed.clear()
        metrics.LINK_UP.labels(self.name).set(0)

    def resume(self) -> None:
        """Go on after `pause`."""
        if not self._resumed.is_set():
            self._resumed.set()
            self.succeeded()

    def succeeded(self) -> None:
        """Note that a request was answered."""
        if not self._resumed.is_set():
            return  # one that was in flight when the link was paused
        if self.down_since_s is not None:
            log.info("%s answers again after %.0f s", self.name, time.time() - self.down_since_s)
        self.down_since_s = None
        self.detail = ""
        self._failures = 0
        self._not_before_s = 0.0
        metrics.LINK_UP.labels(self.name).set(1)

    def failed(self, error: Exception) -> None:
        """Note that a request failed; the next ones wait."""
        if not self._resumed.is_set():
            return  # as in `succeeded`
        now_s = time.monotonic()
        if self.down_since_s is None or type(error) is not self._kind:
            log.error("%s failed: %s Trying again until it answers.", self.name, error)
        self.down_since_s = self.down_since_s or time.time()
        self._kind = type(error)
        self.detail = str(error)[:500]
        metrics.FAILURES.labels(self.name).inc()
        metrics.LINK_UP.labels(self.name).set(0)
        if now_s < self._not_before_s:
            return  # requests that were in flight together count as one failure
        self._not_before_s = now_s + BACKOFF.delay_s(self._failures, random.random())  # noqa: S311
        self._failures += 1

    async def ready(self) -> None:
        """Wait until the next request may be tried."""
        while True:
            await self._resumed.wait()
            delay_s = self._not_before_s - time.monotonic()
            if delay_s <= 0:
                return
            await asyncio.sleep(delay_s)
