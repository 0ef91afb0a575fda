"""The events of `vigil bench stream`, and how an arm of it reads its part.

All arms read the same topic: fragments of many cameras, each camera's in order, no bytes. An arm
is timed from its 10th to its 100th percent, so that joining the group does not count.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from domain.events import FragmentArrived
from domain.identity import new_run_id

DURATION_MS = 2_000
START_MS = 1_790_000_000_000
WARM_SHARE = 0.1


def fragments(cameras: int, count: int) -> Iterator[FragmentArrived]:
    """Yield `count` fragments of each camera, all cameras in turn."""
    runs = [new_run_id(START_MS, number.to_bytes(10, "big")) for number in range(cameras)]
    for seq in range(count):
        for number, run in enumerate(runs):
            start_ms = START_MS + seq * DURATION_MS
            yield FragmentArrived(
                camera=f"bench/site-{number // 32}/cam-{number % 32}",
                run=run,
                seq=seq,
                start_ms=start_ms,
                duration_ms=DURATION_MS,
                start_pts=seq * DURATION_MS * 90,
                arrived_ms=start_ms + 40,
                closed_ms=start_ms + DURATION_MS + 60,
                frames=50,
                size_bytes=1_003_920,
                sha256=f"{seq:032x}{number:032x}",
                video_codec="h264",
                width=1_920,
                height=1_080,
            )


@dataclass
class Timed:
    """Counts events and notes when a share of them was done."""

    total: int
    cpu: Callable[[], float] = time.process_time
    """CPU seconds that the arm has used."""
    done: int = 0
    _cpu_s: float = 0.0
    _warm_s: float | None = field(default=None)
    _warm_done: int = 0
    _end_s: float | None = field(default=None)

    def count(self, events: int = 1) -> bool:
        """Note that events were done; return whether all are."""
        self.done += events
        if self._warm_s is None and self.done >= self.total * WARM_SHARE:
            self._warm_s, self._warm_done = time.monotonic(), self.done
            self._cpu_s = self.cpu()
        if self.done >= self.total and self._end_s is None:
            self._end_s = time.monotonic()
            self._cpu_s = self.cpu() - self._cpu_s
        return self._end_s is not None

    def result(self) -> tuple[float, float]:
        """Return events a second, and microseconds of CPU an event."""
        assert self._warm_s is not None and self._end_s is not None
        events = self.done - self._warm_done
        return events / (self._end_s - self._warm_s), 1_000_000 * self._cpu_s / events

    def report(self) -> None:
        """Print the result for the bench that started this process."""
        print(json.dumps(self.result()), flush=True)
