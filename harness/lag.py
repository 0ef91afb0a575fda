"""How far the consumer groups are behind the ends of their topics."""

from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams import topics
from streams.settings import Settings
from streams.topics import TopicSpec

READS: dict[str, tuple[TopicSpec, ...]] = {
    "assemble": (topics.FRAGMENT_ARRIVED,),
    "heal": (topics.HEAL_REQUESTED,),
    "join": (topics.CHUNK_DUE,),
    "index": (
        topics.FRAGMENT_ARRIVED,
        topics.CHUNK_COMPLETE,
        topics.DETECTION,
        topics.HEARTBEAT,
        topics.DELETED,
    ),
}
"""Worker -> the topics it reads."""

Ends = dict[TopicPartition, int]


async def ends(settings: Settings, specs: Iterable[TopicSpec]) -> Ends:
    """Return where the topics end now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_brokers)
    await consumer.start()
    try:
        names = {spec.full_name for spec in specs}
        tps = [
            TopicPartition(name, at) for name in sorted(names) for at in range(settings.partitions)
        ]
        return dict(await consumer.end_offsets(tps))
    finally:
        await consumer.stop()


async def lags(settings: Settings, until: Ends | None = None) -> dict[str, int]:
    """Return, by worker, how many offsets below `until` (default: the ends now) are uncommitted.

    Ticks come all the time: a lag stays at 0 only against fixed ends.
    """
    if until is None:
        until = await ends(settings, {spec for specs in READS.values() for spec in specs})
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_brokers)
    await admin.start()
    found = {}
    try:
        for name, specs in READS.items():
            committed = await admin.list_consumer_group_offsets(f"{settings.app_prefix}-{name}")
            topics_read = {spec.full_name for spec in specs}
            found[name] = sum(
                max(0, end - max(0, committed[tp].offset if tp in committed else 0))
                for tp, end in until.items()
                if tp.topic in topics_read
            )
    finally:
        await admin.close()
    return found


async def of_group(settings: Settings, group: str, spec: TopicSpec) -> int:
    """Return how many offsets of a topic a group has not committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_brokers)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return sum(
        end - max(0, committed[tp].offset if tp in committed else 0)
        for tp, end in (await ends(settings, [spec])).items()
    )


async def read(settings: Settings, spec: TopicSpec) -> AsyncIterator[bytes]:
    """Yield the values of all messages that are in a topic now, partition by partition."""
    until = await ends(settings, [spec])
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_brokers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign(list(until))
        while any([await consumer.position(tp) < end for tp, end in until.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield record.value or b""
    finally:
        await consumer.stop()
