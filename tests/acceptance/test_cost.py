"""The cost model against a real run: what it says of a camera-hour is what is counted, within 3 %.

Some cameras record files through a real edge, relay and workers. A proxy counts requests. Only
windows in the middle of each run are compared: starts and ends are counted apart.
"""

import asyncio
import shutil
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.healing.reconciler import ReconcileOptions, Reconciler
from agents.retention.retention_pass import RetentionPass
from domain.cost.bill import ROW_BYTES
from domain.cost.rates import Rates, hourly
from domain.cost.workload import Workload
from domain.events import ChunkComplete, Deleted, Event, FragmentArrived, Heartbeat, encode, parse
from domain.identity import parse_fragment_key
from domain.retention import Margins, RetentionRule
from domain.times import utc_ms
from harness.counting_gate import CountingGate, S3Request
from stores.catalog import retention_rules
from stores.objects import ObjectStore
from streams.cost_settings import with_settings
from streams.storage import make_object_store
from streams.topics import TOPICS
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.edge import Edge
from tests.footage import write_clip
from tests.outcome import newest_chunks, registered
from tests.waiting import wait_for

CAMERAS, SECONDS = 5, 26
WINDOW_S, FRAGMENT_S, HEARTBEAT_S = 6, 2, 1
DAY_MS = 86_400_000
TOLERANCE = 0.03


class Inner:
    """The windows in the middle of each run, and their fragments."""

    def __init__(self, chunks: Mapping[str, Sequence[ChunkComplete]]) -> None:
        self.chunks = {camera: list(found[1:-1]) for camera, found in chunks.items()}
        self.windows = sum(map(len, self.chunks.values()))
        self.hours = self.windows * WINDOW_S / 3_600
        self.seqs = {
            camera: {fragment.seq for chunk in found for fragment in chunk.fragments}
            for camera, found in self.chunks.items()
        }

    def has(self, event: Event) -> bool:
        """Say whether an event is of these windows."""
        seqs = self.seqs.get(getattr(event, "camera", ""), set())
        if isinstance(event, FragmentArrived):
            return event.seq in seqs
        start_ms = getattr(event, "window_start_ms", None)
        if start_ms is not None:
            return any(start_ms == each.window_start_ms for each in self.chunks[event.key])
        return getattr(event, "first_seq", -1) in seqs

    def stems(self) -> set[str]:
        """Return the chunks' keys, without suffix."""
        return {each.object_key[:-3] for found in self.chunks.values() for each in found}


@pytest.mark.slow
async def test_a_real_run_costs_what_the_model_says(services: Services, tmp_path: Path) -> None:
    name = uuid.uuid4().hex[:7]
    cameras = [f"tenant/{name}/camera-{number:02}" for number in range(CAMERAS)]
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", SECONDS * 25, gop=25)
    clips = [tmp_path / f"{camera.rsplit('/', 1)[1]}.mp4" for camera in cameras]
    for each in clips:  # a file is one camera's
        await asyncio.to_thread(shutil.copy, clip, each)
    env = services.env
    async with CountingGate(
        env["VIGIL_S3_ENDPOINT"], env["VIGIL_SQS_ENDPOINT"], env["VIGIL_S3_BUCKET"]
    ) as gate:
        short = quick(name) | {"VIGIL_WINDOW_MS": f"{WINDOW_S}000", "VIGIL_GRACE_MS": "2000"}
        through = {"VIGIL_S3_ENDPOINT": gate.url, "VIGIL_SQS_ENDPOINT": gate.url}
        made = await asyncio.to_thread(Cloud, tmp_path, env | short | through)  # it asks SQS
        async with (
            made as cloud,
            make_object_store(cloud.settings) as store,
        ):
            for camera in cameras:
                await registered(cloud, camera)
            async with Edge(
                tmp_path,
                cloud.settings,
                f"tenant/{name}",
                [{"id": each.stem, "url": f"file://{each}"} for each in clips],
                env=cloud.env,
                heartbeat_s=HEARTBEAT_S,
            ) as edge:
                chunks = await wait_for(
                    lambda: _all_in_chunks(store, gate, cameras),
                    within_s=SECONDS + 60,
                    what=lambda: f"all runs in chunks\n{edge.tail()}\n{cloud.tails()}",
                )
            inner = Inner(chunks)
            assert inner.windows >= 2 * CAMERAS
            workload = _workload(cloud, inner)
            rates = hourly(workload)
            recording = list(gate.s3)
            _compare_recording(recording, gate, inner, rates)
            await _compare_kafka(cloud, inner, rates)
            await _compare_rows(cloud, cameras, chunks, rates)
            await _compare_passes(cloud, store, gate, inner, rates)


def _workload(cloud: Cloud, inner: Inner) -> Workload:
    fragments = [each for found in inner.chunks.values() for chunk in found
                 for each in chunk.fragments]  # fmt: skip
    seconds = sum(each.duration_ms for each in fragments) / 1_000
    return Workload(
        sites=1,
        cameras_per_site=CAMERAS,
        mbit_s=sum(each.size_bytes for each in fragments) * 8 / 1e6 / seconds,
        fragment_s=FRAGMENT_S,
        keyframe_s=1,
        audio=False,
        signed=False,
        rules=with_settings(Workload(), cloud.settings).rules,
        heartbeat_s=HEARTBEAT_S,
        detections_per_hour=0,
    )


async def _all_in_chunks(
    store: ObjectStore, gate: CountingGate, cameras: Sequence[str]
) -> dict[str, list[ChunkComplete]] | None:
    ends = [each.key for each in gate.s3 if each.method == "PUT" and each.key.endswith("end.json")]
    if len(ends) < len(cameras):
        return None
    found = {}
    for camera in cameras:
        [run] = {key.split("/")[-2] for key in ends if f"/{camera}/" in key}
        put = sum(parse_fragment_key(each.key) is not None and f"/{run}/" in each.key
                  for each in gate.s3 if each.method == "PUT")  # fmt: skip
        chunks = await newest_chunks(store, camera, run)
        if sum(len(chunk.fragments) for chunk in chunks) < put:
            return None
        found[camera] = chunks
    return found


def _kind(request: S3Request, inner: Inner) -> str | None:
    """Return what the model calls a request of the windows in the middle; None: it is another."""
    if request.prefix is not None:
        windows = {key.rsplit("-", 1)[0] for key in inner.stems()}
        # The test itself lists whole cameras.
        return "join: window" if request.prefix.rstrip("-") in windows else None
    if (fragment := parse_fragment_key(request.key)) is not None:
        if fragment.seq not in inner.seqs.get(fragment.camera, ()):
            return None
        return {"PUT": "edge: fragment", "GET": "join: fragment"}.get(request.method)
    stem, _, suffix = request.key.rpartition(".")
    if request.method == "PUT" and stem in inner.stems():
        return {"ts": "join: chunk", "json": "join: manifest"}[suffix]
    return None


def _compare_recording(
    requests: Sequence[S3Request], gate: CountingGate, inner: Inner, rates: Rates
) -> None:
    """Compare requests to S3 and messages in SQS while all is recorded and joined."""
    # The test itself reads manifests through the same proxy: those are GETs of chunks.
    counted = Counter(kind for each in requests if (kind := _kind(each, inner)) is not None)
    expected = {
        kind: count * inner.hours
        for group in (rates.put, rates.get, rates.list)
        for kind, count in group.items()
        if kind.split(":")[0] in {"edge", "join"} and "run" not in kind
    }
    print("S3", dict(counted), {kind: round(count, 2) for kind, count in expected.items()})
    assert dict(counted) == pytest.approx(expected, rel=TOLERANCE)
    assert not [each for each in requests if each.method == "PUT" and each.status >= 300]
    ends = [each for each in requests if each.key.endswith("end.json")]
    assert Counter(each.method for each in ends) == {
        "PUT": CAMERAS,
        "GET": 2 * CAMERAS,  # one by the assembler, one by the indexer
    }
    sent: Counter[str] = Counter()
    requests_of = 0.0
    for request in gate.sqs:
        if request.action != "SendMessageBatch":
            continue
        events = [parse(body) for body in request.bodies]
        ours = [each for each in events if isinstance(each, FragmentArrived) and inner.has(each)]
        sent.update(each.type for each in ours)
        requests_of += len(ours) / len(events)
    fragments = rates.messages["fragment-arrived"] * inner.hours
    print("SQS", dict(sent), round(requests_of, 2), round(fragments, 2))
    assert sent["fragment-arrived"] == pytest.approx(fragments, rel=TOLERANCE)
    beats = sorted(
        event.sent_ms
        for request in gate.sqs
        if request.action == "SendMessageBatch"
        for event in map(parse, request.bodies)
        if isinstance(event, Heartbeat)
    )
    hours = (beats[-1] - beats[0]) / 3_600_000
    # A busy machine sends them later, never sooner.
    assert 0 < (len(beats) - 1) / hours / CAMERAS <= rates.messages["heartbeat"] * (1 + TOLERANCE)
    deleted = sum(request.action == "DeleteMessageBatch" for request in gate.sqs)
    messages = sum(len(each.bodies) for each in gate.sqs if each.action == "SendMessageBatch")
    print("SQS deletes", deleted, "of", messages)
    assert deleted <= messages


async def _compare_kafka(cloud: Cloud, inner: Inner, rates: Rates) -> None:
    """Compare records and their bytes in Kafka."""
    settings = cloud.settings
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    names = [topic.name_for(settings) for topic in TOPICS]
    changelog = f"{settings.app_prefix}-assemble-open-windows-changelog"
    arrived: dict[str, list[int]] = defaultdict(list)
    states: dict[str, list[tuple[int, int]]] = defaultdict(list)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_brokers, auto_offset_reset="earliest"
    )
    consumer.assign(
        [
            TopicPartition(topic, partition)
            for topic in (*names, changelog)
            for partition in range(settings.partitions)
        ]
    )
    async with consumer:
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(consumer.assignment())  # ticks never cease
        while any([await consumer.position(each) < end for each, end in ends.items()]):
            batches = await consumer.getmany(timeout_ms=500)
            for record in (each for batch in batches.values() for each in batch):
                size = len(record.key or b"") + len(record.value or b"")
                size += sum(len(name) + len(value) for name, value in record.headers)
                if record.topic == changelog:
                    states[(record.key or b"").decode().strip('"')].append((record.timestamp, size))
                    continue
                event = parse(record.value)
                if not (getattr(event, "camera", None) in inner.chunks and inner.has(event)):
                    continue
                if isinstance(event, FragmentArrived):
                    arrived[event.camera].append(record.timestamp)
                counts[event.type] += 1
                sizes[event.type] += size
    for camera, found in states.items():
        assert camera in arrived, (camera, sorted(arrived))
        # From just before the first of these fragments came until the last one was written.
        first, last = min(arrived[camera]), max(arrived[camera])
        for at_ms, size in found:
            if first < at_ms <= last + FRAGMENT_S * 1_000 - 300:
                counts["open-windows"] += 1
                sizes["open-windows"] += size
    names = ["fragment-arrived", "chunk-due", "chunk-complete", "open-windows"]
    expected = {each: rates.records[each] * inner.hours for each in names}
    expected_bytes = {each: rates.record_bytes[each] * inner.hours for each in names}
    print("Kafka", dict(counts), expected, dict(sizes), expected_bytes)
    # A busy assembler writes its table once for several fragments, never more often.
    table = "open-windows"
    assert 0 < counts.pop(table) <= expected.pop(table) * (1 + TOLERANCE)
    assert 0 < sizes.pop(table) <= expected_bytes.pop(table) * (1 + TOLERANCE)
    assert dict(counts) == pytest.approx(expected, rel=TOLERANCE)
    assert dict(sizes) == pytest.approx(expected_bytes, rel=TOLERANCE)


async def _compare_rows(
    cloud: Cloud,
    cameras: Sequence[str],
    chunks: Mapping[str, Sequence[ChunkComplete]],
    rates: Rates,
) -> None:
    """Compare rows: one a chunk, none of fragments once they are in chunks."""
    made = sum(map(len, chunks.values()))

    async def counted() -> bool:
        async with cloud.catalog() as catalog, catalog.transaction() as connection:
            rows = {
                table: await connection.fetchval(
                    f"SELECT count(*) FROM {table} WHERE camera = ANY($1)", list(cameras)
                )
                for table in ("chunks", "fragments", "runs")
            }
        return rows == {"chunks": made, "fragments": 0, "runs": CAMERAS}

    await wait_for(counted, within_s=30, what="the catalog has the chunks and nothing else")
    assert rates.rows["chunks"] == pytest.approx(3_600 / WINDOW_S)
    assert set(rates.rows) == set(ROW_BYTES)


class _Recorder:
    """Takes the events of a pass."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def send(self, event: Event) -> None:
        self.events.append(event)


async def _compare_passes(
    cloud: Cloud, store: ObjectStore, gate: CountingGate, inner: Inner, rates: Rates
) -> None:
    """Compare what retention and the reconciler ask of S3 for the same windows, later."""
    windows = sum(map(len, inner.chunks.values())) + 2 * len(inner.chunks)
    hours = windows * WINDOW_S / 3_600
    async with cloud.catalog() as catalog:
        now_ms = utc_ms()
        gate.s3.clear()
        options = ReconcileOptions(
            since_ms=now_ms - 30 * DAY_MS, now_ms=now_ms + DAY_MS, settle_ms=0,
            window_ms=WINDOW_S * 1_000,
        )  # fmt: skip
        reconciler = Reconciler(store, catalog, options)
        for camera in inner.chunks:
            assert not [event async for event in reconciler.events_to_send(camera)]
        each = Counter((request.method, request.prefix is not None) for request in gate.s3)
        # A pass: the camera's runs, then each run. The model has one run that is recorded now.
        expected = rates.list["reconcile: runs"] + rates.list["reconcile: fragments"]
        one_day = hourly(_one_run()).list
        assert each == {("GET", True): 2 * CAMERAS}
        assert one_day["reconcile: runs"] + one_day["reconcile: fragments"] == 2
        # The runs; four pages of the newest run's fragments; 29 older runs.
        assert expected == 1 + 4 + 29

        rule = RetentionRule(next(iter(inner.chunks)).rsplit("/", 1)[0], 30)
        await retention_rules.set_rule(catalog, rule, "test", now_ms)
        margins = Margins(3_600_000, 3_600_000)
        recorder = _Recorder()
        counted: Counter[str] = Counter()
        for later_ms in (2 * 3_600_000, 40 * DAY_MS):
            gate.s3.clear()
            passed = RetentionPass(store, catalog, recorder, margins, _clock(now_ms + later_ms))
            await passed.run(inner.chunks)
            for request in gate.s3:
                if request.method in {"GET", "HEAD"} and request.key:
                    manifest = request.key.endswith(".json")
                    counted["retention: manifest" if manifest else "retention: chunk"] += 1
                elif request.prefix is not None and request.prefix.startswith("chunks/"):
                    counted["retention: window"] += 1
        expected_passes = {
            kind: count * hours
            for group in (rates.get, rates.list)
            for kind, count in group.items()
            # The local S3 has no versions, so it is asked for them once.
            if kind.startswith("retention")
            and kind not in {"retention: runs", "retention: versions"}
        }
        print("retention", dict(counted), expected_passes)
        assert dict(counted) == pytest.approx(expected_passes, rel=TOLERANCE)
        deleted = [event for event in recorder.events if isinstance(event, Deleted)]
        chunks = [event for event in deleted if event.what == "chunk"]
        assert len(chunks) == windows
        assert len(deleted) - len(chunks) == CAMERAS, "one pass, one run of each"
        size = sum(len(encode(event)) + len(event.key) for event in chunks)
        assert size == pytest.approx(rates.record_bytes["deleted"] * hours, rel=TOLERANCE)
        assert rates.records["deleted-fragments"] == 1


def _clock(at_ms: int) -> Callable[[], int]:
    return lambda: at_ms


def _one_run() -> Workload:
    return Workload(retention_days=1, fragment_s=10)
