"""How often to look: a set rate, lowered to what the device can do. Times are passed in.

one second of each eyes' thread:   ▏decoding ▏preparing (its cost x pictures) ▏in reserve ▏
one second of the model's thread:  ▏looking (its cost x pictures)             ▏in reserve ▏
rate = what is left / (cost x cameras), the lesser of both, at most the set rate
"""

import math
import threading

TICKS = 90_000
BUSY_SHARE = 0.85
"""Of a thread's time; the rest is reserve."""
BEHIND_LAG_S = 2.0
_LEAST_SHARE = 0.05
_LEAST_FPS = 0.02
_NEWEST = 0.4
"""Weight of the newest second in the running means."""


class RateController:
    """One rate for all cameras, from what decoding and looking have cost of late.

    Any thread may call it.
    """

    def __init__(self, rate_fps: float, eyes: int = 1) -> None:
        """`eyes`: threads that decode and prepare."""
        self._eyes = eyes
        self._lock = threading.Lock()
        self._full = self._rate = rate_fps
        self._lag_s = 0.0
        self._decoding: float | None = None
        self._preparing_cost_s: float | None = None
        self._looking_cost_s: float | None = None
        self._begin()

    @property
    def rate_fps(self) -> float:
        """Pictures of each camera a second, now."""
        return self._rate

    @property
    def lag_s(self) -> float:
        """How long the newest packet had waited."""
        return self._lag_s

    @property
    def behind(self) -> bool:
        """So far behind that pictures are only decoded, until the worker has caught up."""
        return self._lag_s > BEHIND_LAG_S

    def arrived(self, camera: str, lag_s: float) -> None:
        """Learn that a camera's packet had waited for `lag_s`."""
        with self._lock:
            self._lag_s = lag_s
            self._cameras.add(camera)

    def sampled(self) -> None:
        """Count a picture that was sampled, whether or not it moved."""
        with self._lock:
            self._samples += 1

    def spent(
        self, *, decoding_s: float = 0.0, preparing_s: float = 0.0, looking_s: float = 0.0
    ) -> None:
        """Learn how long a thread was busy, and with what."""
        with self._lock:
            self._decoding_s += decoding_s
            self._preparing_s += preparing_s
            self._looking_s += looking_s

    def adjust(self, elapsed_s: float) -> None:
        """Set the rate from what was learnt in the last `elapsed_s`, about a second."""
        with self._lock:
            self._adjust(elapsed_s)

    def _adjust(self, elapsed_s: float) -> None:
        self._decoding = _mean(self._decoding, self._decoding_s / elapsed_s)
        if self._samples:
            self._preparing_cost_s = _mean(
                self._preparing_cost_s, self._preparing_s / self._samples
            )
            self._looking_cost_s = _mean(self._looking_cost_s, self._looking_s / self._samples)
        if self._cameras:
            left = max(_LEAST_SHARE, BUSY_SHARE * self._eyes - self._decoding)
            affordable = min(
                _rate(left, self._preparing_cost_s, len(self._cameras)),
                _rate(BUSY_SHARE, self._looking_cost_s, len(self._cameras)),
            )
            self._rate = min(self._full, max(_LEAST_FPS, affordable))
        self._begin()

    def _begin(self) -> None:
        self._cameras: set[str] = set()
        self._samples = 0
        self._decoding_s = self._preparing_s = self._looking_s = 0.0


def _rate(share: float, cost_s: float | None, cameras: int) -> float:
    return share / (cost_s * cameras) if cost_s else math.inf


def _mean(before: float | None, newest: float) -> float:
    return newest if before is None else before + _NEWEST * (newest - before)


class FrameSampler:
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
