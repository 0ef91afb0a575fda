"""Tries the route to S3 and SQS, with what the device will do there."""

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
from edge_bridge.upload.endpoints import endpoints
from stores.objects import ObjectStore
from stores.queue import Queue

_WITHIN_S = 20
_ROUTE = "look at the route, the VPN and the firewall; mend cloud.{}_endpoint or cloud.region"
_BY_CODE = {
    "NoSuchBucket": "mend cloud.bucket",
    "PermanentRedirect": "mend cloud.region: the bucket is in another",
    "AuthorizationHeaderMalformed": "mend cloud.region",
    "RequestTimeTooSkewed": "set this device's clock",
    "AccessDenied": "allow this device s3:PutObject and s3:GetObject under fragments/{site}/, "
    "and sqs:SendMessage",
    "403": "allow this device s3:GetObject under fragments/{site}/",
    "AWS.SimpleQueueService.NonExistentQueue": "mend cloud.queue_url",
    "QueueDoesNotExist": "mend cloud.queue_url",
    "InvalidAddress": "mend cloud.queue_url",
}


async def check_store(config: EdgeConfig) -> CheckResult:
    """PUT a small object under the edge's own prefix, read it, delete it."""

    async def tried() -> str:
        key = f"fragments/{config.site}/.check/{uuid.uuid4()}"
        at_s3, _ = endpoints(config.cloud)
        began_s = time.monotonic()
        async with ObjectStore(at_s3, config.cloud.bucket) as store:
            await store.put_once(
                key,
                b"check",
                sha256=hashlib.sha256(b"check").hexdigest(),
                metadata={},
                content_type="text/plain",
            )
            await store.head(key)
            took_s = time.monotonic() - began_s
            try:
                await store.delete([key])
            except StoreError:
                return f"written in {took_s:.2f} s (may not delete: fine)"
        return f"written and read in {took_s:.2f} s"

    return await _found(f"S3 {config.cloud.bucket}", tried, config, "s3")


async def check_queue(config: EdgeConfig) -> CheckResult:
    """Send a heartbeat, which the cloud may get at any time."""

    async def tried() -> str:
        beat = Heartbeat(
            site=config.site, edge=config.edge, sent_ms=utc_ms(), spool_bytes=0, spool_waiting=0,
            disk_free_bytes=0,
        )  # fmt: skip
        _, at_sqs = endpoints(config.cloud)
        began_s = time.monotonic()
        async with Queue(at_sqs, config.cloud.queue_url) as queue:
            if await queue.send([encode(beat)]):
                raise StoreError("it refuses messages: look at the queue's policy.")
        return f"a message sent in {time.monotonic() - began_s:.2f} s"

    name = config.cloud.queue_url.rsplit("/", 1)[-1]
    return await _found(f"SQS {name}", tried, config, "sqs")


async def _found(
    what: str, tried: Callable[[], Awaitable[str]], config: EdgeConfig, service: str
) -> CheckResult:
    try:
        async with asyncio.timeout(_WITHIN_S):
            return CheckResult(what, "good", await tried())
    except TimeoutError:
        words = f"takes the connection, but does not answer within {_WITHIN_S} s"
        return CheckResult(what, "bad", words, _ROUTE.format(service))
    except Exception as error:
        # What the libraries say of an address that is none is of many kinds.
        return CheckResult(what, "bad", _words(error), _remedy(error, config, service))


def _words(error: Exception) -> str:
    """Return what went wrong in short: the row names the place already, keys and paths say less."""
    if isinstance(error, LookupError | TypeError | AttributeError):
        return "what answers there is no S3 or SQS"
    text = str(error).rstrip(".")
    if isinstance(error, StoreError):
        text = re.sub(r"^(?:writing|reading|looking at) \S+?(?: in the object store)?: ", "", text)
        text = re.sub(r"^\w+ on the queue \S+?(?: failed)?: ", "", text)
    text = re.sub(r"An error occurred \((\w[\w.]*)\) when calling the \w+ operation", r"\1", text)
    text = re.sub(r"(https?://[^/\s\"]+)/[^\s\"]*", r"\1", text)
    return text.partition(": renew them")[0]


def _remedy(error: Exception, config: EdgeConfig, service: str) -> str:
    if isinstance(error, CredentialsError):
        return "give this device valid AWS credentials: a role, its environment, or ~/.aws"
    if isinstance(error, ConfigError):
        return "mend cloud.ca_file"
    code = _code(error)
    if code in _BY_CODE:
        return _BY_CODE[code].format(site=config.site)
    if "not believed" in str(error):
        return f"mend cloud.ca_file or cloud.{service}_endpoint"
    if code:
        return "mend cloud.*, or the rights of this device"
    return _ROUTE.format(service)


def _code(error: BaseException | None) -> str:
    """Return AWS's code for what went wrong, looked for among the causes too."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""
