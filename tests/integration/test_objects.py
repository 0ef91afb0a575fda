"""The object store, by one suite against the local S3 and against moto's."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from domain.errors import IntegrityError, ObjectExistsError, ObjectMissingError, StoreError
from stores.aws_endpoint import AwsEndpoint
from stores.bulk_transfer import PART_SIZE
from stores.objects import ObjectStore
from stores.signed_objects import SignedObjectStore
from stores.upload_file import UploadFile
from streams.storage import make_object_store
from tests.conftest import Services


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["local", "moto"])
async def store(
    request: pytest.FixtureRequest, services: Services, moto: str
) -> AsyncIterator[ObjectStore]:
    if request.param == "local":
        async with make_object_store(services.settings) as opened:
            yield opened
        return
    async with ObjectStore(AwsEndpoint("us-east-1", moto), "vigil-test") as opened:
        await opened._client.create_bucket(Bucket="vigil-test")
        yield opened


@pytest.fixture(params=["aioboto3", "signed"])
async def writer(
    request: pytest.FixtureRequest, store: ObjectStore
) -> AsyncIterator[ObjectStore | SignedObjectStore]:
    """Yield what writes to the same bucket: `store` itself, or an edge's client."""
    if request.param == "aioboto3":
        yield store
        return
    async with SignedObjectStore(store._endpoint, store.bucket) as opened:
        yield opened


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid.uuid4().hex}/"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


Writer = ObjectStore | SignedObjectStore


@pytest.mark.parametrize("name", ["a.ts", "a b/ü+~&?#%25'()*!.ts"])
async def test_an_object_is_written_once(
    store: ObjectStore, writer: Writer, prefix: str, name: str
) -> None:
    key, data = prefix + name, b"abc" * 100
    assert await writer.put_once(key, data, sha256=sha256(data), metadata={"start-ms": "5"})
    assert not await writer.put_once(key, data, sha256=sha256(data), metadata={"start-ms": "5"})
    with pytest.raises(ObjectExistsError):
        await writer.put_once(key, b"other", sha256=sha256(b"other"), metadata={})
    for reader in (store, writer):
        assert await reader.get(key) == data
        info = await reader.head(key)
        assert (info.size_bytes, info.metadata["start-ms"]) == (len(data), "5")
        assert info.metadata["sha256"] == sha256(data)
        assert info.modified_ms > 1_700_000_000_000


async def test_of_two_writers_at_once_one_creates(
    store: ObjectStore, writer: Writer, prefix: str
) -> None:
    data = b"x" * 10_000

    async def write() -> bool | StoreError:
        try:
            return await writer.put_once(prefix + "b", data, sha256=sha256(data), metadata={})
        except StoreError as error:
            return error

    outcomes = await asyncio.gather(*(write() for _ in range(4)))
    assert sum(outcome is True for outcome in outcomes) <= 1
    assert await store.get(prefix + "b") == data


async def test_bytes_that_do_not_fit_their_hash_are_refused(
    store: ObjectStore, prefix: str
) -> None:
    data = b"as announced"
    await store.put_once(prefix + "c", data, sha256=sha256(data), metadata={})
    good = await store.get_verified(prefix + "c", size_bytes=len(data), sha256=sha256(data))
    assert good == data
    part = await store.get_verified(prefix + "c", first=3, size_bytes=9, sha256=sha256(data[3:]))
    assert part == data[3:]
    with pytest.raises(IntegrityError, match="bytes instead of"):
        await store.get_verified(prefix + "c", size_bytes=99, sha256=sha256(data))
    with pytest.raises(IntegrityError, match="SHA-256"):
        await store.get_verified(prefix + "c", size_bytes=len(data), sha256="0" * 64)


async def test_ranges_are_inclusive(store: ObjectStore, prefix: str) -> None:
    data = bytes(range(200))
    await store.put_once(prefix + "d", data, sha256=sha256(data), metadata={})
    assert await store.get(prefix + "d", 10, 19) == data[10:20]
    assert await store.get(prefix + "d", 190) == data[190:]


@pytest.mark.parametrize("size", [0, 1, PART_SIZE, 2 * PART_SIZE + 7])
async def test_a_stream_of_any_length_becomes_an_object(
    store: ObjectStore, prefix: str, size: int
) -> None:
    data = bytes(hashlib.sha256(b"seed").digest()) * (size // 32 + 1)
    data = data[:size]

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, size, 700_001):
            yield data[at : at + 700_001]

    assert await store.put_stream(prefix + "e", pieces()) == size
    assert sha256(await store.get(prefix + "e")) == sha256(data)


async def test_a_broken_stream_leaves_no_object(store: ObjectStore, prefix: str) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(PART_SIZE + 1)
        raise IntegrityError("tampered")

    with pytest.raises(IntegrityError, match="tampered"):
        await store.put_stream(prefix + "f", breaking())
    with pytest.raises(ObjectMissingError):
        await store.head(prefix + "f")


async def test_listing_is_in_order_and_starts_after(store: ObjectStore, prefix: str) -> None:
    names = [f"{prefix}{number:08d}.ts" for number in range(12)]
    for name in reversed(names):
        await store.put_once(name, b"1", sha256=sha256(b"1"), metadata={})
    assert [info.key async for info in store.list(prefix)] == names
    assert [info.key async for info in store.list(prefix, names[8])] == names[9:]
    await store.delete([*names[:11], prefix + "never-was"])
    assert [info.key async for info in store.list(prefix)] == names[11:]


async def test_an_unreachable_store_is_reported(prefix: str) -> None:
    async with ObjectStore(AwsEndpoint("us-east-1", "http://127.0.0.1:9"), "vigil") as nowhere:
        with pytest.raises(StoreError, match="cannot be reached"):
            await nowhere.get(prefix + "x")


async def test_an_edge_writes_from_a_file_and_deletes(
    request: pytest.FixtureRequest, store: ObjectStore, prefix: str, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 3_000
    path = tmp_path / "fragment"
    path.write_bytes(data + b"footer")
    file = UploadFile(path.open("rb", buffering=0), len(data))
    async with SignedObjectStore(store._endpoint, store.bucket) as edge:
        if "moto" not in request.node.name:  # which does not compare the bytes with the hash
            with pytest.raises(StoreError):
                await edge.put_once(prefix + "g", file, sha256=sha256(b"other"), metadata={})
        with pytest.raises(ObjectMissingError):
            await edge.head(prefix + "g")
        assert await edge.put_once(prefix + "g", file, sha256=file.sha256(), metadata={})
        assert await store.get(prefix + "g") == data
        assert await edge.is_reachable()
        await edge.delete(prefix + "g")
        await edge.delete(prefix + "g")
        with pytest.raises(ObjectMissingError):
            await edge.get(prefix + "g")
    file.close()
    async with SignedObjectStore(AwsEndpoint("us-east-1", "http://127.0.0.1:9"), "vigil") as dead:
        assert not await dead.is_reachable()
        with pytest.raises(StoreError, match="cannot be reached"):
            await dead.put_once("x", b"", sha256=sha256(b""), metadata={})


async def test_an_object_is_deleted_with_all_its_versions(moto: str, prefix: str) -> None:
    """Not a byte is left in a bucket with versions, and no marker; what is next to it stays."""
    async with ObjectStore(AwsEndpoint("us-east-1", moto), f"versions-{uuid.uuid4().hex}") as store:
        client = store._client
        await client.create_bucket(Bucket=store.bucket)
        await client.put_bucket_versioning(
            Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        keys = [f"{prefix}{run}/{seq:08d}.ts" for run in "ab" for seq in range(30)]
        for key in [*keys, *keys[::3]]:
            await client.put_object(Bucket=store.bucket, Key=key, Body=b"x" * 10)
        await client.delete_object(Bucket=store.bucket, Key=keys[4])  # by key: leaves a marker
        gone = {keys[0], keys[3], keys[4], keys[29], keys[45], f"{prefix}b/00000099.ts"}
        with small_listings(store, 7) as begun:
            await store.delete(gone)
        left = await client.list_object_versions(Bucket=store.bucket, Prefix=prefix)
        assert "DeleteMarkers" not in left
        assert {each["Key"] for each in left["Versions"]} == set(keys) - gone
        # 81 versions and a marker are twelve pages: what is between the keys is skipped.
        assert len(begun) <= 10, begun
        await store.delete(keys)
        left = await client.list_object_versions(Bucket=store.bucket, Prefix=prefix)
        assert "Versions" not in left and "DeleteMarkers" not in left


@contextmanager
def small_listings(store: ObjectStore, size: int) -> Iterator[list[str]]:
    """Make listings of versions return pages of this size; note where each begins."""
    begun: list[str] = []
    original = store._client.list_object_versions

    async def small(**arguments: object) -> object:
        begun.append(str(arguments.get("KeyMarker")))
        return await original(**arguments, MaxKeys=size)

    store._client.list_object_versions = small
    try:
        yield begun
    finally:
        store._client.list_object_versions = original


async def test_a_role_that_may_not_list_versions_deletes_by_key(moto: str, prefix: str) -> None:
    async with ObjectStore(AwsEndpoint("us-east-1", moto), f"versions-{uuid.uuid4().hex}") as store:
        await store._client.create_bucket(Bucket=store.bucket)
        await store.put_once(f"{prefix}a.ts", b"a", sha256=sha256(b"a"), metadata={})

        async def refused(**_: object) -> object:
            raise ClientError(
                {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}},
                "ListObjectVersions",
            )

        store._client.list_object_versions = refused
        await store.delete([f"{prefix}a.ts"])
        with pytest.raises(ObjectMissingError):
            await store.head(f"{prefix}a.ts")
