"""What a pass deleted, and what it left and why."""

import collections
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from domain.deletions import Deletion, FragmentsDeletion
from domain.retention import Reason
from streams.metrics import REGISTRY

OBJECTS = Counter(
    "vigil_retention_deleted_objects",
    "Objects whose deletion was asked of S3, by reason: age, joined, superseded",
    ("reason",),
    registry=REGISTRY,
)
BYTES = Counter(
    "vigil_retention_deleted_bytes",
    "Bytes deleted, as the catalog knew them, by reason",
    ("reason",),
    registry=REGISTRY,
)
HELD = Gauge(
    "vigil_retention_held",
    "Chunks, fragments and deletions that a legal hold keeps, at the last pass",
    registry=REGISTRY,
)
UNCHECKED = Gauge(
    "vigil_retention_unchecked",
    "Chunks whose object or manifest is not as the catalog says, so that their fragments stay",
    registry=REGISTRY,
)


@dataclass(slots=True)
class DeletionStats:
    """One pass's figures; `bytes` as the catalog knew them."""

    objects: collections.Counter[Reason] = field(default_factory=collections.Counter)
    bytes: collections.Counter[Reason] = field(default_factory=collections.Counter)
    detections: int = 0
    held: int = 0
    """Chunks, fragments and deletions that a legal hold keeps."""
    unchecked: int = 0
    """Chunks whose object or manifest is not as the catalog says, so that their fragments stay."""

    def count(self, cause: Reason, objects: int, size_bytes: int = 0) -> None:
        """Note objects whose deletion was asked of S3."""
        self.objects[cause] += objects
        self.bytes[cause] += size_bytes
        OBJECTS.labels(cause).inc(objects)
        BYTES.labels(cause).inc(size_bytes)

    def count_planned(self, deletions: Iterable[Deletion]) -> None:
        """Note what would go, without asking S3 what stands: of a chunk, object and manifest."""
        for each in deletions:
            keys = len(each.fragments) if isinstance(each, FragmentsDeletion) else 2
            self.objects[each.cause] += keys
            self.bytes[each.cause] += each.size_bytes

    def publish(self) -> None:
        """Set the gauges of what was left, at the end of a pass."""
        HELD.set(self.held)
        UNCHECKED.set(self.unchecked)
