"""How long a camera's windows are, and from when on.

A length changes at a common border of the old and the new windows, so that none overlap:

    60 s     [---- w0 ----)[---- w1 ----)|
    20 s                                 |[w2)[w3)[w4)…

A fragment belongs to the window that contains its start, by the length of that time. So a
fragment that arrives three days late belongs to the same window as its neighbours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import lcm

from domain.errors import ConfigError

HOUR_MS = 3_600_000
MAX_STEPS = 32
"""Changes that are remembered; before the oldest of them its length is used too."""
LEAD_MS = 360_000
"""A change takes effect no sooner: fragments on their way keep the old length."""

Step = tuple[int, int]
"""(from when on, UTC ms; length of a window, ms)"""


@dataclass(frozen=True, slots=True)
class WindowLengths:
    """The lengths of one camera's windows, oldest first; the first is valid from 1970 on.

    Raises ConfigError where two windows would overlap.
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.steps or self.steps[0][0] != 0 or len(self.steps) > MAX_STEPS:
            raise ConfigError(f"window lengths start at 0 and change at most {MAX_STEPS - 1} times")
        for _, length_ms in self.steps:
            if length_ms < 1_000 or length_ms % 1_000:
                raise ConfigError(
                    "window lengths must be whole seconds: chunk names contain seconds."
                )
        for (before_ms, before), (from_ms, length_ms) in pairwise(self.steps):
            if from_ms <= before_ms or from_ms % before or from_ms % length_ms:
                raise ConfigError(
                    "a window length must change at a common border of old and new windows"
                )

    @classmethod
    def always(cls, window_ms: int) -> "WindowLengths":
        """Return the lengths of a camera whose length never changed."""
        return cls(((0, window_ms),))

    @classmethod
    def _of(cls, steps: Iterable[Step]) -> "WindowLengths":
        """Make it from ascending steps, without those that change nothing or are too old."""
        kept: list[Step] = []
        for from_ms, length_ms in steps:
            if kept and kept[-1][1] == length_ms:
                continue
            kept.append((from_ms, length_ms))
        kept = kept[-MAX_STEPS:]
        return cls(((0, kept[0][1]), *kept[1:]))

    def at(self, at_ms: int) -> int:
        """Return the length (ms) of the window that contains a time."""
        for from_ms, length_ms in reversed(self.steps):
            if from_ms <= at_ms:
                return length_ms
        return self.steps[0][1]

    def window(self, at_ms: int) -> Step:
        """Return start (UTC ms) and length (ms) of the window that contains a time."""
        length_ms = self.at(at_ms)
        return at_ms // length_ms * length_ms, length_ms

    def changed(self, window_ms: int, not_before_ms: int) -> "WindowLengths":
        """Return the lengths with a new one from the next common border after `not_before_ms`.

        It replaces changes that were planned for later than `not_before_ms`.
        """
        kept = [step for step in self.steps if step[0] < not_before_ms]
        border_ms = lcm(kept[-1][1], window_ms)
        from_ms = -(-not_before_ms // border_ms) * border_ms
        return self._of([*kept, (from_ms, window_ms)])

    def changed_outside(self, wanted: "WindowLengths", from_ms: int, to_ms: int) -> "WindowLengths":
        """Return the wanted lengths, but these ones where windows exist already.

        Windows exist in [from, to). These lengths stay up to the common borders around it.
        """
        if self._part(from_ms, to_ms) == wanted._part(from_ms, to_ms):
            return wanted
        border_ms = lcm(*(length_ms for _, length_ms in (*self.steps, *wanted.steps)))
        low_ms = from_ms // border_ms * border_ms
        high_ms = -(-to_ms // border_ms) * border_ms
        return self._of(
            [
                *((at_ms, length_ms) for at_ms, length_ms in wanted.steps if at_ms < low_ms),
                *self._part(low_ms, high_ms),
                *wanted._part(high_ms, 1 << 62),
            ]
        )

    def _part(self, from_ms: int, to_ms: int) -> list[Step]:
        inside = [step for step in self.steps if from_ms < step[0] < to_ms]
        return [(from_ms, self.at(from_ms)), *inside]
