"""What is rebuilt of a catalog, what it changed, and what is said where Kafka has lost events."""

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
"""Topics whose events S3 tells of too."""


@dataclass(frozen=True, slots=True)
class CatalogJob:
    """What is rebuilt."""

    begin: StartPosition
    cameras: frozenset[str]
    """Only these; empty: all."""
    window_ms: int
    copy_from: str | None = None
    """The schema in use, where another one is rebuilt."""

    @property
    def job(self) -> str:
        """Its name: the same for the same thing, so that it is found again."""
        begin = self.begin.from_ms if self.begin.from_offset is None else self.begin.from_offset
        kind = "offset" if self.begin.from_offset is not None else "time"
        return f"catalog from {kind} {begin} of {' '.join(sorted(self.cameras)) or 'all'}"[:1000]


@dataclass
class CatalogReplayResult:
    """What was read, and what it changed."""

    read: int = 0
    from_s3: int = 0
    unreadable: int = 0
    changes: Counter[str] = field(default_factory=Counter)


def together(kind: RowWriter, events: Sequence[AnyEvent]) -> Iterator[list[AnyEvent]]:
    """Yield as many at a time as go into one transaction."""
    some: list[AnyEvent] = []
    weight = 0
    for event in events:
        each = kind.weigh(event)
        if some and weight + each > kind.max_weight:
            yield some
            some, weight = [], 0
        some.append(event)
        weight += each
    if some:
        yield some


def cut_off(cut: Sequence[TopicSpec], begin: StartPosition) -> str:
    """Say in one sentence what Kafka no longer has, and what is done about it."""
    names = ", ".join(spec.name for spec in cut)
    asked = "the beginning"
    if begin.from_offset is not None:
        asked = f"offset {begin.from_offset}"
    elif begin.from_ms is not None:
        asked = format_ms(begin.from_ms)
    what = f"Kafka's retention no longer reaches back to {asked} in {names}"
    if any(spec.name in IN_S3 for spec in cut):
        what += ": S3's listing comes first, then what Kafka still has"
    lost = [spec.name for spec in cut if spec.name not in IN_S3]
    if lost:
        what += f"; what is gone of {', '.join(lost)} stands nowhere else"
    return f"{what}."
