"""The whole stream over TLS, with passwords; and who is refused, in one sentence."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError

from domain.errors import StoreError
from local.certificates import make_pair
from local.folder import project_root
from local.ports import HOST
from local.program import vigil, worker
from local.stack import Stack
from streams.kafka import client_options
from streams.settings import Settings
from streams.storage import make_object_store, make_queue
from streams.topic_acls import FROM_SITES, AclRole, acls_of, allow
from streams.topic_admin import ensure
from streams.topics import EDGE_COMMAND, TOPICS
from tests.cloud import KAFKA_USERS, Cloud, quick
from tests.outcome import all_in_chunks, registered
from tests.recorder import Recorder

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
START_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def secure() -> Iterator[Stack]:
    """Kafka with SASL_SSL and SCRAM; PostgreSQL, S3 and SQS behind TLS."""
    folder = Path(tempfile.mkdtemp(prefix="vigil-secure-"))
    before = dict(os.environ)
    for name in before:
        if name.startswith("VIGIL_"):
            del os.environ[name]
    stack = Stack(folder / "data", tls=True)
    try:
        stack.start()
        yield stack
    finally:
        os.environ.clear()
        os.environ.update(before)
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(
    secure: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Cloud, Path]]:
    folder = tmp_path_factory.mktemp("cloud")
    os.environ.update(secure.env)  # the test itself speaks to S3 and SQS
    env = {**secure.env, **quick(uuid.uuid4().hex[:8]), "VIGIL_LOG_LEVEL": "debug"}
    running = Cloud(folder, env, kafka_users=KAFKA_USERS)
    for role in get_args(AclRole):
        await allow(role, acls_of(role, running.settings), running.settings)
    async with running:
        yield running, folder


async def test_fragments_become_chunks_and_no_secret_is_logged(
    secure: Stack, cloud: tuple[Cloud, Path]
) -> None:
    running, folder = cloud
    settings = running.settings
    assert settings.kafka_security == "SASL_SSL"
    assert "sslmode=verify-full" in settings.database_url.get_secret_value()
    camera = await registered(running, f"acme/{uuid.uuid4().hex[:8]}/gate")
    recorder = Recorder(camera, START_MS)
    async with (
        make_object_store(settings) as store,
        make_queue(settings, settings.sqs_queue_url) as queue,
    ):
        for seq in range(12):
            await recorder.record(store, queue, seq)
        await recorder.end(store, queue, 11)
        chunks = await all_in_chunks(running, store, recorder)
    assert [len(chunk.fragments) for chunk in chunks] == [5, 5, 2]

    password = settings.kafka_password.get_secret_value()
    assert len(password) >= 32 and settings.database_password.get_secret_value() == password
    secrets = {
        password,
        quote(password, safe=""),
        settings.session_secret.get_secret_value(),
        secure.env["AWS_SECRET_ACCESS_KEY"] + "\n",
    }
    logs = [*folder.rglob("*.log"), *secure.folder.logs.glob("*.log")]
    assert {log.stem for log in logs} >= {"relay", "assemble", "join", "kafka", "postgres"}
    output = "".join(log.read_text(errors="replace") for log in logs)
    assert f"camera={camera}" in output and "msg=joined" in output
    for secret in secrets:
        assert secret not in output


async def refused_topics(settings: Settings, user: str) -> set[str]:
    """Return the topics of which Kafka refuses a user's events."""
    refused = set()
    options = client_options(settings.model_copy(update={"kafka_username": user}))
    for topic in TOPICS:
        # One for each: a producer asks for the metadata of all its topics together.
        producer = AIOKafkaProducer(**options, request_timeout_ms=5_000)
        await producer.start()
        try:
            await producer.send_and_wait(topic.name_for(settings), b"{}", key=b"acme/hq/gate")
        except TopicAuthorizationFailedError:
            refused.add(topic.name)
        finally:
            await producer.stop()
    return refused


async def test_kafka_refuses_all_but_the_relay(
    cloud: tuple[Cloud, Path],
) -> None:
    """The workers believe what is in the topics: the relay checked it."""
    settings = cloud[0].settings
    names = {topic.name for topic in TOPICS}
    assert await refused_topics(settings, "stranger") == names
    from_sites = {topic.name for topic in FROM_SITES}
    assert await refused_topics(settings, "relay") == names - from_sites


async def readable_topics(settings: Settings, user: str) -> set[str]:
    """Return the topics of which Kafka gives a user the events."""
    readable = set()
    options = client_options(settings.model_copy(update={"kafka_username": user}))
    for topic in TOPICS:
        consumer = AIOKafkaConsumer(
            topic.name_for(settings), **options, group_id=None, auto_offset_reset="earliest"
        )
        try:
            await consumer.start()
            await consumer.end_offsets(list(consumer.assignment()))
            await consumer.getmany(timeout_ms=500)
            readable.add(topic.name)
        except TopicAuthorizationFailedError:
            pass
        finally:
            await consumer.stop()
    return readable


async def test_the_web_writes_commands_and_link_workers_read_them(
    cloud: tuple[Cloud, Path],
) -> None:
    settings = cloud[0].settings
    others = {topic.name for topic in TOPICS} - {EDGE_COMMAND.name}
    assert await refused_topics(settings, "web") == others
    assert await readable_topics(settings, "web") == set()
    assert await refused_topics(settings, "link") == {topic.name for topic in TOPICS}
    assert await readable_topics(settings, "link") == {EDGE_COMMAND.name}
    assert await readable_topics(settings, "relay") == set()


async def test_the_operator_makes_topics_and_gives_no_rights(cloud: tuple[Cloud, Path]) -> None:
    """In an installation of its own: what another one has is refused."""
    own = cloud[0].settings.model_copy(update={"topic_prefix": f"o{uuid.uuid4().hex[:8]}-"})
    operator = own.model_copy(update={"kafka_username": "operator"})
    with pytest.raises(StoreError, match="AuthorizationFailed"):
        await ensure(TOPICS, settings=operator)
    await allow("operator", acls_of("operator", own), own)
    assert {each.did for each in await ensure(TOPICS, settings=operator)} == {"created"}
    shorter = operator.model_copy(update={"retention_hours": own.retention_hours - 1})
    assert "corrected" in {each.did for each in await ensure(TOPICS, settings=shorter)}
    assert await readable_topics(operator, "operator") == {topic.name for topic in TOPICS}
    with pytest.raises(StoreError, match="the right to change ACLs"):
        await allow("link", acls_of("operator", own), operator)


def error_line(env: dict[str, str], command: list[str]) -> str:
    """Run a command that must fail; return the one line that it says."""
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **env},
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, 130), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def wrong(secure: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Settings with one thing wrong, by name."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "password").write_text("wrong-password-42")
    (folder / "ca.pem").write_bytes(make_pair(HOST)[0])
    env = secure.env
    return {
        "password": env
        | {
            "VIGIL_KAFKA_PASSWORD_FILE": str(folder / "password"),
            "VIGIL_DATABASE_PASSWORD_FILE": str(folder / "password"),
        },
        "authority": env
        | {
            "VIGIL_KAFKA_CA_FILE": str(folder / "ca.pem"),
            "VIGIL_DATABASE_CA_FILE": str(folder / "ca.pem"),
        },
        "host": env
        | {
            name: env[name].replace(HOST, "localhost")
            for name in ("VIGIL_KAFKA_BROKERS", "VIGIL_DATABASE_URL")
        },
    }


SENTENCES = {
    "password": "rejected the login",
    "authority": "its certificate is not signed by an authority that we trust",
    "host": "its certificate is for another host",
}
COMMANDS = {
    "topics": vigil("topics", "ensure"),
    "catalog": vigil("catalog", "status"),
    "relay": vigil("relay", "run"),
}


@pytest.mark.parametrize("fault", SENTENCES)
@pytest.mark.parametrize("command", COMMANDS)
async def test_what_is_wrong_is_reported_in_one_sentence(
    wrong: dict[str, dict[str, str]], fault: str, command: str
) -> None:
    line = await asyncio.to_thread(error_line, wrong[fault], COMMANDS[command])
    assert line.startswith("vigil: ")
    assert SENTENCES[fault] in line
    assert "VIGIL_" in line, "the remedy is named"
    assert "wrong-password-42" not in line


@pytest.mark.parametrize("fault", SENTENCES)
async def test_a_worker_that_is_not_let_in_ends_and_says_why(
    wrong: dict[str, dict[str, str]], fault: str, tmp_path: Path
) -> None:
    env = wrong[fault] | {"VIGIL_DATA_DIR": str(tmp_path), "VIGIL_LOG_FORMAT": "logfmt"}
    line = await asyncio.to_thread(error_line, env, worker("agents.heal"))
    assert "level=critical" in line and SENTENCES[fault] in line
    assert "wrong-password-42" not in line
