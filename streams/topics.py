"""The topics: what flows where, under which key, and how long it is kept.

All have the same number of partitions. So one camera's events have the same partition number in
each topic, and a table's changelog matches its source. streams/topic_admin.py makes the broker
agree with this file.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from aiokafka.partitioner import murmur2

from domain import events
from domain.events import Event
from streams.settings import Settings, get_settings

MIB = 1 << 20
HOUR_MS = 3_600_000
DEAD_LETTERS_KEPT = 4  # times the retention of the events: somebody has to read them first


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it must be on the broker."""

    name: str
    """Without the prefix of VIGIL_TOPIC_PREFIX."""
    key: str
    """What the Kafka key is, in words."""
    events: tuple[type[Event], ...] = ()
    """Which events may be in it; empty for changelogs."""
    cleanup: Literal["delete", "compact", "keep"] = "delete"
    """delete: by age; compact: the newest of each key stays; keep: all stays."""
    retention_factor: int = 1
    """Times VIGIL_RETENTION_HOURS, where cleanup is delete."""
    retention_ms: int | None = None
    """Where cleanup is delete: how long events are kept, whatever the setting says."""
    max_message_bytes: int = MIB

    def name_for(self, settings: Settings) -> str:
        """Return the name on the broker that `of` names."""
        return settings.topic_prefix + self.name

    @property
    def full_name(self) -> str:
        """The name on this process's broker."""
        return self.name_for(get_settings())

    def config(self, settings: Settings) -> dict[str, str]:
        """Return the topic's configuration by the broker's names."""
        config = {
            "cleanup.policy": "compact" if self.cleanup == "compact" else "delete",
            "max.message.bytes": str(self.max_message_bytes),
        }
        if self.cleanup == "delete":
            kept_ms = settings.retention_hours * HOUR_MS * self.retention_factor
            config["retention.ms"] = str(
                kept_ms if self.retention_ms is None else self.retention_ms
            )
        elif self.cleanup == "keep":
            config["retention.ms"] = "-1"
        else:  # an active segment is never compacted: keep it young, so that recovery stays short
            config["segment.ms"] = str(HOUR_MS)
            config["segment.bytes"] = str(64 * MIB)
            config["min.cleanable.dirty.ratio"] = "0.2"
        if settings.replication >= 3:
            config["min.insync.replicas"] = "2"
        return config


FRAGMENT_ARRIVED = TopicSpec(
    "fragment-arrived",
    "camera id; ticks go to each partition without a key",
    (
        events.FragmentArrived,
        events.RunStarted,
        events.RunEnded,
        events.CameraConfigured,
        events.Healed,
        events.Tick,
    ),
)
HEAL_REQUESTED = TopicSpec("heal-requested", "camera id", (events.HealRequested,))
CHUNK_DUE = TopicSpec("chunk-due", "camera id", (events.ChunkDue,), max_message_bytes=4 * MIB)
CHUNK_COMPLETE = TopicSpec(
    "chunk-complete",
    "camera id",
    (events.ChunkComplete, events.WindowLost),
    max_message_bytes=8 * MIB,
)
DETECTION = TopicSpec("detection", "camera id", (events.Detection,))
HEARTBEAT = TopicSpec("heartbeat", "tenant/site", (events.Heartbeat,))
EDGE_COMMAND = TopicSpec(  # all of it is kept for an hour: a command lives for seconds
    "edge-command", "device (tenant/site/device)", (events.EdgeCommand,), retention_ms=HOUR_MS
)
DELETED = TopicSpec(  # under the camera's key compaction would keep one tombstone per camera
    "deleted", "camera id", (events.Deleted,), cleanup="keep"
)
DEAD_LETTER = TopicSpec(
    "dead-letter",
    "key of the message that could not be read; marks are in their letter's partition",
    (events.DeadLetter, events.DeadLetterMarked),
    retention_factor=DEAD_LETTERS_KEPT,
    max_message_bytes=2 * MIB,
)

TOPICS: tuple[TopicSpec, ...] = (
    FRAGMENT_ARRIVED,
    HEAL_REQUESTED,
    CHUNK_DUE,
    CHUNK_COMPLETE,
    DETECTION,
    HEARTBEAT,
    EDGE_COMMAND,
    DELETED,
    DEAD_LETTER,
)
MAX_REQUEST_BYTES = max(topic.max_message_bytes for topic in TOPICS)

_BY_EVENT: dict[type[Event], TopicSpec] = {
    event: topic for topic in TOPICS for event in topic.events
}


def topic_of(event: type[Event]) -> TopicSpec:
    """Return the topic that events of this type go to."""
    return _BY_EVENT[event]


def partition_of(key: str | bytes, partitions: int) -> int:
    """Return the partition a key's events go to, as Kafka's clients compute it (murmur2)."""
    return _hash_of(key.encode() if isinstance(key, str) else key) % partitions


@lru_cache(16_384)  # it costs as much as a tenth of handling an event
def _hash_of(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def partitions_of(key: str | bytes, partitions: int) -> set[int]:
    """Return all partitions that may have a key's events: topics may have had fewer before.

    They only grow by whole factors (streams/topic_growth.py).
    """
    return {
        partition_of(key, fewer) for fewer in range(1, partitions + 1) if partitions % fewer == 0
    }


def changelog(app_id: str, table: str) -> TopicSpec:
    """Return the topic that rebuilds a table; its full name is what Faust calls it."""
    return Changelog(f"{app_id}-{table}-changelog", "the table's key", cleanup="compact")


class Changelog(TopicSpec):
    """A table's changelog: Faust names it after the app, so no prefix is put before it."""

    __slots__ = ()

    def name_for(self, settings: Settings) -> str:
        """Return the name on the broker."""
        return self.name
