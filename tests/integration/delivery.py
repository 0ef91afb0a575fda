"""Workers as processes, a feed of fragment events, and what must hold at the end."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.request import urlopen

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from domain.events import FragmentArrived, encode
from local.ports import HOST
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import FRAGMENT_ARRIVED, TOPICS, changelog
from tests.conftest import Services
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
RUN = "01931111-1111-7111-8111-111111111111"
NUMBER = itertools.count()


def fragment(camera: str, seq: int) -> FragmentArrived:
    """Return an event that is valid and says nothing of interest but its camera and seq."""
    return FragmentArrived(
        camera=camera,
        run=RUN,
        seq=seq,
        start_ms=1_700_000_000_000 + seq * 4_000,
        duration_ms=4_000,
        start_pts=seq * 360_000,
        arrived_ms=1_700_000_000_000 + seq * 4_000,
        closed_ms=1_700_000_004_000 + seq * 4_000,
        frames=100,
        size_bytes=188,
        sha256="0" * 64,
        video_codec="h264",
        width=640,
        height=360,
    )


@dataclass
class Worker:
    """One `faust worker` process."""

    stage: "Stage"
    name: str
    env: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, **env: str) -> None:
        """Start it; what it prints goes to <name>.log."""
        self.env.update(env)
        with (self.stage.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "faust", "-A", self.stage.module, "worker", "-l", "info"],
                cwd=ROOT,
                env={**self.stage.env, "VIGIL_WORKER_INSTANCE": self.name, **self.env},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stall(self) -> None:
        """SIGSTOP: it is stopped and does not notice."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM, as a rolling deployment does; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 120)

    async def ended(self) -> int:
        """Wait for it to end by itself; returns the exit code."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, 120)


@dataclass
class Stage:
    """One test's topics, group, folder, workers and feed; its names are its own."""

    settings: Settings
    folder: Path
    module: str = "tests.integration.apps.counting"
    app: str = "counting"
    tables: tuple[str, ...] = ("counts",)
    workers: dict[str, Worker] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)

    @property
    def env(self) -> dict[str, str]:
        """What a worker's environment has besides the test's own."""
        return {
            **os.environ,
            "VIGIL_KAFKA_BROKERS": self.settings.kafka_brokers,
            "VIGIL_TOPIC_PREFIX": self.settings.topic_prefix,
            "VIGIL_APP_PREFIX": self.settings.app_prefix,
            "VIGIL_PARTITIONS": str(self.settings.partitions),
            "VIGIL_SESSION_TIMEOUT_S": str(self.settings.session_timeout_s),
            "VIGIL_TABLE_STORE": self.settings.table_store,
            "VIGIL_DATA_DIR": str(self.folder),
            "VIGIL_TEST_LOG": str(self.folder / "handled"),
        }

    @property
    def topic(self) -> str:
        """The source topic's full name."""
        return self.settings.topic_prefix + FRAGMENT_ARRIVED.name

    @property
    def app_id(self) -> str:
        """The consumer group."""
        return f"{self.settings.app_prefix}-{self.app}"

    async def prepare(self) -> None:
        """Make the topics."""
        named = [replace(spec, name=self.settings.topic_prefix + spec.name) for spec in TOPICS]
        specs = [*named, *(changelog(self.app_id, table) for table in self.tables)]
        await ensure(specs, settings=self.settings)

    def worker(self, name: str, **env: str) -> Worker:
        """Start a worker, or start it again."""
        worker = self.workers.setdefault(name, Worker(self, name))
        worker.start(**env)
        return worker

    @asynccontextmanager
    async def feed(self) -> AsyncIterator["Feed"]:
        """A producer to the source topic."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka_brokers,
            acks="all",
            linger_ms=5,
            request_timeout_ms=180_000,  # a broker that was killed comes back in less anywhere
        )
        await producer.start()
        try:
            yield Feed(self, producer)
        finally:
            await producer.stop()

    def handled(self) -> list[tuple[int, int, str, int]]:
        """What the workers wrote: partition, offset, camera, seq of each handled event."""
        path = self.folder / "handled"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        # A line that crosses a page of memory may be seen by half.
        rows = [line.split() for line in lines if line.endswith("\n")]
        return [(int(p), int(o), camera, int(seq)) for p, o, camera, seq in rows]

    async def lag(self) -> int:
        """Offsets between the log's end and what the group has committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka_brokers)
        await admin.start()
        try:
            committed = await admin.list_consumer_group_offsets(self.app_id)
        finally:
            await admin.close()
        lag = 0
        for tp, end in (await self._ends(self.topic)).items():
            known = committed.get(tp)
            lag += end - max(0, known.offset if known else 0)
        return lag

    async def _ends(self, topic: str) -> dict[TopicPartition, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_brokers)
        await consumer.start()
        try:
            tps = [TopicPartition(topic, n) for n in range(self.settings.partitions)]
            return dict(await consumer.end_offsets(tps))
        finally:
            await consumer.stop()

    async def table(self, name: str = "counts") -> dict[str, list[int]]:
        """The table as its changelog says it."""
        return dict(await self.updates(name))

    async def updates(self, name: str = "counts") -> list[tuple[str, list[int]]]:
        """The table's updates as they are in its changelog, a key's in order."""
        records = await self.records(f"{self.app_id}-{name}-changelog")
        return [(json.loads(each.key), json.loads(each.value)) for each in records]

    async def records(self, topic: str) -> list[ConsumerRecord]:
        """All that is in a topic now, a partition's in order."""
        ends = await self._ends(topic)
        found: list[ConsumerRecord] = []
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka_brokers, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            consumer.assign(list(ends))
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        finally:
            await consumer.stop()
        return found

    async def drained(self, within_s: float = 180) -> None:
        """Wait until all that was sent is handled and committed."""
        total = sum(self.sent.values())

        def distinct() -> bool:
            return len({row[:2] for row in self.handled()}) >= total

        await wait_for(distinct, within_s=within_s, what=f"{total} events handled", every_s=0.3)

        async def no_lag() -> bool:
            return await self.lag() == 0

        await wait_for(no_lag, within_s=60, what="no lag", every_s=0.3)

    async def check(self) -> int:
        """Assert that nothing was lost or jumped over; returns how many were handled twice."""
        rows = self.handled()
        seen = {(camera, seq) for _, _, camera, seq in rows}
        wanted = {(camera, seq) for camera, n in self.sent.items() for seq in range(n)}
        assert wanted - seen == set(), f"{len(wanted - seen)} events were never handled"
        table = await self.table()
        due = {camera: [n, 0] for camera, n in self.sent.items()}
        wrong = {camera: (table.get(camera), due[camera]) for camera in due}
        assert {camera: both for camera, both in wrong.items() if both[0] != both[1]} == {}
        for worker in self.workers.values():
            log = (self.folder / f"{worker.name}.log").read_text(errors="replace")
            assert "the position jumped" not in log, f"{worker.name} saw an offset jump"
        return len(rows) - len(seen)

    def stop_all(self) -> None:
        """End what still runs."""
        for worker in self.workers.values():
            if worker.process is not None and worker.process.poll() is None:
                worker.kill()


@contextmanager
def set_up(
    services: Services, folder: Path, name: str, *, partitions: int, table_store: str = "rocksdb"
) -> Iterator[Stage]:
    """Yield a stage with names of its own that begin with `name`; its workers end with it."""
    own = f"{name}{next(NUMBER)}"
    settings = Settings(
        kafka_brokers=services.settings.kafka_brokers,
        topic_prefix=f"{own}-",
        app_prefix=own,
        partitions=partitions,
        session_timeout_s=6,
        table_store=table_store,
    )
    stage = Stage(settings, folder)
    try:
        yield stage
    finally:
        stage.stop_all()


@dataclass
class Feed:
    """Sends fragment events, a camera's in order."""

    stage: Stage
    producer: AIOKafkaProducer

    async def send(self, each: int, cameras: int = 40, pause_s: float = 0.0) -> None:
        """Send `each` further fragments of each camera."""
        for _ in range(each):
            pending = []
            for number in range(cameras):
                camera = f"test/site/cam{number}"
                event = fragment(camera, self.stage.sent[camera])
                pending.append(
                    await self.producer.send(self.stage.topic, encode(event), key=camera.encode())
                )
                self.stage.sent[camera] += 1
            await asyncio.gather(*pending)
            if pause_s:
                await asyncio.sleep(pause_s)


def metric(port: int, name: str) -> float:
    """Return the sum of a metric's samples at a worker's probe."""
    with urlopen(f"http://{HOST}:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.replace("{", " ").split(" ")[0] == name
    )
