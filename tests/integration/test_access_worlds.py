"""Generated worlds of principals, grants and cameras: what the API shows, against a naive table.

All principals ask at the same time, in a random order. So what one request leaves behind (a cache,
a connection, a context) shows up in another's answer.
"""

import asyncio
import json
import logging
import os
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from domain.access import Grant, Role
from domain.events import Heartbeat
from stores.catalog import add_camera, index_fragments, index_heartbeats
from stores.catalog.keys import create_key
from tests.integration.catalog_support import CAMERA, T0, run_id
from tests.integration.web_support import Web, running_web, store_fragment

SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
PRINCIPALS = max(8, int(os.environ.get("VIGIL_TEST_EXAMPLES", "16")) // 10)
READERS = {"viewer", "operator", "admin"}
HIDDEN_HEADERS = {"X-Request-ID", "Date", "Content-Length"}


@dataclass
class Somebody:
    grants: list[tuple[str, str]]
    headers: dict[str, str]

    def reads(self, camera: str) -> bool:
        """Look a camera up, as naively as possible."""
        tenant, site, name = camera.split("/")
        above = ["*", tenant, tenant + "/" + site, tenant + "/" + site + "/" + name]
        return any(role in READERS and scope in above for role, scope in self.grants)

    def knows_site(self, site: str) -> bool:
        above = ["*", site.split("/", maxsplit=1)[0], site]
        return any(role in READERS and scope in above for role, scope in self.grants)

    @property
    def lists(self) -> bool:
        return any(role in READERS for role, _ in self.grants)


@dataclass
class World:
    cameras: list[str]
    runs: dict[str, str]
    everybody: list[Somebody]


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services, VIGIL_MEDIA_DELIVERY="stream") as running:
        yield running


async def make_world(web: Web, rng: random.Random) -> World:
    """Names are prefixes of each other on purpose: acme, acme-2; hq, hq-2."""
    tenants = ["acme", "acme-2", "globex"]
    sites = ["hq", "hq-2"]
    names = ["gate", "gate-2"]
    every = [f"{tenant}/{site}/{name}" for tenant in tenants for site in sites for name in names]
    cameras = sorted({CAMERA, *rng.sample(every, rng.randint(6, 9))})
    runs = {}
    for seed, camera in enumerate(cameras):
        await add_camera(web.catalog, camera, f"name of {camera}", T0)
        run = runs[camera] = run_id(T0, seed=rng.randrange(1 << 30) + seed)
        event = await store_fragment(web.store, run, 0, camera)
        await index_fragments(web.catalog, [event], T0)
    heartbeats = [
        Heartbeat(
            site=site, edge="box", sent_ms=T0, software="1", spool_bytes=0, spool_waiting=0,
            disk_free_bytes=1, cameras=[],
        )
        for site in sorted({camera.rpartition("/")[0] for camera in cameras})
    ]  # fmt: skip
    await index_heartbeats(web.catalog, heartbeats, T0)
    scopes = ["*", *tenants, *(f"{t}/{s}" for t in tenants for s in sites), *every]
    everybody = []
    for _ in range(PRINCIPALS):
        grants = [
            (role, rng.choice(scopes[1:] if rng.random() < 0.9 else scopes))
            for role in rng.choices(list(Role), weights=[6, 2, 2, 1, 1, 1], k=rng.randint(1, 3))
        ]
        given = sorted({Grant(Role(role), scope) for role, scope in grants}, key=str)
        key = await create_key(web.catalog, "somebody", T0, None, given)
        everybody.append(Somebody(grants, {"Authorization": f"Bearer {key}"}))
    return World(cameras, runs, everybody)


Answer = tuple[int, bytes, dict[str, str]]


async def ask(web: Web, who: Somebody, path: str, **headers: str) -> Answer:
    async with web.stranger.get(path, headers={**who.headers, **headers}) as answer:
        shown = {name: text for name, text in answer.headers.items() if name not in HIDDEN_HEADERS}
        body = await answer.read()
        # Of a problem; each request has its own.
        body = body.replace(answer.headers["X-Request-Id"].encode(), b"REQUEST")
        return answer.status, body, shown


def paths_of(world: World, camera: str) -> list[str]:
    base = f"/api/v1/cameras/{camera}"
    run = world.runs.get(camera, run_id())
    return [
        base,
        f"{base}/timeline?from={T0}&to={T0 + 60_000}",
        f"{base}/chunks?from={T0}&to={T0 + 60_000}",
        f"{base}/playlist.m3u8?from={T0}&to={T0 + 60_000}",
        f"{base}/thumbnail.jpg?at={T0}&width=32",
        f"{base}/fragments/{run}/0.ts",
    ]


def foreign_names(world: World, who: Somebody, answer: Answer) -> list[str]:
    """Return the cameras and runs that an answer names and its reader must not know of."""
    text = f"{answer[1].decode(errors='replace')} {answer[2]}"
    hidden = [camera for camera in world.cameras if not who.reads(camera)]
    return [
        name
        for camera in hidden
        for name in (camera, world.runs[camera])
        # acme/hq/gate is a part of acme/hq/gate-2
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
    ]


async def check_camera(web: Web, world: World, who: Somebody, camera: str) -> None:
    for path in paths_of(world, camera):
        answer = await ask(web, who, path)
        exists = camera in world.cameras
        expected = 200 if exists and who.reads(camera) else None
        if expected:
            assert answer[0] == expected, (who.grants, path)
            assert foreign_names(world, who, answer) == [], path
            continue
        # Neither its ETag nor a cached picture says that it exists.
        assert answer[0] in {403, 404}, (who.grants, path)
        assert "ETag" not in answer[2]
        etags = {f'"{world.runs[camera]}"'} if exists else set()
        for condition in ("*", *etags):
            again = await ask(web, who, path, **{"If-None-Match": condition})
            assert again[:2] == answer[:2], path
        nowhere = "initech/hq/gate"
        if answer[0] == 404 and not who.reads(nowhere) and not who.reads(camera):
            run = world.runs.get(camera, "none")
            other = path.replace(camera, nowhere)
            missing = await ask(web, who, other)
            if missing[0] == 404:
                shown_here = answer[1].decode().replace(camera, "X").replace(run, "R")
                assert shown_here == missing[1].decode().replace(nowhere, "X").replace(run, "R"), (
                    path
                )
                assert answer[2] == missing[2], path


async def check_lists(web: Web, world: World, who: Somebody) -> None:
    for path, key, name, visible in (
        ("/api/v1/cameras", "cameras", "id", who.reads),
        ("/api/v1/edges", "edges", "site", who.knows_site),
    ):
        answer = await ask(web, who, f"{path}?limit=2")
        assert answer[0] == (200 if who.lists else 403), who.grants
        if not who.lists:
            continue
        shown: list[str] = []
        for _ in range(20):
            body = json.loads(answer[1])
            shown += [each[name] for each in body[key]]
            assert foreign_names(world, who, answer) == []
            if body["next"] is None:
                break
            answer = await ask(web, who, f"{path}?limit=2&cursor={body['next']}")
        every = (
            world.cameras
            if key == "cameras"
            else sorted({camera.rpartition("/")[0] for camera in world.cameras})
        )
        assert shown == [each for each in every if visible(each)], (who.grants, path)


async def named_in_metrics(web: Web, who: Somebody) -> set[str]:
    """Return the metrics that name a tenant; other programs that a test ran here may have some."""
    status, text, _ = await ask(web, who, "/metrics")
    assert status == 200
    return {
        line.rpartition(" ")[0]
        for line in text.decode().splitlines()
        if re.search(r"acme|globex", line)
    }


async def test_everybody_sees_his_own_and_nothing_else(web: Web) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    world = await make_world(web, rng)
    owner = Somebody([("viewer", "*")], {"Authorization": f"Bearer {web.key}"})
    before = await named_in_metrics(web, owner)
    for camera in world.cameras:  # what is cached is cached now
        for path in paths_of(world, camera):
            assert (await ask(web, owner, path))[0] == 200, path
    gone = ["acme/hq/gone", "nowhere/hq/gate"]
    checks = [
        check_camera(web, world, who, camera)
        for who in world.everybody
        for camera in rng.sample([*world.cameras, *gone], 6)
    ]
    checks += [check_lists(web, world, who) for who in world.everybody]
    rng.shuffle(checks)
    for first in range(0, len(checks), 10):
        await asyncio.gather(*checks[first : first + 10])
    assert await named_in_metrics(web, owner) == before, "metrics name no camera"


async def test_a_log_line_names_only_what_was_asked_for(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    print(f"seed {SEED}")
    world = await make_world(web, random.Random(SEED))
    for who in world.everybody[:4]:
        for camera in world.cameras[:3]:
            others = [each for each in world.cameras if each != camera]
            for path in paths_of(world, camera):
                caplog.clear()
                with caplog.at_level(logging.DEBUG):
                    await ask(web, who, path)
                text = " ".join(record.getMessage() for record in caplog.records)
                for other in others:
                    assert not re.search(rf"{re.escape(other)}(?![\w-])", text), path
