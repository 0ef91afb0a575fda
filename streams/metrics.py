"""What a worker counts. One registry per process; served by streams/probe.py or web/."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

EVENTS = Counter(
    "vigil_events",
    "Events a worker is done with. outcome: done, dead-letter, given-back (comes again)",
    ("topic", "outcome"),
    registry=REGISTRY,
)
DEAD_LETTERS = Counter(
    "vigil_dead_letters",
    "Messages that nobody could read, kept with the reason",
    ("source",),
    registry=REGISTRY,
)
OFFSET_JUMPS = Counter(
    "vigil_offset_jumps",
    "Offsets that the client jumped over and that were gone back to: must stay 0",
    ("topic",),
    registry=REGISTRY,
)
EXPIRED = Counter(
    "vigil_offsets_expired",
    "Offsets that retention removed before this group had read them",
    ("topic",),
    registry=REGISTRY,
)
REWINDS = Counter(
    "vigil_offsets_rewound",
    "Offsets fetched, not delivered, and gone back to",
    ("topic",),
    registry=REGISTRY,
)
RETRIES = Counter(
    "vigil_retries", "Failed tries of an action that is tried again", ("what",), registry=REGISTRY
)
RETRYING = Gauge(
    "vigil_retrying", "Actions being tried again just now", ("what",), registry=REGISTRY
)
READY = Gauge(
    "vigil_ready", "1 when the worker handles events, 0 while it recovers", registry=REGISTRY
)
RECOVERY_SECONDS = Gauge(
    "vigil_recovery_seconds",
    "From the newest assignment of partitions until events were handled again",
    registry=REGISTRY,
)
REBALANCES = Counter(
    "vigil_rebalances", "Times the partitions were dealt out anew", registry=REGISTRY
)


class CommitLag(Collector):
    """Asks for the lag when the metrics are read, rather than for each event."""

    def __init__(self) -> None:
        self.source: Callable[[], Mapping[tuple[str, int], int]] = dict

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the lag of each partition that is ours."""
        family = GaugeMetricFamily(
            "vigil_commit_lag",
            "Offsets between the end of the log and what this worker has committed",
            labels=("topic", "partition"),
        )
        for (topic, partition), lag in self.source().items():
            family.add_metric((topic, str(partition)), lag)
        yield family


_LAG = CommitLag()
REGISTRY.register(_LAG)


def watch_lag(source: Callable[[], Mapping[tuple[str, int], int]]) -> None:
    """Name what knows the lag, {(topic, partition): offsets}."""
    _LAG.source = source
