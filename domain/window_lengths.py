"""How long a camera's windows are, and from when on: a length changes at a border of both.

    60 s     [---- w0 ----)[---- w1 ----)|
    20 s                                 |[w2)[w3)[w4)…      the border is a window's border
                                         |                    before and after: none overlap half

A fragment belongs to the window that its start falls into, by the length that counted then: one
that comes three days late is cut as its neighbours were.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import lcm

from domain.errors import ConfigError

HOUR_MS = 3_600_000
MAX_STEPS = 32
"""Changes that are remembered; of what lies before them the oldest length counts."""
LEAD_MS = 360_000
"""A change takes effect no sooner: what is on its way by then is cut as before."""

Step = tuple[int, int]
"""(from when on, UTC ms; length of a window, ms)"""


@dataclass(frozen=True, slots=True)
class WindowLengths:
    """The lengths of one camera's windows, oldest first; the first counts from 1970 on.

    Raises ConfigError where two windows would overlap.
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.steps or self.steps[0][0] != 0 or len(self.steps) > MAX_STEPS:
            raise ConfigError(f"window lengths begin at 0 and change at most {MAX_STEPS - 1} times")
        for _, length_ms in self.steps:
            if length_ms < 1_000 or length_ms % 1_000:
                raise ConfigError("window lengths are whole seconds: chunk names carry seconds.")
        for (before_ms, before), (from_ms, length_ms) in pairwise(self.steps):
            if from_ms <= before_ms or from_ms % before or from_ms % length_ms:
                raise ConfigError("a window length changes at a border of the old and the new")

    @classmethod
    def always(cls, window_ms: int) -> "WindowLengths":
        """Return the lengths of a camera that never had any other."""
        return cls(((0, window_ms),))

    @classmethod
    def _of(cls, steps: Iterable[Step]) -> "WindowLengths":
        """Make it of ascending steps: those that change nothing go, the oldest are forgotten."""
        kept: list[Step] = []
        for from_ms, length_ms in steps:
            if kept and kept[-1][1] == length_ms:
                continue
            kept.append((from_ms, length_ms))
        kept = kept[-MAX_STEPS:]
        return cls(((0, kept[0][1]), *kept[1:]))

    def at(self, at_ms: int) -> int:
        """Return the length (ms) of the window that holds a moment."""
        for from_ms, length_ms in reversed(self.steps):
            if from_ms <= at_ms:
                return length_ms
        return self.steps[0][1]

    def window(self, at_ms: int) -> Step:
        """Return start (UTC ms) and length (ms) of the window that holds a moment."""
        length_ms = self.at(at_ms)
        return at_ms // length_ms * length_ms, length_ms

    def changed(self, window_ms: int, not_before_ms: int) -> "WindowLengths":
        """Return them with another length from the next common border on.

        What was to change only after `not_before_ms` is overruled.
        """
        kept = [step for step in self.steps if step[0] < not_before_ms]
        border_ms = lcm(kept[-1][1], window_ms)
        from_ms = -(-not_before_ms // border_ms) * border_ms
        return self._of([*kept, (from_ms, window_ms)])

    def within(self, told: "WindowLengths", from_ms: int, to_ms: int) -> "WindowLengths":
        """Return what was told, but these lengths where windows were cut by them already.

        That is in [from, to), up to the next borders of all lengths around it.
        """
        if self._part(from_ms, to_ms) == told._part(from_ms, to_ms):
            return told
        border_ms = lcm(*(length_ms for _, length_ms in (*self.steps, *told.steps)))
        low_ms = from_ms // border_ms * border_ms
        high_ms = -(-to_ms // border_ms) * border_ms
        return self._of(
            [
                *((at_ms, length_ms) for at_ms, length_ms in told.steps if at_ms < low_ms),
                *self._part(low_ms, high_ms),
                *told._part(high_ms, 1 << 62),
            ]
        )

    def _part(self, from_ms: int, to_ms: int) -> list[Step]:
        inside = [step for step in self.steps if from_ms < step[0] < to_ms]
        return [(from_ms, self.at(from_ms)), *inside]
