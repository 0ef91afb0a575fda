"""Nothing is lost, whatever happens to the workers."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.events import DeadLetter, parse
from local.ports import HOST
from streams.topics import DEAD_LETTER
from tests.conftest import Services
from tests.integration.delivery import Stage, metric, set_up
from tests.waiting import wait_for

SEED = int(os.environ.get("VIGIL_TEST_SEED", random.SystemRandom().randrange(1 << 32)))


@pytest.fixture(params=["rocksdb"])
def stage(services: Services, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    print(f"seed {SEED}")
    with set_up(services, tmp_path, "delivery", partitions=4, table_store=request.param) as stage:
        yield stage


async def test_every_event_is_handled_and_committed_and_the_worker_ends_cleanly(
    stage: Stage, free_port: int
) -> None:
    await stage.prepare()
    worker = stage.worker("one", VIGIL_METRICS_PORT=str(free_port))
    async with stage.feed() as feed:
        await feed.send(50)
        await stage.drained()
    assert await stage.check() == 0
    assert metric(free_port, "vigil_events_total") == sum(stage.sent.values())
    assert metric(free_port, "vigil_offset_jumps_total") == 0
    assert metric(free_port, "vigil_commit_lag") == 0
    assert metric(free_port, "vigil_ready") == 1
    assert await worker.stop() == 0


@asynccontextmanager
async def two_at_work(stage: Stage, each: int) -> AsyncIterator[None]:
    """Two workers amid a feed, of `each` events a camera at least, that lasts as long as the block.

    Returns once all is handled.
    """
    await stage.prepare()
    stage.worker("one")
    stage.worker("two")
    async with stage.feed() as feed:
        await feed.send(20)
        await wait_for(lambda: len(stage.handled()) > 100, within_s=120, what="a start")
        over = asyncio.Event()

        async def on_and_on() -> None:
            await feed.send(each, pause_s=0.02)
            while not over.is_set():
                await feed.send(1, pause_s=0.2)

        feeding = asyncio.create_task(on_and_on())
        yield
        over.set()
        await feeding
        await stage.drained()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["rocksdb", "memory"], indirect=True)
async def test_kill_one_of_two(stage: Stage) -> None:
    chance = random.Random(SEED)
    async with two_at_work(stage, 120):
        at = chance.randrange(1_000, 3_000)
        await wait_for(lambda: len(stage.handled()) > at, within_s=120, what=f"{at} events")
        victim = stage.workers[chance.choice(["one", "two"])]
        victim.kill()
        victim.start()
    await stage.check()


@pytest.mark.slow
async def test_kill_one_of_two_for_good(stage: Stage) -> None:
    """The survivor takes the partitions over, with their tables."""
    async with two_at_work(stage, 100):
        await wait_for(lambda: len(stage.handled()) > 1_500, within_s=120, what="some work")
        stage.workers["one"].kill()
    await stage.check()


@pytest.mark.slow
async def test_kill_the_only_one_twice(stage: Stage) -> None:
    chance = random.Random(SEED)
    await stage.prepare()
    worker = stage.worker("one")
    async with stage.feed() as feed:
        feeding = asyncio.create_task(feed.send(150, pause_s=0.02))
        for at in (chance.randrange(300, 2_000), chance.randrange(2_500, 5_000)):
            await wait_for(
                lambda at=at: len(stage.handled()) > at, within_s=120, what=f"{at} events"
            )
            worker.kill()
            worker.start()
        await feeding
        await stage.drained()
    await stage.check()


@pytest.mark.slow
async def test_rolling_restart_handles_nothing_twice(stage: Stage) -> None:
    async with two_at_work(stage, 150):
        for name in ("one", "two"):
            before = len(stage.handled())
            await wait_for(
                lambda b=before: len(stage.handled()) > b + 800, within_s=120, what="work"
            )
            assert await stage.workers[name].stop() == 0
            stage.workers[name].start()
    assert await stage.check() == 0


@pytest.mark.slow
async def test_the_broker_is_killed_and_comes_back(stage: Stage, services: Services) -> None:
    await stage.prepare()
    stage.worker("one")
    async with stage.feed() as feed:
        feeding = asyncio.create_task(feed.send(80, pause_s=0.02))
        await wait_for(lambda: len(stage.handled()) > 800, within_s=120, what="some work")
        await asyncio.to_thread(services.kill, "kafka")
        await asyncio.to_thread(services.restart, "kafka")
        await feeding
        await stage.drained()
    await stage.check()


@pytest.mark.slow
@pytest.mark.parametrize("fenced", [True, False])
async def test_a_stalled_worker_writes_nothing_once_another_has_its_partitions(
    stage: Stage, fenced: bool
) -> None:
    """Its table update in progress is older than what the new owner wrote: without the fence it
    goes back behind the newer ones. With it, the worker ends, and says why.
    """
    await stage.prepare()
    env = {} if fenced else {"VIGIL_TEST_UNFENCED": "1"}
    stalled = stage.worker("one", VIGIL_TEST_WORK_S="0.05", **env)
    async with stage.feed() as feed:
        await feed.send(20)  # so many that what is in progress is not the last of its camera
        await wait_for(lambda: len(stage.handled()) > 40, within_s=120, what="a start")
        stalled.stall()  # in the middle of an event: it is always in the middle of one
        other = stage.worker("two", VIGIL_TEST_WORK_S="0")
        await stage.drained()  # its session ended: the other has done all of it
        stalled.wake()
        if fenced:
            assert await stalled.ended() == 70
            log = (stage.folder / "one.log").read_text()
            assert "worker's partitions were assigned to others while it was stalled" in log
        else:
            await wait_for(lambda: older_updates(stage), within_s=60, what="an older update")
            return
    assert not await older_updates(stage)
    await stage.check()
    assert await other.stop() == 0


async def older_updates(stage: Stage) -> list[tuple[str, list[int]]]:
    """Return the updates that say less than one before them."""
    newest: dict[str, int] = {}
    older = []
    for key, (following, holes) in await stage.updates():
        if following < newest.get(key, 0):
            older.append((key, [following, holes]))
        newest[key] = max(newest.get(key, 0), following)
    return older


@pytest.mark.slow
async def test_slow_work_in_isolated_partitions_survives_a_kill(stage: Stage) -> None:
    await stage.prepare()
    env = {"VIGIL_TEST_ISOLATED": "1", "VIGIL_TEST_WORK_S": "0.05"}
    worker = stage.worker("one", **env)
    async with stage.feed() as feed:
        await feed.send(10)
        await wait_for(lambda: len(stage.handled()) > 100, within_s=120, what="a start")
        worker.kill()
        worker.start()
        await stage.drained()
    await stage.check()


@pytest.mark.slow
async def test_a_failing_handler_ends_the_worker_and_its_event_comes_again(stage: Stage) -> None:
    await stage.prepare()
    fail_once = stage.folder / "fail-once"
    fail_once.write_text("5")
    worker = stage.worker("one", VIGIL_TEST_FAIL_ONCE=str(fail_once))
    async with stage.feed() as feed:
        await feed.send(20)
        assert await worker.ended() == 70
        log = (stage.folder / "one.log").read_text()
        assert "failed on request" in log and "camera test/site/cam" in log and "seq 5" in log
        worker.start()
        await stage.drained()
    await stage.check()


async def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_stream_goes_on(
    stage: Stage,
) -> None:
    await stage.prepare()
    poison = [b"", b"\xff{", b'{"type": "fragment-arrived", "version": 2}', b'{"type": "tick"}']
    stage.worker("one")
    async with stage.feed() as feed:
        await feed.send(3)
        for value in poison:
            await feed.producer.send_and_wait(stage.topic, value, key=b"test/site/cam0")
        await feed.producer.send_and_wait(stage.topic, None, key=b"test/site/cam0")
        await feed.send(3)
        await stage.drained()
    await stage.check()
    letters = await read_all(stage, DEAD_LETTER.name)
    assert [letter.source for letter in letters] == [stage.topic] * 5
    assert all(letter.reason for letter in letters)
    assert len({letter.offset for letter in letters}) == 5


async def read_all(stage: Stage, name: str) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    for record in await stage.records(stage.settings.topic_prefix + name):
        event = parse(record.value)
        assert isinstance(event, DeadLetter)
        letters.append(event)
    return letters


async def test_a_worker_without_a_broker_says_so_in_one_sentence(
    stage: Stage, free_port: int
) -> None:
    worker = stage.worker("one", VIGIL_KAFKA_BROKERS=f"{HOST}:{free_port}", VIGIL_KAFKA_WAIT_S="1")
    assert await worker.ended() != 0
    log = (stage.folder / "one.log").read_text()
    assert f"No Kafka broker answers at {HOST}:{free_port}" in log
    assert "Traceback" not in log
