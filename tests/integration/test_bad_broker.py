"""What is wrong with the broker's topics or the disk is said in one sentence."""

import itertools
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from local.ports import HOST
from streams.settings import Settings
from tests.conftest import Services
from tests.integration.delivery import Stage, metric
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
NUMBER = itertools.count()


@pytest.fixture
def stage(services: Services, tmp_path: Path) -> Iterator[Stage]:
    number = next(NUMBER)
    settings = Settings(
        kafka_brokers=services.settings.kafka_brokers,
        topic_prefix=f"broken{number}-",
        app_prefix=f"broken{number}",
        partitions=2,
        session_timeout_s=6,
        table_store="rocksdb",
    )
    stage = Stage(settings, tmp_path)
    try:
        yield stage
    finally:
        stage.stop_all()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def log_of(stage: Stage, name: str = "one") -> str:
    path = stage.folder / f"{name}.log"
    return path.read_text(errors="replace") if path.exists() else ""


def tail(stage: Stage) -> str:
    return log_of(stage)[-3_000:]


async def handled_again(stage: Stage, more: int) -> None:
    """Send `more` further events of each camera and wait until all are handled."""
    before = len(set(stage.handled()))
    async with stage.feed() as feed:
        await feed.send(more)
    wanted = before + more * len(stage.sent)
    await wait_for(
        lambda: len(set(stage.handled())) >= wanted,
        within_s=60,
        what=lambda: f"{wanted} events handled\n{tail(stage)}",
    )


async def emptied(stage: Stage, topic: str) -> None:
    """Delete all records of a topic, which its policy must allow first; that stays so."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.settings.kafka_brokers)
    await admin.start()
    try:
        by_age = ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": "delete"})
        await admin.alter_configs([by_age])
        await admin.delete_records(
            {
                TopicPartition(topic, n): RecordsToDelete(before_offset=-1)
                for n in range(stage.settings.partitions)
            }
        )
    finally:
        await admin.close()


async def test_an_emptied_changelog_is_told_and_the_worker_goes_on(
    stage: Stage, free_port: int
) -> None:
    await stage.prepare()
    worker = stage.worker("one", VIGIL_METRICS_PORT=str(free_port))
    await handled_again(stage, 5)
    await stage.drained()
    assert await worker.stop() == 0
    changelog = f"{stage.app_id}-counts-changelog"
    await emptied(stage, changelog)

    worker.start()  # its disk has the table
    await handled_again(stage, 1)
    await stage.drained()
    said = log_of(stage)
    assert f"Topic {changelog} was corrected: cleanup.policy was delete, is compact" in said
    assert "was emptied" not in said
    assert await worker.stop() == 0

    await emptied(stage, changelog)
    shutil.rmtree(stage.folder / "workers")
    worker.start()
    await handled_again(stage, 1)
    await stage.drained()
    (said,) = [line for line in log_of(stage).splitlines() if "was emptied" in line]
    assert changelog in said
    assert "partitions 0, 1" in said
    assert "vigil reconcile" in said
    assert metric(free_port, "vigil_changelogs_cut_total") == 2
    table = await stage.table()
    assert set(table) == set(stage.sent), "the table begins anew and goes on"
    assert {holes for _, holes in table.values()} == {6}, "what was in the table is missing"


async def test_a_changelog_made_anew_does_not_stop_a_worker_with_its_disk(stage: Stage) -> None:
    await stage.prepare()
    worker = stage.worker("one")
    await handled_again(stage, 5)
    await stage.drained()
    assert await worker.stop() == 0
    changelog = f"{stage.app_id}-counts-changelog"
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.settings.kafka_brokers)
    await admin.start()
    try:
        await admin.delete_topics([changelog])
    finally:
        await admin.close()

    worker.start()
    await handled_again(stage, 1)
    await stage.drained()
    said = log_of(stage)
    assert re.search(f"{changelog} ends before what this worker's disk has", said)
    assert "Traceback" not in said
    assert await stage.check() == 0, "the disk had it all"
