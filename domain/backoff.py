"""Exponential back-off with jitter: how long to wait before the next try. Pure.

    failures in a row    1        2        3        4      ...
    upper bound          first    x2       x4       x8     ... longest_s at most
    delay                bound x a random factor within the jitter's range

The jitter spreads clients that failed at the same moment, so that they do not all come back at
once. AWS describes it in "Exponential Backoff And Jitter" (Architecture Blog, 2015).
The random number is passed in. So each rule can be tested by a table of cases.
"""

from dataclasses import dataclass
from typing import Final

NO_JITTER: Final = (1.0, 1.0)
"""Each delay is exactly the bound."""
EQUAL_JITTER: Final = (0.5, 1.0)
"""Half of the bound, plus up to half of it at random: never longer than `longest_s`."""
FULL_JITTER: Final = (0.0, 1.0)
"""Anything from no delay up to the bound."""
CENTRED_JITTER: Final = (0.5, 1.5)
"""The bound on average, give or take half: up to 1.5 times `longest_s`."""

_MAX_EXPONENT = 64
"""Beyond it each bound in use has reached `longest_s`; larger powers overflow a float."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delays of one kind of retry. It counts nothing: the caller counts the failures."""

    first_s: float
    """Bound of the first delay, seconds."""
    longest_s: float
    """No bound is longer than this, seconds."""
    factor: float = 2.0
    """Each failure in a row multiplies the bound by it; 1 or more."""
    jitter: tuple[float, float] = NO_JITTER
    """Smallest and largest share of the bound that a delay may have."""

    def bound_s(self, attempt: int) -> float:
        """Return the bound in seconds; `attempt` 0 is the first delay, 1 the second."""
        growth = self.factor ** min(max(attempt, 0), _MAX_EXPONENT)
        return float(min(self.longest_s, self.first_s * growth))

    def delay_s(self, attempt: int, chance: float) -> float:
        """Return how many seconds to wait before the next try.

        `attempt` is 0 after the first failure in a row, 1 after the second. `chance` is a random
        number in 0..1, such as `random.random()`: 0 gives the shortest delay, 1 the longest.
        """
        least, most = self.jitter
        return self.bound_s(attempt) * (least + (most - least) * chance)
