"""What a worker counts. One registry per process; served by streams/probe.py or web/."""

import shutil
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from stores import timing
from streams.lag import LagCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)


def _version() -> str:
    try:
        return version("vigil")
    except PackageNotFoundError:
        return "unknown"


VERSION = _version()
"""Of the installed package."""
BUILD = Gauge("vigil_build_info", "1; the label is the program's version", ("version",),
              registry=REGISTRY)  # fmt: skip
BUILD.labels(VERSION).set(1)
EVENTS = Counter(
    "vigil_events",
    "Events processed. outcome: done, dead-letter, given-back (delivered again), rerouted "
    "(sent to the partition of its key)",
    ("topic", "outcome"),
    registry=REGISTRY,
)
events = cache(EVENTS.labels)
"""`EVENTS.labels`, remembered: topics and outcomes are few."""
DEAD_LETTERS = Counter(
    "vigil_dead_letters",
    "Messages that could not be read, kept with the reason",
    ("source",),
    registry=REGISTRY,
)
OFFSET_JUMPS = Counter(
    "vigil_offset_jumps",
    "Offsets that the client jumped over and that were fetched again: must stay 0",
    ("topic",),
    registry=REGISTRY,
)
EXPIRED = Counter(
    "vigil_offsets_expired",
    "Offsets that retention removed before this group had read them",
    ("topic",),
    registry=REGISTRY,
)
CHANGELOGS_CUT = Counter(
    "vigil_changelogs_cut",
    "Partitions of changelogs that lacked entries of their table at its recovery",
    ("topic", "what"),
    registry=REGISTRY,
)
REWINDS = Counter(
    "vigil_offsets_rewound",
    "Offsets fetched, not delivered, and fetched again",
    ("topic",),
    registry=REGISTRY,
)
RETRIES = Counter(
    "vigil_retries", "Failed attempts of an action that is retried", ("what",), registry=REGISTRY
)
RETRYING = Gauge(
    "vigil_retrying", "Actions that are being retried now", ("what",), registry=REGISTRY
)
READY = Gauge(
    "vigil_ready", "1 while the worker processes events, 0 while it recovers", registry=REGISTRY
)
RECOVERY_SECONDS = Gauge(
    "vigil_recovery_seconds",
    "From the newest assignment of partitions until events were processed again",
    registry=REGISTRY,
)
REBALANCES = Counter(
    "vigil_rebalances", "Times the partitions were assigned again", registry=REGISTRY
)


OPEN_WINDOWS = Gauge(
    "vigil_windows_open", "Windows not yet sealed, at the newest tick", ("partition",),
    registry=REGISTRY,
)  # fmt: skip
LATE_SECONDS = Histogram(
    "vigil_fragment_late_seconds",
    "From a late fragment's end to its arrival at the assembler",
    buckets=(10, 30, 60, 120, 300, 900, 3_600, 6 * 3_600, 86_400, 3 * 86_400, 7 * 86_400),
    registry=REGISTRY,
)
REVISIONS = Counter(
    "vigil_chunk_revisions", "Chunks made again, after late fragments", registry=REGISTRY
)
CALL_SECONDS = Histogram(
    "vigil_store_call_seconds",
    "Calls to S3, SQS and PostgreSQL, with the client's retries; a read: until it starts",
    ("system", "operation", "outcome"),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
DATA_FREE = Gauge(
    "vigil_data_free_bytes", "Free bytes of the disk that holds this worker's tables",
    registry=REGISTRY,
)  # fmt: skip
DATA_SIZE = Gauge(
    "vigil_data_size_bytes", "Size of the disk that holds this worker's tables", registry=REGISTRY
)
LAGS = LagCollector()
REGISTRY.register(LAGS)


def _observe_call(system: str, operation: str, outcome: str, seconds: float) -> None:
    CALL_SECONDS.labels(system, operation, outcome).observe(seconds)


timing.set_listener(_observe_call)


def watch_disk(folder: Path) -> None:
    """Measure the disk of a folder whenever the metrics are read."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    DATA_FREE.set_function(lambda: shutil.disk_usage(there).free)
    DATA_SIZE.set_function(lambda: shutil.disk_usage(there).total)


def watch_ready(ready: Callable[[], bool]) -> None:
    """Ask whether events are handled whenever the metrics are read."""
    READY.set_function(lambda: float(ready()))
