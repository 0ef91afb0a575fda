"""The edge as a process, against real cameras, S3 and SQS."""

import asyncio
import os
import random
import re
import sys
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml

from domain.events import FragmentArrived, RunEnded
from domain.identity import parse_fragment_key
from domain.seqs import SeqRanges
from local.cameras import CameraServer
from local.folder import DataFolder
from local.ports import Ports
from local.program import vigil
from media import keyframes
from stores.objects import ObjectStore
from streams.storage import make_object_store
from tests.conftest import Services
from tests.edge import Edge
from tests.footage import numbers_in, write_clip
from tests.player import complaints
from tests.waiting import wait_for

FPS = 25


@pytest.fixture
async def store(services: Services) -> AsyncIterator[ObjectStore]:
    async with make_object_store(services.settings) as made:
        yield made


async def runs_of(store: ObjectStore, camera: str) -> dict[str, dict[int, FragmentArrived]]:
    """Return the fragments of a camera in S3: run -> seq -> the event in the metadata."""
    runs: dict[str, dict[int, FragmentArrived]] = {}
    async for info in store.list(f"fragments/{camera}/"):
        run = runs.setdefault(info.key.split("/")[-2], {})
        found = parse_fragment_key(info.key)
        if found is not None:
            metadata = (await store.head(info.key)).metadata
            run[found.seq] = FragmentArrived.from_metadata(dict(metadata))
    return runs


async def end_of(store: ObjectStore, camera: str, run: str) -> RunEnded:
    return RunEnded.model_validate_json(await store.get(f"fragments/{camera}/{run}/end.json"))


async def ends(store: ObjectStore, camera: str) -> list[str]:
    return [
        info.key.split("/")[-2]
        async for info in store.list(f"fragments/{camera}/")
        if info.key.endswith("/end.json")
    ]


async def joined(store: ObjectStore, camera: str, run: str, seqs: int, path: Path) -> Path:
    """Write the run's fragments one after the other, as they are."""
    data = [await store.get(f"fragments/{camera}/{run}/{seq:08d}.ts") for seq in range(seqs)]
    await asyncio.to_thread(path.write_bytes, b"".join(data))
    return path


async def check_run(
    store: ObjectStore, camera: str, run: str, tmp_path: Path
) -> tuple[list[int | None], RunEnded]:
    """Check that a run is whole: every seq, times that adjoin, one clean stream; its numbers."""
    end = await end_of(store, camera, run)
    fragments = (await runs_of(store, camera))[run]
    assert SeqRanges.of(fragments) | SeqRanges(end.given_up) == SeqRanges([(0, end.last_seq)])
    assert not end.given_up
    ordered = [fragments[seq] for seq in range(end.last_seq + 1)]
    for one, following in pairwise(ordered):
        assert one.end_ms == following.start_ms
    assert end.ended_ms == ordered[-1].end_ms
    path = await joined(store, camera, run, len(ordered), tmp_path / f"{run}.ts")
    assert await complaints(path) == ""
    numbers = await asyncio.to_thread(lambda: list(numbers_in(path)))
    assert len(numbers) == sum(one.frames for one in ordered)
    index = await asyncio.to_thread(
        lambda: keyframes.index_video(path.read_bytes(), ordered[0].start_pts)
    )
    assert index.frames == len(numbers)
    return numbers, end


@pytest.mark.parametrize(
    "footage",
    [
        pytest.param({"codec": "libx264", "audio": "aac"}, id="h264-aac"),
        pytest.param(
            {"codec": "libx264", "b_frames": 2}, id="h264-b-frames", marks=pytest.mark.slow
        ),
        pytest.param({"codec": "libx265"}, id="hevc", marks=pytest.mark.slow),
    ],
)
async def test_a_camera_is_recorded_frame_by_frame(
    services: Services,
    store: ObjectStore,
    tmp_path: Path,
    footage: dict[str, Any],
) -> None:
    site = f"acme/{uuid.uuid4().hex[:8]}"
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 12 * FPS, **footage)
    served = await asyncio.to_thread(
        CameraServer.start, tmp_path / "rtsp", [{"name": "gate", "file": str(clip), "loop": False}]
    )
    try:
        cameras = [{"id": "gate", "url": served.urls["gate"]}]
        async with Edge(
            tmp_path, services.settings, site, cameras, env=services.env, no_data_s=3
        ) as edge:
            (run, *_) = await wait_for(
                lambda: ends(store, f"{site}/gate"),
                within_s=60,
                what=f"the first run ends\n{edge.tail()}",
            )
    finally:
        await asyncio.to_thread(served.stop)
    numbers, end = await check_run(store, f"{site}/gate", run, tmp_path)
    assert numbers[0] is not None
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[0] <= FPS  # the first group of pictures is kept
    assert len(numbers) >= 10 * FPS
    assert end.reason in ("the camera closed the stream", "no data for 3 s")


@pytest.mark.slow
async def test_kill_9_at_random_moments_loses_only_what_was_being_written(
    services: Services, store: ObjectStore, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    site = f"acme/{uuid.uuid4().hex[:8]}"
    camera = f"{site}/gate"
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 60 * FPS, audio="aac")
    cameras = [{"id": "gate", "url": f"{clip.as_uri()}?loop=1"}]
    edge = Edge(tmp_path, services.settings, site, cameras, env=services.env)
    for _ in range(4):
        await asyncio.to_thread(edge.start)
        await asyncio.sleep(chance.uniform(2, 9))  # not a proof: the moment of the kill
        await asyncio.to_thread(edge.kill)
    spool = tmp_path / "spool" / "fragments" / camera
    killed = {path.name for path in spool.iterdir()} if spool.exists() else set()
    async with edge:

        async def two_more() -> bool:
            runs = await runs_of(store, camera)
            newest = max(runs, default="")
            return (
                newest not in killed | {""}
                and len(runs[newest]) >= 2
                and len(list(spool.iterdir())) == len(runs)
            )

        await wait_for(two_more, within_s=60, what=f"the last run has fragments\n{edge.tail()}")
        assert await edge.stop() == 0
    runs = await runs_of(store, camera)
    assert set(await ends(store, camera)) == set(runs)
    on_disk = {path.parent.name for path in spool.glob("*/*.frag")}
    assert on_disk == set(runs)
    for run in sorted(runs):
        numbers, end = await check_run(store, camera, run, tmp_path)
        assert numbers == list(range(len(numbers)))
        assert end.reason == ("edge stopped" if run == max(runs) else "edge restarted")


@pytest.mark.slow
async def test_bad_cameras_are_named_and_stop_no_other_camera(
    services: Services, store: ObjectStore, tmp_path: Path
) -> None:
    site = f"acme/{uuid.uuid4().hex[:8]}"
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 60 * FPS)
    test_source = "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=25/1"
    served = await asyncio.to_thread(
        CameraServer.start,
        tmp_path / "rtsp",
        [
            {"name": "good", "file": str(clip)},
            {"name": "locked", "file": str(clip), "user": "vigil", "password": "right:p@ss"},
            {
                "name": "mpeg4",
                "launch": f"( {test_source} ! avenc_mpeg4 ! rtpmp4vpay name=pay0 pt=96 )",
            },
        ],
    )
    address = served.urls["good"].removesuffix("good")
    locked = served.urls["locked"].split("@")[1]
    (tmp_path / "right").write_text("right:p@ss")
    (tmp_path / "wrong").write_text("wrong:p@ss")
    (tmp_path / "page").write_text("page word")
    folder = DataFolder(tmp_path / "ports")
    folder.open(fresh=False)
    port = Ports(folder).take("health")
    (tmp_path / "clip.txt").write_text("no clip")
    user = {"username": "vigil"}
    cameras: list[dict[str, Any]] = [
        {"id": "good", "url": served.urls["good"]},
        {"id": "locked", "url": f"rtsp://{locked}", **user, "password_file": "right"},
        {"id": "wrong", "url": f"rtsp://{locked}?2", **user, "password_file": "wrong"},
        {"id": "open", "url": f"rtsp://{locked}?3"},
        {"id": "nowhere", "url": f"{address}nowhere"},
        {"id": "dead", "url": "rtsp://127.0.0.1:9/x"},
        {"id": "unknown", "url": "rtsp://camera.invalid/x"},
        {"id": "mpeg4", "url": f"{address}mpeg4"},
        {"id": "noclip", "url": (tmp_path / "clip.txt").as_uri()},
        {"id": "nofile", "url": f"rtsp://{locked}?4", **user, "password_file": "missing"},
    ]
    words = {
        "wrong": "rejected the user name or password (401)",
        "open": "requires a user name and a password (401)",
        "nowhere": "has no stream at this address (404)",
        "dead": "refuses the connection",
        "unknown": "the name camera.invalid is not known",
        "mpeg4": "sends mpeg4, which Vigil does not record",
        "noclip": "cannot be played",
        "nofile": "cannot be read (No such file or directory)",
    }
    try:
        async with (
            Edge(
                tmp_path,
                services.settings,
                site,
                cameras,
                env=services.env,
                heartbeat_s=1,
                http={"port": port, "password_file": "page"},
            ) as edge,
        ):
            await wait_for(
                lambda: _both_recorded(store, site), within_s=60, what=f"good ones\n{edge.tail()}"
            )
            path = tmp_path / "edge" / "log" / "edge.log"

            def lines_of(camera: str) -> list[str]:
                lines = path.read_text().splitlines()
                return [line for line in lines if f"camera={site}/{camera}" in line]

            for camera, text in words.items():
                await wait_for(
                    lambda camera=camera, text=text: any(text in one for one in lines_of(camera)),
                    within_s=60,
                    what=f"{camera}: {text}\n{edge.tail()}",
                )
                assert len(lines_of(camera)) <= 2, lines_of(camera)  # once per change of state
            log = path.read_text()
            assert "Traceback" not in log
            shown = {"log": log, **await _shown(edge.pid, f"http://127.0.0.1:{port}")}
            for where, text in shown.items():
                assert not re.search(r"p(@|%40)ss", text), where
            assert site in shown["/api/state"] and "vigil_edge_recording" in shown["/metrics"]
        for path in (tmp_path / "spool").rglob("*"):
            if path.is_file():
                assert not re.search(rb"p(@|%40)ss", path.read_bytes()), path
    finally:
        await asyncio.to_thread(served.stop)


async def _shown(pid: int, address: str) -> dict[str, str]:
    """Return what others can see of an edge: its page's data, health, metrics, and `ps`."""
    shown = {}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post(f"{address}/session", json={"password": "page word"}) as answer:
            assert answer.status < 300
        for path in ("/", "/api/state", "/healthz", "/metrics"):
            async with session.get(address + path) as answer:
                shown[path] = await answer.text()
    edge = psutil.Process(pid)
    for process in (edge, *edge.children(recursive=True)):
        shown[f"ps {process.pid}"] = " ".join(process.cmdline())
    return shown


async def _both_recorded(store: ObjectStore, site: str) -> bool:
    for camera in ("good", "locked"):
        runs = await runs_of(store, f"{site}/{camera}")
        if not runs or len(runs[max(runs)]) < 3:
            return False
    return True


async def test_a_second_edge_on_one_spool_gets_one_sentence(
    services: Services, tmp_path: Path
) -> None:
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 60 * FPS)
    cameras = [{"id": "gate", "url": f"{clip.as_uri()}?loop=1"}]
    async with Edge(tmp_path, services.settings, "acme/twice", cameras, env=services.env) as edge:
        await wait_for((tmp_path / "spool" / "journal.db").exists, within_s=20, what="it runs")
        code, output = await command(services, "run", edge.config)
    assert code == 1
    assert output.count("\n") == 1
    assert "another process uses the spool" in output


async def command(services: Services, verb: str, config: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *vigil("edge", verb, "--config", str(config)),
        env={**os.environ, **services.env, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, output.decode()


async def test_check_names_what_is_wrong_and_what_to_do(services: Services, tmp_path: Path) -> None:
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 8 * FPS)
    good = {"id": "gate", "url": clip.as_uri()}
    bad = {"id": "dead", "url": "rtsp://127.0.0.1:9/x"}
    edge = Edge(tmp_path, services.settings, "acme/checked", [good], env=services.env)
    code, output = await command(services, "check", edge.config)
    assert code == 0, output
    assert "h264 192x128, no audio, keyframe every 1.0 s" in output
    for what in ("disk", "clock", "S3", "SQS", "model"):
        assert f" {what}" in output
    config = yaml.safe_load(edge.config.read_text())
    config["cameras"].append(bad)
    config["cloud"]["bucket"] = "no-such-bucket"
    config["cloud"]["queue_url"] += "-none"
    edge.config.write_text(yaml.safe_dump(config))
    code, output = await command(services, "check", edge.config)
    assert code == 1, output
    lines = output.splitlines()
    for what in ("camera dead", "S3 no-such-bucket", "SQS "):
        assert any(line.startswith("bad") and what in line for line in lines), output
    assert "Traceback" not in output


async def test_health_and_metrics_answer_on_the_local_port(
    services: Services, tmp_path: Path
) -> None:
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 60 * FPS)
    folder = DataFolder(tmp_path / "ports")
    folder.open(fresh=False)
    port = Ports(folder).take("health")
    cameras = [{"id": "gate", "url": f"{clip.as_uri()}?loop=1"}]
    async with (
        Edge(
            tmp_path, services.settings, "acme/health", cameras, env=services.env,
            http={"port": port},
        ) as edge,
        aiohttp.ClientSession() as session,
    ):  # fmt: skip

        async def recording() -> bool:
            try:
                async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                    report = await answer.json()
                    return [one["state"] for one in report["cameras"]] == ["recording"]
            except aiohttp.ClientError:
                return False

        await wait_for(recording, within_s=30, what=f"it records\n{edge.tail()}")
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert 'vigil_edge_recording{camera="acme/health/gate"} 1.0' in await answer.text()
        code, output = await command(services, "health", edge.config)
        # If this machine's clock is not synchronised, a line after it reports that.
        assert (code, output.splitlines()[0]) == (0, "acme/health/gate: recording")
    code, output = await command(services, "health", edge.config)
    assert code == 1
    assert "does not answer" in output and "Traceback" not in output
