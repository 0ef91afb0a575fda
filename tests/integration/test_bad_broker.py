"""What is wrong with the broker's topics or the disk is text in one sentence."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.conftest import Services
from tests.integration.delivery import Stage, metric, set_up
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(services: Services, tmp_path: Path) -> Iterator[Stage]:
    with set_up(services, tmp_path, "broken", partitions=2) as stage:
        yield stage


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


async def test_an_emptied_changelog_is_reported_and_the_worker_goes_on(
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
    text = log_of(stage)
    assert f"Topic {changelog} was corrected: cleanup.policy was delete, is compact" in text
    assert "was emptied" not in text
    assert await worker.stop() == 0

    await emptied(stage, changelog)
    shutil.rmtree(stage.folder / "workers")
    worker.start()
    await handled_again(stage, 1)
    await stage.drained()
    (text,) = [line for line in log_of(stage).splitlines() if "was emptied" in line]
    assert changelog in text
    assert "partitions 0, 1" in text
    assert "vigil reconcile" in text
    assert metric(free_port, "vigil_changelogs_cut_total") == 2
    table = await stage.table()
    assert set(table) == set(stage.sent), "the table begins again and goes on"
    assert {holes for _, holes in table.values()} == {6}, "what was in the table is missing"


async def test_a_changelog_made_again_does_not_stop_a_worker_with_its_disk(stage: Stage) -> None:
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
    text = log_of(stage)
    assert re.search(f"{changelog} ends before what this worker's disk has", text)
    assert "Traceback" not in text
    assert await stage.check() == 0, "the disk had it all"


async def topics(stage: Stage, *, delete: str, partitions: int = 0) -> None:
    """Delete a topic, and make it again where `partitions` says with how many."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.settings.kafka_brokers)
    await admin.start()
    try:
        await admin.delete_topics([delete])

        async def gone() -> bool:
            return delete not in await admin.list_topics()

        await wait_for(gone, within_s=20, what=f"{delete} is gone")
        if partitions:
            await admin.create_topics([NewTopic(delete, partitions, 1)])
    finally:
        await admin.close()


async def test_a_topic_deleted_under_a_worker_ends_it_and_the_next_start_makes_it_again(
    stage: Stage,
) -> None:
    await stage.prepare()
    worker = stage.worker("one")
    await handled_again(stage, 2)
    await topics(stage, delete=stage.topic)
    assert await worker.ended() == 70
    assert f"Topic {stage.topic} is gone" in tail(stage)
    assert "vigil reconcile" in tail(stage)

    await topics_made_by_start(stage)


async def topics_made_by_start(stage: Stage) -> None:
    (stage.folder / "handled").unlink()  # offsets begin at 0 again
    worker = stage.workers["one"]
    worker.start()
    await wait_for(
        lambda: f"Topic {stage.topic} was created" in log_of(stage),
        within_s=30,
        what=lambda: f"the topic is made\n{tail(stage)}",
    )
    await handled_again(stage, 1)
    assert "Traceback" not in log_of(stage)
    assert await worker.stop() == 0


async def test_a_topic_made_again_with_other_partitions_ends_the_worker_until_it_is_corrected(
    stage: Stage,
) -> None:
    await stage.prepare()
    worker = stage.worker("one")
    await handled_again(stage, 2)
    await topics(stage, delete=stage.topic, partitions=3)
    assert await worker.ended() == 70
    wrong = f"Topic {stage.topic} has 3 partitions, VIGIL_PARTITIONS says 2"
    assert wrong in tail(stage)
    assert "run `vigil topics grow`" in tail(stage)

    (stage.folder / "one.log").unlink()
    worker.start()
    assert await worker.ended() == 70, "a start does not go on with it either"
    assert wrong in tail(stage)

    await topics(stage, delete=stage.topic)
    await topics_made_by_start(stage)


@pytest.fixture
def small_disk(stage: Stage) -> Iterator[Path]:
    """A disk under the workers' folder with 4 MiB free."""
    place = stage.folder / "workers"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    (place / "others").write_bytes(bytes(20 << 20))
    try:
        yield place
    finally:
        stage.stop_all()
        subprocess.run(["umount", "-l", str(place)], check=False)


def fill_up(path: Path) -> None:
    """Take all that is free of a disk."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


async def test_a_full_disk_under_the_tables_ends_the_worker_and_loses_nothing(
    stage: Stage, small_disk: Path
) -> None:
    await stage.prepare()
    worker = stage.worker("one")
    await handled_again(stage, 2)
    fill_up(small_disk / "more")
    async with stage.feed() as feed:
        while worker.process is not None and worker.process.poll() is None:
            await feed.send(5, pause_s=0.05)
            assert sum(stage.sent.values()) < 40_000, tail(stage)
    assert await worker.ended() == 70
    text = log_of(stage)
    assert "Traceback" not in text, text[-3_000:]
    assert f"The disk of the tables is full ({small_disk}/" in text
    assert "Free some space" in text

    (stage.folder / "one.log").rename(stage.folder / "before.log")
    fill_up(small_disk / "rest")
    worker.start()  # on the full disk
    assert await worker.ended() == 70
    text = log_of(stage)
    assert "Traceback" not in text, text[-3_000:]
    assert "The disk of the tables is full" in text
    (small_disk / "rest").unlink()
    (small_disk / "others").unlink()
    (small_disk / "more").unlink()
    worker.start()
    await stage.drained()
    await stage.check()
