"""How far a replay is: done, of how many, how fast, how long it will take yet.

On a terminal one line is written over and over; elsewhere a line comes every ten seconds.

    catalog: 41,200 of 96,000 events (42 %), 5,150/s, 11 s left
"""

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

TERMINAL_EVERY_S = 0.2
LINE_EVERY_S = 10.0
RATE_OVER_S = 30.0
"""The rate is that of the last half minute: what was slow long ago does not count."""
MOST_MARKS = 200


class ProgressDisplay:
    """Counts what is done. Use as a context manager: the last line tells the whole.

    `unit` names what is counted, in the plural; `total` may be set later, None while unknown.
    """

    def __init__(
        self,
        what: str,
        unit: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.unit, self.total = what, unit, total
        self.done = 0
        self._stream = stream if stream is not None else sys.stderr
        self._clock_s = clock_s
        self._terminal = self._stream.isatty()
        self._began_s = self._told_s = clock_s()
        self._marks: deque[tuple[float, int]] = deque([(self._began_s, 0)])
        self._skipped = 0
        self._wide = 0

    def resume(self, done: int) -> None:
        """Count what an earlier run has done; it does not count for the rate."""
        self.done += done
        self._skipped += done

    def add(self, count: int = 1) -> None:
        """Count what was done, and tell of it where it is time to."""
        self.done += count
        now_s = self._clock_s()
        every_s = TERMINAL_EVERY_S if self._terminal else LINE_EVERY_S
        if now_s - self._told_s >= every_s:
            self._told_s = now_s
            self._tell(self.line())

    def say(self, sentence: str) -> None:
        """Write a line of its own between the lines of progress."""
        self._clear()
        self._stream.write(f"{sentence}\n")
        self._stream.flush()

    @property
    def rate(self) -> float:
        """How many a second, over the last half minute."""
        now_s, fresh = self._clock_s(), self.done - self._skipped
        while len(self._marks) > 1 and now_s - self._marks[0][0] > RATE_OVER_S:
            self._marks.popleft()
        since_s, before = self._marks[0]
        if len(self._marks) < MOST_MARKS and now_s > self._marks[-1][0]:
            self._marks.append((now_s, fresh))
        return (fresh - before) / (now_s - since_s) if now_s > since_s else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until all is done at this rate, None where nobody can say."""
        rate = self.rate
        if self.total is None or rate <= 0:
            return None
        return max(0, self.total - self.done) / rate

    def line(self) -> str:
        """Return how far it is, in one line."""
        of = f"{self.done:,} {self.unit}"
        if self.total is not None:
            percent = min(100, 100 * self.done // self.total) if self.total else 100
            of = f"{self.done:,} of {self.total:,} {self.unit} ({percent} %)"
        left = "" if self.left_s is None else f", {duration_text(self.left_s)} left"
        return f"{self.what}: {of}, {self.rate:,.0f}/s{left}"

    def _tell(self, line: str) -> None:
        if self._terminal:
            self._stream.write(f"\r{line:<{self._wide}}")
            self._wide = len(line)
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def _clear(self) -> None:
        if self._wide:
            self._stream.write(f"\r{'':<{self._wide}}\r")
            self._wide = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._clear()
        took_s = self._clock_s() - self._began_s
        state = "done" if kind is None else "stopped"
        self._stream.write(
            f"{self.what}: {state}, {self.done:,} {self.unit} in {duration_text(took_s)}\n"
        )
        self._stream.flush()


def duration_text(seconds: float) -> str:
    """Return a length of time as people say it: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min"
