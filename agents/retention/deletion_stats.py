"""Counts what a pass deleted, and what it did not delete and why."""

import collections
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from domain.deletions import Deletion, FragmentsDeletion
from domain.retention import Reason
from streams.metrics import REGISTRY

OBJECTS = Counter(
    "vigil_retention_deleted_objects",
    "Objects deleted in S3, by reason: age, joined, superseded",
    ("reason",),
    registry=REGISTRY,
)
BYTES = Counter(
    "vigil_retention_deleted_bytes",
    "Bytes deleted, by their size in the catalog, by reason",
    ("reason",),
    registry=REGISTRY,
)
ON_HOLD = Gauge(
    "vigil_retention_held",
    "Chunks, fragments and deletions that a legal hold covered in the last pass",
    registry=REGISTRY,
)
UNCHECKED = Gauge(
    "vigil_retention_unchecked",
    "Chunks whose object or manifest differs from the catalog: their fragments are not deleted",
    registry=REGISTRY,
)

UNSAFE_RULES = Gauge(
    "vigil_retention_unsafe_lifecycle_rules",
    "Rules of the bucket's lifecycle that may delete footage which a hold or a rule keeps",
    registry=REGISTRY,
)


@dataclass(slots=True)
class DeletionStats:
    """The counts of one pass. `bytes` are the sizes in the catalog."""

    objects: collections.Counter[Reason] = field(default_factory=collections.Counter)
    bytes: collections.Counter[Reason] = field(default_factory=collections.Counter)
    detections: int = 0
    held: int = 0
    """Chunks, fragments and deletions that a legal hold covers."""
    unchecked: int = 0
    """Chunks whose object or manifest differs from the catalog. Their fragments are not deleted."""

    def count(self, cause: Reason, objects: int, size_bytes: int = 0) -> None:
        """Count objects that were deleted in S3."""
        self.objects[cause] += objects
        self.bytes[cause] += size_bytes
        OBJECTS.labels(cause).inc(objects)
        BYTES.labels(cause).inc(size_bytes)

    def count_planned(self, deletions: Iterable[Deletion]) -> None:
        """Count what would be deleted, without listing S3. A chunk is an object and a manifest."""
        for each in deletions:
            keys = len(each.fragments) if isinstance(each, FragmentsDeletion) else 2
            self.objects[each.cause] += keys
            self.bytes[each.cause] += each.size_bytes

    def publish(self) -> None:
        """Set the gauges at the end of a pass."""
        ON_HOLD.set(self.held)
        UNCHECKED.set(self.unchecked)
