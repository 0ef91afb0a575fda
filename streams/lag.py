"""How far a worker is: what it has handled, on the clock of the events and of the log.

event lag   now minus the newest event time handled: how old the footage in progress is

log lag     now minus the log time of the newest message handled: how long messages wait in Kafka

Both are 0 for a partition where nothing is left to do, whatever was handled last. A site that
sends what it recorded three days ago raises the first and not the second.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.events import (
    AnyEvent,
    ChunkComplete,
    ChunkDue,
    Detection,
    FragmentArrived,
    Heartbeat,
    RunEnded,
    RunStarted,
)
from domain.times import utc_ms

Partition = tuple[str, int]
"""Topic and partition."""


def event_time_ms(event: object) -> int | None:
    """Return the newest moment that an event speaks of (UTC, ms), None for the cloud's own."""
    match event:
        case FragmentArrived() | ChunkComplete():
            return event.end_ms
        case ChunkDue():
            return event.window_start_ms + event.window_ms
        case RunStarted():
            return event.started_ms
        case RunEnded():
            return event.ended_ms
        case Detection():
            return max(frame.at_ms for frame in event.frames)
        case Heartbeat():
            return event.sent_ms
    return None


class LagCollector(Collector):
    """Notes what is handled; returns the lags when the metrics are read."""

    def __init__(self, now_ms: Callable[[], int] = utc_ms) -> None:
        self._now_ms = now_ms
        self._left: Callable[[], Mapping[Partition, int]] = dict
        self._handled: dict[Partition, tuple[int, int]] = {}

    def watch(self, left: Callable[[], Mapping[Partition, int]]) -> None:
        """Name what knows how many offsets are left to do in each partition that is ours."""
        self._left = left

    def handled(self, topic: str, partition: int, log_ms: int, event: AnyEvent | None) -> None:
        """Note a finished message, valid or not."""
        event_ms, newest_ms = self._handled.get((topic, partition), (0, 0))
        at_ms = event_time_ms(event) or 0
        self._handled[topic, partition] = (
            at_ms if at_ms > event_ms else event_ms,
            log_ms if log_ms > newest_ms else newest_ms,
        )

    def lags_s(self) -> dict[Partition, tuple[int, float, float]]:
        """Return, for each partition, the offsets left, the event lag and the log lag in s."""
        now_ms = self._now_ms()
        left = dict(self._left())
        for partition in self._handled.keys() - left.keys():
            del self._handled[partition]  # another worker's by now
        lags = {}
        for partition, offsets in left.items():
            event_ms, log_ms = self._handled.get(partition, (0, 0))
            lags[partition] = (
                offsets,
                max(0, now_ms - event_ms) / 1_000 if offsets and event_ms else 0.0,
                max(0, now_ms - log_ms) / 1_000 if offsets and log_ms else 0.0,
            )
        return lags

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the three families."""
        families = [
            GaugeMetricFamily(name, text, labels=("topic", "partition"))
            for name, text in (
                (
                    "vigil_commit_lag",
                    "Offsets between the end of the log and what this worker has committed",
                ),
                (
                    "vigil_event_lag_seconds",
                    "Age of the newest event time processed; 0 if nothing is left",
                ),
                (
                    "vigil_log_lag_seconds",
                    "Age in the log of the newest message processed; 0 if nothing is left",
                ),
            )
        ]
        for (topic, partition), lags in sorted(self.lags_s().items()):
            for family, lag in zip(families, lags, strict=True):
                family.add_metric((topic, str(partition)), lag)
        yield from families
