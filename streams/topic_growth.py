"""More partitions for all topics, with the tables' entries moved to their new partitions.

    1. no worker runs          the groups of all workers have no member
    2. changelogs grow         from here on no assembler starts: its topics do not match
    3. entries move            each to the partition of its key, then a tombstone where it was
    4. the other topics grow
    5. the topic of the table's events grows, last: now workers start with the new number

Each step may be done twice, so a command that was killed is run again. Producers need not stop:
what they put into an old partition is sent on by the worker that reads it (streams/reroute.py).
See docs/design/scale.md.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError, for_code

from domain.errors import ConfigError, StoreError
from streams.kafka import client_options
from streams.settings import Settings
from streams.topic_admin import admin, describe
from streams.topics import FRAGMENT_ARRIVED, MAX_REQUEST_BYTES, Changelog, TopicSpec, partition_of

POLL_S = 0.3
_NO_MEMBERS = frozenset({"Empty", "Dead"})

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Growth:
    """What a growth did."""

    topics: int
    """Topics that got more partitions."""
    moved: int
    """Table entries that were moved to another partition."""


def check_growth(counts: dict[str, int], wanted: int) -> None:
    """Raise ConfigError where topics with so many partitions cannot get `wanted`.

    By a whole factor only: then a key's former partitions are known (topics.partitions_of).
    """
    for name, count in counts.items():
        if count > wanted:
            raise ConfigError(
                f"Topic {name} has {count} partitions: Kafka cannot reduce them to {wanted}."
            )
        if wanted % count:
            raise ConfigError(
                f"Topic {name} has {count} partitions: grow to a multiple of it, such as "
                f"{count * -(-wanted // count)}."
            )


async def grow(
    specs: Iterable[TopicSpec],
    groups: Sequence[str],
    partitions: int,
    *,
    settings: Settings,
    within_s: float = 60.0,
    report: Report = lambda _: None,
) -> Growth:
    """Give all topics `partitions` partitions. `groups`: consumer groups of all workers.

    Waits `within_s` for workers to leave: a worker that was stopped is a member until its session
    ends. Raises ConfigError where it is not possible, StoreError where Kafka fails or workers run.
    """
    wanted = {spec.name_for(settings): spec for spec in specs}
    async with admin(settings, 10.0) as client:
        try:
            counts = await _counts(client, list(wanted))
            if missing := sorted(set(wanted) - set(counts)):
                raise ConfigError(f"Topic {missing[0]} does not exist: run `vigil topics ensure`.")
            check_growth(counts, partitions)
            if all(count == partitions for count in counts.values()):
                return Growth(0, 0)
            await _wait_until_stopped(client, groups, within_s, report)
            changelogs = [name for name, spec in wanted.items() if isinstance(spec, Changelog)]
            grown = await _create(client, changelogs, counts, partitions)
            moved = 0
            for name in changelogs:
                moved += await move_entries(settings, name, partitions)
                report(f"{name}: {moved} entries are in their new partitions")
            await _wait_until_stopped(client, groups, within_s, report)
            last = FRAGMENT_ARRIVED.name_for(settings)
            others = [name for name in wanted if name not in (*changelogs, last)]
            grown += await _create(client, others, counts, partitions)
            grown += await _create(client, [last], counts, partitions)
        except (KafkaError, OSError) as error:
            raise StoreError(f"Kafka refused to grow its topics: {error!r}") from error
    return Growth(grown, moved)


async def _counts(client: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    return {name: state.partitions for name, state in (await describe(client, names)).items()}


async def _create(
    client: AIOKafkaAdminClient, names: Sequence[str], counts: dict[str, int], partitions: int
) -> int:
    """Grow those topics that have fewer partitions; return how many, once the broker shows them."""
    few = [name for name in names if counts[name] < partitions]
    if few:
        await client.create_partitions({name: NewPartitions(partitions) for name in few})
        while min((await _counts(client, few)).values()) < partitions:  # noqa: ASYNC110 - a broker
            await asyncio.sleep(0.1)
    return len(few)


async def _wait_until_stopped(
    client: AIOKafkaAdminClient, groups: Sequence[str], within_s: float, report: Report
) -> None:
    """Return once no group has a member. Raises StoreError after `within_s`."""
    deadline_s = asyncio.get_running_loop().time() + within_s
    reported = False
    while running := await _with_members(client, groups):
        if asyncio.get_running_loop().time() > deadline_s:
            raise StoreError(
                f"These workers still run: {', '.join(running)}. Stop all of them, then run the "
                "command again. Nothing was lost."
            )
        if not reported:
            report(f"waiting until these have stopped: {', '.join(running)}")
            reported = True
        await asyncio.sleep(POLL_S)


async def _with_members(client: AIOKafkaAdminClient, groups: Sequence[str]) -> list[str]:
    found = []
    for each in groups:  # one by one: aiokafka 0.14.0 cannot read an answer about several
        for response in await client.describe_consumer_groups([each]):
            for error_code, group, state, *_ in response.groups:
                if error_code:
                    raise for_code(error_code)(group)
                if state not in _NO_MEMBERS:
                    found.append(group)
    return sorted(found)


async def move_entries(settings: Settings, changelog: str, partitions: int) -> int:
    """Move each entry of a changelog to the partition of its key; return how many moved.

    Written and acknowledged there first, then deleted here: what is killed between is moved again,
    to the same value. No worker may run.
    """
    moved = 0
    consumer = AIOKafkaConsumer(
        **client_options(settings), auto_offset_reset="earliest", enable_auto_commit=False
    )
    producer = AIOKafkaProducer(
        **client_options(settings), acks="all", max_request_size=MAX_REQUEST_BYTES
    )
    await consumer.start()
    try:
        await producer.start()
        try:
            for partition in range(partitions):
                entries = await _newest(consumer, TopicPartition(changelog, partition))
                elsewhere = {
                    key: own
                    for key in entries
                    if (own := partition_of(_event_key(key), partitions)) != partition
                }
                for values in (entries, dict.fromkeys(entries)):  # then tombstones
                    await asyncio.gather(
                        *[
                            producer.send_and_wait(
                                changelog,
                                values[key],
                                key=key,
                                partition=partition if values[key] is None else own,
                            )
                            for key, own in elsewhere.items()
                        ]
                    )
                moved += len(elsewhere)
        finally:
            await producer.stop()
    finally:
        await consumer.stop()
    return moved


async def _newest(consumer: AIOKafkaConsumer, tp: TopicPartition) -> dict[bytes, bytes]:
    """Return the newest value of each key in a partition that has one."""
    end = (await consumer.end_offsets([tp]))[tp]
    consumer.assign([tp])
    await consumer.seek_to_beginning(tp)
    found: dict[bytes, bytes] = {}
    while await consumer.position(tp) < end:
        for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
            if record.value is None:
                found.pop(record.key, None)
            else:
                found[record.key] = record.value
    return found


def _event_key(table_key: bytes) -> str:
    """Return the key of the events that an entry belongs to: tables may write it as JSON."""
    text = table_key.decode()
    return str(json.loads(text)) if text.startswith('"') else text
