"""How often a network may fail at the devices' address."""

from collections.abc import Callable
from http import HTTPStatus
from math import ceil

from aiohttp import web
from cachetools import TTLCache

from domain.token_bucket import RateBucket, full_bucket
from stores.http_server import network_of
from web.problems import ProblemError

FAILURES = 20
"""That a network may have at once."""
FAILURES_PER_S = 0.1
MAX_NETWORKS = 20_000


class FailureLimit:
    """Counts failures by network; what succeeds costs nothing. `now_s`: a steady clock."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._buckets: TTLCache[str, RateBucket] = TTLCache(
            MAX_NETWORKS, FAILURES / FAILURES_PER_S, timer=now_s
        )

    def check(self, request: web.Request) -> None:
        """Raise ProblemError (429) where the network of a request has failed too often."""
        bucket = self._buckets.get(network_of(request.remote or ""))
        if bucket is None:
            return
        now_s = self._now_s()
        wait_s = bucket.debt_s(now_s)
        if wait_s > 0 or bucket.tokens < 1:
            wait_s = max(wait_s, 1 / FAILURES_PER_S)
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many requests of this network were refused. Try again later.",
                {"Retry-After": str(ceil(wait_s))},
            )

    def failed(self, request: web.Request) -> None:
        """Count a failure of a request's network."""
        network = network_of(request.remote or "")
        now_s = self._now_s()
        bucket = self._buckets.get(network) or full_bucket(FAILURES_PER_S, FAILURES, now_s)
        bucket.spend(1, now_s)
        self._buckets[network] = bucket
