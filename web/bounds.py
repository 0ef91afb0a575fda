"""What one principal may use of a worker: requests a second, bytes of media a second.

request ──► admit: a token each, else 429 ──► handler ──► bytes: paced; 429 where much is owed

The decoders of pictures have their own bound (web/picture_decoder.py), the catalog's connections
theirs (stores/catalog/web_catalog.py). All are for each worker: n workers allow n times as much.
"""

import asyncio
import math
import time
from collections.abc import Callable
from http import HTTPStatus

from cachetools import LRUCache
from prometheus_client import Counter

from domain.token_bucket import RateBucket, full_bucket
from streams.metrics import REGISTRY
from streams.settings import Settings
from web.problems import ProblemError

MAX_PRINCIPALS = 10_000
REQUEST_BURST_S = 10
"""A principal that was quiet may send the requests of so many seconds at once."""
REFUSAL_DELAY_S = 0.25
"""How long a refusal waits. Refusals at once let a flood take all of the worker's time."""
MEDIA_BURST_S = 2
MAX_OWED_S = 5.0
"""A request for media is refused while more than the bytes of so many seconds are owed."""

BOUNDED = Counter(
    "vigil_http_bounded",
    "Requests refused because of a bound: requests, decoders, bytes or commands of a principal",
    ("bound",),
    registry=REGISTRY,
)
PACED_SECONDS = Counter(
    "vigil_http_paced_seconds",
    "How long responses waited because of their principal's bytes a second",
    registry=REGISTRY,
)


def too_many(bound: str, detail: str, wait_s: float) -> ProblemError:
    """Return the problem (429) of a principal that uses too much; counts it."""
    BOUNDED.labels(bound).inc()
    retry_after = str(max(1, math.ceil(wait_s)))
    return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": retry_after})


class PrincipalBounds:
    """The buckets of the principals that were last seen. `principal`: its id."""

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._requests_per_s = settings.requests_per_s
        self._bytes_per_s = settings.media_bytes_per_s
        self._clock_s = clock_s
        self._requests: LRUCache[str, RateBucket] = LRUCache(MAX_PRINCIPALS)
        self._bytes: LRUCache[str, RateBucket] = LRUCache(MAX_PRINCIPALS)

    def admit(self, principal: str) -> None:
        """Count a request; raise ProblemError (429) where there are too many."""
        rate = self._requests_per_s
        if not rate:
            return
        now_s = self._clock_s()
        bucket = self._requests.get(principal)
        if bucket is None:
            bucket = self._requests[principal] = full_bucket(rate, rate * REQUEST_BURST_S, now_s)
        if wait_s := bucket.wait_s(1, now_s):
            raise too_many(
                "requests", f"Too many requests: at most {rate} a second for each user.", wait_s
            )

    async def admit_slowly(self, principal: str) -> None:
        """As `admit`, but a refusal waits a little: each connection of a flood waits with it."""
        try:
            self.admit(principal)
        except ProblemError:
            await asyncio.sleep(REFUSAL_DELAY_S)
            raise

    def admit_media(self, principal: str) -> None:
        """Raise ProblemError (429) where a principal has to wait for more media."""
        if not self._bytes_per_s:
            return
        if (owed_s := self._media(principal).debt_s(self._clock_s())) > MAX_OWED_S:
            raise too_many(
                "bytes",
                f"Too much media: at most {self._bytes_per_s} bytes a second for each user.",
                owed_s - MAX_OWED_S,
            )

    async def pace(self, principal: str, sent_bytes: int) -> None:
        """Count bytes that were sent, and wait until the principal may be sent more."""
        if not self._bytes_per_s:
            return
        if wait_s := self._media(principal).spend(sent_bytes, self._clock_s()):
            PACED_SECONDS.inc(wait_s)
            await asyncio.sleep(wait_s)

    def _media(self, principal: str) -> RateBucket:
        bucket = self._bytes.get(principal)
        if bucket is None:
            rate = self._bytes_per_s
            bucket = full_bucket(rate, rate * MEDIA_BURST_S, self._clock_s())
            self._bytes[principal] = bucket
        return bucket
