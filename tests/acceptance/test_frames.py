"""Frame by frame from the camera to playback: each number once, in order, across all borders."""

import asyncio
import uuid
from pathlib import Path

import aiohttp
import pytest

from domain.events import ChunkComplete
from local.cameras import CameraServer
from stores.catalog.keys import create_key
from stores.objects import ObjectStore
from streams.storage import make_object_store
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.edge import Edge
from tests.footage import numbers_in, write_clip
from tests.outcome import newest_chunks, registered
from tests.player import complaints, download, parts_of
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
                    lambda: _ended_run(store, camera),
                    within_s=SECONDS + 60,
                    what=lambda: f"the first run ends\n{edge.tail()}",
                )
            chunks = await wait_for(
                lambda: _run_in_chunks(store, camera, run),
                within_s=60,
                what=lambda: f"the run is whole in chunks\n{cloud.tails()}",
            )
            assert len(chunks) >= 3
            assert not any(chunk.gaps for chunk in chunks)
            numbers = await _exported(store, chunks, tmp_path)
            print(
                f"recorded {numbers[0]}..{numbers[-1]} of {SECONDS * FPS} in {len(chunks)} chunks"
            )
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            assert len(numbers) >= (SECONDS - 4) * FPS
            assert await _played(cloud, camera, chunks, tmp_path) == numbers
    finally:
        await asyncio.to_thread(served.stop)


async def _ended_run(store: ObjectStore, camera: str) -> str | None:
    async for info in store.list(f"fragments/{camera}/"):
        if info.key.endswith("/end.json"):
            return info.key.split("/")[-2]
    return None


async def _run_in_chunks(store: ObjectStore, camera: str, run: str) -> list[ChunkComplete] | None:
    fragments = [
        info.key
        async for info in store.list(f"fragments/{camera}/{run}/")
        if info.key.endswith(".ts")
    ]
    chunks = await newest_chunks(store, camera, run)
    seqs = [fragment.seq for chunk in chunks for fragment in chunk.fragments]
    if len(seqs) < len(fragments):
        return None
    assert seqs == list(range(len(fragments)))
    return chunks


async def _exported(
    store: ObjectStore, chunks: list[ChunkComplete], folder: Path
) -> list[int | None]:
    """Return the numbers in the chunks' own bytes, each alone and all in a row."""
    alone: list[int | None] = []
    together = folder / "together.ts"
    with together.open("wb") as out:
        for number, chunk in enumerate(chunks):
            data = await store.get(chunk.object_key)
            out.write(data)
            path = folder / f"chunk-{number}.ts"
            path.write_bytes(data)
            assert await complaints(path) == ""
            numbers = list(numbers_in(path))
            assert len(numbers) == sum(fragment.frames or 0 for fragment in chunk.fragments)
            alone += numbers
    assert await complaints(together) == ""
    assert list(numbers_in(together)) == alone
    return alone


async def _played(
    cloud: Cloud, camera: str, chunks: list[ChunkComplete], folder: Path
) -> list[int | None]:
    """Return the numbers that a player gets from the API's playlist of the run."""
    await wait_for(
        lambda: _indexed(cloud, [chunk.digest for chunk in chunks]),
        within_s=30,
        what="chunks in the catalog",
    )
    async with cloud.catalog() as catalog:
        key = await create_key(catalog, f"test {camera}", 0)
    address = f"{cloud.url}/api/v1/cameras/{camera}/playlist.m3u8"
    query = {"from": str(chunks[0].start_ms), "to": str(chunks[-1].end_ms)}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        async with session.get(address, params=query) as answer:
            text = await answer.text()
            assert answer.status == 200, text
        parts = parts_of(text, address)
        assert not any(part.discontinuity for part in parts[1:])
        data = [await download(session, part) for part in parts]
    path = folder / "played.ts"
    path.write_bytes(b"".join(data))
    assert await complaints(path) == ""
    return list(numbers_in(path))


async def _indexed(cloud: Cloud, digests: list[str]) -> bool:
    async with cloud.catalog() as catalog, catalog.transaction() as connection:
        found = await connection.fetchval(
            "SELECT count(*) FROM chunks WHERE digest = ANY($1)", digests
        )
    return bool(found == len(digests))
