"""Upgrade from what has landed before: catalog, topics, tables on disk, bucket and keys go on.

The state was recorded with the code of the release before (tests/data/upgrade_0_1/README.md).
Nothing is done by hand: today's workers start on it, and the cameras go on.
"""

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from local.aws import client
from stores.catalog import alembic_runner
from stores.objects import ObjectStore
from stores.queue import Queue
from streams import topics
from streams.storage import make_object_store, make_queue
from streams.topic_admin import ensure
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.outcome import in_catalog, newest_chunks
from tests.recorder import Recorder
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
STATE = Path(__file__).parent.parent / "data" / "upgrade_0_1" / "state.tar.xz"
DAY_MS = 86_400_000
LAST = 21
"""The last fragment that the cameras record after the upgrade."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    with tarfile.open(STATE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def facts(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / "facts.json").read_text())
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upgraded(
    services: Services, state: Path, facts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cloud]:
    """Run today's programs on the state of the release before."""
    folder = tmp_path_factory.mktemp("cloud")
    dsn = await _database(services.env["VIGIL_DATABASE_URL"])
    cloud = Cloud(folder, quick(facts["name"]) | {"VIGIL_DATABASE_URL": dsn}, web=True)
    await _load_catalog(dsn, json.loads((state / "catalog.json").read_text()))
    await _load_topics(cloud, state, facts)
    _load_objects(cloud, state)
    with tarfile.open(state / "workers.tar") as archive:
        archive.extractall(folder / "state", filter="data")
    async with cloud:
        yield cloud


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(upgraded: Cloud) -> AsyncIterator[ObjectStore]:
    async with make_object_store(upgraded.settings) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def queue(upgraded: Cloud) -> AsyncIterator[Queue]:
    async with make_queue(upgraded.settings, upgraded.settings.sqs_queue_url) as opened:
        yield opened


async def _database(dsn: str) -> str:
    """Make an empty database next to the one of `dsn` and return its address."""
    name = f"upgrade_{uuid.uuid4().hex[:8]}"
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def _load_catalog(dsn: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Bring the schema to the version that the state has, and fill in its rows."""
    (version,) = tables.pop("alembic_version")
    await alembic_runner.migrate(dsn, revision=version["version_num"])
    connection = await asyncpg.connect(dsn)
    for row in tables["chunks"]:
        day_ms = row["window_start_ms"] // DAY_MS * DAY_MS
        await connection.execute("SELECT ensure_day('chunks', $1)", day_ms)
    await connection.execute("SET session_replication_role = replica")
    for table, rows in tables.items():
        columns = await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1"
            " AND table_schema = 'public' AND is_generated = 'NEVER'",
            table,
        )
        names = ", ".join(f'"{column["column_name"]}"' for column in columns)
        await connection.execute(
            f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE"
            f" SELECT {names} FROM json_populate_recordset(null::{table}, $1)",
            json.dumps(rows),
        )
    await connection.close()


async def _load_topics(cloud: Cloud, state: Path, facts: dict[str, Any]) -> None:
    """Make the topics and fill in the records at their offsets, and the groups' commits."""
    changelogs = [name for name in facts["topics"] if name.endswith("-changelog")]
    prefix = f"{cloud.settings.app_prefix}-assemble"
    specs = [topics.changelog(prefix, name[len(prefix) + 1 : -10]) for name in changelogs]
    assert sorted(spec.full_name for spec in specs) == sorted(changelogs)
    await ensure([*topics.TOPICS, *specs], settings=cloud.settings)
    brokers = cloud.settings.kafka_brokers
    producer = AIOKafkaProducer(bootstrap_servers=brokers, enable_idempotence=True)
    await producer.start()
    for line in (state / "records.jsonl").read_text().splitlines():
        topic, partition, offset, stamp_ms, key, value, headers = json.loads(line)
        done = await producer.send_and_wait(
            topic,
            _bytes(value),
            key=_bytes(key),
            partition=partition,
            timestamp_ms=stamp_ms,
            headers=[(name, _bytes(content)) for name, content in headers],
        )
        assert done.offset == offset
    await producer.stop()
    for group, commits in facts["commits"].items():
        consumer = AIOKafkaConsumer(
            bootstrap_servers=brokers, group_id=group, enable_auto_commit=False
        )
        offsets = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "")
            for topic, partition, offset in commits
        }
        await consumer.start()
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
        await consumer.stop()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _load_objects(cloud: Cloud, state: Path) -> None:
    """Fill in the bucket."""
    s3 = client("s3", cloud.env["VIGIL_S3_ENDPOINT"])
    known = (json.loads(line) for line in (state / "objects.jsonl").read_text().splitlines())
    described = {each["key"]: each for each in known}
    with tarfile.open(state / "objects.tar") as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            data = content.read()
            s3.put_object(
                Bucket=cloud.settings.s3_bucket,
                Key=member.name,
                Body=data,
                Metadata=described[member.name]["metadata"],
                ContentType=described[member.name]["content_type"],
                ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
            )


async def test_recording_goes_on_and_nothing_is_lost_or_doubled(
    upgraded: Cloud, store: ObjectStore, queue: Queue, facts: dict[str, Any]
) -> None:
    """seq 0..4 5..9 are chunks, 10..12 wait in the table, 13 is in S3 alone, 14..21 are new."""
    before = {}
    for each in facts["cameras"]:
        before[each["camera"]] = await newest_chunks(store, each["camera"], each["run"])
        recorder = Recorder(each["camera"], facts["start_ms"], run=each["run"])
        for seq in range(facts["recorded"], LAST + 1):
            await recorder.record(store, queue, seq)
        await recorder.end(store, queue, LAST)
    for each in facts["cameras"]:
        camera, run = each["camera"], each["run"]

        async def whole(camera: str = camera, run: str = run) -> bool:
            chunks = await newest_chunks(store, camera, run)
            seqs = [fragment.seq for chunk in chunks for fragment in chunk.fragments]
            rows = await in_catalog(upgraded, camera)
            return len(seqs) >= LAST + 1 and rows == {"waiting": 0, "chunked": LAST + 1}

        await wait_for(whole, within_s=90, what=lambda: f"chunks whole\n{upgraded.tails()}")
        chunks = await newest_chunks(store, camera, run)
        assert [f.seq for chunk in chunks for f in chunk.fragments] == list(range(LAST + 1))
        assert not any(chunk.gaps for chunk in chunks)
        # what was sealed before is not made a second time
        assert [chunk.object_key for chunk in chunks[:2]] == [c.object_key for c in before[camera]]
        for chunk in chunks:
            joined = await store.get(chunk.object_key)
            assert hashlib.sha256(joined).hexdigest() == chunk.sha256
            for fragment in chunk.fragments:
                at = fragment.offset
                part = joined[at : at + fragment.size_bytes]
                assert hashlib.sha256(part).hexdigest() == fragment.sha256
    assert all(upgraded.running().values())


async def test_a_site_of_before_accepts_its_unsigned_devices_with_a_warning(
    upgraded: Cloud,
) -> None:
    """Its edges run the version before: they sign nothing, and lose nothing."""
    async with upgraded.catalog() as catalog, catalog.transaction() as connection:
        assert await connection.fetchval("SELECT array_agg(DISTINCT unsigned) FROM sites") == [
            "warn"
        ]
    assert "vigil site unsigned acme/upgrade refuse" in upgraded.programs["relay"].process.tail(500)


async def test_an_api_key_of_before_opens_the_api(upgraded: Cloud, facts: dict[str, Any]) -> None:
    async with aiohttp.ClientSession(upgraded.url) as session:
        headers = {"Authorization": f"Bearer {facts['key']}"}
        async with session.get("/api/v1/cameras", headers=headers) as answer:
            assert answer.status == 200
            listed = await answer.json()
        assert [camera["id"] for camera in listed["cameras"]] == [
            each["camera"] for each in facts["cameras"]
        ]
        async with session.get("/api/v1/cameras") as answer:
            assert answer.status == 401


async def test_an_edge_key_of_before_reads_its_sites_configuration(
    upgraded: Cloud, facts: dict[str, Any]
) -> None:
    async with aiohttp.ClientSession(upgraded.url) as session:
        headers = {"Authorization": f"Bearer {facts['edge_key']}"}
        async with session.get("/api/v1/sites/acme/upgrade/config", headers=headers) as answer:
            assert answer.status == 200
            config = await answer.json()
    assert config["version"] == 1
    cameras = json.loads(config["document"])["cameras"]
    assert [camera["id"] for camera in cameras] == ["cam-0", "cam-1"]


async def test_the_legal_hold_of_before_counts(upgraded: Cloud, facts: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "cli.main", "hold", "list"]
    shown = await asyncio.to_thread(
        subprocess.run, command, env=upgraded.env, check=True, capture_output=True, text=True
    )
    assert shown.stdout.split()[0] == str(facts["hold"])
    assert "acme/upgrade" in shown.stdout
    assert "case 7" in shown.stdout
