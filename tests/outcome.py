"""What must hold at the end: every fragment in exactly one current chunk, S3 and catalog alike."""

import hashlib

from domain.events import ChunkComplete
from domain.manifests import parse_manifest
from stores.catalog import add_camera
from stores.objects import ObjectStore
from tests.cloud import Cloud
from tests.recorder import Recorder
from tests.waiting import wait_for


async def registered(cloud: Cloud, camera: str) -> str:
    """Make a camera known to the catalog and return its id."""
    async with cloud.catalog() as catalog:
        await add_camera(catalog, camera, camera, 0, unsigned="accept")
    return camera


async def newest_chunks(store: ObjectStore, camera: str, run: str) -> list[ChunkComplete]:
    """Return the newest revision of each window's chunk, from the manifests in S3."""
    newest: dict[int, ChunkComplete] = {}
    async for info in store.list(f"chunks/{camera}/"):
        if info.key.endswith(".json") and run in info.key:
            chunk = parse_manifest(await store.get(info.key)).chunk
            known = newest.get(chunk.window_start_ms)
            if known is None or chunk.revision > known.revision:
                newest[chunk.window_start_ms] = chunk
    return [newest[start_ms] for start_ms in sorted(newest)]


async def in_catalog(cloud: Cloud, camera: str) -> dict[str, int]:
    """Return how many fragment rows wait and how many fragments are in chunk rows."""
    async with cloud.catalog() as catalog, catalog.transaction() as connection:
        waiting = await connection.fetchval(
            "SELECT count(*) FROM fragments WHERE camera = $1", camera
        )
        chunked = await connection.fetchval(
            "SELECT coalesce(sum(jsonb_array_length(fragments)), 0) FROM chunks WHERE camera = $1",
            camera,
        )
    return {"waiting": int(waiting), "chunked": int(chunked)}


async def all_in_chunks(
    cloud: Cloud, store: ObjectStore, recorder: Recorder, *, within_s: float = 60
) -> list[ChunkComplete]:
    """Wait until the chunks contain exactly the fragments PUT, once each, byte for byte."""

    async def whole() -> list[ChunkComplete] | None:
        chunks = await newest_chunks(store, recorder.camera, recorder.run)
        seqs = [fragment.seq for chunk in chunks for fragment in chunk.fragments]
        if len(seqs) < len(recorder.sent):
            return None
        assert seqs == sorted(recorder.sent)
        return chunks

    chunks = await wait_for(whole, within_s=within_s, what=lambda: f"chunks whole\n{cloud.tails()}")
    for chunk in chunks:
        joined = b"".join([recorder.film(fragment.seq)[1] for fragment in chunk.fragments])
        assert await store.get(chunk.object_key) == joined
        assert chunk.sha256 == hashlib.sha256(joined).hexdigest()
    await wait_for(
        lambda: _indexed(cloud, recorder), within_s=within_s, what="catalog agrees with S3"
    )
    return chunks


async def _indexed(cloud: Cloud, recorder: Recorder) -> bool:
    rows = await in_catalog(cloud, recorder.camera)
    return rows == {"waiting": 0, "chunked": len(recorder.sent)}
