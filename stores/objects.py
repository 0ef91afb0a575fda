"""The object store: S3, or a compatible service.

An object is written once: `put_once` uses If-None-Match, so the store decides which writer wins.
"Already exists" is a success only where the object has the same bytes.
"""

import asyncio
import base64
import hashlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from domain.errors import IntegrityError, ObjectExistsError, ObjectMissingError, StoreError
from stores.aws import AwsService
from stores.aws_endpoint import AwsEndpoint
from stores.aws_errors import NO_BUCKET
from stores.bucket_check import BucketCheck
from stores.object_info import ObjectInfo, decode_checksum
from stores.s3_errors import error_code, http_status, translate_errors

if TYPE_CHECKING:
    from stores.bulk_transfer import Block, BulkTransfer

log = logging.getLogger(__name__)
READ_SIZE = 1 << 18
HASH_IN_THREAD_BYTES = 1 << 18
"""From this size on (bytes), hashing takes so long that a thread is worth it."""


PAGE = 1_000
"""Keys of one request, at most."""
_NO_VERSIONS = frozenset({400, 403, 405, 501})
"""Answers of a store that has no versions, or whose role may not list them."""


def _identifier(version: Mapping[str, Any]) -> dict[str, str]:
    return {"Key": version["Key"], "VersionId": version["VersionId"]}


def _modified_ms(answer: Mapping[str, Any]) -> int:
    written: datetime = answer["LastModified"]
    return round(written.timestamp() * 1000)


async def sha256_of(data: bytes) -> str:
    """Return the SHA-256 in hex; large data is hashed in a thread, to not block the loop."""
    if len(data) < HASH_IN_THREAD_BYTES:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


class ObjectStore(AwsService):
    """One bucket. Use as an async context manager; safe for many tasks at once."""

    def __init__(self, endpoint: AwsEndpoint, bucket: str, *, connections: int = 32) -> None:
        super().__init__("s3", endpoint, connections)
        self.bucket = bucket
        self._opening_bulk: asyncio.Task[BulkTransfer] | None = None
        self._bucket_check = BucketCheck(self._bucket_exists)
        self._lists_versions = True

    async def put_once(
        self,
        key: str,
        data: bytes,
        *,
        sha256: str,
        metadata: Mapping[str, str],
        content_type: str = "video/mp2t",
        lock_until_ms: int | None = None,
    ) -> bool:
        """Write an object unless it exists. True: created. False: it exists with the same bytes.

        `lock_until_ms`: until then (UTC) no one may delete it, where the bucket has Object Lock.
        Raises ObjectExistsError where it exists with other bytes. Raises StoreError where the store
        fails, also for a 409 (two writers at once): try again.
        """
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        lock: dict[str, Any] = {}
        if lock_until_ms is not None:
            until = datetime.fromtimestamp(lock_until_ms / 1000, UTC)
            lock = {
                "ObjectLockMode": "COMPLIANCE",
                "ObjectLockRetainUntilDate": until,
                "ChecksumAlgorithm": "SHA256",
            }
        async with translate_errors(f"writing {key}"):
            try:
                await self._client.put_object(
                    **lock,
                    Bucket=self.bucket,
                    Key=key,
                    Body=data,
                    IfNoneMatch="*",
                    ContentType=content_type,
                    ChecksumSHA256=checksum,
                    Metadata={**metadata, "sha256": sha256},
                )
                return True
            except ClientError as error:
                if http_status(error) != 412:
                    raise
        existing = (await self.head(key)).metadata.get("sha256")
        if existing != sha256:
            raise ObjectExistsError(f"{key} already exists with different content ({existing}).")
        return False

    async def put_stream(
        self,
        key: str,
        blocks: "AsyncIterator[Block]",
        *,
        size_bytes: int | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "video/mp2t",
    ) -> int:
        """Write an object from blocks of any size with constant memory; return its size in bytes.

        `size_bytes`: their total, if it is known. Small objects are one PUT, larger ones a
        multipart upload. An upload that fails is aborted.
        The key must depend on the content, so that overwriting is harmless.
        """
        bulk = await self._bulk()
        return await bulk.write(
            key,
            blocks,
            size_bytes=size_bytes,
            metadata=metadata or {},
            content_type=content_type,
        )

    async def read(self, key: str, *, size_bytes: int, first: int | None = None) -> memoryview:
        """Return an object's bytes, or the `size_bytes` from `first` on. They are not hashed.

        Raises IntegrityError where their size is another one. A larger object is not read at all.
        """
        return await (await self._bulk()).read(key, size_bytes, first)

    async def read_with_metadata(
        self, key: str, *, size_bytes: int
    ) -> tuple[memoryview, dict[str, str]]:
        """Return what `read` returns of a whole object, and its user metadata."""
        return await (await self._bulk()).read_with_metadata(key, size_bytes)

    async def _bulk(self) -> "BulkTransfer":
        """Return the client for large objects, opened at first use. Few programs need it."""
        if self._opening_bulk is None:
            self._opening_bulk = asyncio.ensure_future(self._open_bulk())
        opening = self._opening_bulk
        try:
            return await asyncio.shield(opening)
        except Exception:
            if self._opening_bulk is opening:
                self._opening_bulk = None
            raise

    async def _open_bulk(self) -> "BulkTransfer":
        from stores.bulk_transfer import BulkTransfer  # noqa: PLC0415 - 7 MiB

        endpoint = self._endpoint
        if endpoint.url is None:  # aioboto3 finds the bucket's region, obstore does not
            endpoint = replace(endpoint, region=await self._bucket_region())
        return BulkTransfer(endpoint, self.bucket)

    async def _bucket_region(self) -> str:
        """Return the bucket's region, which AWS names even where it refuses the request."""
        async with translate_errors(f"finding the region of {self.bucket}"):
            try:
                answer = await self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if http_status(error) not in (301, 400, 403):
                    raise
                answer = error.response
        headers: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
        return headers.get("x-amz-bucket-region", self._endpoint.region)

    async def reload_credentials(self) -> None:
        """Read credentials again from their files or provider, at most every few seconds."""
        await super().reload_credentials()
        self._opening_bulk = None

    async def head(self, key: str) -> ObjectInfo:
        """Return an object's size and metadata; raises ObjectMissingError, StoreError."""
        action = f"reading the metadata of {key}"
        try:
            async with translate_errors(action):
                answer = await self._client.head_object(
                    Bucket=self.bucket, Key=key, ChecksumMode="ENABLED"
                )
        except ObjectMissingError:
            await self._bucket_check.require(action)
            raise
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        checksum = decode_checksum(answer.get("ChecksumSHA256", ""))
        return ObjectInfo(key, answer["ContentLength"], metadata, _modified_ms(answer), checksum)

    async def _bucket_exists(self) -> bool:
        async with translate_errors(f"finding the bucket {self.bucket}"):
            try:
                await self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                status = http_status(error)
                if status is None or status >= 500:
                    raise
                return status != 404  # 403: it exists, and we may not list it
        return True

    async def lifecycle_rules(self) -> list[dict[str, Any]] | None:
        """Return the rules of the bucket's lifecycle; None where the store does not show them."""
        async with translate_errors("reading the bucket's lifecycle"):
            try:
                answer = await self._client.get_bucket_lifecycle_configuration(Bucket=self.bucket)
            except ClientError as error:
                if error_code(error) == "NoSuchLifecycleConfiguration":
                    return []
                if error_code(error) != NO_BUCKET and http_status(error) in {403, 404, 405, 501}:
                    return None  # no right to, or no lifecycles
                raise
        return list(answer.get("Rules", []))

    async def has_object_lock(self) -> bool:
        """Return whether the bucket has Object Lock. False also where the store does not say."""
        async with translate_errors("reading the bucket's Object Lock"):
            try:
                answer = await self._client.get_object_lock_configuration(Bucket=self.bucket)
            except ClientError as error:
                if error_code(error) != NO_BUCKET and http_status(error) in {
                    400, 403, 404, 405, 501,
                }:  # fmt: skip
                    return False
                raise
        configured: Mapping[str, Any] = answer.get("ObjectLockConfiguration", {})
        return configured.get("ObjectLockEnabled") == "Enabled"

    async def is_reachable(self) -> bool:
        """Return whether the store responds at all, even with an error."""
        try:
            await self._client.head_bucket(Bucket=self.bucket)
        except ClientError:
            return True
        except (BotoCoreError, aiohttp.ClientError, OSError):
            return False
        return True

    async def stream(
        self, key: str, first: int | None = None, last: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield an object's bytes first..last (inclusive) in blocks; raises as `head` does."""
        wanted = {}
        if first is not None or last is not None:
            wanted["Range"] = f"bytes={first or 0}-{'' if last is None else last}"
        async with translate_errors(f"reading {key}"):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key, **wanted)
            async with answer["Body"] as body:
                async for block in body.content.iter_chunked(READ_SIZE):
                    yield block

    async def get(self, key: str, first: int | None = None, last: int | None = None) -> bytes:
        """Return an object's bytes first..last (inclusive), or all of them."""
        return b"".join([block async for block in self.stream(key, first, last)])

    async def get_with_metadata(self, key: str, max_bytes: int) -> tuple[bytes, Mapping[str, str]]:
        """Return an object's first bytes and its user metadata, names in lower case."""
        async with translate_errors(f"reading {key}"):
            answer = await self._client.get_object(
                Bucket=self.bucket, Key=key, Range=f"bytes=0-{max_bytes - 1}"
            )
            async with answer["Body"] as body:
                data = b"".join([block async for block in body.content.iter_chunked(READ_SIZE)])
        return data, {name.lower(): value for name, value in answer.get("Metadata", {}).items()}

    async def get_verified(
        self, key: str, *, size_bytes: int, sha256: str, first: int | None = None
    ) -> bytes:
        """Return an object's bytes, or the `size_bytes` from `first` on.

        Raises IntegrityError where size or SHA-256 are not the expected ones.
        """
        last = None if first is None else first + size_bytes - 1
        blocks: list[bytes] = []
        size = 0
        async with aclosing(self.stream(key, first, last)) as stream:
            async for block in stream:
                blocks.append(block)
                size += len(block)
                if size > size_bytes:  # stop here: a larger object must not fill the memory
                    raise IntegrityError(f"{key} has more than the expected {size_bytes} bytes.")
        if size != size_bytes:
            raise IntegrityError(f"{key} has {size} bytes instead of {size_bytes}.")
        data = b"".join(blocks)
        if await sha256_of(data) != sha256:
            raise IntegrityError(f"{key} does not have the expected SHA-256.")
        return data

    async def list(self, prefix: str, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield the objects below `prefix` in the order of keys, one request for each 1,000."""
        token: str | None = None
        while True:
            wanted = {"ContinuationToken": token} if token else {}
            if start_after and not token:
                wanted["StartAfter"] = start_after
            async with translate_errors(f"listing {prefix}"):
                answer = await self._client.list_objects_v2(
                    Bucket=self.bucket, Prefix=prefix, **wanted
                )
            for item in answer.get("Contents", []):
                yield ObjectInfo(item["Key"], item["Size"], {}, _modified_ms(item))
            token = answer.get("NextContinuationToken")
            if not answer.get("IsTruncated") or token is None:
                return

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        """Yield the prefixes one level below `prefix`, each ending in /, a request per 1,000."""
        token: str | None = None
        while True:
            wanted = {"ContinuationToken": token} if token else {}
            async with translate_errors(f"listing {prefix}"):
                answer = await self._client.list_objects_v2(
                    Bucket=self.bucket, Prefix=prefix, Delimiter="/", **wanted
                )
            for item in answer.get("CommonPrefixes", []):
                yield item["Prefix"]
            token = answer.get("NextContinuationToken")
            if not answer.get("IsTruncated") or token is None:
                return

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects with all their versions, in this order. A missing one is not an error.

        A store without versions, or whose role may not list them, deletes the objects. Raises
        StoreError where one may not be deleted, such as under Object Lock.
        """
        wanted = list(dict.fromkeys(keys))
        if self._lists_versions:
            try:
                found = await self._versions_of(wanted)
                for first in range(0, len(found), PAGE):
                    await self._delete_page(found[first : first + PAGE])
                return
            except ClientError as error:
                if error_code(error) == NO_BUCKET or http_status(error) not in _NO_VERSIONS:
                    async with translate_errors("listing versions"):
                        raise
            self._lists_versions = False
            log.info("The store lists no versions: objects are deleted by their key.")
        for first in range(0, len(wanted), PAGE):
            await self._delete_page([{"Key": key} for key in wanted[first : first + PAGE]])

    async def _delete_page(self, objects: Sequence[Mapping[str, str]]) -> None:
        async with translate_errors(f"deleting {len(objects)} objects"):
            answer = await self._client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
            )
        if failed := answer.get("Errors"):
            raise StoreError(f"{len(failed)} objects could not be deleted: {failed[0]}")

    async def erase(self, prefix: str) -> tuple[int, int]:
        """Delete all objects below `prefix` with all their versions; return how many, and bytes.

        A store without versions deletes the objects. Raises StoreError where one may not be
        deleted, such as under Object Lock.
        """
        if not prefix.endswith("/"):
            raise ValueError("a prefix that does not end in / is also that of others")
        count = size = 0
        try:
            async for page in self._versions(prefix):
                await self._delete_page([_identifier(each) for each in page])
                count += len(page)
                size += sum(each.get("Size", 0) for each in page)
            return count, size
        except ClientError as error:
            if http_status(error) not in _NO_VERSIONS - {403}:
                async with translate_errors(f"erasing {prefix}"):
                    raise
        keys = []
        async for info in self.list(prefix):
            keys.append(info.key)
            size += info.size_bytes
        await self.delete(keys)
        return len(keys), size

    async def _versions(self, prefix: str) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """Yield pages of the versions and delete markers below a prefix; raises ClientError."""
        markers: dict[str, str] | None = {}
        while markers is not None:
            page, markers = await self._page_of_versions(prefix, markers)
            if page:
                yield page

    async def _versions_of(self, keys: Sequence[str]) -> Sequence[Mapping[str, str]]:
        """Return the versions and delete markers of keys, in their order; raises ClientError.

        Keys next to each other share requests: what begins like the first and the last is listed.
        After a page without any of them, the next key is asked for alone: they are far apart.
        """
        found: dict[tuple[str, str], Mapping[str, str]] = {}
        places = {key: place for place, key in enumerate(keys)}
        waiting = deque(sorted(keys))
        while waiting:
            prefix = commonprefix([waiting[0], waiting[-1]])  # noqa: RUF071 - keys are no paths
            markers: dict[str, str] | None = {}
            missed = False
            while waiting and markers is not None and not missed:
                page, markers = await self._page_of_versions(prefix, markers)
                ours = [each for each in page if each["Key"] in places]
                found |= {(each["Key"], each["VersionId"]): _identifier(each) for each in ours}
                missed = not ours
                # The last key of a page may have more versions on the next one.
                while waiting and (markers is None or waiting[0] < markers["KeyMarker"]):
                    waiting.popleft()
            if missed and waiting:
                alone = waiting.popleft()
                async for page in self._versions(alone):
                    ours = [each for each in page if each["Key"] == alone]
                    found |= {(each["Key"], each["VersionId"]): _identifier(each) for each in ours}
        return sorted(found.values(), key=lambda each: places[each["Key"]])

    async def _page_of_versions(
        self, prefix: str, markers: Mapping[str, str]
    ) -> tuple[Sequence[Mapping[str, Any]], dict[str, str] | None]:
        """Return versions and delete markers below a prefix, and where the next page begins."""
        answer = await self._client.list_object_versions(
            Bucket=self.bucket, Prefix=prefix, **markers
        )
        page = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
        if not answer.get("IsTruncated"):
            return page, None
        following = {"KeyMarker": answer["NextKeyMarker"]}
        if "NextVersionIdMarker" in answer:
            following["VersionIdMarker"] = answer["NextVersionIdMarker"]
        return page, following

    async def presign(self, key: str, *, expires_s: int) -> str:
        """Return a presigned URL that reads the object without credentials for `expires_s`."""
        url: str = await self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=expires_s
        )
        return url
