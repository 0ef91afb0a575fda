"""What an operator sees of real workers: readiness, metrics, log lines."""

import asyncio
import contextlib
import json
import re
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio

from domain.events import Heartbeat, encode
from domain.identity import site_of
from domain.times import utc_ms
from local.ports import HOST
from streams.storage import make_object_store, make_queue
from streams.tracing import root_id_of, trace_id_of
from tests.cloud import WORKERS, Cloud, quick
from tests.conftest import Services
from tests.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.outcome import all_in_chunks, registered
from tests.recorder import Recorder
from tests.waiting import wait_for

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
START_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(
    services: Services, tmp_path_factory: pytest.TempPathFactory, collector: OtlpReceiver
) -> AsyncIterator[Cloud]:
    env = {
        **quick(uuid.uuid4().hex[:8]),
        "VIGIL_LOG_FORMAT": "json",
        "VIGIL_TRACE_ENDPOINT": collector.endpoint,
        "VIGIL_TRACE_RATIO": "1",
    }
    async with Cloud(tmp_path_factory.mktemp("cloud"), env) as running:
        yield running


async def asked(cloud: Cloud, name: str, page: str) -> tuple[int, str]:
    """Return status and text of a process's page; (0, "") where it does not answer."""
    try:
        async with aiohttp.request("GET", f"http://{HOST}:{cloud.ports[name]}/{page}") as answer:
            return answer.status, await answer.text()
    except aiohttp.ClientError:
        return 0, ""


async def metrics(cloud: Cloud, name: str) -> dict[str, float]:
    """Return all samples of a process, by name and labels."""
    status, text = await asked(cloud, name, "metrics")
    assert status == 200
    samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


async def ready(cloud: Cloud, name: str) -> None:
    async def answers() -> bool:
        return (await asked(cloud, name, "readyz"))[0] == 200

    await wait_for(answers, within_s=60, what=lambda: f"{name} is ready\n{cloud.tails()}")


async def test_the_stream_has_metrics(cloud: Cloud) -> None:
    for name in (*WORKERS, "relay"):
        await ready(cloud, name)
    camera = await registered(cloud, f"acme/{uuid.uuid4().hex[:8]}/gate")
    # Not long ago: the series of what was silent for hours are removed.
    start_ms = (utc_ms() - 300_000) // 60_000 * 60_000
    recorder = Recorder(camera, start_ms)
    settings = cloud.settings
    async with (
        make_object_store(settings) as store,
        make_queue(settings, settings.sqs_queue_url) as queue,
    ):
        for seq in (0, 1, 3, 4, 5, 6, 7, 8, 9, 10):
            await recorder.record(store, queue, seq)
        await all_in_chunks(cloud, store, recorder)
        await recorder.record(store, queue, 2)
        await recorder.put(store, 11)
        await recorder.end(store, queue, 11)
        beat = Heartbeat(
            site=site_of(camera), edge="one", sent_ms=start_ms, spool_bytes=0, spool_waiting=1,
            spool_oldest_ms=start_ms - 60_000, disk_free_bytes=5,
        )  # fmt: skip
        assert await queue.send([encode(beat)]) == []
        await all_in_chunks(cloud, store, recorder)

    assembler = await metrics(cloud, "assemble")
    # 2 came after its window, 11 was found by the healer after its own
    assert assembler['vigil_fragments_total{was="late"}'] == 2
    assert assembler["vigil_fragment_late_seconds_count"] == 2
    assert assembler["vigil_fragment_late_seconds_sum"] > 0
    assert assembler['vigil_windows_sealed_total{reason="late"}'] == 2
    assert assembler["vigil_ready"] == 1 and assembler["vigil_recovery_seconds"] > 0
    assert assembler["vigil_data_free_bytes"] > 0

    async def none_open() -> bool:
        samples = await metrics(cloud, "assemble")
        return sum(v for name, v in samples.items() if name.startswith("vigil_windows_open{")) == 0

    await wait_for(none_open, within_s=30, what="no window is open")
    assert (await metrics(cloud, "heal"))["vigil_fragments_healed_total"] >= 1
    joiner = await metrics(cloud, "join")
    assert joiner["vigil_chunk_revisions_total"] >= 1
    put = 'vigil_store_call_seconds_count{operation="PutObject",outcome="ok",system="s3"}'
    assert joiner[put] >= 3

    async def indexed() -> dict[str, float] | None:
        samples = await metrics(cloud, "index")
        return (
            samples
            if any(name.startswith("vigil_edge_heard_seconds") for name in samples)
            else None
        )

    indexer = await wait_for(indexed, within_s=30, what=lambda: f"a heartbeat\n{cloud.tails()}")
    assert indexer[f'vigil_camera_newest_seconds{{camera="{camera}"}}'] == (
        recorder.sent[11].end_ms / 1_000
    )
    edge = f'{{edge="one",site="{site_of(camera)}"}}'
    assert indexer[f"vigil_edge_oldest_waiting_seconds{edge}"] == 60
    assert indexer[f"vigil_edge_free_bytes{edge}"] == 5
    commit = 'vigil_store_call_seconds_count{operation="commit",outcome="ok",system="postgresql"}'
    named = 'vigil_store_call_seconds_count{operation="index_fragments",outcome="ok"'
    assert indexer[commit] > 0
    assert any(name.startswith(named) for name in indexer)

    async def counted() -> bool:  # once Kafka has them: others may read them before
        relay = await metrics(cloud, "relay")
        return (
            relay.get('vigil_relayed_total{type="fragment-arrived"}', 0) >= 11
            and relay.get("vigil_relay_age_seconds_count", 0) >= 13
        )

    await wait_for(counted, within_s=30, what="what the relay sent is counted")

    async def caught_up() -> bool:
        samples = await metrics(cloud, "assemble")
        lags = [
            v for name, v in samples.items() if re.match(r"vigil_(event|log)_lag_seconds", name)
        ]
        return len(lags) >= 4 and max(lags) < 3_600

    await wait_for(caught_up, within_s=30, what="ticks or nothing are all that is left")


async def test_every_line_is_a_record_with_its_camera(cloud: Cloud) -> None:
    recorder = Recorder(await registered(cloud, f"acme/{uuid.uuid4().hex[:8]}/line"), START_MS)
    settings = cloud.settings
    async with (
        make_object_store(settings) as store,
        make_queue(settings, settings.sqs_queue_url) as queue,
    ):
        for seq in range(10):
            await recorder.record(store, queue, seq)
        await recorder.end(store, queue, 9)
        chunks = await all_in_chunks(cloud, store, recorder)
    text = cloud.programs["join"].process.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    joined = [
        line for line in lines if line["msg"] == "joined" and line["camera"] == recorder.camera
    ]
    assert len(joined) >= len(chunks) == 2
    for line in joined:
        assert line["run"] == recorder.run
        assert line["chunk"] % 10_000 == 0 and "chunk-due/" in line["at"]
    relay = cloud.programs["relay"].process.log.read_text().splitlines()
    assert relay and all(json.loads(line)["level"] for line in relay)


def first_answer(port: int) -> int:
    """Return the status of the first answer to /readyz after the port opens. Blocking."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 60) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n")
            if line := connection.recv(4_096):
                return int(line.split()[1])
        time.sleep(0.001)
    raise AssertionError("the worker opens no port")


async def test_a_worker_is_not_ready_while_it_recovers(cloud: Cloud) -> None:
    """The port opens before the recovery: the first request is in its queue before that ends."""
    await ready(cloud, "assemble")
    await asyncio.to_thread(cloud.kill, "assemble")
    first = asyncio.create_task(asyncio.to_thread(first_answer, cloud.ports["assemble"]))
    await asyncio.to_thread(cloud.start, "assemble")
    assert await first == 503
    await ready(cloud, "assemble")
    samples = await metrics(cloud, "assemble")
    assert samples["vigil_ready"] == 1 and samples["vigil_recovery_seconds"] > 0


STEPS = {
    ("relay", "fragment"),
    ("relay", "relay"),
    ("assemble", "assemble"),
    ("index", "index fragment"),
    ("join", "join"),
    ("index", "index chunk"),
}


async def test_one_trace_has_all_steps_of_a_fragment(cloud: Cloud, collector: OtlpReceiver) -> None:
    for name in (*WORKERS, "relay"):
        await ready(cloud, name)
    camera = await registered(cloud, f"acme/{uuid.uuid4().hex[:8]}/gate")
    recorder = Recorder(camera, (utc_ms() - 300_000) // 60_000 * 60_000)
    settings = cloud.settings
    async with (
        make_object_store(settings) as store,
        make_queue(settings, settings.sqs_queue_url) as queue,
    ):
        for seq in range(3):
            await recorder.record(store, queue, seq)
        await recorder.end(store, queue, 2)
        await all_in_chunks(cloud, store, recorder)
    run, seq = recorder.run, 1

    async def complete() -> bool:
        return {(at, span.name) for at, span in collector.trace(trace_id_of(run, seq))} >= STEPS

    await wait_for(complete, within_s=30, what="all steps are traced")
    spans = {span.name: span for _, span in collector.trace(trace_id_of(run, seq))}
    root = root_id_of(run, seq).to_bytes(8)
    assert spans["fragment"].span_id == root
    assert {span.parent_span_id for name, span in spans.items() if name != "fragment"} == {root}
    assert spans["relay"].start_time_unix_nano <= spans["index chunk"].end_time_unix_nano
