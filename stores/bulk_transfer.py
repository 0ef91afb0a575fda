"""The bytes of large objects, by obstore: S3 requests in Rust, without a copy in Python.

obstore needs a third of the CPU that aiobotocore needs for each byte (docs/design/join.md).
Address, credentials, certificates and errors are those of the other clients.

up to 32 MiB    ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪    one PUT: all or nothing, and one request
more            ▪▪▪▪▪▪▪│▪▪▪▪▪▪▪│▪▪▪    parts of 5 MiB, two are uploaded while the next fills up
"""

import asyncio
import ipaddress
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from botocore.httpsession import get_cert_path
from obstore.exceptions import BaseError
from obstore.store import S3Store

from domain.errors import (
    IntegrityError,
    StoreError,
)
from stores import tls
from stores.aws_credentials import CredentialCache
from stores.aws_endpoint import AwsEndpoint
from stores.aws_errors import store_error
from stores.timing import record_call

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential

Block: TypeAlias = bytes | memoryview

PART_SIZE = 5 << 20
"""The smallest part that S3 accepts (5 MiB), except for the last one."""
MAX_PARTS_IN_FLIGHT = 2
MAX_PUT_BYTES = 32 << 20
"""An object up to this size is kept in memory and written by one PUT, if its size is known."""
WHOLE_REQUEST_S = 300
"""A request ends after this time, even if bytes still arrive."""
ABORT_S = 30.0
"""How long a failed upload may take to abort. After that the bucket's lifecycle rule does it."""
_CONNECT_S = 5
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_DEBUG = "\n\nDebug source:"
_CERTIFICATE_FAULTS = (
    ("UnknownIssuer", "its certificate is not signed by an authority that we trust"),
    ("BadSignature", "its certificate is not signed by an authority that we trust"),
    ("NotValidForName", "its certificate is for another host"),
    ("Expired", "its certificate has expired"),
)
"""rustls' names."""


_HEADERS = (
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type",
    "storage-class",
)  # fmt: skip
"""Attributes of obstore that are not user metadata."""


class BulkTransfer:
    """Reads and writes objects of one bucket. Safe for many tasks of one event loop."""

    def __init__(
        self, endpoint: AwsEndpoint, bucket: str, credentials: CredentialCache | None = None
    ) -> None:
        """`endpoint.region` must be the bucket's. Raises ConfigError for an unusable CA file."""
        if url := _configured_url(endpoint):
            endpoint = replace(endpoint, url=url)
        self._credentials = credentials or CredentialCache()
        self._store = S3Store(
            bucket,
            config=_config(endpoint, bucket),
            client_options=_client_options(endpoint, bucket),
            retry_config={
                "max_retries": endpoint.max_attempts - 1,
                "retry_timeout": timedelta(seconds=WHOLE_REQUEST_S),
            },
            credential_provider=self._current_credentials,
        )

    async def _current_credentials(self) -> "S3Credential":
        found = await self._credentials.get()
        expires_ms = found.expires_ms
        return {
            "access_key_id": found.access_key_id,
            "secret_access_key": found.secret_access_key,
            "token": found.session_token,
            "expires_at": None
            if expires_ms is None
            else datetime.fromtimestamp(expires_ms / 1000, UTC),
        }

    async def read(self, key: str, size_bytes: int, first: int | None = None) -> memoryview:
        """Return what `read_with_metadata` returns, without the metadata."""
        return (await self.read_with_metadata(key, size_bytes, first))[0]

    async def read_with_metadata(
        self, key: str, size_bytes: int, first: int | None = None
    ) -> tuple[memoryview, dict[str, str]]:
        """Return an object's bytes, or the `size_bytes` from `first` on; and its user metadata.

        Raises IntegrityError if the object has another size; then its bytes are not read. Raises
        ObjectMissingError, StoreError.
        """
        await self._credentials.get()  # raises the better error
        began_s = time.monotonic()
        with _translated(f"reading {key}", "GetObject", began_s):
            if first is None:
                answer = await self._store.get_async(key)
                if (found := answer.meta["size"]) > size_bytes:
                    raise IntegrityError(
                        f"{key} has more than the expected {size_bytes} bytes ({found})."
                    )
            else:
                answer = await self._store.get_async(
                    key, options={"range": (first, first + size_bytes)}
                )
            record_call("s3", "GetObject", "ok", time.monotonic() - began_s)
            metadata = {name.lower(): str(text) for name, text in answer.attributes.items()}
            data = memoryview(await answer.bytes_async())
        if len(data) != size_bytes:
            raise IntegrityError(f"{key} has {len(data)} bytes instead of {size_bytes}.")
        for name in _HEADERS:
            metadata.pop(name, None)
        return data, metadata

    async def write(
        self,
        key: str,
        blocks: AsyncIterator[Block],
        *,
        size_bytes: int | None,
        metadata: Mapping[str, str],
        content_type: str,
    ) -> int:
        """Write the blocks as one object, and return its size in bytes.

        `size_bytes`: their total, if it is known. A small object is one PUT; else it is a multipart
        upload. If that fails or is cancelled, it is aborted. Raises StoreError and what `blocks`
        raises.
        """
        attributes = {"Content-Type": content_type, **metadata}
        limit = (
            MAX_PUT_BYTES if size_bytes is not None and size_bytes <= MAX_PUT_BYTES else PART_SIZE
        )
        pending: list[Block] = []
        pending_bytes = 0
        async for block in blocks:
            pending.append(block)
            pending_bytes += len(block)
            if pending_bytes > limit:
                return await self._write_parts(key, pending, blocks, attributes)
        await self._credentials.get()
        began_s = time.monotonic()
        with _translated(f"writing {key}", "PutObject", began_s):
            # Several buffers become one payload, without a copy.
            await self._store.put_async(
                key, iter(pending), attributes=attributes, use_multipart=False
            )
            record_call("s3", "PutObject", "ok", time.monotonic() - began_s)
        return pending_bytes

    async def _write_parts(
        self,
        key: str,
        first: list[Block],
        more: AsyncIterator[Block],
        attributes: dict[str, str],
    ) -> int:
        await self._credentials.get()
        began_s = time.monotonic()
        feed = _BlockFeed()
        upload = asyncio.ensure_future(
            self._store.put_async(
                key,
                feed,
                attributes=attributes,
                use_multipart=True,
                chunk_size=PART_SIZE,
                max_concurrency=MAX_PARTS_IN_FLIGHT,
            )
        )
        size = 0
        try:
            with _translated(f"writing {key}", "MultipartUpload", began_s):
                while first:
                    size += await feed.send(first.pop(0), upload)
                async for block in more:
                    size += await feed.send(block, upload)
                await feed.end(upload)
                record_call("s3", "MultipartUpload", "ok", time.monotonic() - began_s)
        except BaseException:
            await feed.abort(upload)
            raise
        return size


class _UploadStoppedError(Exception):
    """Raised inside the upload, so that it aborts."""


class _BlockFeed:
    """Passes blocks to an upload, which iterates over them. The sender waits for the upload."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Block | Exception] = asyncio.Queue(1)

    def __aiter__(self) -> "_BlockFeed":
        return self

    async def __anext__(self) -> Block:
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def send(self, block: Block, upload: "asyncio.Future[Any]") -> int:
        """Pass one block on, in pieces of a part, and return its size in bytes.

        Raises what the upload raises.
        """
        for at in range(0, len(block), PART_SIZE):
            await self._put(memoryview(block)[at : at + PART_SIZE], upload)
        return len(block)

    async def end(self, upload: "asyncio.Future[Any]") -> None:
        """Wait until the upload is complete; raises what it raises."""
        await self._put(StopAsyncIteration(), upload)
        await asyncio.shield(upload)

    async def abort(self, upload: "asyncio.Future[Any]") -> None:
        """Let the upload abort, and wait for that.

        An upload that is just being completed is completed: all its bytes were sent.
        """
        if upload.done():
            return
        if not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(_UploadStoppedError())
        await asyncio.wait({upload}, timeout=ABORT_S)
        if not upload.done():
            upload.cancel()
        await asyncio.gather(upload, return_exceptions=True)

    async def _put(self, item: Block | Exception, upload: "asyncio.Future[Any]") -> None:
        putting = asyncio.ensure_future(self._queue.put(item))
        try:
            await asyncio.wait({putting, upload}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()
        if upload.done():
            await upload
            raise StoreError("the upload ended before its last block.")


def is_loopback(address: str) -> bool:
    """Return whether a URL names this machine, so that no one else can change the bytes."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _configured_url(endpoint: AwsEndpoint) -> str | None:
    """Return the address that is configured for us, or for all AWS clients, as botocore does."""
    env = os.environ
    return endpoint.url or env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")


def _config(endpoint: AwsEndpoint, bucket: str) -> "S3Config":
    """Return obstore's configuration: the bucket's address, and what is hashed.

    The signature covers the payload only over plain HTTP to another machine. Over TLS no one can
    change it on the way. AWS also checks a CRC-64 of each part.
    """
    address = endpoint.bucket_url(bucket)
    config: S3Config = {
        "region": endpoint.region,
        "aws_endpoint_url_s3": address,  # before AWS_ENDPOINT_URL_S3, which obstore reads too
        "virtual_hosted_style_request": True,  # the address has the bucket already
        "unsigned_payload": urlsplit(address).scheme == "https" or is_loopback(address),
    }
    if endpoint.url is None:  # other stores need not know this header
        config["checksum_algorithm"] = "CRC64NVME"
    return config


def _client_options(endpoint: AwsEndpoint, bucket: str) -> "ClientConfig":
    options: ClientConfig = {
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "read_timeout": timedelta(seconds=endpoint.read_timeout_s),
        "timeout": timedelta(seconds=WHOLE_REQUEST_S),
    }
    if urlsplit(endpoint.bucket_url(bucket)).scheme == "https":
        # As botocore: the configured authorities, else its own list. The system's are added.
        ca_file = endpoint.ca_file or os.environ.get("AWS_CA_BUNDLE")
        if ca_file:
            tls.client_context(ca_file)  # says what is wrong with the file
        options["root_certificate"] = Path(ca_file or get_cert_path(True)).read_bytes()
    else:
        options["allow_http"] = True
    return options


@contextmanager
def _translated(action: str, operation: str, began_s: float) -> Iterator[None]:
    """Turn obstore's errors into Vigil's, and record a failed call. Their texts name the action."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        text = str(error)
        status = int(found[1]) if (found := _STATUS.search(text)) else None
        failed = status not in (404, 409, 412)
        record_call("s3", operation, "failed" if failed else "ok", time.monotonic() - began_s)
        raise _vigil_error(action, error, text, status) from error


def _vigil_error(action: str, error: Exception, text: str, status: int | None) -> StoreError:
    code = found[1] if (found := _CODE.search(text)) else ""
    if "redirect without LOCATION" in text:
        status, code = 301, "PermanentRedirect"
    if isinstance(error, FileNotFoundError):
        status = 404
    if status is not None or code:
        return store_error(action, status, code)
    return StoreError(f"{action} in the object store: {_connection_fault(text)}.")


def _connection_fault(text: str) -> str:
    """Return why there was no response, from the debug text: the error itself does not say it."""
    if found := re.search(r"InvalidCertificate\(\s*(\w+)", text):
        fault = next(
            (known for name, known in _CERTIFICATE_FAULTS if found[1].startswith(name)), found[1]
        )
        return (
            f"the server's certificate is not trusted: {fault}; check its address and the CA file"
        )
    if "kind: Timeout" in text:
        return "it cannot be reached (no answer in time)"
    if found := re.search(r'message: "([^"]+)"', text):
        return f"it cannot be reached ({found[1]})"
    if "IncompleteMessage" in text or "UnexpectedEof" in text:
        return "it cannot be reached (it closed the connection)"
    return f"it cannot be reached ({text.split(_DEBUG, 1)[0]})"
