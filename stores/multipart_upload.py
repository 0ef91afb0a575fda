"""Upload an object of unknown size with constant memory (S3 multipart upload).

blocks   ▪▪▪▪▪▪▪│▪▪▪▪▪▪▪│▪▪▪      collected to at least 5 MiB
parts           └──────┐└──────┐  one part is in flight while the next is collected
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from domain.errors import StoreError
from stores.s3_errors import translate_errors

PART_SIZE = 5 << 20
"""The smallest part that S3 accepts (5 MiB), except for the last one."""


class MultipartUpload:
    """The upload of one object. `client` is aioboto3's S3 client."""

    def __init__(self, client: Any, bucket: str, key: str, headers: Mapping[str, Any]) -> None:
        self._client = client
        self._key = key
        self._headers = dict(headers)
        self._common = {"Bucket": bucket, "Key": key}
        self._id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._sending: asyncio.Task[None] | None = None

    async def write(self, blocks: AsyncIterator[bytes]) -> int:
        """Write the blocks and return their size in bytes.

        Data that fits into one part is one PUT. Raises StoreError and what `blocks` raises; then
        the multipart upload is aborted.
        """
        pending: list[bytes] = []
        size = pending_bytes = 0
        try:
            async for block in blocks:
                pending.append(block)
                size += len(block)
                pending_bytes += len(block)
                if pending_bytes >= PART_SIZE:
                    await self._send_part(pending)
                    pending_bytes = 0
            if self._id is None:
                async with translate_errors(f"writing {self._key}"):
                    await self._client.put_object(
                        **self._common, **self._headers, Body=b"".join(pending)
                    )
                return size
            if pending:
                await self._send_part(pending)
            await self._complete()
            return size
        except BaseException:
            await self._abort()
            raise

    async def _send_part(self, pending: list[bytes]) -> None:
        """Send what is pending, and empty the list, after the previous part is stored."""
        if self._id is None:
            async with translate_errors(f"starting {self._key}"):
                answer = await self._client.create_multipart_upload(**self._common, **self._headers)
            self._id = answer["UploadId"]
        await self._wait_for_part()
        body = b"".join(pending)
        pending.clear()
        self._sending = asyncio.create_task(self._send(len(self._parts) + 1, body))

    async def _send(self, number: int, body: bytes) -> None:
        async with translate_errors(f"writing part {number} of {self._key}"):
            answer = await self._client.upload_part(
                **self._common, UploadId=self._id, PartNumber=number, Body=body
            )
        self._parts.append({"ETag": answer["ETag"], "PartNumber": number})

    async def _wait_for_part(self) -> None:
        if self._sending is not None:
            await self._sending
            self._sending = None

    async def _complete(self) -> None:
        await self._wait_for_part()
        async with translate_errors(f"completing {self._key}"):
            await self._client.complete_multipart_upload(
                **self._common, UploadId=self._id, MultipartUpload={"Parts": self._parts}
            )

    async def _abort(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        if self._id is None:
            return
        try:
            async with translate_errors(f"aborting {self._key}"):
                await self._client.abort_multipart_upload(**self._common, UploadId=self._id)
        except StoreError:
            return  # the bucket's lifecycle rule removes the parts
