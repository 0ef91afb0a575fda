"""Who may say what about whose camera: device x camera x kind of event x way in.

Only the diagonal passes: an enrolled device, about the cameras of its own site. By the queue that
is the relay, with a real SQS and Kafka; by objects in S3 it is the healer. Kafka itself refuses
other writers: tests/integration/test_kafka_acls.py.
"""

import asyncio
import hashlib
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from agents.healing.healer import Healer
from agents.relay.relay import KnownCameras, Relay
from agents.signatures.checker import SignatureChecker
from domain.device_identity import DeviceState
from domain.events import (
    Detection,
    DetectionFrame,
    FragmentArrived,
    Healed,
    HealRequested,
    Heartbeat,
    RunEnded,
    RunStarted,
    SiteEvent,
    encode,
)
from domain.identity import fragment_key, new_run_id, run_end_key, site_of
from domain.times import utc_ms
from local.aws import client
from stores.catalog import Catalog, add_camera, known_cameras
from stores.objects import ObjectStore
from stores.queue import Queue
from streams import topics
from streams.settings import get_settings
from streams.storage import make_object_store, make_queue
from streams.topic_admin import ensure
from tests.conftest import Services
from tests.devices import SigningDevice
from tests.integration.catalog_support import fresh_catalog
from tests.integration.device_support import enrol
from tests.waiting import wait_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

OF_SITES = (topics.FRAGMENT_ARRIVED, topics.DETECTION, topics.HEARTBEAT)
CAMERAS = ("acme/hq/gate", "acme/lab/door", "globex/hq/gate")
KINDS = ("fragment-arrived", "run-started", "run-ended", "detection", "heartbeat")
DEVICES = {
    name: SigningDevice(device)
    for name, device in (
        ("own", "acme/hq/edge-1"),
        ("other site", "acme/lab/edge-1"),
        ("other tenant", "globex/hq/edge-1"),
        ("stranger", "acme/hq/stranger"),
        ("revoked", "acme/hq/edge-2"),
        ("locked", "acme/hq/edge-3"),
        ("key revoked", "acme/hq/edge-4"),
        ("too new", "acme/hq/edge-5"),
    )
}
DEVICES["too new"].generation = 2
STATES: dict[str, DeviceState] = {"revoked": "revoked", "locked": "locked"}
KEY_REVOKED = ("revoked", "key revoked")
UNENROLLED = ("stranger",)
NO_DEVICE = "none"
OTHER_BYTES = "other bytes"
"""The own device signed, but something else."""
SENDERS = (*DEVICES, NO_DEVICE, OTHER_BYTES)


def expected(sender: str, camera: str) -> str:
    """Return the code with which an event is refused, or an empty text: it passes."""
    if sender == NO_DEVICE:
        return "unsigned"
    device = DEVICES.get(sender, DEVICES["own"])
    if site_of(camera) != device.id.rsplit("/", 1)[0]:
        return "foreign"
    return {
        "stranger": "unknown", "revoked": "revoked", "locked": "locked", "key revoked": "revoked",
        "too new": "generation", OTHER_BYTES: "forged",
    }.get(sender, "")  # fmt: skip


def signed(sender: str, body: bytes) -> str | None:
    if sender == NO_DEVICE:
        return None
    if sender == OTHER_BYTES:
        return DEVICES["own"].sign(body + b" ")
    return DEVICES[sender].sign(body)


@dataclass
class Case:
    """One event of one sender."""

    sender: str
    camera: str
    event: SiteEvent
    body: bytes = b""

    def __post_init__(self) -> None:
        self.body = encode(self.event)

    @property
    def name(self) -> tuple[str, str, str]:
        return self.sender, self.camera, self.event.type


def event_of(kind: str, camera: str, run: str, number: int) -> SiteEvent:
    now_ms = utc_ms()
    match kind:
        case "fragment-arrived":
            return FragmentArrived(
                camera=camera, run=run, seq=0, start_ms=now_ms, duration_ms=2_000, start_pts=0,
                arrived_ms=now_ms, closed_ms=now_ms, frames=10, size_bytes=188,
                sha256=hashlib.sha256(bytes(188)).hexdigest(), video_codec="h264", width=96,
                height=64,
            )  # fmt: skip
        case "run-started":
            return RunStarted(camera=camera, run=run, started_ms=now_ms, edge="edge-1")
        case "run-ended":
            return RunEnded(
                camera=camera, run=run, ended_ms=now_ms, last_seq=0, reason="camera closed"
            )
        case "detection":
            frames = [DetectionFrame(pts=number, at_ms=now_ms, objects=[])]
            return Detection(camera=camera, run=run, model="m", model_version="1", frames=frames)
    return Heartbeat(
        site=site_of(camera), edge=f"edge-{number}", sent_ms=now_ms, spool_bytes=0,
        spool_waiting=0, disk_free_bytes=0,
    )  # fmt: skip


def all_cases() -> list[Case]:
    cases = []
    for number, (sender, camera, kind) in enumerate(
        (sender, camera, kind) for sender in SENDERS for camera in CAMERAS for kind in KINDS
    ):
        run = new_run_id(utc_ms(), random.Random(number).randbytes(10))
        cases.append(Case(sender, camera, event_of(kind, camera, run, number)))
    return cases


@dataclass
class World:
    """Catalog, bucket and queues with three sites that refuse unsigned events."""

    catalog: Catalog
    store: ObjectStore
    queue: Queue
    dead: Queue
    checker: SignatureChecker
    cases: list[Case] = field(default_factory=all_cases)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(services: Services) -> AsyncIterator[World]:
    """Topics, queues and a catalog of the test's own."""
    name = uuid.uuid4().hex[:8]
    sqs = client("sqs", services.settings.sqs_endpoint or "")
    with pytest.MonkeyPatch.context() as patch:
        for queue in ("", "-dead"):
            url = sqs.create_queue(QueueName=name + queue)["QueueUrl"]
            patch.setenv(f"VIGIL_SQS_{'DEAD_LETTER' if queue else 'QUEUE'}_URL", url)
        patch.setenv("VIGIL_TOPIC_PREFIX", f"{name}-")
        patch.setenv("VIGIL_PARTITIONS", "1")
        get_settings.cache_clear()
        settings = get_settings()
        await ensure(OF_SITES)
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            catalog = await enter(fresh_catalog(settings.database_url.get_secret_value()))
            for camera in CAMERAS:
                await add_camera(catalog, camera, camera, 0)
            for each, device in DEVICES.items():
                if each not in UNENROLLED:
                    await enrol(
                        catalog,
                        device,
                        STATES.get(each, "enrolled"),
                        key_revoked=each in KEY_REVOKED,
                    )
            yield World(
                catalog,
                await enter(make_object_store(settings)),
                await enter(make_queue(settings, settings.sqs_queue_url)),
                await enter(make_queue(settings, settings.sqs_dead_letter_url)),
                SignatureChecker.opened(catalog),
            )
    get_settings.cache_clear()


async def forwarded() -> dict[bytes, list[tuple[str, bytes]]]:
    """Return what is in Kafka: value -> headers."""
    consumer = AIOKafkaConsumer(
        *(topic.full_name for topic in OF_SITES),
        bootstrap_servers=get_settings().kafka_brokers,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: dict[bytes, list[tuple[str, bytes]]] = {}
        read = 0
        while read < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                read += len(records)
                found |= {each.value: list(each.headers) for each in records}
        return found
    finally:
        await consumer.stop()


async def test_by_the_queue_only_the_diagonal_reaches_kafka(world: World) -> None:
    by_body = {case.body: case for case in world.cases}
    assert len(by_body) == len(world.cases)
    for at in range(0, len(world.cases), 10):
        batch = world.cases[at : at + 10]
        sent = await world.queue.send(
            [case.body for case in batch], [signed(case.sender, case.body) for case in batch]
        )
        assert sent == []

    async def cameras() -> set[str]:
        return await known_cameras(world.catalog)

    stop = asyncio.Event()
    relay = Relay(get_settings(), KnownCameras(cameras), world.checker, utc_ms)
    running = asyncio.create_task(relay.run(stop))
    refused: dict[tuple[str, str, str], str] = {}
    passes = [case for case in world.cases if not expected(case.sender, case.camera)]
    try:
        while len(refused) < len(world.cases) - len(passes):
            for message in await world.dead.receive(wait_s=1):
                case = by_body[message.body]
                refused[case.name] = (message.reason or "").partition(":")[0]
                assert message.signature == signed(case.sender, case.body), "for a retry"
                await world.dead.delete([message.receipt])

        async def drained() -> bool:
            return await world.queue.message_count() == 0

        await wait_for(drained, within_s=20, what="the queue is empty")
    finally:
        stop.set()
        await running
    found = await forwarded()
    assert {by_body[body].name for body in found} == {case.name for case in passes}
    assert all(
        headers == [("signature", (signed(by_body[body].sender, body) or "").encode())]
        for body, headers in found.items()
    )
    for case in world.cases:
        assert refused.get(case.name, "") == expected(case.sender, case.camera), case.name


async def heal(world: World, camera: str, run: str) -> list[str]:
    """Return the types of what the healer announces of a run."""
    healer = Healer(world.store, utc_ms, world.catalog, world.checker)
    request = HealRequested(
        camera=camera, run=run, window_start_ms=0, after_seq=-1, before_seq=None, known=[]
    )
    return [each.type async for each in healer.heal(request) if not isinstance(each, Healed)]


async def test_by_objects_only_the_diagonal_is_announced(world: World) -> None:
    for case in world.cases:
        event = case.event
        signature = signed(case.sender, case.body)
        metadata = {} if signature is None else {"signature": signature}
        if isinstance(event, FragmentArrived):
            key = fragment_key(event.camera, event.run, 0)
            metadata |= event.metadata()
            await world.store.put_once(key, bytes(188), sha256=event.sha256, metadata=metadata)
        elif isinstance(event, RunEnded):
            key = run_end_key(event.camera, event.run)
            sha256 = hashlib.sha256(case.body).hexdigest()
            await world.store.put_once(key, case.body, sha256=sha256, metadata=metadata)
        else:
            continue
        announced = await heal(world, event.camera, event.run)
        refused = expected(case.sender, case.camera)
        assert announced == ([] if refused else [event.type]), case.name
        assert await world.store.head(key), "what is refused stays in S3"
