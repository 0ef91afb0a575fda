"""The views as people run them: a real `faust -A web.app worker`, real HTTP."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from local.certificates import Certificates, make_pair
from stores.catalog import Catalog, add_camera, index_detections, index_fragments
from stores.catalog.keys import create_key
from streams.settings import get_settings
from streams.storage import make_object_store
from tests.event_source import EventSource, labels
from tests.integration.catalog_support import CAMERA, T0, fresh_catalog, run_id, seen
from tests.integration.web_support import BASE, Worker, running_web, store_fragment
from tests.raw_requests import send
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def worker(log: Path, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "faust", "-A", "web.app", "worker", "-l", "info"),
            cwd=ROOT,
            env={**os.environ, **env},
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as opened:
        yield opened


async def test_a_worker_answers_and_stops_cleanly(
    catalog: Catalog, tmp_path: Path, free_port: int
) -> None:
    await add_camera(catalog, CAMERA, "Gate", T0)
    key = await create_key(catalog, "Ann", T0)
    run = run_id(T0, seed=int.from_bytes(os.urandom(4), "big"))
    async with make_object_store(get_settings()) as store:
        events = [await store_fragment(store, run, seq) for seq in range(3)]
    await index_fragments(catalog, events, T0)
    log = tmp_path / "web.log"
    certificates = Certificates(tmp_path / "tls")
    certificates.make()
    tls = ssl.create_default_context(cafile=certificates.ca_file)
    env = {
        "VIGIL_DATABASE_URL": catalog._dsn,
        "VIGIL_WEB_PORT": str(free_port),
        "VIGIL_WEB_TLS_CERTIFICATE_FILE": str(certificates.server_file),
        "VIGIL_WEB_TLS_KEY_FILE": str(certificates.server_file),
    }
    async with (
        worker(log, **env) as process,
        aiohttp.ClientSession(
            f"https://127.0.0.1:{free_port}", connector=aiohttp.TCPConnector(ssl=tls)
        ) as session,
    ):

        async def ready() -> bool:
            assert process.returncode is None, log.read_text()
            try:
                async with session.get("/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await wait_for(ready, within_s=120, what=f"the worker is ready; see {log}")
        headers = {"Authorization": f"Bearer {key}"}
        for path in ("/router/", "/table/", "/graph", "/stats", "/performance"):
            answer = await session.get(path, headers=headers)
            assert "faust" not in (await answer.text()).lower(), f"{path} is Faust's own page"
        answer = await session.get(
            f"{BASE}/playlist.m3u8?from={T0}&to={T0 + 9_000}", headers=headers
        )
        lines = (await answer.text()).splitlines()
        addresses = [line for line in lines if not line.startswith("#")]
        assert addresses == [f"fragments/{run}/{seq}.ts" for seq in range(3)]
        answers = await asyncio.gather(
            *(session.get(f"{BASE}/{address}", headers=headers) for address in addresses * 5)
        )
        assert [answer.status for answer in answers] == [200] * 15
        sizes = [len(await answer.read()) for answer in answers]
        assert sizes == [event.size_bytes for event in events] * 5
        picture = await session.get(f"{BASE}/thumbnail.jpg?at={T0}", headers=headers)
        assert (await picture.read())[:2] == b"\xff\xd8"
        assert (await session.get(f"{BASE}/thumbnail.jpg?at={T0}")).status == 401
        assert "max-age" in picture.headers["Strict-Transport-Security"]
        metrics = await (await session.get("/metrics", headers=headers)).text()
        assert 'vigil_http_requests_total{method="GET",route="' in metrics
        # Only aiohttp's own layer sees this one: the worker's server has our limits and errors.
        status, head, _ = await send(free_port, b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", tls=tls)
        assert (status, b"problem+json" in head, b"aiohttp" in head) == (400, True, False)
        async with EventSource(session, "/api/v1/events", headers) as stream:
            assert (await stream.next()).data["cameras"][0]["id"] == CAMERA
            process.send_signal(signal.SIGTERM)
            assert (await stream.next("end")).data == {"reason": "restart"}
            assert await asyncio.wait_for(process.wait(), 120) == 0
    text = log.read_text()
    assert key not in text
    assert "Traceback" not in text


async def test_a_stream_goes_on_when_its_worker_is_killed(
    services, catalog: Catalog, tmp_path: Path, free_port: int
) -> None:
    await add_camera(catalog, CAMERA, "Gate", T0)
    key = await create_key(catalog, "Ann", T0)
    headers = {"Authorization": f"Bearer {key}"}
    path, log = "/api/v1/events?kind=detection", tmp_path / "web.log"
    sent: list[str] = []
    got: list[str] = []

    async def detect(amount: int) -> None:
        for _ in range(amount):
            sent.append(f"e{len(sent)}")
            await index_detections(catalog, [seen(CAMERA, sent[-1])], T0)

    env = {"VIGIL_DATABASE_URL": catalog._dsn, "VIGIL_WEB_PORT": str(free_port)}
    async with (
        worker(log, **env) as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{free_port}") as session,
    ):

        async def connected() -> bool:
            assert process.returncode is None, log.read_text()
            try:
                return (await source.connect()).status == 200
            except aiohttp.ClientError:
                return False

        source = EventSource(session, path, headers)
        await wait_for(connected, within_s=120, what=f"the worker streams; see {log}")
        await detect(6)
        got += await labels(source, 4)
        await detect(3)  # some of these are on the way, and never read
        process.kill()
        await process.wait()
        await source.close()
    await detect(3)
    async with running_web(services, existing=Worker(catalog, key)) as other:
        again = EventSource(other.stranger, path, headers)
        again.last_event_id = source.last_event_id
        async with again:
            await detect(2)
            got += await labels(again, len(sent) - len(got))
            await detect(1)
            got += await labels(again, 1)
        await other.services.events.close()
    assert got == sent


async def test_a_short_secret_is_one_clear_line(catalog: Catalog, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    env = {"VIGIL_DATABASE_URL": catalog._dsn, "VIGIL_SESSION_SECRET": "short"}
    async with worker(log, **env) as process:
        assert await asyncio.wait_for(process.wait(), 120) != 0
    text = log.read_text()
    assert "VIGIL_SESSION_SECRET has 5 characters" in text
    assert "Traceback" not in text


async def test_a_wrong_certificate_is_one_clear_line(catalog: Catalog, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for name in ("certificate", "key"):
        (tmp_path / f"{name}.pem").write_bytes(make_pair("127.0.0.1")[1])
    env = {
        "VIGIL_DATABASE_URL": catalog._dsn,
        "VIGIL_WEB_TLS_CERTIFICATE_FILE": str(tmp_path / "certificate.pem"),
        "VIGIL_WEB_TLS_KEY_FILE": str(tmp_path / "key.pem"),
    }
    async with worker(log, **env) as process:
        assert await asyncio.wait_for(process.wait(), 120) != 0
    text = log.read_text()
    assert "it is not the key of this certificate" in text
    assert "Traceback" not in text
