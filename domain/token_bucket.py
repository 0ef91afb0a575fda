"""A rate limit with bursts: tokens come back with time. Pure; the caller passes the time.

capacity ───╮     ╭────  a burst empties it, then `rate` tokens come back each second
            ╰─────╯
"""

from dataclasses import dataclass


@dataclass(slots=True)
class RateBucket:
    """`rate`: tokens a second. `capacity`: how many it holds at most. It begins full."""

    rate: float
    capacity: float
    tokens: float
    at_s: float
    """When `tokens` were counted."""

    def wait_s(self, amount: float, now_s: float) -> float:
        """Take `amount` tokens and return 0; or take nothing and return when they are there."""
        self._refill(now_s)
        if self.tokens < amount:
            return (amount - self.tokens) / self.rate
        self.tokens -= amount
        return 0.0

    def spend(self, amount: float, now_s: float) -> float:
        """Take `amount` tokens, also those that are not there yet; return when they are."""
        self._refill(now_s)
        self.tokens -= amount
        return max(0.0, -self.tokens / self.rate)

    def debt_s(self, now_s: float) -> float:
        """Return after how many seconds nothing is owed."""
        self._refill(now_s)
        return max(0.0, -self.tokens / self.rate)

    def _refill(self, now_s: float) -> None:
        # A clock that goes back gives nothing.
        self.tokens = min(self.capacity, self.tokens + max(0.0, now_s - self.at_s) * self.rate)
        self.at_s = now_s


def full_bucket(rate: float, capacity: float, now_s: float) -> RateBucket:
    """Return a full bucket."""
    return RateBucket(rate, capacity, capacity, now_s)
