"""Each hop of the cloud side, listened to: the real programs, with what the chart gives them.

A proxy is in each connection that a program opens, and keeps the bytes. A program that listens
is asked in plain text. Inference has no hop: it runs in the edge's own process.
"""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from domain.errors import StoreError
from domain.times import utc_ms
from local.certificates import make_pair
from local.folder import DataFolder
from local.ports import HOST, find_free
from local.program import Program, vigil, worker
from local.stack import Stack
from stores.catalog import Catalog, add_camera, migrate
from stores.catalog.keys import create_key
from stores.device_ca import create_ca
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import TOPICS
from tests.cloud import make_queues
from tests.infra.helm import FOLDER, GIVEN, of_kind, pods, render
from tests.waiting import wait_for
from web.prometheus import ask

pytestmark = [pytest.mark.infra, pytest.mark.asyncio(loop_scope="module")]

PROGRAMS = ("relay", "indexer", "web", "link")
CAMERA = "acme/hop-site/gate"
INNER = "127.0.0.2"
"""The address that link workers give each other: a proxy, on the port of the worker's own."""
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""What PostgreSQL's clients send before TLS."""
HANDSHAKE = b"\x16\x03"


@dataclass
class Tap:
    """A proxy that keeps what passes."""

    target: tuple[str, int]
    sent: list[bytearray] = field(default_factory=list)
    """By connection: the bytes of the client."""
    answered: list[bytearray] = field(default_factory=list)
    port: int = 0

    async def listen(self, stack: AsyncExitStack, host: str = HOST, port: int = 0) -> None:
        """Listen until the stack ends."""
        server = await asyncio.start_server(self._carry, host, port)
        stack.push_async_callback(self._close, server)
        self.port = server.sockets[0].getsockname()[1]

    async def _close(self, server: asyncio.Server) -> None:
        server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            kept = bytearray(), bytearray()
            self.sent.append(kept[0])
            self.answered.append(kept[1])
            await asyncio.gather(
                _copy(reader, far_writer, kept[0]), _copy(far_reader, writer, kept[1])
            )

    def is_encrypted(self) -> bool:
        """Return whether every connection began with TLS."""
        return all(
            bytes(each).removeprefix(SSL_REQUEST).startswith(HANDSHAKE)
            for each in self.sent
            if each
        )

    def everything(self) -> bytes:
        """Return all that passed."""
        return b"".join(map(bytes, [*self.sent, *self.answered]))


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray
) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            kept += data
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()


@dataclass
class Running:
    """The programs, and what listens to them."""

    stack: Stack
    settings: Settings
    catalog: Catalog
    programs: dict[str, Program]
    ports: dict[str, int]
    taps: dict[str, Tap]
    prometheus: Tap | None
    """Between web and Prometheus; None where this machine has no Prometheus."""
    key: str
    secrets: list[str]
    trust: ssl.SSLContext

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(f"{n}: {p.process.tail(8)}" for n, p in self.programs.items())


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka with SASL_SSL and SCRAM; PostgreSQL, S3 and SQS behind TLS."""
    stack = Stack(tmp_path_factory.mktemp("hops") / "data", tls=True)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def environment(
    pod: Mapping[str, Any], settings: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Return what the chart gives a program, with the pod's files in a folder of the test."""
    given = dict(settings)
    for each in pod["containers"][0]["env"]:
        given[each["name"]] = str(each.get("value", "hop-0")).replace("$(POD_NAME)", "hop-0")
    return {
        name: str(folder) + value if value.startswith(("/run/", "/var/lib/")) else value
        for name, value in given.items()
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    secure: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("pods")
    manifests = render("vigil", *GIVEN, "--set", "database.ca=-----BEGIN CERTIFICATE-----",
                       values="production")  # fmt: skip
    templates = pods(manifests)
    chart = next(m["data"] for m in of_kind(manifests, "ConfigMap")
                 if m["metadata"]["name"] == "vigil-settings")  # fmt: skip
    own = {**secure.env}
    async with AsyncExitStack() as stack:
        taps = {
            "kafka": Tap(_address(own["VIGIL_KAFKA_BROKERS"])),
            "postgres": Tap(_address(_host_of(own["VIGIL_DATABASE_URL"]))),
            "sqs": Tap(_address(_host_of(own["VIGIL_SQS_ENDPOINT"]))),
        }
        for tap in taps.values():
            await tap.listen(stack)
        own["VIGIL_SQS_ENDPOINT"] = f"https://{HOST}:{taps['sqs'].port}"
        queues = await asyncio.to_thread(make_queues, own)
        name = uuid.uuid4().hex[:8]
        replaced = {
            # Addresses: here they are those of the substitutes.
            "VIGIL_KAFKA_BROKERS": f"{HOST}:{taps['kafka'].port}",
            "VIGIL_KAFKA_CA_FILE": own["VIGIL_KAFKA_CA_FILE"],
            "VIGIL_KAFKA_USERNAME": own["VIGIL_KAFKA_USERNAME"],
            **{k: v for k, v in own.items() if k.startswith("AWS_")},
            **{k: own[k] for k in ("VIGIL_S3_ENDPOINT", "VIGIL_S3_BUCKET", "VIGIL_SQS_ENDPOINT",
                                   "VIGIL_AWS_CA_FILE", "VIGIL_AWS_REGION")},
            **queues,
            "VIGIL_DEVICE_ROLE_ARN": "",
            # One broker, one database user, few partitions.
            "VIGIL_REPLICATION": "1",
            "VIGIL_PARTITIONS": "2",
            "VIGIL_ROW_SECURITY": "auto",
            "VIGIL_TOPIC_PREFIX": f"{name}-",
            "VIGIL_APP_PREFIX": f"t{name}",
        }  # fmt: skip
        secrets = _write_files(folder, own, taps["postgres"].port)
        inner = find_free()
        ports = {"link-inner": inner}
        programs = {}
        data = DataFolder(folder / "processes")
        data.open()
        prometheus, asked = find_prometheus(), find_free()
        tap = Tap((HOST, asked)) if prometheus else None
        if tap is not None:
            await tap.listen(stack, INNER)
            replaced["VIGIL_PROMETHEUS_URL"] = f"https://{INNER}:{tap.port}"
        for program in PROGRAMS:
            for each in (f"{program}-metrics", program):
                ports[each] = find_free(ports.values())
            given = environment(templates[f"vigil-{program}"], chart, folder) | replaced
            given |= {
                "VIGIL_METRICS_HOST": HOST,
                "VIGIL_METRICS_PORT": str(ports[f"{program}-metrics"]),
            }
            if program in ("web", "link"):
                prefix = "VIGIL_WEB" if program == "web" else "VIGIL_DEVICE"
                given |= {f"{prefix}_HOST": HOST, f"{prefix}_PORT": str(ports[program])}
            if program == "link":
                given |= {"VIGIL_LINK_HOST": HOST, "VIGIL_LINK_PORT": str(inner),
                          "VIGIL_LINK_ADDRESS": INNER}  # fmt: skip
            command = templates[f"vigil-{program}"]["containers"][0]["command"]
            arguments = vigil(*command[1:]) if command[0] == "vigil" else worker(command[2])
            programs[program] = Program(program, arguments, data, given | _path())
        settings = Settings.model_validate({
            k.removeprefix("VIGIL_").lower(): v for k, v in {**secure.env, **replaced}.items()
            if k.startswith("VIGIL_") and k != "VIGIL_KAFKA_BROKERS"
        } | {"kafka_brokers": secure.env["VIGIL_KAFKA_BROKERS"]})  # fmt: skip
        await ensure(TOPICS, settings=settings)
        dsn = settings.database_url.get_secret_value()
        await migrate(dsn)
        catalog = await stack.enter_async_context(Catalog(dsn))
        await add_camera(catalog, CAMERA, "Gate", utc_ms())
        key = await create_key(catalog, "hops", utc_ms())
        taps["link"] = Tap((HOST, inner))
        await taps["link"].listen(stack, INNER, inner)
        trust = ssl.create_default_context(cafile=str(folder / "run/secrets/tls/ca.crt"))
        trust.check_hostname = False  # the names are the cluster's
        for each in programs.values():
            await asyncio.to_thread(each.launch)
            stack.push_async_callback(asyncio.to_thread, each.process.stop)
        if prometheus:
            stack.enter_context(running_prometheus(prometheus, asked, folder, ports))
        result = Running(secure, settings, catalog, programs, ports, taps, tap, key, secrets, trust)
        async with aiohttp.ClientSession() as session:
            for program in PROGRAMS:
                port = ports[program if program in ("web", "link") else f"{program}-metrics"]

                async def ready(port: int = port) -> bool:
                    with suppress(aiohttp.ClientError, OSError):
                        async with session.get(
                            f"https://{HOST}:{port}/readyz", ssl=trust
                        ) as answer:
                            return answer.status == 200
                    return False

                await wait_for(ready, within_s=60, what=result.logs)
        yield result


def find_prometheus() -> str | None:
    return shutil.which("prometheus", path=f"{os.environ['PATH']}:{Path(sys.prefix) / 'bin'}")


@contextmanager
def running_prometheus(
    binary: str, port: int, folder: Path, ports: Mapping[str, int]
) -> Iterator[None]:
    """Prometheus with a web configuration as its operator writes it; it reads the programs."""
    manifests = render("vigil", *GIVEN, values="production")
    tls = folder / "run/secrets/tls"
    jobs = []
    for each in of_kind(manifests, "ServiceMonitor"):
        program = each["metadata"]["labels"]["app.kubernetes.io/component"]
        [endpoint] = each["spec"]["endpoints"]
        assert endpoint["tlsConfig"]["ca"]["secret"]["key"] == "ca.crt"
        if program in PROGRAMS:
            jobs.append({
                "job_name": endpoint["relabelings"][0]["replacement"],
                "scheme": endpoint["scheme"],
                # The name of the certificate that all programs have here.
                "tls_config": {"ca_file": str(tls / "ca.crt"), "server_name": INNER},
                "static_configs": [{"targets": [f"{HOST}:{ports[f'{program}-metrics']}"]}],
            })  # fmt: skip
    assert len(jobs) == len(PROGRAMS)
    settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    given = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    spec = given["prometheus"]["prometheusSpec"]["web"]["tlsConfig"]
    web = {"tls_server_config": {
        "cert_file": str(tls / spec["cert"]["secret"]["key"]),
        "key_file": str(tls / spec["keySecret"]["key"]),
        "min_version": spec["minVersion"],
    }}  # fmt: skip
    (folder / "prometheus-web.yaml").write_text(yaml.safe_dump(web))
    server = subprocess.Popen([
        binary, f"--config.file={folder / 'prometheus.yaml'}",
        f"--web.config.file={folder / 'prometheus-web.yaml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={HOST}:{port}", "--log.level=error",
    ])  # fmt: skip
    try:
        yield
    finally:
        server.terminate()
        server.wait(30)


def _path() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin"}


def _host_of(url: str) -> str:
    return url.split("//", 1)[1].split("/", 1)[0].rpartition("@")[2]


def _address(host_and_port: str) -> tuple[str, int]:
    host, _, port = host_and_port.split(",", maxsplit=1)[0].rpartition(":")
    return host, int(port)


def _write_files(folder: Path, own: Mapping[str, str], postgres: int) -> list[str]:
    """Write the pod's secrets and certificates; return what must never be seen."""
    secrets, tls = folder / "run/secrets/vigil", folder / "run/secrets/tls"
    for each in (secrets, tls, folder / "run/database-ca", folder / "var/lib/vigil"):
        each.mkdir(parents=True)
    password = Path(own["VIGIL_KAFKA_PASSWORD_FILE"]).read_text()
    url = (
        f"postgresql://vigil:{password}@{HOST}:{postgres}/"
        + own["VIGIL_DATABASE_URL"].rpartition("/")[2]
    )
    random = {key: uuid.uuid4().hex * 2 for key in ("session-secret", "link-secret", "audit-key")}
    for key, text in random.items():
        (secrets / key).write_text(text)
    for user in ("", "index-", "admin-", "web-", "link-"):
        (secrets / f"{user}database-url").write_text(url.partition("?")[0])
    for user in ("worker", "relay", "link", "admin"):
        (secrets / f"kafka-password-{user}").write_text(password)
    create_ca(
        secrets / "device-ca-certificate", secrets / "device-ca-key", "hops", datetime.now(UTC)
    )
    authority, pair = make_pair(INNER)
    (tls / "ca.crt").write_bytes(authority)
    (tls / "tls.crt").write_bytes(pair)
    (tls / "tls.key").write_bytes(pair)
    ca = Path(own["VIGIL_DATABASE_CA_FILE"]).read_text()
    (folder / "run/database-ca/ca.pem").write_text(ca)
    return [password, random["session-secret"], random["link-secret"]]


async def plain_answer(port: int, host: str = HOST, path: str = "/readyz") -> bytes:
    """Ask in plain text; return what comes back."""
    reader, writer = await asyncio.open_connection(host, port)
    request = f"GET {path} HTTP/1.1\r\nHost: vigil\r\nConnection: close\r\n\r\n"
    writer.write(request.encode())
    await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except (ConnectionError, TimeoutError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "hop",
    ["web", "link", "link-inner", "relay-metrics", "indexer-metrics"],
)
async def test_plain_text_is_not_answered(running: Running, hop: str) -> None:
    """Load balancer to web, devices to link, web to link, Prometheus to pods."""
    answer = await plain_answer(running.ports[hop])
    assert not answer.startswith(b"HTTP/") and b"status" not in answer
    async with aiohttp.ClientSession() as session:
        url = f"https://{HOST}:{running.ports[hop]}/metrics"
        async with session.get(url, ssl=running.trust) as secured:
            assert secured.status < 500
            if hop.endswith("metrics"):
                assert "vigil_" in await secured.text()


async def test_kafka_and_postgresql_answer_no_plain_text(running: Running) -> None:
    broker = running.stack.env["VIGIL_KAFKA_BROKERS"]
    producer = AIOKafkaProducer(bootstrap_servers=broker, request_timeout_ms=3_000)
    with pytest.raises(KafkaConnectionError):
        await producer.start()
    await producer.stop()
    dsn = running.settings.database_url.get_secret_value().partition("?")[0]
    with pytest.raises(
        (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.ConnectionDoesNotExistError)
    ):
        await asyncpg.connect(dsn, ssl="disable")


async def test_what_programs_send_is_encrypted(running: Running) -> None:
    """A viewer makes web ask link for a picture; the rest happens by itself."""
    headers = {"Authorization": f"Bearer {running.key}"}
    url = f"wss://{HOST}:{running.ports['web']}/api/v1/cameras/{CAMERA}/live/socket"
    async with aiohttp.ClientSession(headers=headers) as session:
        ws = await session.ws_connect(url, ssl=running.trust)

        def all_used() -> bool:
            return all(any(each) for each in (tap.answered for tap in running.taps.values()))

        await wait_for(
            all_used,
            within_s=30,
            what=lambda: f"{ {n: len(t.sent) for n, t in running.taps.items()} }\n{running.logs()}",
        )
        await ws.close()
    for hop, tap in running.taps.items():
        assert tap.is_encrypted(), hop
        seen = tap.everything()
        assert len(seen) > 500, hop
        words = [*running.secrets, CAMERA, "SELECT", "ReceiveMessage", "fragment-arrived", "Bearer"]
        for word in words:
            assert word.encode() not in seen, (hop, word)


async def test_prometheus_reads_the_programs_and_the_web_asks_it(running: Running) -> None:
    tap = running.prometheus
    if tap is None:
        pytest.skip("prometheus is not here: `make system` takes it from Debian's package")
    url = f"https://{HOST}:{running.ports['web']}/api/v1/status"
    headers = {"Authorization": f"Bearer {running.key}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def all_seen() -> bool:
            async with session.get(url, ssl=running.trust) as answer:
                status = await answer.json()
            running_now = {each["program"] for each in status["programs"] if each["running"]}
            return status["metrics"] == "good" and running_now >= {"relay", "index", "web", "link"}

        await wait_for(all_seen, within_s=30, what=running.logs)
    assert tap.is_encrypted()
    for word in ("vigil_", "/api/v1/query", "alertname"):
        assert word.encode() not in tap.everything(), word
    assert b"vigil_" not in await plain_answer(tap.target[1], path="/metrics")
    other, _ = make_pair(INNER)
    stranger = ssl.create_default_context(cadata=other.decode())
    connector = aiohttp.TCPConnector(ssl=stranger)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(StoreError, match="Check VIGIL_PROMETHEUS_CA_FILE"):
            await ask(session, f"https://{INNER}:{tap.port}", "up")


async def test_the_tap_would_see_plain_text() -> None:
    """So the test above can fail."""
    async with AsyncExitStack() as stack:
        far = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0)
        stack.callback(far.close)
        tap = Tap(far.sockets[0].getsockname()[:2])
        await tap.listen(stack)
        with socket.create_connection((HOST, tap.port)) as client:
            await asyncio.get_running_loop().sock_sendall(_nonblocking(client), b"SELECT 1")
            await wait_for(lambda: any(tap.sent), within_s=5, what="the bytes")
        assert not tap.is_encrypted() and b"SELECT" in tap.everything()


def _nonblocking(client: socket.socket) -> socket.socket:
    client.setblocking(False)
    return client
