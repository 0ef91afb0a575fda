"""More partitions for all topics, with the tables' entries moved to their new partitions.

    1. changelogs are read     workers may run until here
    2. no worker runs          the groups of all workers have no member
    3. changelogs grow         from here on no assembler starts: its topics do not match
    4. entries move            each to the partition of its key, then a tombstone where it was
    5. the other topics grow
    6. the topic of the table's events grows, last: now workers start with the new number

Each step may be done twice, so a command that was killed is run again. Producers need not stop:
what they put into an old partition is sent on by the worker that reads it (streams/reroute.py).
See docs/design/scale.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError, for_code

from domain.errors import ConfigError, StoreError
from streams.changelog_entries import MisplacedEntries
from streams.settings import Settings
from streams.topic_admin import admin, describe
from streams.topics import FRAGMENT_ARRIVED, Changelog, TopicSpec

POLL_S = 0.1
SHOWN_WITHIN_S = 60.0
"""A broker shows its new partitions after so long at most."""
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

    Prepares while workers run, then waits `within_s` for them to leave: a worker that was stopped
    is a member until its session ends. Raises ConfigError where it is not possible, StoreError
    where Kafka fails or workers run.
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
            changelogs = [name for name, spec in wanted.items() if isinstance(spec, Changelog)]
            last = FRAGMENT_ARRIVED.name_for(settings)
            others = [name for name in wanted if name not in (*changelogs, last)]
            tables = {name: counts[name] for name in changelogs}
            async with MisplacedEntries(settings, tables, partitions) as entries:
                await entries.read()
                stopped = _Stopped(client, groups, within_s, report)
                await stopped.wait(entries.read)
                grown = await _create(client, changelogs, counts, partitions)
                await stopped.wait()  # none started while the changelogs did not yet refuse it
                await entries.read()
                moved = await entries.move()
            report(f"{moved} entries are in their new partitions")
            await stopped.wait()
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
    if not few:
        return 0
    answer = await client.create_partitions({name: NewPartitions(partitions) for name in few})
    for name, code, message in answer.topic_errors:
        if code:
            raise for_code(code)(f"{name}: {message or ''}")
    deadline_s = asyncio.get_running_loop().time() + SHOWN_WITHIN_S
    while min((await _counts(client, few)).values()) < partitions:
        if asyncio.get_running_loop().time() > deadline_s:
            raise StoreError(
                f"Kafka does not show the new partitions of {', '.join(few)}. Check the brokers, "
                "then run the command again. Nothing was lost."
            )
        await asyncio.sleep(POLL_S)
    return len(few)


class _Stopped:
    """Waits until no worker runs."""

    def __init__(
        self,
        client: AIOKafkaAdminClient,
        groups: Sequence[str],
        within_s: float,
        report: Report,
    ) -> None:
        self._client, self._groups, self._report = client, groups, report
        self._deadline_s = asyncio.get_running_loop().time() + within_s
        self._reported = False

    async def wait(self, prepare: Callable[[], Awaitable[None]] | None = None) -> None:
        """Return once no group has a member; `prepare` is repeated until then.

        Raises StoreError where workers still run when the time is over.
        """
        while running := await self._running():
            if self._is_over():
                raise StoreError(
                    f"These workers still run: {', '.join(running)}. Stop all of them, then run "
                    "the command again. Nothing was lost."
                )
            if not self._reported:
                self._report(f"All is prepared. Stop these workers now: {', '.join(running)}")
                self._reported = True
            if prepare is not None:
                await prepare()
            await asyncio.sleep(POLL_S)

    async def _running(self) -> list[str]:
        while True:
            try:
                return await _with_members(self._client, self._groups)
            except KafkaError as error:  # such as a coordinator that is being elected
                if not error.retriable or self._is_over():
                    raise
            await asyncio.sleep(POLL_S)

    def _is_over(self) -> bool:
        return asyncio.get_running_loop().time() > self._deadline_s


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
