"""Two identities at local S3 and SQS: a device's credentials reach its own prefix, and no more.

device ──► gate ──► S3, SQS        worker ──► S3, SQS
"""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from aiohttp.test_utils import TestServer
from botocore.config import Config
from botocore.exceptions import ClientError

from domain.device_policy import queue_arn
from domain.errors import CredentialsError, ObjectExistsError, StoreError
from domain.times import utc_ms
from local.aws import REGION
from local.aws_gate import AwsGate, SessionTokens
from local.gate import ROLE_ARN
from local.sqs import DEAD_LETTERS, QUEUE
from stores.aws_credentials import AwsCredentials, CredentialCache
from stores.aws_endpoint import AwsEndpoint
from stores.signed_objects import SignedObjectStore
from stores.signed_queue import SignedQueue
from stores.sts import DeviceCredentialIssuer
from tests.conftest import Services

SITE = f"acme/site-{uuid.uuid4().hex[:8]}"
KEY = f"fragments/{SITE}/gate/run/00000001.ts"
DATA = b"fragment"
SHA256 = hashlib.sha256(DATA).hexdigest()


@dataclass
class Gate:
    """The running gate, and what asks STS behind it."""

    url: str
    queue_url: str
    bucket: str
    core: AwsGate
    issuer: DeviceCredentialIssuer

    async def credentials(self, device: str = f"{SITE}/edge-1") -> AwsCredentials:
        return await self.issuer.issue(device)

    def client(self, service: str, found: AwsCredentials) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=found.access_key_id,
            aws_secret_access_key=found.secret_access_key,
            aws_session_token=found.session_token,
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}),
        )


@pytest.fixture
async def gate(services: Services) -> AsyncIterator[Gate]:
    settings = services.settings
    assert settings.s3_endpoint and settings.sqs_endpoint
    core = AwsGate(settings.s3_endpoint, settings.sqs_endpoint, SessionTokens(b"secret"))
    async with TestServer(core.application()) as server:
        url = str(server.make_url("")).rstrip("/")
        queue_url = settings.sqs_queue_url.replace(settings.sqs_endpoint, url)
        issuer = DeviceCredentialIssuer(
            AwsEndpoint(REGION, url), role_arn=ROLE_ARN, bucket=settings.s3_bucket,
            queue_arn=queue_arn(queue_url, REGION),
        )  # fmt: skip
        async with issuer:
            yield Gate(url, queue_url, settings.s3_bucket, core, issuer)


def cache(found: AwsCredentials) -> CredentialCache:
    async def source() -> AwsCredentials:
        return found

    return CredentialCache(source)


async def test_an_edge_uploads_and_sends_with_its_credentials(gate: Gate) -> None:
    found = await gate.credentials()
    assert found.expires_ms is not None
    assert 3_500_000 < found.expires_ms - utc_ms() <= 3_600_000
    endpoint = AwsEndpoint(REGION, gate.url)
    async with SignedObjectStore(endpoint, gate.bucket, credentials=cache(found)) as store:
        key = f"fragments/{SITE}/gate/{uuid.uuid4()}/00000001.ts"
        metadata = {"signature": "v1 x"}
        assert await store.put_once(key, DATA, sha256=SHA256, metadata=metadata)
        # The answer was lost, and the edge tries again: it may not read what is there.
        assert not await store.put_once(key, DATA, sha256=SHA256, metadata=metadata)
        with pytest.raises(StoreError, match="AccessDenied"):
            await store.put_once(key.replace(SITE, "acme/other"), DATA, sha256=SHA256, metadata={})
    async with SignedObjectStore(AwsEndpoint(REGION, gate.core._s3), gate.bucket) as worker:
        assert (await worker.head(key)).metadata["signature"] == "v1 x"
        assert await worker.get(key) == DATA
        other = hashlib.sha256(b"x").hexdigest()
        with pytest.raises(ObjectExistsError):
            await worker.put_once(key, b"x", sha256=other, metadata={})
    async with SignedQueue(endpoint, gate.queue_url, credentials=cache(found)) as queue:
        assert await queue.send([b'{"type": "test"}']) == []


Call = Callable[[Any, Any, Gate], Any]
OTHER = KEY.replace(SITE, "acme/other")
DENIED: dict[str, Call] = {
    "overwrite": lambda s3, _, gate: s3.put_object(Bucket=gate.bucket, Key=KEY, Body=DATA),
    "put elsewhere": lambda s3, _, gate: s3.put_object(
        Bucket=gate.bucket, Key=OTHER, Body=DATA, IfNoneMatch="*"
    ),
    "put a chunk": lambda s3, _, gate: s3.put_object(
        Bucket=gate.bucket, Key=f"chunks/{SITE}/x", Body=DATA, IfNoneMatch="*"
    ),
    "get": lambda s3, _, gate: s3.get_object(Bucket=gate.bucket, Key=KEY),
    "head": lambda s3, _, gate: s3.head_object(Bucket=gate.bucket, Key=KEY),
    "list": lambda s3, _, gate: s3.list_objects_v2(Bucket=gate.bucket, Prefix=f"fragments/{SITE}/"),
    "list buckets": lambda s3, _, gate: s3.list_buckets(),
    "delete": lambda s3, _, gate: s3.delete_object(Bucket=gate.bucket, Key=KEY),
    "delete several": lambda s3, _, gate: s3.delete_objects(
        Bucket=gate.bucket, Delete={"Objects": [{"Key": KEY}]}
    ),
    "copy": lambda s3, _, gate: s3.copy_object(
        Bucket=gate.bucket, Key=KEY, CopySource={"Bucket": gate.bucket, "Key": OTHER}
    ),
    "upload in parts": lambda s3, _, gate: s3.create_multipart_upload(Bucket=gate.bucket, Key=KEY),
    "acl": lambda s3, _, gate: s3.put_object_acl(Bucket=gate.bucket, Key=KEY, ACL="public-read"),
    "send to another queue": lambda _, sqs, gate: sqs.send_message(
        QueueUrl=gate.queue_url.replace(QUEUE, DEAD_LETTERS), MessageBody="x"
    ),
    "receive": lambda _, sqs, gate: sqs.receive_message(QueueUrl=gate.queue_url),
    "purge": lambda _, sqs, gate: sqs.purge_queue(QueueUrl=gate.queue_url),
}


async def test_each_forbidden_action_is_denied(gate: Gate) -> None:
    found = await gate.credentials()
    s3, sqs = gate.client("s3", found), gate.client("sqs", found)
    allowed = []
    for name, call in DENIED.items():
        try:
            await asyncio.to_thread(call, s3, sqs, gate)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                continue
        allowed.append(name)
    assert allowed == []


async def test_credentials_that_are_changed_old_or_of_others_are_refused(gate: Gate) -> None:
    found = await gate.credentials()
    other = await gate.credentials("acme/other/edge-1")
    token = str(found.session_token)
    body, _, mac = token.partition(".")
    endpoint = AwsEndpoint(REGION, gate.url)

    async def send(given: AwsCredentials) -> None:
        async with SignedQueue(endpoint, gate.queue_url, credentials=cache(given)) as queue:
            await queue.send([json.dumps({"type": "test"}).encode()])

    await send(found)
    for given in (
        replace(found, secret_access_key="x"),
        replace(found, session_token=f"{body}x.{mac}"),
        replace(found, session_token=other.session_token),
        replace(found, session_token=None),
        AwsCredentials("vigil-local", "x"),
    ):
        with pytest.raises(StoreError):
            await send(given)
    gate.core.clock_ms = lambda: utc_ms() + 600_000
    await send(found)
    gate.core._sessions = SessionTokens(b"another")
    with pytest.raises(CredentialsError, match="InvalidToken"):
        await send(found)
    gate.core._sessions = SessionTokens(b"secret")
    gate.core.clock_ms = utc_ms
    old = gate.core._sessions.give({"Statement": []}, utc_ms() - 1)
    with pytest.raises(CredentialsError, match="ExpiredToken"):
        await send(AwsCredentials(old.access_key_id, old.secret, old.token))


async def test_only_the_owner_assumes_the_role(gate: Gate) -> None:
    found = await gate.credentials()
    with pytest.raises(ClientError, match="AccessDenied"):
        await asyncio.to_thread(
            gate.client("sts", found).assume_role,
            RoleArn=ROLE_ARN,
            RoleSessionName="xx",
            Policy='{"Statement": []}',
        )
