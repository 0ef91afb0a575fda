"""Numbered pictures, from the fragments of a run to what a player gets: each once, in order."""

from pathlib import Path
from typing import Protocol

import aiohttp

from domain.events import ChunkComplete
from stores.catalog import Catalog
from stores.objects import ObjectStore
from tests.footage import numbers_in
from tests.outcome import newest_chunks
from tests.player import complaints, download, parts_of
from tests.waiting import wait_for


async def ended_run(store: ObjectStore, camera: str) -> str | None:
    async for info in store.list(f"fragments/{camera}/"):
        if info.key.endswith("/end.json"):
            return info.key.split("/")[-2]
    return None


async def run_in_chunks(store: ObjectStore, camera: str, run: str) -> list[ChunkComplete] | None:
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


async def exported(
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


async def played(
    url: str, key: str, camera: str, chunks: list[ChunkComplete], folder: Path
) -> list[int | None]:
    """Return the numbers that a player gets from the API's playlist of the run."""
    address = f"{url}/api/v1/cameras/{camera}/playlist.m3u8"
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


class CloudSide(Protocol):
    """The cloud side, however it runs."""

    def catalog(self) -> Catalog:
        """Return the catalog, not yet opened."""


async def indexed(cloud: CloudSide, chunks: list[ChunkComplete]) -> None:
    """Wait until the catalog has all chunks."""
    digests = [chunk.digest for chunk in chunks]

    async def found() -> bool:
        async with cloud.catalog() as catalog, catalog.transaction() as connection:
            count = await connection.fetchval(
                "SELECT count(*) FROM chunks WHERE digest = ANY($1)", digests
            )
        return bool(count == len(digests))

    await wait_for(found, within_s=30, what="chunks in the catalog")
