"""Writing an object whose size is not known in advance, with flat memory.

pieces   ▪▪▪▪▪▪▪│▪▪▪▪▪▪▪│▪▪▪      gathered to at least 5 MiB
parts           └──────┐└──────┐  one is on its way while the next is gathered
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from domain.errors import StoreError
from stores.s3_errors import translate_errors

PART_SIZE = 5 << 20
"""S3's smallest part (5 MiB) but for the last one."""


class MultipartUpload:
    """One object on its way. `client` is aioboto3's client of S3."""

    def __init__(self, client: Any, bucket: str, key: str, headers: Mapping[str, Any]) -> None:
        self._client, self._key, self._headers = client, key, dict(headers)
        self._common = {"Bucket": bucket, "Key": key}
        self._id: str | None = None
        self._done: list[dict[str, Any]] = []
        self._sending: asyncio.Task[None] | None = None

    async def write(self, pieces: AsyncIterator[bytes]) -> int:
        """Write the pieces and return their size in bytes.

        What fits into one part is one PUT. Raises StoreError and what `pieces` raises; an upload
        in parts is aborted then.
        """
        waiting: list[bytes] = []
        size = waits = 0
        try:
            async for piece in pieces:
                waiting.append(piece)
                size += len(piece)
                waits += len(piece)
                if waits >= PART_SIZE:
                    await self._part(waiting)
                    waits = 0
            if self._id is None:
                async with translate_errors(f"writing {self._key}"):
                    await self._client.put_object(
                        **self._common, **self._headers, Body=b"".join(waiting)
                    )
                return size
            if waiting:
                await self._part(waiting)
            await self._complete()
            return size
        except BaseException:
            await self._abort()
            raise

    async def _part(self, waiting: list[bytes]) -> None:
        """Send what waits, and empty it, once the part before stands."""
        if self._id is None:
            async with translate_errors(f"starting {self._key}"):
                answer = await self._client.create_multipart_upload(**self._common, **self._headers)
            self._id = answer["UploadId"]
        await self._sent()
        body = b"".join(waiting)
        waiting.clear()
        self._sending = asyncio.create_task(self._send(len(self._done) + 1, body))

    async def _send(self, number: int, body: bytes) -> None:
        async with translate_errors(f"writing part {number} of {self._key}"):
            answer = await self._client.upload_part(
                **self._common, UploadId=self._id, PartNumber=number, Body=body
            )
        self._done.append({"ETag": answer["ETag"], "PartNumber": number})

    async def _sent(self) -> None:
        if self._sending is not None:
            await self._sending
            self._sending = None

    async def _complete(self) -> None:
        await self._sent()
        async with translate_errors(f"completing {self._key}"):
            await self._client.complete_multipart_upload(
                **self._common, UploadId=self._id, MultipartUpload={"Parts": self._done}
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
            return  # the bucket's lifecycle removes what was left
