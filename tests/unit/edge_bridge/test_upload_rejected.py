"""A message that the queue never accepts blocks nothing else, and none is discarded wrongly."""

import random
from pathlib import Path

import pytest

from domain.backoff import CENTRED_JITTER, Backoff
from domain.errors import RefusedError, StoreError
from domain.events import Detection, DetectionFrame, FragmentArrived, RunEnded, parse
from domain.events.registry import encode
from domain.identity import run_end_key
from edge_bridge import metrics
from edge_bridge.spool.rows import OutboxMessage
from edge_bridge.spool.spool import open_spool
from edge_bridge.upload import link as link_module
from edge_bridge.upload.rejected import MAX_QUARANTINED, RejectedMessages
from tests.unit.edge_bridge.cloud import MemoryCloud
from tests.unit.edge_bridge.material import CAMERA, RUN, T0_MS
from tests.unit.edge_bridge.test_upload import (
    FRAGMENTS,
    PLENTY,
    UploadProcess,
    check,
    drained,
    record,
)
from tests.waiting import wait_for

BEAT = b"beat"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "BACKOFF", Backoff(0.001, 0.01, jitter=CENTRED_JITTER))


def detections(folder: Path, count: int) -> None:
    spool = open_spool(folder, "e1", PLENTY)
    for number in range(count):
        frames = [DetectionFrame(pts=number, at_ms=T0_MS, objects=[])]
        event = Detection(camera=CAMERA, run=RUN, model="hog", model_version="1", frames=frames)
        spool.put_message(event.type, encode(event))
    spool.close()


def dropped() -> float:
    return float(metrics.MESSAGES_DROPPED._value.get())


def seen(cloud: MemoryCloud) -> set[int]:
    events = [parse(body) for body in cloud.messages if body != BEAT]
    return {event.frames[0].pts for event in events if isinstance(event, Detection)}


@pytest.mark.parametrize("whole", [True, False], ids=["whole-batch", "by-name"])
@pytest.mark.parametrize("bad", [{7}, {0}, {34}, {0, 1, 2, 20, 21}, set(range(12))])
async def test_only_poisoned_messages_are_discarded(
    whole: bool, bad: set[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    detections(tmp_path, 35)
    cloud = MemoryCloud()
    cloud.poison_refuses_batch = whole
    cloud.poisoned = lambda body: any(b'"pts":%d,' % number in body for number in bad)
    before = dropped()
    async with UploadProcess(tmp_path, cloud) as uploading:
        # A heartbeat now and then proves that the queue is not at fault.
        def idle_with_heartbeats() -> object:
            uploading.sender.heartbeat(BEAT)
            return uploading.idle()

        await wait_for(idle_with_heartbeats, within_s=20, what="all that can be sent is")
    assert seen(cloud) == set(range(35)) - bad
    assert dropped() - before == len(bad)
    assert caplog.text.count("a message is discarded (detection)") == len(bad)


@pytest.mark.parametrize("whole", [True, False], ids=["whole-batch", "by-name"])
@pytest.mark.parametrize("poison", [b'"seq":2', b'"run-ended"', b'"run-started"'])
async def test_a_poisoned_notice_or_end_blocks_nothing(
    whole: bool, poison: bytes, tmp_path: Path
) -> None:
    record(tmp_path)
    cloud = MemoryCloud()
    cloud.poison_refuses_batch = whole
    cloud.poisoned = lambda body: poison in body.replace(b": ", b":")
    async with UploadProcess(tmp_path, cloud) as uploading:

        def idle_with_heartbeats() -> object:
            uploading.sender.heartbeat(BEAT)
            return uploading.idle()

        await wait_for(idle_with_heartbeats, within_s=20, what="all that can be sent is")
    assert run_end_key(CAMERA, RUN) in cloud.objects
    kinds = [parse(body) for body in cloud.messages if body != BEAT]
    assert sum(isinstance(one, FragmentArrived) for one in kinds) >= FRAGMENTS
    if poison != b'"run-ended"':
        assert sum(isinstance(one, RunEnded) for one in kinds) == 2


async def test_a_queue_that_rejects_everything_loses_nothing(tmp_path: Path) -> None:
    """Such as a queue of another kind, configured by mistake: only the queue is at fault."""
    record(tmp_path)
    cloud = MemoryCloud()
    cloud.poisoned = lambda body: True
    before = dropped()
    async with UploadProcess(tmp_path, cloud) as uploading:
        uploading.sender.heartbeat(BEAT)
        await wait_for(lambda: cloud.operations > 100, within_s=20, what="further tries")
        assert uploading.sender._to_sqs.down_since_s is not None
        cloud.poisoned = lambda body: False
        await wait_for(uploading.idle, within_s=20, what="everything is sent")
    assert dropped() == before
    cloud.messages = [body for body in cloud.messages if body != BEAT]
    check(cloud)


async def test_a_damaged_message_is_discarded(tmp_path: Path) -> None:
    detections(tmp_path, 3)
    spool = open_spool(tmp_path, "e1", PLENTY)
    spool.put_message("detection", b"\xff\xfe no text")
    spool.close()
    cloud = MemoryCloud()
    await drained(tmp_path, cloud)
    assert seen(cloud) == {0, 1, 2}


async def test_an_end_that_could_not_be_read_is_read_again(tmp_path: Path) -> None:
    """The journal was lost, and the run's end with it: the end in S3 counts."""
    record(tmp_path)
    cloud = MemoryCloud()
    await drained(tmp_path, cloud)
    key = run_end_key(CAMERA, RUN)
    existing = cloud.objects[key][0].replace(b"camera closed", b"camera cut us")
    cloud.objects[key] = (existing, {})
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"journal.db{suffix}").unlink(missing_ok=True)
    cloud.messages.clear()
    get, asked = cloud.get, []

    async def at_the_third(key: str) -> bytes:
        asked.append(key)
        if len(asked) < 3:
            raise StoreError("the store cannot be reached.")
        return await get(key)

    cloud.get = at_the_third  # type: ignore[method-assign, assignment]
    await drained(tmp_path, cloud)
    assert existing in cloud.messages


def test_none_is_at_fault_while_the_queue_accepts_nothing() -> None:
    """No order of refusals without one success finds a message at fault."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    rejected = RejectedMessages()
    rows = [OutboxMessage(number, "detection", b"%d" % number) for number in range(40)]
    for _ in range(2_000):
        if rejected.suspects:
            suspect = rejected.suspects.popleft()
            assert not rejected.message_rejected(suspect.body, suspect.item, suspect.retried)
            continue
        batch = chance.sample(rows, chance.randint(1, 10))
        rejected.batch_rejected([row.body for row in batch], list(batch))
        assert len(rejected.suspects) <= 10
        assert len(rejected.quarantined) < MAX_QUARANTINED


async def test_the_cloud_of_these_tests_rejects_as_the_queue_does() -> None:
    cloud = MemoryCloud()
    cloud.poisoned = lambda body: body == b"bad"
    with pytest.raises(RefusedError):
        await cloud.send([b"good", b"bad"])
    assert not cloud.messages
    cloud.poison_refuses_batch = False
    [refusal] = await cloud.send([b"good", b"bad"])
    assert (refusal.index, refusal.sender_fault, cloud.messages) == (1, True, [b"good"])
