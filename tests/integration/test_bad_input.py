"""What is wrong on its way through Kafka: one dead letter each, by name; other cameras go on."""

import hashlib
import json
import uuid

import pytest

from domain.events import Detection, DetectionFrame, FragmentArrived, encode
from domain.times import AHEAD_MS
from stores.objects import ObjectStore
from stores.queue import Queue
from streams import topics
from streams.dead_letters import DeadLetters, Letter
from streams.sender import KafkaSender
from tests.cloud import Cloud
from tests.outcome import all_in_chunks, registered
from tests.recorder import Recorder
from tests.waiting import wait_for

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
START_MS = 1_790_000_000_000
YEAR_2200_MS = 7_258_118_400_000
LAST_MS = (1 << 48) - 1


def poison(event: FragmentArrived) -> dict[str, tuple[bytes, str]]:
    """Return what is wrong -> the message, and what its dead letter says."""
    good = event.model_dump(mode="json", exclude_none=True)

    def but(**changes: object) -> bytes:
        return json.dumps(good | changes).encode()

    without = json.dumps({name: good[name] for name in good if name != "seq"}).encode()
    return {
        "garbage": (b'{"type": "fragment-arrived", \xff', "message"),
        "empty": (b"", "it is empty"),
        "wrong type": (but(seq="seven"), "fragment-arrived.seq"),
        "missing field": (without, "fragment-arrived.seq: Field required"),
        "unknown field": (but(colour="red"), "colour: no such field"),
        "negative duration": (but(duration_ms=-1), "duration_ms"),
        "oversized": (but(width="9" * 900_000), "width"),
        "1970": (but(start_ms=86_400_000), f"before 2015. Set the clock of the device that "
                 f"records {event.camera}"),
        "2200": (but(start_ms=YEAR_2200_MS), "5 minutes in the future"),
        "the last moment": (but(start_ms=LAST_MS), "5 minutes in the future"),
        "an end in 2200": (
            json.dumps({"type": "run-ended", "camera": event.camera, "run": event.run,
                        "ended_ms": YEAR_2200_MS, "last_seq": 3, "reason": "x"}).encode(),
            "5 minutes in the future",
        ),
        "another camera's key": (but(camera="acme/else/where"), "key: the message has"),
        "other bytes": (
            but(sha256=hashlib.sha256(b"other").hexdigest()), "the first report is kept",
        ),
    }  # fmt: skip


async def letters(cloud: Cloud, source: str, camera: str) -> list[Letter]:
    async with DeadLetters(cloud.settings) as opened:
        found = [each async for each in opened.letters(source=source)]
    return [each for each in found if each.letter.message_key == camera]


async def test_each_makes_one_dead_letter_and_other_cameras_go_on(
    cloud: Cloud, store: ObjectStore, queue: Queue
) -> None:
    site = f"acme/{uuid.uuid4().hex[:8]}"
    recorder = Recorder(await registered(cloud, f"{site}/poisoned"), START_MS)
    topic = topics.FRAGMENT_ARRIVED.name_for(cloud.settings)
    key = recorder.camera.encode()
    event = await recorder.put(store, 0)
    wrong = poison(event)
    async with KafkaSender(cloud.settings) as sender:
        await sender.send_bytes(topic, key, encode(event))
        for message, _ in wrong.values():
            await sender.send_bytes(topic, key, message)
        frames = [DetectionFrame(pts=0, at_ms=YEAR_2200_MS, objects=[])]
        seen = Detection(
            camera=recorder.camera, run=recorder.run, model="m", model_version="1", frames=frames
        )
        detections = topics.DETECTION.name_for(cloud.settings)
        await sender.send_bytes(detections, key, encode(seen))

    neighbour = Recorder(await registered(cloud, f"{site}/neighbour"), START_MS)
    for each in (recorder, neighbour):
        for seq in range(1 if each is recorder else 0, 12):
            await each.record(store, queue, seq)
        await each.end(store, queue, 11)
        chunks = await all_in_chunks(cloud, store, each)
        assert all(not chunk.gaps and chunk.revision == 1 for chunk in chunks)

    # all were read before what came behind them in the same partition, by assembler and indexer
    found = await letters(cloud, topic, recorder.camera)
    reasons = {each.original: each.letter.reason for each in found}
    assert len(found) == len(wrong), "one dead letter each, though two workers read the topic"
    for name, (message, reason) in wrong.items():
        assert reason in reasons[message], name
    (far,) = await wait_for_letter(cloud, detections, recorder.camera)
    assert "5 minutes in the future" in far.letter.reason
    assert recorder.camera in far.letter.reason
    assert AHEAD_MS == 300_000
    assert all(cloud.running().values())


async def wait_for_letter(cloud: Cloud, source: str, camera: str) -> list[Letter]:
    return await wait_for(lambda: letters(cloud, source, camera), within_s=30, what="a dead letter")


async def test_a_seq_that_jumps_by_a_million_is_a_gap(
    cloud: Cloud, store: ObjectStore, queue: Queue
) -> None:
    recorder = Recorder(await registered(cloud, f"acme/{uuid.uuid4().hex[:8]}/jump"), START_MS)
    for seq in (0, 1, 2):
        await recorder.record(store, queue, seq)
    far = Recorder(recorder.camera, START_MS - 1_999_990_000, run=recorder.run)
    await far.record(store, queue, 1_000_000)
    recorder.sent |= far.sent
    chunks = []

    async def joined() -> bool:
        chunks[:] = [
            each
            for each in [info async for info in store.list(f"chunks/{recorder.camera}/")]
            if each.key.endswith(".json")
        ]
        return len(chunks) == 2

    await wait_for(joined, within_s=60, what=lambda: f"both windows are chunks\n{cloud.tails()}")
    gaps = []
    for info in chunks:
        gaps += json.loads(await store.get(info.key))["gaps"]
    assert [(gap["first_seq"], gap["last_seq"]) for gap in gaps] == [(3, 999_999)]
    assert all(cloud.running().values())
