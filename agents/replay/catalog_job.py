"""What a catalog replay rebuilds, its result, and its message if Kafka deleted events."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agents.indexing.row_writers import RowWriter
from agents.replay.kafka_source import StartPosition
from domain.events import AnyEvent
from domain.times import format_ms
from streams import topics
from streams.topics import TopicSpec

IN_S3 = frozenset({topics.CHUNK_COMPLETE.name, topics.FRAGMENT_ARRIVED.name})
"""Topics whose events can also be read from S3."""


@dataclass(frozen=True, slots=True)
class CatalogJob:
    """The parameters of one catalog replay."""

    start: StartPosition
    cameras: frozenset[str]
    """Only these cameras. Empty: all."""
    window_ms: int
    copy_from: str | None = None
    """The schema in use, if another schema is rebuilt."""

    @property
    def name(self) -> str:
        """The job's name, under which its bookmark is found again. It must not change."""
        start = self.start
        at = start.from_ms if start.from_offset is None else start.from_offset
        kind = "offset" if start.from_offset is not None else "time"
        return f"catalog from {kind} {at} of {' '.join(sorted(self.cameras)) or 'all'}"[:1000]


@dataclass
class CatalogReplayResult:
    """What was read, and what it changed."""

    read: int = 0
    from_s3: int = 0
    unreadable: int = 0
    changes: Counter[str] = field(default_factory=Counter)


def batches(rows: RowWriter, events: Sequence[AnyEvent]) -> Iterator[list[AnyEvent]]:
    """Yield events in batches that fit into one transaction."""
    batch: list[AnyEvent] = []
    weight = 0
    for event in events:
        event_weight = rows.weigh(event)
        if batch and weight + event_weight > rows.max_weight:
            yield batch
            batch = []
            weight = 0
        batch.append(event)
        weight += event_weight
    if batch:
        yield batch


def truncation_message(truncated: Sequence[TopicSpec], start: StartPosition) -> str:
    """Return a text that says which events Kafka has deleted, and what the replay does."""
    names = ", ".join(spec.name for spec in truncated)
    asked = "the beginning"
    if start.from_offset is not None:
        asked = f"offset {start.from_offset}"
    elif start.from_ms is not None:
        asked = format_ms(start.from_ms)
    text = f"Kafka has deleted events after {asked} in {names}"
    if any(spec.name in IN_S3 for spec in truncated):
        text += ": S3 is read first, then what Kafka still has"
    lost = [spec.name for spec in truncated if spec.name not in IN_S3]
    if lost:
        text += f". The deleted events of {', '.join(lost)} are not stored elsewhere"
    return f"{text}."
