"""The local services: started by our own code, asked in their own protocols, leaving nothing."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from botocore.exceptions import ClientError

from domain.errors import VigilError
from local import background
from local.aws import client
from local.cameras import CameraServer, rtsp_python
from local.ports import HOST, is_free
from local.stack import Stack, read_env
from tests.conftest import Services
from tests.waiting import wait_for

NAMES = ("kafka", "sqs", "postgres", "s3")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    background.stop(folder)


def pids(folder: Path) -> dict[str, int]:
    return {name: json.loads((folder / f"run/{name}.json").read_text())["pid"] for name in NAMES}


def pid_of(folder: Path, name: str) -> int | None:
    """The pid of one service; none while it has ended and its successor is not started yet."""
    return next(state.pid for state in background.status(folder) if state.name == name)


def ports(folder: Path) -> dict[str, int]:
    found = json.loads((folder / "ports.json").read_text())
    assert set(found) >= set(NAMES)
    return dict(found)


def family(folder: Path) -> list[int]:
    """All processes that the services consist of, children too."""
    members = []
    for pid in pids(folder).values():
        process = psutil.Process(pid)
        members += [process.pid, *(child.pid for child in process.children(recursive=True))]
    return members


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_kafka_keeps_what_is_produced_over_a_kill(services: Services) -> None:
    topic, brokers = "test-services", services.settings.kafka_brokers
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all")
    await producer.start()
    await producer.send_and_wait(topic, b"before")
    await producer.stop()

    await asyncio.to_thread(services.kill, "kafka")
    assert is_free(int(brokers.rsplit(":", 1)[1]))
    await asyncio.to_thread(services.restart, "kafka")

    consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 30)
    finally:
        await consumer.stop()
    assert record.value == b"before"


async def test_postgres_keeps_what_is_committed_over_a_kill(services: Services) -> None:
    url = services.env["VIGIL_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE test_services AS SELECT 42 AS answer")
    # The database's commits are asynchronous: write them out, as a checkpoint does.
    await connection.execute("CHECKPOINT")
    await connection.close()
    await asyncio.to_thread(services.kill, "postgres")
    with pytest.raises(OSError):
        await asyncpg.connect(url)
    await asyncio.to_thread(services.restart, "postgres")
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT answer FROM test_services") == 42
        await connection.execute("DROP TABLE test_services")
    finally:
        await connection.close()


def test_s3_keeps_objects_and_metadata_and_refuses_overwriting(services: Services) -> None:
    s3 = client("s3", services.env["VIGIL_S3_ENDPOINT"])
    bucket, key = services.env["VIGIL_S3_BUCKET"], "test-services/object"
    s3.put_object(Bucket=bucket, Key=key, Body=b"bytes", Metadata={"start-ms": "1"})
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key=key, Body=b"other", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    services.restart("s3")
    found = s3.get_object(Bucket=bucket, Key=key, Range="bytes=1-2")
    assert found["Body"].read() == b"yt"
    assert found["Metadata"] == {"start-ms": "1"}


def test_sqs_keeps_messages_over_a_restart(services: Services) -> None:
    sqs = client("sqs", services.env["VIGIL_SQS_ENDPOINT"])
    queue = sqs.create_queue(QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]
    sent = sqs.send_message(QueueUrl=queue, MessageBody="unread")
    services.restart("sqs")
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    assert [(each["MessageId"], each["Body"]) for each in received["Messages"]] == [
        (sent["MessageId"], "unread")
    ]


@pytest.mark.slow
async def test_start_stop_and_start_again(data: Path) -> None:
    lines: list[str] = []
    await asyncio.to_thread(background.start, data, fresh=False, ports=(), report=lines.append)
    assert sum("is ready at" in line for line in lines) == len(NAMES) + 1  # the gate of devices
    first, members = ports(data), family(data)
    env = read_env(data / "vigil.env")
    connection = await asyncpg.connect(env["VIGIL_DATABASE_URL"])
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    await connection.close()
    client("s3", env["VIGIL_S3_ENDPOINT"]).put_object(Bucket="vigil", Key="kept", Body=b"7")
    assert all(state.pid for state in background.status(data))
    with pytest.raises(VigilError, match="in use by process"):
        background.start(data, fresh=False, ports=(), report=lines.append)

    assert await asyncio.to_thread(background.stop, data)
    assert all(gone(pid) for pid in members)
    assert all(is_free(port) for port in first.values())
    assert not any(state.pid for state in background.status(data))

    await asyncio.to_thread(background.start, data, fresh=False, ports=(), report=lines.append)
    assert ports(data) == first
    connection = await asyncpg.connect(env["VIGIL_DATABASE_URL"])
    assert await connection.fetchval("SELECT n FROM kept") == 7
    await connection.close()
    s3 = client("s3", env["VIGIL_S3_ENDPOINT"])
    assert s3.get_object(Bucket="vigil", Key="kept")["Body"].read() == b"7"

    # The owner is killed: nothing it started outlives it, and the folder can be used again.
    owner = json.loads((data / background.RECORD).read_text())["pid"]
    members = [*family(data), owner]
    os.kill(owner, signal.SIGKILL)
    await wait_for(lambda: all(gone(pid) for pid in members), within_s=30, what="no orphan")
    await asyncio.to_thread(background.start, data, fresh=True, ports=(), report=lines.append)
    env = read_env(data / "vigil.env")
    connection = await asyncpg.connect(env["VIGIL_DATABASE_URL"])
    assert await connection.fetchval("SELECT to_regclass('kept')") is None
    await connection.close()


@pytest.mark.slow
async def test_a_killed_service_is_started_again(data: Path) -> None:
    await asyncio.to_thread(background.start, data, fresh=False, ports=(), report=lambda _: None)
    before = pids(data)["sqs"]
    os.kill(before, signal.SIGKILL)
    await wait_for(
        lambda: pid_of(data, "sqs") not in (before, None), within_s=30, what="a new process"
    )
    sqs = client("sqs", read_env(data / "vigil.env")["VIGIL_SQS_ENDPOINT"])

    def answers() -> bool:
        try:
            return bool(sqs.list_queues()["QueueUrls"])
        except Exception:
            return False

    await wait_for(answers, within_s=30, what="the queue's answer")


def test_a_busy_configured_port_gets_a_sentence(data: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "cli.main", "services", "start", "--data", str(data)]
        done = subprocess.run(
            [*command, "--port", f"postgres={port}"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"vigil: Port {port} of postgres is in use")
    assert len(done.stderr.splitlines()) == 1
    assert not any(state.pid for state in background.status(data))


def test_nothing_is_left_when_a_service_cannot_start(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(data)
    monkeypatch.setattr(
        stack.services["postgres"], "command", lambda: [sys.executable, "-c", "raise SystemExit(3)"]
    )
    with pytest.raises(VigilError, match=r"postgres ended at start \(code 3\); see .*postgres.log"):
        stack.start()
    assert not any(service.running for service in stack.services.values())
    assert all(is_free(port) for port in ports(data).values())
    stack.folder.open()  # its lock was given back
    stack.folder.close()


@pytest.mark.skipif(rtsp_python() is None, reason="GStreamer's RTSP server is not installed")
@pytest.mark.slow
def test_a_clip_loops_without_a_gap_and_passwords_are_asked_for(tmp_path: Path) -> None:
    import av
    import numpy as np

    clip = tmp_path / "clip.mov"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.gop_size = 5
        for shade in range(15):
            picture = np.full((64, 64, 3), shade * 15, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    cameras = CameraServer.start(
        tmp_path / "data",
        [
            {"name": "open", "file": str(clip)},
            {"name": "locked", "file": str(clip), "user": "guard", "password": "p w"},
        ],
    )
    with cameras:
        for name in ("open", "locked"):
            options = {"rtsp_transport": "tcp"}
            with av.open(cameras.urls[name], options=options, timeout=20) as source:
                packets = itertools.islice(source.demux(video=0), 45)
                times = [packet.pts * packet.time_base for packet in packets if packet.pts]
            # Two rounds and more: after the first report of the clock every step is 100 ms.
            steps = [float(b - a) for a, b in itertools.pairwise(times)][10:]
            assert steps == pytest.approx([0.1] * len(steps), abs=0.002)
        port = cameras.urls["locked"].rsplit(":", 1)[1]
        for credentials in ("", "guard:wrong@"):
            with pytest.raises(av.error.HTTPUnauthorizedError):
                av.open(f"rtsp://{credentials}{HOST}:{port}", options={"rtsp_transport": "tcp"})
