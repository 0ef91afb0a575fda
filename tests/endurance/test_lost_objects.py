"""Objects in S3 are deleted and overwritten: fsck names them, their older versions come back.

    chunk        0 deleted by its key   1 overwritten   2 as it was
    manifest     0 as it was            1 as it was     2 deleted by its key   3 overwritten
    fragments    all deleted, as an hour after they were joined: nothing can be made again

By hand the commands are those of docs/how-to/recover.md. The bucket has versions.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from moto.server import ThreadedMotoServer

from domain.events import ChunkComplete
from domain.identity import fragment_key, manifest_key
from local.ports import HOST
from stores.catalog.keys import create_key
from stores.objects import ObjectStore
from streams.storage import make_object_store, make_queue
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.endurance.test_restore import start_of
from tests.outcome import all_in_chunks, registered
from tests.player import parts_of
from tests.recorder import Recorder
from tests.waiting import wait_for

FRAGMENTS = 20
HOUR_MS = 3_600_000
CUT_SHORT = 0


@pytest.fixture
def versions() -> Iterator[str]:
    """An S3 whose buckets can have versions."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def fsck(cloud: Cloud, camera: str, *words: str) -> list[dict[str, Any]]:
    """Return what `vigil fsck` finds in a camera's footage, every byte read."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "fsck", "--bytes", "--json"),
        *("--margin", "1s", "--camera", camera, *words),
        env=cloud.env,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    *found, summary = map(json.loads, out.decode().splitlines())
    assert (process.returncode == 0) == (
        summary["summary"]["wrong"] == summary["summary"]["mended"]
    )
    return found


class Playback:
    """A person who plays a whole run by the API."""

    def __init__(self, cloud: Cloud, key: str, chunks: list[ChunkComplete]) -> None:
        self._headers = {"Authorization": f"Bearer {key}"}
        self._url = f"{cloud.url}/api/v1/cameras/{chunks[0].camera}/playlist.m3u8"
        self._query = {"from": str(chunks[0].start_ms), "to": str(chunks[-1].end_ms)}

    async def play(self) -> list[bytes | int]:
        """Return the bytes of each segment, or the status, or that the answer was cut short."""
        found: list[bytes | int] = []
        async with aiohttp.ClientSession(headers=self._headers) as session:
            async with session.get(self._url, params=self._query) as answer:
                parts = parts_of(await answer.text(), self._url)
            for part in parts:
                assert part.first is not None and part.size is not None
                span = {"Range": f"bytes={part.first}-{part.first + part.size - 1}"}
                try:
                    async with session.get(part.url, headers=span) as answer:
                        ok = answer.status == 206
                        found.append(await answer.read() if ok else answer.status)
                except aiohttp.ClientPayloadError:
                    found.append(CUT_SHORT)
        return found


async def bring_back(store: ObjectStore, key: str) -> None:
    """Bring back the newest version before the last one; the commands are in recover.md."""
    client, bucket = store._client, store.bucket
    listed = await client.list_object_versions(Bucket=bucket, Prefix=key)
    versions = [each for each in listed["Versions"] if each["Key"] == key]
    markers = [each for each in listed.get("DeleteMarkers", ()) if each["Key"] == key]
    if markers:
        for each in markers:
            await client.delete_object(Bucket=bucket, Key=key, VersionId=each["VersionId"])
    else:
        older = next(each for each in versions if not each["IsLatest"])
        source = {"Bucket": bucket, "Key": key, "VersionId": older["VersionId"]}
        await client.copy_object(
            Bucket=bucket, Key=key, CopySource=source, MetadataDirective="COPY"
        )


@pytest.mark.slow
async def test_lost_and_overwritten_objects_come_back(
    services: Services, versions: str, tmp_path: Path
) -> None:
    name = uuid.uuid4().hex[:8]
    env = services.env | quick(name) | {"VIGIL_S3_ENDPOINT": versions}
    cloud = await asyncio.to_thread(Cloud, tmp_path, env, web=True)
    async with (
        make_object_store(cloud.settings) as store,
        make_queue(cloud.settings, cloud.settings.sqs_queue_url) as queue,
    ):
        client, bucket = store._client, store.bucket
        where = {"LocationConstraint": cloud.settings.aws_region}
        await client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        await client.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        async with cloud:
            camera = await registered(cloud, f"acme/{name}/gate")
            recorder = Recorder(camera, start_of(2 * HOUR_MS))
            for seq in range(FRAGMENTS):
                await recorder.record(store, queue, seq)
            await recorder.end(store, queue, FRAGMENTS - 1)
            chunks = await all_in_chunks(cloud, store, recorder)
            async with cloud.catalog() as catalog:
                key = await create_key(catalog, f"test {camera}", 0)
            playback = Playback(cloud, key, chunks)
            whole = await playback.play()
            assert whole == [recorder.film(seq)[1] for seq in range(FRAGMENTS)]
            await store.delete([fragment_key(camera, recorder.run, seq) for seq in recorder.sent])

            began = time.monotonic()
            objects = [chunk.object_key for chunk in chunks]
            manifests = [manifest_key(each) for each in objects]
            for lost in (objects[0], manifests[2]):
                await client.delete_object(Bucket=bucket, Key=lost)
            for damaged in (objects[1], manifests[3]):
                await client.put_object(Bucket=bucket, Key=damaged, Body=b"not this")
            broken = await playback.play()
            assert sum(each != then for each, then in zip(broken, whole, strict=True)) == 10
            print(f"{time.monotonic() - began:6.1f} s  lost and overwritten")

            lost_kinds = {
                ("manifest-without-object", objects[0]),
                ("chunk-differs", objects[1]),
                ("object-without-manifest", objects[2]),
                ("manifest-unreadable", manifests[3]),
            }

            async def all_found() -> bool:  # an object without manifest may be in progress
                found = await fsck(cloud, camera)
                return {(each["kind"], each["key"]) for each in found} == lost_kinds

            await wait_for(all_found, within_s=90, what="fsck finds what is lost")
            # The fragments are gone: of the objects nothing can be made again. Manifests can.
            outcomes = await fsck(cloud, camera, "--repair")
            repaired = [each for each in outcomes if each["mended"]]
            assert {each["key"] for each in repaired} == {objects[2], manifests[3]}
            for each in objects[:2]:
                await bring_back(store, each)
            assert await playback.play() == whole
            print(f"{time.monotonic() - began:6.1f} s  playback is right again")
            assert await fsck(cloud, camera) == []
