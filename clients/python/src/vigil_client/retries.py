"""When a request is tried again, and how long to wait before."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from vigil_client.errors import (
    ConflictError,
    ProblemError,
    TooManyRequestsError,
    UnavailableError,
    VigilClientError,
)

SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Retries:
    """Full jitter: before try n, a random time up to `base_s` * 2^n, at most `longest_s`.

    It ends after `tries` tries, and before `within_s` seconds are over.
    """

    tries: int = 5
    base_s: float = 0.25
    longest_s: float = 8.0
    within_s: float = 60.0
    random: Callable[[], float] = field(default=random.random, repr=False)

    def wait_s(
        self, method: str, error: VigilClientError, tried: int, passed_s: float
    ) -> float | None:
        """Return how long to wait before the next try; None: it is the caller's turn."""
        if tried >= self.tries or not _can_repeat(method, error):
            return None
        wait = self.random() * min(self.longest_s, self.base_s * 2**tried)
        if isinstance(error, ProblemError) and error.retry_after_s is not None:
            wait += error.retry_after_s
        return wait if passed_s + wait < self.within_s else None


def _can_repeat(method: str, error: VigilClientError) -> bool:
    if isinstance(error, TooManyRequestsError):
        return True
    if isinstance(error, ConflictError):
        # The same POST is being carried out by an earlier try.
        return method == "POST" and error.retry_after_s is not None
    if isinstance(error, ProblemError) and not isinstance(error, UnavailableError):
        return False
    # A POST has its Idempotency-Key. A PUT that was carried out would now fail by its If-Match.
    return method in SAFE or method == "POST"
