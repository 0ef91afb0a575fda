"""The whole product from its images alone: a device enrols by a code, records, and is played."""

import asyncio
from pathlib import Path

import pytest

from local.aws import CREDENTIALS
from local.cameras import CameraServer
from local.stack import Stack
from streams.storage import make_object_store
from tests.footage import write_clip
from tests.frames import ended_run, exported, indexed, played, run_in_chunks
from tests.images.conftest import Images
from tests.images.installation import Installation
from tests.waiting import wait_for

pytestmark = pytest.mark.images
SECONDS, FPS, GOP = 36, 25, 50


@pytest.mark.timeout(1_800)
async def test_every_picture_once_from_camera_to_playback(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():  # of the test itself, which reads the bucket
        monkeypatch.setenv(name, value)
    clip = await asyncio.to_thread(
        write_clip, tmp_path / "clip.mp4", SECONDS * FPS, fps=FPS, gop=GOP,
        codec="libx264", audio="aac",
    )  # fmt: skip
    stack = Stack(tmp_path / "data", devices=True)
    served = await asyncio.to_thread(
        CameraServer.start, tmp_path / "rtsp", [{"name": "gate", "file": str(clip), "loop": False}]
    )
    try:
        await asyncio.to_thread(stack.start)
        async with (
            Installation(images, stack, tmp_path) as installation,
            make_object_store(installation.settings) as store,
        ):
            await installation.start_device(served.urls["gate"])
            camera = f"{installation.tenant}/hq/gate"
            run = await wait_for(
                lambda: ended_run(store, camera),
                within_s=SECONDS + 60,
                what=lambda: f"the first run ends\n{installation.tails()}",
            )
            chunks = await wait_for(
                lambda: run_in_chunks(store, camera, run),
                within_s=60,
                what=lambda: f"the run is whole in chunks\n{installation.tails()}",
            )
            assert len(chunks) >= 3
            assert not any(chunk.gaps for chunk in chunks)
            numbers = await exported(store, chunks, tmp_path)
            assert numbers == list(range(numbers[0] or 0, (numbers[-1] or 0) + 1))
            assert len(numbers) >= (SECONDS - 4) * FPS
            await indexed(installation, chunks)
            key = await asyncio.to_thread(installation.vigil, "key", "create", "--name", "player")
            assert await played(installation.url, key, camera, chunks, tmp_path) == numbers
            ends = await installation.stop_all()
            assert {name: end.code for name, end in ends.items()} == dict.fromkeys(ends, 0), ends
    finally:
        await asyncio.to_thread(served.stop)
        await asyncio.to_thread(stack.stop)
