"""Makes the broker's topics agree with streams/topics.py, before any worker starts."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from domain.errors import ConfigError, StoreError
from streams.kafka import check_admission, client_options
from streams.settings import Settings, get_settings
from streams.topics import TopicSpec

SET_ON_TOPIC = 1
"""Kafka's code for a value that was set on the topic itself, not inherited."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is on the broker."""

    name: str
    partitions: int
    config: dict[str, str]
    own: frozenset[str]
    """Which of `config` were set on the topic itself."""


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What `ensure` did about one topic: created, corrected (with what was wrong) or fine."""

    name: str
    did: str
    drift: dict[str, tuple[str, str]]
    """Setting -> (found, now)."""

    def __str__(self) -> str:
        changes = ", ".join(
            f"{name} was {was}, is {now}" for name, (was, now) in self.drift.items()
        )
        return f"Topic {self.name} was {self.did}" + (f": {changes}." if changes else ".")


def drift_of(state: TopicState, wanted: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return what differs from the wanted configuration: setting -> (found, wanted)."""
    return {
        name: (found, value)
        for name, value in wanted.items()
        if (found := state.config.get(name, "")) != value
    }


def check_partitions(state: TopicState, wanted: int) -> None:
    """Raise ConfigError where a topic has another number of partitions than the others."""
    if state.partitions != wanted:
        raise ConfigError(
            f"Topic {state.name} has {state.partitions} partitions, VIGIL_PARTITIONS says "
            f"{wanted}. Set VIGIL_PARTITIONS={state.partitions} if all topics have that many. "
            "If they shall have more, or `vigil topics grow` was interrupted: stop all workers and "
            "run `vigil topics grow`."
        )


async def ensure(
    specs: Iterable[TopicSpec], *, within_s: float = 60.0, settings: Settings | None = None
) -> list[TopicChange]:
    """Create what is missing, correct what differs, and report it; nothing is ever deleted.

    Raises ConfigError where a topic has another number of partitions, StoreError where no
    broker answers within `within_s` or it refuses.
    """
    settings = settings or get_settings()
    wanted = {spec.name_for(settings): spec for spec in specs}
    deadline = asyncio.get_running_loop().time() + within_s
    changes = {}
    async with admin(settings, within_s) as client:
        try:
            made, states = await _make(client, wanted, settings, deadline)
            for name, spec in wanted.items():
                check_partitions(states[name], settings.partitions)
                drift = drift_of(states[name], spec.config(settings))
                if drift:
                    await _correct(client, states[name], spec.config(settings))
                did = "created" if name in made else "corrected" if drift else "fine"
                changes[name] = TopicChange(name, did, drift)
        except (KafkaError, OSError) as error:
            raise StoreError(f"Kafka refused to set up its topics: {error!r}") from error
    return list(changes.values())


async def _make(
    client: AIOKafkaAdminClient, wanted: dict[str, TopicSpec], settings: Settings, deadline: float
) -> tuple[set[str], dict[str, TopicState]]:
    """Create what is missing; return what was made, and all topics once the broker shows them."""
    made: set[str] = set()
    while True:
        states = await describe(client, list(wanted))
        missing = [spec for name, spec in wanted.items() if name not in states]
        if not missing:
            return made, states
        if asyncio.get_running_loop().time() > deadline:
            names = ", ".join(spec.name_for(settings) for spec in missing)
            raise StoreError(f"Kafka does not list these new topics: {names}. Check the brokers.")
        made |= await _create(
            client, [spec for spec in missing if spec.name_for(settings) not in made], settings
        )
        await asyncio.sleep(0.1)  # a broker learns of new topics a moment after the controller


@asynccontextmanager
async def admin(settings: Settings, within_s: float) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect, trying for `within_s`.

    Raises StoreError where no broker answers, ConfigError if one rejects the login.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        await check_admission(settings)  # first: it gives the reason, which aiokafka only logs
        client = AIOKafkaAdminClient(client_id="vigil-topics", **client_options(settings))
        try:
            await client.start()
            break
        except (KafkaError, OSError) as error:
            await client.close()
            if asyncio.get_running_loop().time() > deadline:
                raise StoreError(
                    f"No Kafka broker answers at {settings.kafka_brokers}. Start it, or set "
                    "VIGIL_KAFKA_BROKERS."
                ) from error
            await asyncio.sleep(0.5)
    try:
        yield client
    finally:
        await client.close()


async def describe(client: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, TopicState]:
    """Return those of these topics that exist."""
    counts: dict[str, int] = {}
    for topic in await client.describe_topics():  # all: naming one that is missing may make it
        if topic["topic"] not in names:
            continue
        if topic["error_code"]:
            raise for_code(topic["error_code"])(topic["topic"])
        counts[topic["topic"]] = len(topic["partitions"])
    states = {}
    for name, config, own in await _configs(client, list(counts)):
        states[name] = TopicState(name, counts[name], config, own)
    return states


async def _configs(
    client: AIOKafkaAdminClient, names: list[str]
) -> list[tuple[str, dict[str, str], frozenset[str]]]:
    if not names:
        return []
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answers = []
    for response in await client.describe_configs(asked):
        for code, message, _kind, name, entries in response.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
            config = {entry[0]: entry[1] or "" for entry in entries}
            own = frozenset(entry[0] for entry in entries if _is_own(entry))
            answers.append((name, config, own))
    return answers


def _is_own(entry: Any) -> bool:
    return bool(entry[3] == SET_ON_TOPIC)


async def _create(
    client: AIOKafkaAdminClient, specs: list[TopicSpec], settings: Settings
) -> set[str]:
    if not specs:
        return set()
    response = await client.create_topics(
        [
            NewTopic(
                spec.name_for(settings),
                settings.partitions,
                settings.replication,
                topic_configs=spec.config(settings),
            )
            for spec in specs
        ]
    )
    made = set()
    for name, code, *rest in response.topic_errors:
        if not code:
            made.add(name)
        elif code != TopicAlreadyExistsError.errno:  # that is: somebody else was faster
            raise for_code(code)(f"{name}: {rest[0] if rest else ''}")
    return made


async def _correct(client: AIOKafkaAdminClient, state: TopicState, wanted: dict[str, str]) -> None:
    # This request replaces all that is set on the topic: what is not ours is kept.
    config = {name: state.config[name] for name in state.own} | wanted
    for response in await client.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, state.name, config)]
    ):
        for code, message, _kind, name in response.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
