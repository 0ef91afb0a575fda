"""The sampling rate: the configured one, lowered to what the device can do. Times are passed in.

    one second of each decode thread:  ▏decoding ▏preparing (its cost x frames) ▏reserve ▏
    one second of the model's thread:  ▏inference (its cost x frames)           ▏reserve ▏
    rate = what is left / (cost x cameras), the lower of both, at most the configured rate

The costs are measured, and the rate is set again each second.
"""

import math
import threading

TICKS = 90_000
BUSY_SHARE = 0.85
"""Of a thread's time; the rest is reserve."""
BEHIND_LAG_S = 2.0
_MIN_SHARE = 0.05
_MIN_FPS = 0.02
_NEWEST_WEIGHT = 0.4
"""Weight of the newest second in the moving averages."""


class RateController:
    """One rate for all cameras, from what decoding and inference have cost recently.

    Any thread may call it.
    """

    def __init__(self, rate_fps: float, decode_threads: int = 1) -> None:
        """`decode_threads`: threads that decode and prepare."""
        self._decode_threads = decode_threads
        self._lock = threading.Lock()
        self._max_rate = rate_fps
        self._rate = rate_fps
        self._lag_s = 0.0
        self._decoding_share: float | None = None
        """Moving average: seconds of decoding in a second, of all threads."""
        self._preparing_cost_s: float | None = None
        self._inference_cost_s: float | None = None
        """Moving averages: seconds for one frame."""
        self._start_period()

    @property
    def rate_fps(self) -> float:
        """Frames of each camera a second, now."""
        return self._rate

    @property
    def lag_s(self) -> float:
        """How long the newest packet had waited."""
        return self._lag_s

    @property
    def behind(self) -> bool:
        """Whether the worker is so late that frames are only decoded, until it has caught up."""
        return self._lag_s > BEHIND_LAG_S

    def packet_arrived(self, camera: str, lag_s: float) -> None:
        """Note that a camera's packet had waited for `lag_s`."""
        with self._lock:
            self._lag_s = lag_s
            self._cameras.add(camera)

    def frame_sampled(self) -> None:
        """Count a frame that was sampled, with or without motion."""
        with self._lock:
            self._samples += 1

    def spent(
        self, *, decoding_s: float = 0.0, preparing_s: float = 0.0, inference_s: float = 0.0
    ) -> None:
        """Note how long a thread was busy, and with what."""
        with self._lock:
            self._decoding_s += decoding_s
            self._preparing_s += preparing_s
            self._inference_s += inference_s

    def adjust(self, elapsed_s: float) -> None:
        """Set the rate from the costs of the last `elapsed_s`, about a second."""
        with self._lock:
            self._adjust(elapsed_s)

    def _adjust(self, elapsed_s: float) -> None:
        self._decoding_share = _average(self._decoding_share, self._decoding_s / elapsed_s)
        if self._samples:
            self._preparing_cost_s = _average(
                self._preparing_cost_s, self._preparing_s / self._samples
            )
            self._inference_cost_s = _average(
                self._inference_cost_s, self._inference_s / self._samples
            )
        if self._cameras:
            left = max(_MIN_SHARE, BUSY_SHARE * self._decode_threads - self._decoding_share)
            affordable = min(
                _affordable_fps(left, self._preparing_cost_s, len(self._cameras)),
                _affordable_fps(BUSY_SHARE, self._inference_cost_s, len(self._cameras)),
            )
            self._rate = min(self._max_rate, max(_MIN_FPS, affordable))
        self._start_period()

    def _start_period(self) -> None:
        self._cameras: set[str] = set()
        self._samples = 0
        self._decoding_s = 0.0
        self._preparing_s = 0.0
        self._inference_s = 0.0


def _affordable_fps(share: float, cost_s: float | None, cameras: int) -> float:
    return share / (cost_s * cameras) if cost_s else math.inf


def _average(before: float | None, newest: float) -> float:
    return newest if before is None else before + _NEWEST_WEIGHT * (newest - before)


class FrameSampler:
    """Chooses frames of one camera at a rate, by their own time."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._last = 0

    def should_sample(self, pts: int, rate_fps: float) -> bool:
        """Return whether to sample the frame at `pts` (90 kHz); a jump in time starts again."""
        step = round(TICKS / rate_fps)
        jumped = self._next is None or pts <= self._last or pts > self._next + 10 * step
        # After the rate was raised, do not wait for the next frame of the old rate.
        soonest = self._last + step + step // 10
        due = self._next is not None and pts >= min(self._next, soonest) - step // 20
        if not (jumped or due):
            return False
        # Count from when the frame was due, not from when it came: the mean rate stays exact.
        on_time = self._next is not None and not jumped and self._next + step > pts
        self._next = (self._next if on_time and self._next is not None else pts) + step
        self._last = pts
        return True
