"""The object store for an edge: objects are written once, by requests that are signed here.

As stores/objects.py, which the cloud uses, but without aioboto3.
"""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import parsedate_to_datetime

import aiohttp

from domain.errors import CredentialsError, ObjectExistsError, ObjectMissingError, StoreError
from stores.aws_credentials import CredentialCache
from stores.aws_endpoint import AwsEndpoint
from stores.aws_errors import AwsResponseError, connection_error_text, store_error
from stores.bucket_check import BucketCheck
from stores.object_info import ObjectInfo, decode_checksum
from stores.signed_http import EMPTY_SHA256, HttpResponse, SignedHttpClient, error_code
from stores.sigv4 import encode_path
from stores.upload_file import UploadFile

_METADATA = "x-amz-meta-"
_METHODS = {
    "PutObject": "PUT", "HeadObject": "HEAD", "GetObject": "GET", "DeleteObject": "DELETE",
    "HeadBucket": "HEAD",
}  # fmt: skip
"""Of the operations that are used, by AWS's names for them."""


class SignedObjectStore(SignedHttpClient):
    """One bucket. Use as an async context manager; safe for many tasks at once."""

    def __init__(
        self,
        endpoint: AwsEndpoint,
        bucket: str,
        *,
        connections: int = 32,
        credentials: CredentialCache | None = None,
    ) -> None:
        super().__init__("s3", endpoint, connections=connections, credentials=credentials)
        self.bucket = bucket
        self._bucket_check = BucketCheck(self._bucket_exists)
        self._bucket_endpoint = endpoint
        """In the bucket's own region, once S3 has named it."""

    async def put_once(
        self,
        key: str,
        data: bytes | UploadFile,
        *,
        sha256: str,
        metadata: Mapping[str, str],
        content_type: str = "video/mp2t",
    ) -> bool:
        """Write an object unless it exists. True: created. False: it exists with the same bytes.

        Raises ObjectExistsError where it exists with other bytes. Credentials that may not read
        do not see that: it counts as the same. Raises StoreError where the store
        fails, also for a 409 (two writers at once): try again.
        """
        headers = {
            "Content-Type": content_type,
            "If-None-Match": "*",
            "X-Amz-Checksum-SHA256": base64.b64encode(bytes.fromhex(sha256)).decode(),
            **{f"{_METADATA}{name}": value for name, value in metadata.items()},
            f"{_METADATA}sha256": sha256,
        }
        try:
            async with _translate_errors(f"writing {key}"):
                await self._call("PutObject", key, headers, data, payload_sha256=sha256)
                return True
        except _PreconditionFailedError:
            try:
                existing = (await self.head(key)).metadata.get("sha256")
            except AccessDeniedError:
                # A device's own credentials read nothing. No one else writes below its prefix:
                # it is there from an earlier attempt. The cloud compares it with the event's hash.
                return False
        if existing != sha256:
            raise ObjectExistsError(f"{key} already exists with different content ({existing}).")
        return False

    async def head(self, key: str) -> ObjectInfo:
        """Return an object's size and metadata; raises ObjectMissingError, StoreError."""
        action = f"reading the metadata of {key}"
        try:
            async with _translate_errors(action):
                response = await self._call("HeadObject", key, {"X-Amz-Checksum-Mode": "ENABLED"})
        except ObjectMissingError:
            await self._bucket_check.require(action)
            raise
        headers = response.headers
        try:
            size = int(headers["Content-Length"])
            modified_ms = round(parsedate_to_datetime(headers["Last-Modified"]).timestamp() * 1000)
        except (KeyError, ValueError):
            raise StoreError(f"{action}: the server is not an S3 service.") from None
        metadata = {
            name.lower().removeprefix(_METADATA): value
            for name, value in headers.items()
            if name.lower().startswith(_METADATA)
        }
        checksum = decode_checksum(headers.get("x-amz-checksum-sha256", ""))
        return ObjectInfo(key, size, metadata, modified_ms, checksum)

    async def get(self, key: str) -> bytes:
        """Return a small object's bytes; raises as `head` does."""
        async with _translate_errors(f"reading {key}"):
            return (await self._call("GetObject", key, {})).body

    @asynccontextmanager
    async def stream_object(
        self, key: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET a large object, with headers such as Range; see SignedHttpClient.stream."""
        endpoint = self._bucket_endpoint
        url = f"{endpoint.bucket_url(self.bucket)}/{encode_path(key)}"
        async with self.stream(url, headers, region=endpoint.region) as response:
            if response.status >= 300:
                # The caller's next try goes to the bucket's own region.
                self._learn_region(HttpResponse(response.status, response.headers, b""))
            yield response

    async def delete(self, key: str) -> None:
        """Delete an object. One that does not exist is not an error."""
        async with _translate_errors(f"deleting {key}"):
            await self._call("DeleteObject", key, {})

    async def _bucket_exists(self) -> bool:
        action = f"finding the bucket {self.bucket}"
        async with _translate_errors(action):
            response = await self._send("HeadBucket", "", {}, b"", EMPTY_SHA256)
        if response.status >= 500:
            raise store_error(action, response.status, str(response.status))
        return response.status != 404  # 403: it exists, and we may not list it

    async def is_reachable(self) -> bool:
        """Return whether the store responds at all, even with an error."""
        try:
            await self._send("HeadBucket", "", {}, b"", EMPTY_SHA256)
        except (StoreError, aiohttp.ClientError, OSError, ValueError):
            return False
        return True

    async def _call(
        self,
        operation: str,
        key: str,
        headers: Mapping[str, str],
        body: bytes | UploadFile = b"",
        *,
        payload_sha256: str = EMPTY_SHA256,
    ) -> HttpResponse:
        """Return a response with success; raises AwsResponseError for any other."""
        response = await self._send(operation, key, headers, body, payload_sha256)
        if response.status >= 300 and self._learn_region(response):
            response = await self._send(operation, key, headers, body, payload_sha256)
        if response.status >= 300:
            code, message = error_code(response.body)
            kind = _PreconditionFailedError if response.status == 412 else AwsResponseError
            raise kind(response.status, code or str(response.status), message)
        return response

    async def _send(
        self,
        operation: str,
        key: str,
        headers: Mapping[str, str],
        body: bytes | UploadFile,
        payload_sha256: str,
    ) -> HttpResponse:
        path = f"/{encode_path(key)}" if key else "/"
        return await self.request(
            operation,
            _METHODS[operation],
            self._bucket_endpoint.bucket_url(self.bucket) + path,
            headers,
            body,
            payload_sha256=payload_sha256,
            region=self._bucket_endpoint.region,
        )

    def _learn_region(self, response: HttpResponse) -> bool:
        """Use the bucket's region where AWS names another one; return whether it did."""
        region = response.headers.get("x-amz-bucket-region")
        old = self._bucket_endpoint
        if old.url is not None or region is None or region == old.region:
            return False
        self._bucket_endpoint = replace(old, region=region)
        return True


class _PreconditionFailedError(AwsResponseError):
    """412: the object exists."""


class AccessDeniedError(StoreError):
    """403: these credentials may not do that."""


@asynccontextmanager
async def _translate_errors(action: str) -> AsyncIterator[None]:
    """Turn the client's errors into Vigil's; their texts start with the action."""
    try:
        yield
    except _PreconditionFailedError:
        raise
    except AwsResponseError as error:
        found = store_error(action, error.status, error.code)
        # An answer to HEAD has no body, so no code either.
        if error.code in ("AccessDenied", "403"):
            found = AccessDeniedError(str(found))
        raise found from error
    except CredentialsError as error:
        raise CredentialsError(f"{action}: {error}") from error
    except StoreError as error:
        raise StoreError(f"{action}: {error}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise StoreError(
            f"{action} in the object store: {connection_error_text(error)}."
        ) from error
