"""The link as a whole: a link worker's process, the real edge program, TLS with certificates."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from cli import main as cli
from domain.commands import CommandKind
from domain.times import utc_ms
from edge_bridge.identity.enrol import enrol
from local.folder import DataFolder
from local.ports import HOST
from local.program import Program, worker
from stores.catalog import Catalog, add_camera
from stores.catalog.devices import change_device_state
from stores.catalog.edge_commands import StoredCommand, get_command, get_command_body, list_links
from stores.catalog.enrolment import create_code
from stores.catalog.keys import create_key
from stores.catalog.link_workers import list_link_workers
from stores.catalog.tenants import ensure_site
from streams.sender import KafkaSender
from streams.settings import Settings, get_settings
from streams.topic_admin import ensure
from streams.topics import TOPICS
from tests.device_address import DeviceFiles
from tests.edge import Edge
from tests.footage import write_clip
from tests.integration.catalog_support import fresh_catalog, scalar
from tests.integration.link_support import command, give, link_settings
from tests.integration.live_support import Viewer, heartbeat
from tests.integration.web_support import Worker as WebWorker
from tests.integration.web_support import changed_settings, running_web
from tests.waiting import wait_for

SITE, DEVICE, CAMERA = "acme/hq", "acme/hq/edge-1", "acme/hq/gate"
PASSWORD = "page-password-4711"


@dataclass
class Place:
    settings: Settings
    catalog: Catalog
    sender: KafkaSender
    program: Program
    edge: Edge

    async def linked(self) -> bool:
        return bool(await list_links(self.catalog, SITE))

    async def ask(self, kind: CommandKind, camera: str | None = None) -> StoredCommand:
        """Give a command and return it with its answer."""
        given = await give(self.catalog, self.sender, command(kind, device=DEVICE, camera=camera))

        async def answer() -> StoredCommand | None:
            found = await get_command(self.catalog, DEVICE, given.id)
            return found if found is not None and found.state != "sent" else None

        found = await wait_for(answer, within_s=20, what=lambda: f"an answer\n{self.edge.tail()}")
        assert found is not None
        return found


@pytest.fixture
async def place(services, tmp_path: Path, free_port: int) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        dsn = services.settings.database_url.get_secret_value()
        catalog = await stack.enter_async_context(fresh_catalog(dsn))
        named = link_settings(services.settings, catalog._dsn)
        files = DeviceFiles(tmp_path)
        env = {
            "VIGIL_TOPIC_PREFIX": named.topic_prefix,
            "VIGIL_PARTITIONS": "2",
            "VIGIL_DATABASE_URL": catalog._dsn,
            "VIGIL_DATA_DIR": str(tmp_path / "state"),
            "VIGIL_DEVICE_HOST": HOST,
            "VIGIL_DEVICE_PORT": str(free_port),
            "VIGIL_LINK_SECRET": "k" * 40,
            "VIGIL_LINK_PING_S": "5",
            **files.settings,
        }
        await stack.enter_async_context(changed_settings(env))
        settings = get_settings()
        await ensure(TOPICS, settings=settings)
        data = DataFolder(tmp_path / "worker")
        data.open(fresh=False)
        program = Program("device", worker("web.device.app"), data, {**services.env, **env})
        await asyncio.to_thread(program.launch)
        stack.push_async_callback(asyncio.to_thread, program.process.stop)

        async def ready() -> bool:
            return bool(await list_link_workers(catalog))

        await wait_for(ready, within_s=40, what=lambda: program.process.tail(20))
        async with catalog.transaction() as connection:
            await ensure_site(connection, SITE, utc_ms())
            _, code = await create_code(
                connection, SITE, None, lifetime_ms=600_000, created_by="test", now_ms=utc_ms()
            )
        root = tmp_path / "identity"

        async def enrolled() -> bool:
            await enrol(root, DEVICE, f"https://{HOST}:{free_port}", code, files.server_ca)
            return True

        await enrolled()
        clip = write_clip(tmp_path / "clip.mp4", 100)
        cameras = [
            {
                "id": "gate",
                "url": f"{clip.as_uri()}?loop=1",
                "privacy_masks": [[[0, 0], [1, 0], [1, 1], [0, 1]]],
            }
        ]
        edge = Edge(
            tmp_path,
            settings,
            SITE,
            cameras,
            env={**services.env, "PAGE_PASSWORD": PASSWORD},
            identity_dir=str(root),
            http={"port": 0, "password_env": "PAGE_PASSWORD"},
        )
        sender = await stack.enter_async_context(KafkaSender(settings))
        await stack.enter_async_context(edge)
        place = Place(settings, catalog, sender, program, edge)
        await wait_for(
            place.linked, within_s=40, what=lambda: f"{edge.tail()}\n{program.process.tail(20)}"
        )
        yield place


async def test_the_device_answers_each_command(
    place: Place, services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes, clock, restart, bundle = await asyncio.gather(
        place.ask(CommandKind.ROUTE_CHECK),
        place.ask(CommandKind.CLOCK_CHECK),
        place.ask(CommandKind.RESTART_INFERENCE),
        place.ask(CommandKind.DIAGNOSTICS),
    )
    assert (routes.state, routes.detail) == (
        "answered",
        "All 2 answer: S3, SQS and 0 cameras.",
    )
    assert clock.state == "answered"
    assert clock.result is not None
    assert abs(clock.result["offset_ms"]) < 5_000
    assert (restart.state, "Inference is off" in restart.detail) == ("failed", True)
    assert bundle.state == "answered"
    stored = await get_command_body(place.catalog, DEVICE, bundle.id)
    assert stored is not None
    assert PASSWORD.encode() not in stored[0]
    assert json.loads(stored[0])["health"]["link"]["connected"]

    # The mask covers the whole picture, so the JPEG of it is small and black.
    snapshot = await place.ask(CommandKind.SNAPSHOT, CAMERA)
    assert snapshot.state == "answered", snapshot.detail
    stored = await get_command_body(place.catalog, DEVICE, snapshot.id)
    assert stored is not None
    data, media_type = stored
    assert media_type == "image/jpeg"
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (128, 192, 3)
    assert image.max() < 8
    foreign = await place.ask(CommandKind.SNAPSHOT, "globex/plant/door")
    assert (foreign.state, "not of this device's site" in foreign.detail) == ("failed", True)

    await _ask_by_the_command(place, tmp_path, capsys)
    await _watch_live(place, services)

    # SIGTERM: the worker says goodbye, and its row is gone.
    code = await asyncio.to_thread(place.program.process.stop)
    assert code == 0, place.program.process.tail(20)
    assert await list_link_workers(place.catalog) == []
    assert not await place.linked()


async def test_the_socket_of_a_revoked_device_is_closed(place: Place) -> None:
    async with place.catalog.transaction() as connection:
        await change_device_state(connection, DEVICE, "revoked", utc_ms())

    async def unlinked() -> bool:
        return not await place.linked()

    await wait_for(unlinked, within_s=5, what="the socket is closed")


async def _ask_by_the_command(
    place: Place, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`vigil device command`: the row, Kafka, the link worker, the device, and back."""

    def vigil(*words: str) -> object:
        with pytest.raises(SystemExit) as ended:
            cli.main(["device", "command", DEVICE, *words])
        return ended.value.code

    picture, bundle = folder / "gate.jpg", folder / "bundle.json"
    words = ("snapshot", "--camera", CAMERA, "--out", str(picture), "--reason", "a test")
    assert await asyncio.to_thread(vigil, *words) == 0, capsys.readouterr()
    assert picture.read_bytes().startswith(b"\xff\xd8\xff")
    assert "answered: " in capsys.readouterr().out
    assert "already exists" in str(await asyncio.to_thread(vigil, *words))
    assert await asyncio.to_thread(vigil, "diagnostics", "--out", str(bundle)) == 0
    assert json.loads(bundle.read_bytes())["health"]["link"]["connected"]
    assert await asyncio.to_thread(vigil, "clock-check") == 0
    assert await asyncio.to_thread(vigil, "restart-inference") == 1  # it is off
    assert "failed: Inference is off" in capsys.readouterr().out
    foreign = ("snapshot", "--camera", "globex/plant/door", "--out", str(folder / "x"))
    assert "is not a camera of the site acme/hq" in str(await asyncio.to_thread(vigil, *foreign))
    acts = await scalar(
        place.catalog,
        "SELECT array_agg(entry::jsonb->>'action' ORDER BY seq) FROM vigil_audit.entries "
        "WHERE entry::jsonb->>'actor' LIKE 'cli:%'",
    )
    kinds = ("snapshot", "diagnostics", "clock-check", "restart-inference")
    assert acts == [f"device:{kind}" for kind in kinds]


async def _watch_live(place: Place, services) -> None:
    """Watch the camera through web, relay and TLS; then the device stops to send."""
    await add_camera(place.catalog, CAMERA, "Gate", utc_ms())
    await heartbeat(place.catalog, DEVICE, CAMERA)
    key = await create_key(place.catalog, "Ann", utc_ms())
    known = WebWorker(place.catalog, key)
    async with running_web(services, existing=known, VIGIL_LINK_SECRET="k" * 40) as web:
        path = f"/api/v1/cameras/{CAMERA}/live/socket"
        viewer = Viewer(await web.client.ws_connect(path))
        await wait_for(lambda: viewer.count > 30, within_s=20, what=place.edge.tail)
        found = viewer.pictures.numbers()
        assert None not in found
        assert all((after - before) % 100 == 1 for before, after in pairwise(found))  # type: ignore[operator]
        assert abs(viewer.pictures.messages[-1].utc_ms - utc_ms()) < 3_000
        await viewer.close()
