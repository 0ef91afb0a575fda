"""Messages that the queue rejects, and a queue that fails."""

import dataclasses
import uuid

import pytest

from domain.errors import RefusedError, StoreError
from local.aws import client
from stores.queue import Queue
from streams.storage import make_queue
from tests.conftest import Services


async def test_a_message_that_is_too_large_is_rejected(services: Services) -> None:
    sqs = client("sqs", services.env["VIGIL_SQS_ENDPOINT"])
    own = sqs.create_queue(QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]
    async with make_queue(services.settings, own) as queue:
        with pytest.raises(RefusedError):
            await queue.send([b"x" * (200 << 10), b"y" * (2 << 20)])
        with pytest.raises(RefusedError):
            await queue.send([b"x" * (2 << 20)])


async def test_a_missing_queue_does_not_reject_the_message(services: Services) -> None:
    async with make_queue(services.settings, services.settings.sqs_queue_url) as queue:
        endpoint = dataclasses.replace(queue._endpoint, max_attempts=1)
        async with Queue(endpoint, queue.url + "-missing") as missing:
            with pytest.raises(StoreError) as raised:
                await missing.send([b"hello"])
    assert not isinstance(raised.value, RefusedError)
