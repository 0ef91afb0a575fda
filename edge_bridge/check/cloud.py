"""Checks the route to S3 and SQS with the requests that recording makes."""

import asyncio
import hashlib
import re
import time
import uuid
from collections.abc import Awaitable, Callable

from domain.errors import ConfigError, CredentialsError, StoreError
from domain.events import Heartbeat
from domain.events.registry import encode
from domain.times import utc_ms
from edge_bridge.check.result import CheckResult
from edge_bridge.config import EdgeConfig
from edge_bridge.identity.credentials import DeviceCredentials
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.upload.endpoints import endpoints
from stores import tls
from stores.aws_credentials import CredentialCache
from stores.aws_errors import AwsResponseError
from stores.signed_objects import AccessDeniedError, SignedObjectStore
from stores.signed_queue import SignedQueue

_WITHIN_S = 20
_ROUTE = "check the route, the VPN and the firewall; correct cloud.{}_endpoint or cloud.region"
_IN_BETWEEN = "a proxy or a login page of the site answers: let this device through without it"
_BY_CODE = {
    **dict.fromkeys(("301", "302", "303", "307", "308", "511"), _IN_BETWEEN),
    "NoSuchBucket": "correct cloud.bucket",
    "PermanentRedirect": "correct cloud.region: the bucket is in another region",
    "AuthorizationHeaderMalformed": "correct cloud.region",
    "RequestTimeTooSkewed": "set this device's clock",
    "AccessDenied": "allow this device s3:PutObject under fragments/{site}/, and sqs:SendMessage",
    "AWS.SimpleQueueService.NonExistentQueue": "correct cloud.queue_url",
    "QueueDoesNotExist": "correct cloud.queue_url",
    "InvalidAddress": "correct cloud.queue_url",
}


async def check_store(config: EdgeConfig) -> CheckResult:
    """PUT a small object below the edge's own prefix; read and delete it if that is allowed."""

    async def attempt() -> str:
        key = f"fragments/{config.site}/.check/{uuid.uuid4()}"
        at_s3, _ = endpoints(config.cloud)
        started_s = time.monotonic()
        _, credentials = await _identity(config)
        async with SignedObjectStore(at_s3, config.cloud.bucket, credentials=credentials) as store:
            await store.put_once(
                key,
                b"check",
                sha256=hashlib.sha256(b"check").hexdigest(),
                metadata={},
                content_type="text/plain",
            )
            try:
                await store.head(key)
            except AccessDeniedError:  # as a device's own credentials are
                took_s = time.monotonic() - started_s
                return f"written in {took_s:.2f} s (no permission to read; none is needed)"
            took_s = time.monotonic() - started_s
            try:
                await store.delete(key)
            except StoreError:
                return f"written in {took_s:.2f} s (no permission to delete; none is needed)"
        return f"written and read in {took_s:.2f} s"

    return await _result(f"S3 {config.cloud.bucket}", attempt, config, "s3")


async def check_queue(config: EdgeConfig) -> CheckResult:
    """Send a heartbeat: the cloud accepts one at any time."""

    async def attempt() -> str:
        beat = Heartbeat(
            site=config.site, edge=config.edge, sent_ms=utc_ms(), spool_bytes=0, spool_waiting=0,
            disk_free_bytes=0,
        )  # fmt: skip
        _, at_sqs = endpoints(config.cloud)
        started_s = time.monotonic()
        identity, credentials = await _identity(config)
        body = encode(beat)
        async with SignedQueue(at_sqs, config.cloud.queue_url, credentials=credentials) as queue:
            if await queue.send([body], [identity.sign(body)]):
                raise StoreError("it rejects messages: check the queue's policy.")
        return f"a message sent in {time.monotonic() - started_s:.2f} s"

    name = config.cloud.queue_url.rsplit("/", 1)[-1]
    return await _result(f"SQS {name}", attempt, config, "sqs")


async def _identity(config: EdgeConfig) -> tuple[DeviceIdentity, CredentialCache]:
    """Return who this device is, and the credentials that it uploads with."""
    identity = await asyncio.to_thread(DeviceIdentity, config.identity_folder)
    return identity, CredentialCache(DeviceCredentials(identity).read)


async def _result(
    what: str, attempt: Callable[[], Awaitable[str]], config: EdgeConfig, service: str
) -> CheckResult:
    try:
        async with asyncio.timeout(_WITHIN_S):
            return CheckResult(what, "good", await attempt())
    except TimeoutError:
        text = f"accepts the connection, but does not answer within {_WITHIN_S} s"
        return CheckResult(what, "bad", text, _ROUTE.format(service))
    except Exception as error:
        # For an invalid address the libraries raise errors of many kinds.
        return CheckResult(what, "bad", _error_text(error), _remedy(error, config, service))


def _error_text(error: Exception) -> str:
    """Return what failed, in short: the row names the service; keys and paths are noise."""
    if isinstance(error, LookupError | TypeError | AttributeError):
        return "the server is not an S3 or SQS service"
    text = str(error).rstrip(".")
    if isinstance(error, StoreError):
        text = re.sub(r"^[\w ]+ fragments/\S+/\.check/\S+?(?: in the object store)?: ", "", text)
        text = re.sub(r"^\w+ on the queue \S+?(?: failed)?: ", "", text)
    text = re.sub(r"An error occurred \((\w[\w.]*)\) when calling the \w+ operation", r"\1", text)
    text = re.sub(r"(https?://[^/\s\"]+)/[^\s\"]*", r"\1", text)
    return text.partition(": renew them")[0]


def _remedy(error: Exception, config: EdgeConfig, service: str) -> str:
    if isinstance(error, CredentialsError):
        return "give this device valid AWS credentials: a role, its environment, or ~/.aws"
    if isinstance(error, ConfigError):
        return "correct cloud.ca_file"
    code = _code(error)
    if code in _BY_CODE:
        return _BY_CODE[code].format(site=config.site)
    if (fault := tls.certificate_error_text(error)) is not None:
        if fault == tls.ANSWERS_WITHOUT_TLS:
            return _IN_BETWEEN
        return f"correct cloud.ca_file or cloud.{service}_endpoint"
    if code:
        return "correct cloud.*, or the permissions of this device"
    return _ROUTE.format(service)


def _code(error: BaseException | None) -> str:
    """Return AWS's error code, from the error or from its causes."""
    while error is not None:
        if isinstance(error, AwsResponseError):
            return error.code
        error = error.__cause__
    return ""
