"""Frame by frame from the camera to playback: each number once, in order, across all borders."""

import asyncio
import uuid
from pathlib import Path

import pytest

from local.cameras import CameraServer
from stores.catalog.keys import create_key
from streams.storage import make_object_store
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.edge import Edge
from tests.footage import write_clip
from tests.frames import ended_run, exported, indexed, played, run_in_chunks
from tests.outcome import registered
from tests.waiting import wait_for

SECONDS, FPS, GOP = 36, 25, 50


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "audio"), [("libx264", "aac"), ("libx265", None)])
async def test_every_frame_once_and_in_order(
    services: Services, tmp_path: Path, codec: str, audio: str | None
) -> None:
    name = uuid.uuid4().hex[:8]
    camera = f"acme/{name}/gate"
    clip = await asyncio.to_thread(
        write_clip, tmp_path / "clip.mp4", SECONDS * FPS, fps=FPS, gop=GOP, codec=codec, audio=audio
    )
    served = await asyncio.to_thread(
        CameraServer.start, tmp_path / "rtsp", [{"name": "gate", "file": str(clip), "loop": False}]
    )
    try:
        async with (
            Cloud(tmp_path, quick(name), web=True) as cloud,
            make_object_store(cloud.settings) as store,
        ):
            await registered(cloud, camera)
            cameras = [{"id": "gate", "url": served.urls["gate"]}]
            async with Edge(
                tmp_path, cloud.settings, f"acme/{name}", cameras, env=cloud.env
            ) as edge:
                run = await wait_for(
                    lambda: ended_run(store, camera),
                    within_s=SECONDS + 60,
                    what=lambda: f"the first run ends\n{edge.tail()}",
                )
            chunks = await wait_for(
                lambda: run_in_chunks(store, camera, run),
                within_s=60,
                what=lambda: f"the run is whole in chunks\n{cloud.tails()}",
            )
            assert len(chunks) >= 3
            assert not any(chunk.gaps for chunk in chunks)
            numbers = await exported(store, chunks, tmp_path)
            print(
                f"recorded {numbers[0]}..{numbers[-1]} of {SECONDS * FPS} in {len(chunks)} chunks"
            )
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            assert len(numbers) >= (SECONDS - 4) * FPS
            await indexed(cloud, chunks)
            async with cloud.catalog() as catalog:
                key = await create_key(catalog, f"test {camera}", 0)
            assert await played(cloud.url, key, camera, chunks, tmp_path) == numbers
    finally:
        await asyncio.to_thread(served.stop)
