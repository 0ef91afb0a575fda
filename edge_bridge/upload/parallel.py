"""How many uploads go at once: one more while that carries more, half as many when requests fail.

Judged by epochs of a few uploads each. A long thin line carries more with more at once; one that
is full only answers later, so what gains nothing is taken back, and tried again much later.
"""

from dataclasses import dataclass

GAIN = 1.05
"""A step up must carry this much more, or is taken back."""
TRY_AGAIN = 20
"""Epochs at rest before the next step up is tried."""
_LEAST_EPOCH_S = 2.0


@dataclass(slots=True)
class Parallel:
    """The number now, between `least` and `most`. `now_s` is monotonic."""

    least: int
    most: int
    now: int
    _bytes: int = 0
    _done: int = 0
    _began_s: float | None = None
    _before: float = 0.0
    """Bytes a second before the last step up."""
    _stepped: bool = False
    _rest: int = 0

    def __post_init__(self) -> None:
        self.now = min(max(self.now, self.least), self.most)

    def began(self, now_s: float) -> None:
        """An upload begins."""
        if self._began_s is None:
            self._began_s = now_s

    def idle(self) -> None:
        """Nothing waits: what is measured now tells nothing of the line."""
        self._began_s, self._bytes, self._done = None, 0, 0

    def failed(self) -> None:
        """A request failed: half as many."""
        self.now = max(self.least, self.now // 2)
        self._before, self._stepped, self._rest = 0.0, False, 0
        self.idle()

    def succeeded(self, now_s: float, size: int) -> None:
        """An upload was done."""
        if self._began_s is None:
            return
        self._bytes += size
        self._done += 1
        took_s = now_s - self._began_s
        if self._done < 2 * self.now or took_s < _LEAST_EPOCH_S:
            return
        self._judge(self._bytes / took_s)
        self._began_s, self._bytes, self._done = now_s, 0, 0

    def _judge(self, rate: float) -> None:
        if self._stepped and rate < self._before * GAIN:
            self.now, self._stepped, self._rest = max(self.least, self.now - 1), False, TRY_AGAIN
            return
        if self._rest:
            self._rest -= 1
            return
        self._before = rate
        self._stepped = self.now < self.most
        self.now = min(self.most, self.now + 1)
