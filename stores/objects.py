"""The object store: S3, or anything that speaks it.

An object is written once: `put_once` lets the store arbitrate with If-None-Match, and takes
"stands already" for success only where the same bytes stand there.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from domain.errors import IntegrityError, ObjectExistsError, StoreError
from stores.aws import AwsEndpoint, AwsService
from stores.multipart_upload import MultipartUpload
from stores.s3_errors import http_status, translate_errors

READ_SIZE = 1 << 18
HASH_IN_THREAD_BYTES = 1 << 18
"""Bytes from which on hashing takes long enough to be worth a thread."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of an object without its bytes."""

    key: str
    size_bytes: int
    metadata: Mapping[str, str]
    """User metadata, names in lower case; empty in listings."""
    modified_ms: int = 0
    """When it was last written, on the store's clock (UTC, whole seconds as a rule)."""


def _modified_ms(answer: Mapping[str, Any]) -> int:
    written: datetime = answer["LastModified"]
    return round(written.timestamp() * 1000)


async def sha256_of(data: bytes) -> str:
    """Return the SHA-256 in hex; of much data in a thread, so that the loop goes on."""
    if len(data) < HASH_IN_THREAD_BYTES:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


class ObjectStore(AwsService):
    """One bucket. Use as an async context manager; safe for many tasks at once."""

    def __init__(self, endpoint: AwsEndpoint, bucket: str, *, connections: int = 32) -> None:
        super().__init__("s3", endpoint, connections)
        self.bucket = bucket

    async def put_once(
        self,
        key: str,
        data: bytes,
        *,
        sha256: str,
        metadata: Mapping[str, str],
        content_type: str = "video/mp2t",
    ) -> bool:
        """Write an object unless it stands. True: created; False: the same stood there.

        Raises ObjectExistsError where other bytes stand, StoreError where the store failed (a
        409, two writers at once, among them: try again).
        """
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        async with translate_errors(f"writing {key}"):
            try:
                await self._client.put_object(
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
        standing = (await self.head(key)).metadata.get("sha256")
        if standing != sha256:
            raise ObjectExistsError(f"{key} stands already with other bytes ({standing}).")
        return False

    async def put_stream(
        self,
        key: str,
        parts: AsyncIterator[bytes],
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "video/mp2t",
    ) -> int:
        """Write an object from pieces of any size with flat memory; return its size in bytes.

        Small objects are one PUT; larger ones are parts of at least 5 MiB. An upload that fails
        is aborted. Whoever calls names the object by its content, so that overwriting is harmless.
        """
        headers = {"ContentType": content_type, "Metadata": dict(metadata or {})}
        return await MultipartUpload(self._client, self.bucket, key, headers).write(parts)

    async def head(self, key: str) -> ObjectInfo:
        """Return an object's size and metadata; raises ObjectMissingError, StoreError."""
        async with translate_errors(f"looking at {key}"):
            answer = await self._client.head_object(Bucket=self.bucket, Key=key)
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        return ObjectInfo(key, answer["ContentLength"], metadata, _modified_ms(answer))

    async def is_reachable(self) -> bool:
        """Return whether the store answers anything at all, be it a refusal."""
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
        """Yield an object's bytes first..last (inclusive) in pieces; raises as `head` does."""
        wanted = {}
        if first is not None or last is not None:
            wanted["Range"] = f"bytes={first or 0}-{'' if last is None else last}"
        async with translate_errors(f"reading {key}"):
            answer = await self._client.get_object(Bucket=self.bucket, Key=key, **wanted)
            async with answer["Body"] as body:
                async for piece in body.content.iter_chunked(READ_SIZE):
                    yield piece

    async def get(self, key: str, first: int | None = None, last: int | None = None) -> bytes:
        """Return an object's bytes first..last (inclusive), or all of them."""
        return b"".join([piece async for piece in self.stream(key, first, last)])

    async def get_verified(
        self, key: str, *, size_bytes: int, sha256: str, first: int | None = None
    ) -> bytes:
        """Return an object's bytes, or the `size_bytes` from `first` on.

        Raises IntegrityError where size or SHA-256 differ from what was promised.
        """
        last = None if first is None else first + size_bytes - 1
        pieces: list[bytes] = []
        size = 0
        async with aclosing(self.stream(key, first, last)) as stream:
            async for piece in stream:
                pieces.append(piece)
                size += len(piece)
                if size > size_bytes:  # whatever stands there, no more of it is taken in
                    raise IntegrityError(f"{key} has more than the {size_bytes} bytes promised.")
        if size != size_bytes:
            raise IntegrityError(f"{key} has {size} bytes where {size_bytes} were promised.")
        data = b"".join(pieces)
        if await sha256_of(data) != sha256:
            raise IntegrityError(f"{key} does not have the SHA-256 that was promised.")
        return data

    async def list(self, prefix: str, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        """Yield what stands below `prefix` in the order of keys, a request per 1,000 keys."""
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
        """Delete objects, 1,000 a request; what is gone already is no error."""
        batch = list(keys)
        while batch:
            now, batch = batch[:1_000], batch[1_000:]
            async with translate_errors(f"deleting {len(now)} objects"):
                answer = await self._client.delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": key} for key in now], "Quiet": True},
                )
            if failed := answer.get("Errors"):
                raise StoreError(f"{len(failed)} objects could not be deleted: {failed[0]}")

    async def presign(self, key: str, *, expires_s: int) -> str:
        """Return an address that reads the object without credentials for `expires_s`."""
        url: str = await self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=expires_s
        )
        return url
