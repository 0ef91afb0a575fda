"""How often to look: a set rate, lowered while the worker is behind. Times are passed in."""

TICKS = 90_000
_SLOW_LAG_S = 1.0
_BEHIND_LAG_S = 2.0
_FINE_LAG_S = 0.3
_LEAST_FACTOR = 0.02


class Pace:
    """One rate for all cameras: quickly down when behind, slowly up again."""

    def __init__(self, rate_fps: float) -> None:
        self._full, self._factor = rate_fps, 1.0
        self._changed_s = float("-inf")
        self._lag_s = 0.0

    @property
    def rate_fps(self) -> float:
        """Pictures of each camera a second, now."""
        return self._full * self._factor

    @property
    def lag_s(self) -> float:
        """How long the newest packet had waited."""
        return self._lag_s

    @property
    def behind(self) -> bool:
        """So far behind that pictures are only decoded, until the worker has caught up."""
        return self._lag_s > _BEHIND_LAG_S

    def observe(self, lag_s: float, now_s: float) -> None:
        """Learn that a packet has waited for `lag_s`; `now_s` is any steady clock."""
        self._lag_s = lag_s
        since_s = now_s - self._changed_s
        if lag_s > _SLOW_LAG_S and since_s >= 1.0:
            self._set(self._factor * 0.7, now_s)
        elif lag_s < _FINE_LAG_S and self._factor < 1 and since_s >= 2.0:
            self._set(self._factor * 1.15, now_s)

    def _set(self, factor: float, now_s: float) -> None:
        self._factor = min(1.0, max(_LEAST_FACTOR, factor))
        self._changed_s = now_s


class Sampler:
    """Chooses pictures of one camera at a rate, by their own time."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._last = 0

    def wants(self, pts: int, rate_fps: float) -> bool:
        """Whether to look at the picture at `pts` (90 kHz); a jump in time starts anew."""
        step = round(TICKS / rate_fps)
        jumped = self._next is None or pts <= self._last or pts > self._next + 10 * step
        # A rate that was raised must not wait for the next turn of the old one.
        soonest = self._last + step + step // 10
        due = self._next is not None and pts >= min(self._next, soonest) - step // 20
        if not (jumped or due):
            return False
        on_time = self._next is not None and not jumped and self._next + step > pts
        self._next = (self._next if on_time and self._next is not None else pts) + step
        self._last = pts
        return True
