"""How many uploads go at once: as few as carry what the line can, half as many when requests fail.

Judged by epochs of a few uploads each. A long thin line carries more with more at once; one that
is full only answers later, and live footage waits for its part of it beside the backlog's. So:

    one more ── carries 5 % more? ── yes: one more again
                └─ no: taken back ── one fewer ── carries all but 3 % of it? ── yes: one fewer again
                                                  └─ no: taken back ── rest ── one more …
"""

from dataclasses import dataclass

from edge_bridge.config.upload import UploadConfig

GAIN = 1.05
"""A step up must carry this much more, or is taken back."""
KEPT = 0.97
"""With steps down this much must still be carried of what was, or the last is taken back."""
FEW = 2
"""Nothing is gained by fewer: one that hangs would hold all others up."""
TRY_AGAIN = 20
"""Epochs at rest before the next step up is tried."""
_LEAST_EPOCH_S = 2.0


@dataclass(slots=True)
class ConcurrencyLimit:
    """The number now, between `least` and `most`. `now_s` is monotonic."""

    least: int
    most: int
    now: int
    _bytes: int = 0
    _done: int = 0
    _began_s: float | None = None
    _before: float = 0.0
    """Bytes a second before the last step up."""
    _full: float = 0.0
    """Most bytes a second that steps down began from, since a step up was worth it."""
    _step: int = 0
    """The step that is on trial: 1, -1, or 0 for none."""
    _way: int = 1
    """Of the next step."""
    _rest: int = 0

    def __post_init__(self) -> None:
        self.now = min(max(self.now, self.least), self.most)

    @classmethod
    def from_config(cls, config: UploadConfig) -> "ConcurrencyLimit":
        """Return the bounds that the configuration sets."""
        return cls(config.least_concurrency, config.most_concurrency, config.concurrency)

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
        self._before, self._full, self._step, self._way, self._rest = 0.0, 0.0, 0, 1, 0
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
        if self._step > 0:
            if rate < self._before * GAIN:
                self._take_back()
                return
            self._full = 0.0
        elif self._step < 0 and rate < self._full * KEPT:
            self._take_back()
            self._rest = TRY_AGAIN
            return
        if self._rest:
            self._rest -= 1
            return
        self._before, self._full = rate, max(self._full, rate)
        following = min(self.now + self._way, self.most)
        if self._way < 0:
            following = max(following, self.least, min(FEW, self.now))
        self._step, self.now = following - self.now, following
        if not self._step:
            self._way = -self._way
            self._rest = TRY_AGAIN if self._way > 0 else 0

    def _take_back(self) -> None:
        """Undo the step; the other way is tried next."""
        self.now -= self._step
        self._step, self._way = 0, -self._way
