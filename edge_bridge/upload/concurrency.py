"""The concurrency limit: as few uploads at once as fill the line, half as many after a failure.

Judged by epochs of a few uploads each. A line with a high latency carries more when more uploads
run at once. A full line only answers later, and live footage then waits for its part of it behind
the backlog. So:

    one more ── carries 5 % more? ── yes: one more again
                └─ no: undone ── one fewer ── carries all but 3 % of it? ── yes: one fewer again
                                              └─ no: undone ── rest ── one more …
"""

from dataclasses import dataclass

from edge_bridge.config.upload import UploadConfig

MIN_GAIN = 1.05
"""A step up must carry this much more; otherwise it is undone."""
MIN_KEPT = 0.97
"""Steps down must still carry this share of the rate before them; otherwise the last is undone."""
FEWEST = 2
"""Steps down end here: a single upload that stalls would block all others."""
REST_EPOCHS = 20
"""Epochs at rest before the next step up is tried."""
_MIN_EPOCH_S = 2.0


@dataclass(slots=True)
class ConcurrencyLimit:
    """How many uploads may run at once, between `minimum` and `maximum`. `now_s` is monotonic."""

    minimum: int
    maximum: int
    limit: int
    """The limit now."""
    _epoch_bytes: int = 0
    _epoch_uploads: int = 0
    _epoch_start_s: float | None = None
    _rate_before: float = 0.0
    """Bytes a second before the last step up."""
    _best_rate: float = 0.0
    """Most bytes a second before the current steps down; 0 after a step up that paid off."""
    _step: int = 0
    """The step that is on trial: 1, -1, or 0 for none."""
    _direction: int = 1
    """Of the next step."""
    _rest_epochs: int = 0

    def __post_init__(self) -> None:
        self.limit = min(max(self.limit, self.minimum), self.maximum)

    @classmethod
    def from_config(cls, config: UploadConfig) -> "ConcurrencyLimit":
        """Return the bounds that the configuration sets."""
        return cls(config.least_concurrency, config.most_concurrency, config.concurrency)

    def started(self, now_s: float) -> None:
        """Note that an upload starts."""
        if self._epoch_start_s is None:
            self._epoch_start_s = now_s

    def idle(self) -> None:
        """Note that nothing waits: a rate measured now says nothing about the line."""
        self._start_epoch(None)

    def failed(self) -> None:
        """Note a failed request: half as many."""
        self.limit = max(self.minimum, self.limit // 2)
        self._rate_before = 0.0
        self._best_rate = 0.0
        self._step = 0
        self._direction = 1
        self._rest_epochs = 0
        self.idle()

    def succeeded(self, now_s: float, size: int) -> None:
        """Note an upload of `size` bytes."""
        if self._epoch_start_s is None:
            return
        self._epoch_bytes += size
        self._epoch_uploads += 1
        took_s = now_s - self._epoch_start_s
        if self._epoch_uploads < 2 * self.limit or took_s < _MIN_EPOCH_S:
            return
        self._end_epoch(self._epoch_bytes / took_s)
        self._start_epoch(now_s)

    def _start_epoch(self, now_s: float | None) -> None:
        self._epoch_start_s = now_s
        self._epoch_bytes = 0
        self._epoch_uploads = 0

    def _end_epoch(self, rate: float) -> None:
        """Judge the step on trial by the rate (bytes a second), then take the next one."""
        if self._step > 0:
            if rate < self._rate_before * MIN_GAIN:
                self._undo_step()
                return
            self._best_rate = 0.0
        elif self._step < 0 and rate < self._best_rate * MIN_KEPT:
            self._undo_step()
            self._rest_epochs = REST_EPOCHS
            return
        if self._rest_epochs:
            self._rest_epochs -= 1
            return
        self._rate_before = rate
        self._best_rate = max(self._best_rate, rate)
        following = min(self.limit + self._direction, self.maximum)
        if self._direction < 0:
            following = max(following, self.minimum, min(FEWEST, self.limit))
        self._step = following - self.limit
        self.limit = following
        if not self._step:
            # At the bound: turn around; before the next step up, rest.
            self._direction = -self._direction
            self._rest_epochs = REST_EPOCHS if self._direction > 0 else 0

    def _undo_step(self) -> None:
        """Undo the step; the other direction is tried next."""
        self.limit -= self._step
        self._step = 0
        self._direction = -self._direction
