"""Topics on a real broker: made, checked, corrected."""

import argparse
import asyncio
import itertools

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cli import topics as command
from domain.errors import ConfigError, StoreError
from local.ports import HOST
from streams.settings import Settings
from streams.topic_admin import admin, describe, ensure
from streams.topics import FRAGMENT_ARRIVED, TOPICS, changelog
from tests.conftest import Services

NUMBER = itertools.count()


@pytest.fixture
def settings(services: Services, monkeypatch: pytest.MonkeyPatch) -> Settings:
    prefix = f"topics{next(NUMBER)}-"
    own = services.settings.model_copy(update={"topic_prefix": prefix, "partitions": 3})
    for module in (
        "streams.topics.get_settings",
        "cli.topics.get_settings",
        "streams.topic_admin.get_settings",
    ):
        monkeypatch.setattr(module, lambda: own)
    return own


async def test_missing_topics_are_made_and_then_fine(settings: Settings) -> None:
    specs = [*TOPICS, changelog(f"{settings.topic_prefix}app", "runs")]
    assert {outcome.did for outcome in await ensure(specs, settings=settings)} == {"created"}
    assert {outcome.did for outcome in await ensure(specs, settings=settings)} == {"fine"}
    async with admin(settings, 10) as client:
        states = await describe(client, [spec.full_name for spec in specs])
    assert len(states) == len(specs)
    for spec in specs:
        state = states[spec.full_name]
        assert state.partitions == 3
        assert {k: state.config[k] for k in spec.config(settings)} == spec.config(settings)


async def test_drift_is_corrected_and_what_others_set_is_kept(settings: Settings) -> None:
    name = FRAGMENT_ARRIVED.full_name
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_brokers)
    await client.start()
    try:
        await client.create_topics(
            [NewTopic(name, 3, 1, topic_configs={"retention.ms": "1000", "segment.ms": "77000"})]
        )
        (outcome,) = await ensure([FRAGMENT_ARRIVED], settings=settings)
        assert outcome.did == "corrected"
        assert outcome.drift["retention.ms"] == ("1000", str(settings.retention_hours * 3_600_000))
        state = (await describe(client, [name]))[name]
        assert state.config["segment.ms"] == "77000"
        assert (await ensure([FRAGMENT_ARRIVED], settings=settings))[0].did == "fine"
    finally:
        await client.close()


async def test_another_number_of_partitions_stops_it(settings: Settings) -> None:
    await ensure([FRAGMENT_ARRIVED], settings=settings)
    with pytest.raises(ConfigError, match="has 3 partitions, VIGIL_PARTITIONS says 5"):
        await ensure(TOPICS, settings=settings.model_copy(update={"partitions": 5}))


async def test_two_may_make_them_at_once(settings: Settings) -> None:
    outcomes = await asyncio.gather(*(ensure(TOPICS, settings=settings) for _ in range(3)))
    assert all(len(each) == len(TOPICS) for each in outcomes)


async def test_a_broker_that_is_not_there_is_named(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"kafka_brokers": f"{HOST}:1"})
    with pytest.raises(StoreError, match=f"No Kafka broker answers at {HOST}:1"):
        await ensure(TOPICS, within_s=0.1, settings=nowhere)


def test_the_command_makes_and_shows_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "all_topics", lambda: list(TOPICS))
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())

    def vigil(*words: str) -> int:
        args = parser.parse_args(words)
        return int(args.run(args))

    assert vigil("topics", "list") == 1
    assert "missing" in capsys.readouterr().out
    assert vigil("topics", "ensure") == 0
    assert "created" in capsys.readouterr().out
    assert vigil("topics", "list") == 0
    assert "missing" not in capsys.readouterr().out
