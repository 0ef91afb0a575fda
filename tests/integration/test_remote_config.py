"""A real edge process that follows its site's configuration in a real catalog.

versions    1 a, b       2 b changed    3 b broken      4 as 3      (key revoked)
edge        boots empty, applies, applies, rolls back, remembers; boots from its store
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from domain.site_config import canonical
from edge_bridge.config import load
from edge_bridge.remote_config.preflight import fetch_config
from local.folder import DataFolder
from local.ports import HOST, Ports
from stores.catalog.keys import create_key, list_keys, revoke_key
from stores.catalog.site_configs import roll_back, set_config
from stores.objects import ObjectStore
from streams.storage import make_object_store
from tests.conftest import Services
from tests.edge import Edge
from tests.footage import numbers_in, write_clip
from tests.integration.catalog_support import T0
from tests.integration.test_edge import end_of, joined, runs_of
from tests.integration.web_support import Web, running_web
from tests.waiting import wait_for
from web.sessions import RECHECK_MS

FPS = 25
TRIAL_S = 24
"""Long enough for a camera to come on a busy machine; a version that does well takes a sixth."""


@pytest.fixture
async def web(services: Services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


@pytest.fixture
async def store(services: Services, web: Web) -> AsyncIterator[ObjectStore]:
    async with make_object_store(services.settings) as made:
        yield made


@dataclass
class Site:
    """One site: its catalog, its edge, the health of its edge."""

    name: str
    web: Web
    edge: Edge
    health: str
    clip: Path

    def camera(self, name: str, offset_ms: int = 0) -> dict[str, Any]:
        url = f"{self.clip.as_uri()}?loop=1&offset_ms={offset_ms}"
        return {"id": name, "url": url, "audio": False}

    async def set(self, *cameras: dict[str, Any], **more: Any) -> int:
        """Make a version; return its number."""
        text = canonical({"cameras": list(cameras), **more})
        made, _ = await set_config(
            self.web.catalog, self.name, text, now_ms=T0, by="Ann", note="", again=True
        )
        return made.version

    async def report(self) -> dict[str, Any]:
        """Return the edge's health report; empty while it does not answer."""
        try:
            async with aiohttp.request("GET", self.health) as answer:
                return dict(await answer.json())
        except (aiohttp.ClientError, ValueError):
            return {}

    async def until(
        self, version: int | None, state: str, detail: str = "", *recording: str
    ) -> dict[str, Any]:
        """Wait until the edge reports this and records these cameras and no other."""
        last: dict[str, Any] = {}

        async def so() -> bool:
            last.clear()
            last.update(await self.report())
            config = last.get("config", {})
            cameras = {one["camera"]: one["state"] for one in last.get("cameras", [])}
            return (
                (config.get("version"), config.get("state")) == (version, state)
                and detail in config["detail"]
                and (
                    not recording
                    or cameras == {f"{self.name}/{name}": "recording" for name in recording}
                )
            )

        await wait_for(
            so,
            within_s=120,
            what=lambda: f"{version} {state} {detail} {recording}: {last}\n{self.edge.tail()}",
        )
        return last


@pytest.fixture
async def site(services: Services, web: Web, tmp_path: Path) -> AsyncIterator[Site]:
    name = f"acme/{uuid.uuid4().hex[:8]}"
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 60 * FPS)
    key = await create_key(web.catalog, "edge", T0, name)
    (tmp_path / "central.key").write_text(key)
    folder = DataFolder(tmp_path / "ports")
    folder.open(fresh=False)
    port = Ports(folder).take("health")
    central = {
        "url": str(web.client.make_url("/")),
        "key_file": "central.key",
        "every_s": 1,
        "trial_s": TRIAL_S,
        "allow_clips": True,
        "hosts": [HOST],
    }
    edge = Edge(
        tmp_path, services.settings, name, [], env=services.env, heartbeat_s=1,
        central=central, http={"port": port},
    )  # fmt: skip
    async with edge:
        yield Site(name, web, edge, f"http://{HOST}:{port}/healthz", clip)


async def numbers_of(store: ObjectStore, camera: str, run: str, folder: Path) -> list[int | None]:
    """Check that a run is whole, each fragment adjoining the next; return its pictures' numbers."""
    end = await end_of(store, camera, run)
    fragments = (await runs_of(store, camera))[run]
    assert sorted(fragments) == list(range(end.last_seq + 1))
    for seq in range(end.last_seq):
        assert fragments[seq].end_ms == fragments[seq + 1].start_ms
    path = await joined(store, camera, run, len(fragments), folder / f"{run}.ts")
    numbers = await asyncio.to_thread(lambda: list(numbers_in(path)))
    assert len(numbers) == sum(one.frames for one in fragments.values())
    return numbers


@pytest.mark.slow
async def test_changes_are_applied_tried_and_rolled_back(
    site: Site, store: ObjectStore, tmp_path: Path
) -> None:
    await site.until(None, "none", "vigil site config set")
    v1 = await site.set(site.camera("gate"), site.camera("yard", 2_000))
    await site.until(v1, "current", "", "gate", "yard")

    # One camera changes: its run ends, the other's run continues.
    v2 = await site.set(site.camera("gate"), site.camera("yard", 4_000))
    await site.until(v2, "current", "", "gate", "yard")

    # One is broken: rollback, with a reason; the version is not tried again.
    broken = {"id": "yard", "url": f"rtsp://{HOST}:1/none"}
    v3 = await site.set(site.camera("gate"), broken)
    await site.until(v2, "trying", f"version {v3} is on trial")
    await site.until(v2, "refused", f"version {v3} was rejected: {site.name}/yard", "gate", "yard")

    # Back to 2 by hand: a new number, the same content, nothing is interrupted.
    v4 = (await roll_back(site.web.catalog, site.name, v2, now_ms=T0, by="Ann", note="")).version
    before = await site.until(v4, "current", "", "gate", "yard")

    # What this device must not do is rejected before anything changes.
    v5 = await site.set(
        site.camera("gate"),
        {"id": "yard", "url": "rtsp://192.0.2.1/x", "username": "u", "password_env": "HOME"},
    )
    after = await site.until(v4, "refused", f"version {v5} was rejected", "gate", "yard")
    assert [one["since_ms"] for one in before["cameras"]] == [
        one["since_ms"] for one in after["cameras"]
    ]

    # One camera is removed, another one is added.
    v6 = await site.set(site.camera("gate"), site.camera("door", 6_000))
    await site.until(v6, "current", "", "gate", "door")
    assert await site.edge.stop() == 0, site.edge.tail()

    gate, yard = f"{site.name}/gate", f"{site.name}/yard"
    (run,) = await runs_of(store, gate)
    assert (await end_of(store, gate, run)).reason == "edge stopped"
    numbers = await numbers_of(store, gate, run, tmp_path)
    assert numbers == [number % (60 * FPS) for number in range(len(numbers))]
    runs = sorted(await runs_of(store, yard))
    assert len(runs) == 3  # of version 1; of 2 until 3 came; of 2 again until 6
    for each, first in zip(runs, (2, 4, 4), strict=True):
        assert (await end_of(store, yard, each)).reason == "configuration changed"
        numbers = await numbers_of(store, yard, each, tmp_path)
        begin = first * FPS
        assert numbers == [(begin + number) % (60 * FPS) for number in range(len(numbers))]


@pytest.mark.slow
async def test_without_the_catalog_it_continues_with_the_stored_version(
    site: Site, tmp_path: Path
) -> None:
    v1 = await site.set(site.camera("gate"))
    before = await site.until(v1, "current", "", "gate")
    own = load(site.edge.config)
    preflight = await fetch_config(own)
    assert ([one.id for one in preflight.config.cameras], preflight.error) == (["gate"], "")
    assert preflight.summary == f"version {v1}, cameras: 1"
    file = tmp_path / "central.key"
    key, other = file.read_text(), await create_key(site.web.catalog, "x", T0, "acme/other")
    file.write_text(other)
    await site.until(v1, "out-of-reach", "it is not this site's", "gate")
    file.write_text(key)
    await site.until(v1, "current", "", "gate")
    (number,) = [one.id for one in await list_keys(site.web.catalog) if one.edge_of == site.name]
    await revoke_key(site.web.catalog, number, T0)
    site.web.set_now(T0 + 60_000 + RECHECK_MS)
    last = await site.until(v1, "out-of-reach", "was revoked", "gate")
    assert last["cameras"][0]["since_ms"] == before["cameras"][0]["since_ms"]
    assert not any(word in site.edge.tail() for word in (key, other))

    await site.edge.stop()
    await site.web.client.server.close()
    await asyncio.to_thread(site.edge.start)
    last = await site.until(v1, "out-of-reach", "cannot be reached", "gate")
    preflight = await fetch_config(own)
    assert ([one.id for one in preflight.config.cameras], preflight.summary) == (["gate"], "")
    assert "cannot be reached" in preflight.error
    assert last["links"]["central"]["down_since_s"] is not None


@pytest.mark.slow
async def test_a_version_during_whose_trial_the_program_ends_twice_is_rejected(site: Site) -> None:
    v1 = await site.set(site.camera("gate"))
    await site.until(v1, "current", "", "gate")
    v2 = await site.set({"id": "gate", "url": f"rtsp://{HOST}:1/none"})
    for _ in range(2):
        await site.until(v1, "trying")
        site.edge.kill()
        await asyncio.to_thread(site.edge.start)
    await site.until(v1, "refused", f"version {v2} was rejected: the program ended twice", "gate")


@pytest.mark.slow
async def test_the_model_and_the_uploads_change_while_recording_continues(
    site: Site, store: ObjectStore
) -> None:
    gate = site.camera("gate")
    v1 = await site.set(gate)
    await site.until(v1, "current", "", "gate")
    inference = {"inference": {"model": "hog", "start_s": 60, "rate_fps": 1}}
    v2 = await site.set(gate, **inference)
    last = await site.until(v2, "current", "", "gate")
    assert last["inference"] == "working"
    v3 = await site.set(gate, inference={"model": "none/card.yaml", "start_s": 60})
    await site.until(v2, "refused", f"version {v3} was rejected: Not taken over", "gate")
    v4 = await site.set({**gate, "priority": 9}, **inference, upload={"concurrency": 2})
    last = await site.until(v4, "current", "", "gate")
    assert last["inference"] == "working"
    v5 = await site.set({**gate, "priority": 9})
    last = await site.until(v5, "current", "", "gate")
    assert last["inference"] == "off"
    assert await site.edge.stop() == 0, site.edge.tail()
    (run,) = await runs_of(store, f"{site.name}/gate")
    end = await end_of(store, f"{site.name}/gate", run)
    assert (end.reason, end.given_up) == ("edge stopped", [])
    fragments = (await runs_of(store, f"{site.name}/gate"))[run]
    assert sorted(fragments) == list(range(end.last_seq + 1))
