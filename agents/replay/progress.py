"""Shows the progress of a replay: done, total, rate, time left.

On a terminal one line is updated. Elsewhere a new line is written every ten seconds.

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
"""The rate is that of the last half minute."""
MAX_SAMPLES = 200


class ProgressDisplay:
    """Counts and shows what is done. Use as a context manager: it writes a summary at the end.

    `unit` is what is counted, in the plural. `total` may be set later; None means unknown.
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
        self.what = what
        self.unit = unit
        self.total = total
        self.done = 0
        self._stream = stream if stream is not None else sys.stderr
        self._clock_s = clock_s
        self._terminal = self._stream.isatty()
        self._began_s = clock_s()
        self._shown_s = self._began_s
        self._samples: deque[tuple[float, int]] = deque([(self._began_s, 0)])
        self._resumed = 0
        self._line_width = 0

    def resume(self, done: int) -> None:
        """Count what an earlier run has done. It does not count for the rate."""
        self.done += done
        self._resumed += done

    def add(self, count: int = 1) -> None:
        """Count what was done, and show it if the last update is old enough."""
        self.done += count
        now_s = self._clock_s()
        every_s = TERMINAL_EVERY_S if self._terminal else LINE_EVERY_S
        if now_s - self._shown_s >= every_s:
            self._shown_s = now_s
            self._show(self.line())

    def say(self, text: str) -> None:
        """Write a separate line between the lines of progress."""
        self._clear()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    @property
    def rate(self) -> float:
        """How many a second, over the last half minute."""
        now_s = self._clock_s()
        done_now = self.done - self._resumed
        while len(self._samples) > 1 and now_s - self._samples[0][0] > RATE_OVER_S:
            self._samples.popleft()
        since_s, before = self._samples[0]
        if len(self._samples) < MAX_SAMPLES and now_s > self._samples[-1][0]:
            self._samples.append((now_s, done_now))
        return (done_now - before) / (now_s - since_s) if now_s > since_s else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until all is done at this rate, or None if unknown."""
        rate = self.rate
        if self.total is None or rate <= 0:
            return None
        return max(0, self.total - self.done) / rate

    def line(self) -> str:
        """Return the progress in one line."""
        counted = f"{self.done:,} {self.unit}"
        if self.total is not None:
            percent = min(100, 100 * self.done // self.total) if self.total else 100
            counted = f"{self.done:,} of {self.total:,} {self.unit} ({percent} %)"
        left = "" if self.left_s is None else f", {duration_text(self.left_s)} left"
        return f"{self.what}: {counted}, {self.rate:,.0f}/s{left}"

    def _show(self, line: str) -> None:
        if self._terminal:
            self._stream.write(f"\r{line:<{self._line_width}}")
            self._line_width = len(line)
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def _clear(self) -> None:
        if self._line_width:
            self._stream.write(f"\r{'':<{self._line_width}}\r")
            self._line_width = 0

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
    """Return a duration as text: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min"
