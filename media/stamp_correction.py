"""Corrects a camera's time stamps by their neighbours and by their arrival.

    stamps     0  40  80  9 h  160  200  240      a stray: placed between its neighbours
    stamps     0  40  80  -3 s  -2.96  -2.92      a jump: the run's time continues without it
    stamps     25 a second, 20 frames arrive      a wrong rate: frames are placed by arrival
    stamps     0  0  0  0                         the same, with a rate of 0

No frame waits for the next one, and none is dropped. Times are ticks of 90 kHz. The lead is the
arrival minus the time stamp: see domain/clock.py.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

_HZ = 90_000
_US_PER_MS = 1_000
_MAX_JITTER_TICKS = _HZ // 2
"""A step back by up to this much is jitter."""
_MAX_STEP_TICKS = _HZ
"""A step ahead by more than this must be explained by the arrival."""
_MAX_STEP_YOUNG_TICKS = 10 * _HZ
"""A jump ahead that is kept while a connection is young: see below."""
_YOUNG_FRAMES = 25
_CONSISTENT_FRAMES = 3
"""So many frames in a row on another timeline are a jump, fewer are strays."""
_STILL_FRAMES = 6
"""So many frames in a row without progress show that the stamps do not advance."""
_BUCKETS = 30
_MIN_BUCKETS = 7
_NEWEST_BUCKETS = 3
_TOO_FAST_US = 1_000_000
"""The lead falls below what it was by this much: more media time comes than real time passes."""
_TOO_SLOW_US = 2_500_000
"""The lead rises by this much. It is more, because a slow network has the same effect at first."""
_MAX_SHARE_OF_ONE_SECOND = 0.6
"""With more of the change in one second it is a step of a clock, not a wrong rate."""
_RATE_WINDOW_MS = 10_000
_TRUE_RATE = (0.97, 1.03)
_REMEDY = (
    "their arrival counts; correct the frame rate in the camera's settings, or update its firmware"
)


@dataclass(slots=True)
class _Second:
    """What arrived in one second."""

    number: int
    least_lead_us: int
    frames: int = 1


class StampCorrector:
    """Corrects the stamps of one connection's video, frame by frame."""

    def __init__(self) -> None:
        self._shift = 0
        """From the camera's ticks to the corrected ones."""
        self._last: int | None = None
        """The corrected time of the last frame."""
        self._step = _HZ // 25
        """The usual distance of two frames."""
        self._steps = 0
        self._frames = 0
        self._other_stamp = 0
        self._other_frames = 0
        """Frames in a row that are out of line, and the last one's stamp."""
        self._still_frames = 0
        self._seconds: deque[_Second] = deque()
        self._rate_checked = False
        """Whether the rate was checked since the last second was over: nothing else changes it."""
        self._by_arrival = False
        self._target_us = 0
        """The lead that frames placed by arrival keep."""
        self._last_arrived_ms = 0
        self._last_stamp = 0
        self._stamps: deque[tuple[int, int]] = deque()
        """(arrival in ms, stamp) of the last ten seconds, while frames are placed by arrival."""
        self._again: int | None = None
        self._correction = 0
        self.note = ""
        """What is wrong with the camera's rate, and what to do; empty if nothing is."""

    def correction(self, stamp: int, arrived_ms: int) -> int:
        """Return what to add to a frame's time stamps; call it once for each frame."""
        if self._again is not None:
            self._again = None
            return self._correction
        self._frames += 1
        if self._last is None:
            placed = stamp
        elif self._by_arrival:
            placed = self._place_by_arrival(stamp, arrived_ms, self._last)
        else:
            placed = self._place(stamp, arrived_ms, self._last)
        self._last = placed if self._last is None else max(placed, self._last)
        self._note_second(placed, arrived_ms)
        self._last_arrived_ms = arrived_ms
        self._last_stamp = stamp
        self._correction = placed - stamp
        return self._correction

    def repeat(self) -> None:
        """The last frame comes again: its correction is the same."""
        if self._last is not None:
            self._again = self._correction

    def _place(self, stamp: int, arrived_ms: int, last: int) -> int:
        placed = stamp + self._shift
        jump = placed - last
        if not self._is_in_line(jump, placed, arrived_ms):
            return self._place_out_of_line(stamp, last)
        self._other_frames = 0
        if jump > 0:
            self._still_frames = 0
            if jump <= _MAX_STEP_TICKS:
                self._steps += 1
                self._step += (jump - self._step) // min(self._steps, 8)
        else:
            self._still_frames += 1
            # The next frame's stamp may be in line again: it must find room.
            placed = last + max(self._step // 2, 1)
        rate_wrong = not self._rate_checked and self._is_rate_wrong()
        if self._still_frames >= _STILL_FRAMES or rate_wrong:
            self._begin_by_arrival(stamp, arrived_ms)
        return placed

    def _is_in_line(self, jump: int, placed: int, arrived_ms: int) -> bool:
        if jump < -_MAX_JITTER_TICKS:
            return False
        if jump <= _MAX_STEP_TICKS:
            return True
        least_us = min(second.least_lead_us for second in self._seconds)
        return _lead_us(placed, arrived_ms) >= least_us - _MAX_STEP_TICKS * 100 // 9

    def _place_out_of_line(self, stamp: int, last: int) -> int:
        placed = last + self._step
        follows = 0 <= stamp - self._other_stamp <= _MAX_STEP_TICKS
        self._other_frames = self._other_frames + 1 if self._other_frames and follows else 1
        self._other_stamp = stamp
        if self._other_frames < _CONSISTENT_FRAMES:
            return placed
        self._other_frames = 0
        ahead = stamp + self._shift - last
        if self._frames < _YOUNG_FRAMES and 0 < ahead <= _MAX_STEP_YOUNG_TICKS:
            return last + ahead  # cached frames came before the live ones
        self._shift = placed - stamp
        return placed

    def _is_rate_wrong(self) -> bool:
        """Return whether the lead has changed steadily and by much."""
        self._rate_checked = True
        seconds = self._seconds
        if len(seconds) < _MIN_BUCKETS:
            return False
        leads = [second.least_lead_us for second in seconds][:-1]  # the last is not over
        newest = leads[1 - _NEWEST_BUCKETS :]
        older = leads[: 1 - _NEWEST_BUCKETS]
        rise = min(newest) - min(older[:3])
        fall = min(older[: max(len(older) // 2, 3)]) - min(newest)
        if rise < _TOO_SLOW_US and fall < _TOO_FAST_US:
            return False
        largest = max(abs(one - other) for one, other in pairwise(leads))
        return largest < _MAX_SHARE_OF_ONE_SECOND * max(rise, fall)

    def _begin_by_arrival(self, stamp: int, arrived_ms: int) -> None:
        self._by_arrival = True
        is_still = self._still_frames >= _STILL_FRAMES
        self._still_frames = 0
        self._target_us = min(second.least_lead_us for second in list(self._seconds)[:3])
        self._stamps.clear()
        self._stamps.append((arrived_ms, stamp))
        stamped_fps = _HZ / self._step
        self._learn_step()
        problem = f"the camera stamps {stamped_fps:.0f} frames a second and sends "
        problem += f"{_HZ / self._step:.0f}"
        if is_still:
            problem = "the camera's time stamps do not advance"
        self.note = f"{problem}: {_REMEDY}"

    def _place_by_arrival(self, stamp: int, arrived_ms: int, last: int) -> int:
        """Place a frame after the last one, so that the least lead returns to the target."""
        recent = [second.least_lead_us for second in list(self._seconds)[-2:]]
        error_s = (min(recent) - self._target_us) / 1_000_000
        step = int(self._step * (1 + max(-0.5, min(error_s / 2, 1.0))))
        paused_ticks = (arrived_ms - self._last_arrived_ms) * 90
        if paused_ticks > _MAX_STEP_TICKS and stamp - self._last_stamp > paused_ticks // 2:
            step = paused_ticks  # the camera itself made a pause
        placed = last + max(step, 1)
        self._check_rate(stamp, arrived_ms, placed)
        return placed

    def _check_rate(self, stamp: int, arrived_ms: int, placed: int) -> None:
        """End placing by arrival once the camera's stamps are right for ten seconds."""
        stamps = self._stamps
        stamps.append((arrived_ms, stamp))
        lasted_ms = arrived_ms - stamps[0][0]
        if lasted_ms < 0:  # the device's clock was set back
            stamps.clear()
            return
        if lasted_ms < _RATE_WINDOW_MS:
            return
        self._learn_step()
        rate = (stamp - stamps[0][1]) / (lasted_ms * 90)
        stamps.clear()
        if _TRUE_RATE[0] < rate < _TRUE_RATE[1]:
            self._by_arrival = False
            self._shift = placed - stamp
            self._seconds.clear()
            self._steps = 0
            self.note = ""

    def _learn_step(self) -> None:
        """Learn from the last seconds how far apart frames arrive."""
        whole = list(self._seconds)[-9:-1]
        frames = sum(second.frames for second in whole)
        if whole and frames:
            lasted_s = whole[-1].number - whole[0].number + 1
            self._step = max(_HZ * lasted_s // frames, 1)

    def _note_second(self, placed: int, arrived_ms: int) -> None:
        lead_us = _lead_us(placed, arrived_ms)
        number = arrived_ms // 1_000
        seconds = self._seconds
        if seconds and number < seconds[-1].number - 1:
            seconds.clear()  # the device's clock was set back
        if seconds and number <= (newest := seconds[-1]).number:
            newest.frames += 1
            newest.least_lead_us = min(newest.least_lead_us, lead_us)
            return
        self._rate_checked = False
        if seconds and number - seconds[-1].number > _BUCKETS:
            seconds.clear()  # a long pause, or the device's clock was set
        seconds.append(_Second(number, lead_us))
        if len(seconds) > _BUCKETS:
            seconds.popleft()


def _lead_us(ticks: int, arrived_ms: int) -> int:
    return arrived_ms * _US_PER_MS - ticks * 100 // 9
