"""More partitions under load: nothing is lost, and each camera's state is in one place."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from domain.errors import ConfigError, StoreError
from streams.topic_admin import admin, describe, ensure
from streams.topic_growth import grow
from streams.topics import TOPICS, TopicSpec, changelog, partition_of
from tests.conftest import Services
from tests.integration.delivery import ROOT, Stage, set_up

BEFORE, AFTER = 2, 8


@pytest.fixture
def stage(services: Services, tmp_path: Path) -> Iterator[Stage]:
    with set_up(services, tmp_path, "growth", partitions=BEFORE) as made:
        yield replace(made, module="tests.integration.apps.seen", app="seen", tables=("seen",))


def specs_of(stage: Stage) -> list[TopicSpec]:
    return [*TOPICS, changelog(stage.app_id, "seen")]


def run_growth(stage: Stage, kill_after: int = -1) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.apps.growing", stage.app_id, str(AFTER)],
        cwd=ROOT,
        env={**stage.env, "VIGIL_TEST_KILL_AFTER": str(kill_after)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
async def test_a_growth_that_is_killed_again_and_again_loses_and_doubles_nothing(
    stage: Stage,
) -> None:
    await ensure(specs_of(stage), settings=stage.settings)
    stage.worker("a")
    stage.worker("b")
    async with stage.feed() as feed:
        await feed.send(each=5)
        await stage.drained()

        under_load = asyncio.create_task(feed.send(each=20, pause_s=0.5))
        stage.workers["a"].kill()
        await stage.workers["b"].stop()
        for kill_after in (0, 7, 25):  # nothing moved; while copying; while deleting
            killed = await asyncio.to_thread(run_growth, stage, kill_after)
            assert killed.returncode == -9, killed.stdout + killed.stderr
            refused = stage.worker("early")
            assert await refused.ended() != 0, "no worker starts half-way"
        done = await asyncio.to_thread(run_growth, stage)
        assert done.returncode == 0, done.stdout + done.stderr

        stage.settings = stage.settings.model_copy(update={"partitions": AFTER})
        stage.worker("a", VIGIL_PARTITIONS=str(AFTER))  # with its disk of before
        stage.worker("c", VIGIL_PARTITIONS=str(AFTER))
        await under_load
        await stage.drained()

    total = {camera: [[0, count - 1]] for camera, count in stage.sent.items()}
    assert await newest_entries(stage) == {
        (partition_of(camera, AFTER), camera): ranges for camera, ranges in total.items()
    }
    handled = {(camera, seq) for _, _, camera, seq in stage.handled()}
    assert len(handled) == sum(stage.sent.values())
    assert (await asyncio.to_thread(run_growth, stage)).stdout == "moved 0\n", "it is done"


async def newest_entries(stage: Stage) -> dict[tuple[int, str], Any]:
    """Return (partition, camera) -> what the changelog has for it now."""
    found = {}
    for record in await stage.records(f"{stage.app_id}-seen-changelog"):
        found[record.partition, json.loads(record.key)] = record.value
    return {place: json.loads(value) for place, value in found.items() if value is not None}


async def test_topics_do_not_grow_while_a_worker_runs(stage: Stage) -> None:
    await ensure(specs_of(stage), settings=stage.settings)
    async with stage.feed() as feed:
        stage.worker("a")
        await feed.send(each=1)
        await stage.drained()
    specs = specs_of(stage)
    groups = [stage.app_id, f"{stage.app_id}-other", f"{stage.app_id}-third"]
    with pytest.raises(StoreError, match=f"These workers still run: {stage.app_id}. Stop all"):
        await grow(specs, groups, AFTER, settings=stage.settings, within_s=0.5)
    async with admin(stage.settings, 10) as client:
        states = await describe(client, [spec.name_for(stage.settings) for spec in specs])
    assert {state.partitions for state in states.values()} == {BEFORE}


async def test_what_a_worker_writes_while_the_growth_prepares_moves_too(stage: Stage) -> None:
    table = changelog(stage.app_id, "seen")
    await ensure(specs_of(stage), settings=stage.settings)
    brokers = stage.settings.kafka_brokers
    cameras = [f"test/site/cam{number}" for number in range(20)]
    async with AIOKafkaProducer(bootstrap_servers=brokers) as producer:

        async def write(camera: str, value: bytes | None) -> None:
            partition = partition_of(camera, BEFORE)
            key = json.dumps(camera).encode()
            await producer.send_and_wait(table.name, value, key=key, partition=partition)

        for camera in cameras:
            await write(camera, b"[1]")
        worker = AIOKafkaConsumer(stage.topic, group_id=stage.app_id, bootstrap_servers=brokers)
        await worker.start()
        asked = asyncio.Event()
        growing = asyncio.create_task(
            grow(
                specs_of(stage), [stage.app_id], AFTER,
                settings=stage.settings, report=lambda _: asked.set(),
            )
        )  # fmt: skip
        await asyncio.wait_for(asked.wait(), 60)
        await write(cameras[0], None)
        for camera in cameras[1:]:
            await write(camera, b"[2]")
        await worker.stop()
        await growing
    stage.settings = stage.settings.model_copy(update={"partitions": AFTER})
    assert await newest_entries(stage) == {
        (partition_of(camera, AFTER), camera): [2] for camera in cameras[1:]
    }


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [(1, "Kafka cannot reduce them to 1"), (5, "grow to a multiple of it, such as 6")],
)
async def test_impossible_numbers_are_refused(stage: Stage, wanted: int, reason: str) -> None:
    await ensure(specs_of(stage), settings=stage.settings)
    specs = specs_of(stage)
    with pytest.raises(ConfigError, match=reason):
        await grow(specs, [stage.app_id], wanted, settings=stage.settings)
