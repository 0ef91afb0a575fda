"""What the queue refuses for what was sent is told apart from a queue that fails."""

import dataclasses
import uuid

import pytest

from domain.errors import RefusedError, StoreError
from local.aws import client
from stores.queue import Queue
from streams.storage import make_queue
from tests.conftest import Services


async def test_what_is_too_large_is_at_fault_itself(services: Services) -> None:
    sqs = client("sqs", services.env["VIGIL_SQS_ENDPOINT"])
    own = sqs.create_queue(QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]
    async with make_queue(services.settings, own) as queue:
        with pytest.raises(RefusedError):
            await queue.send([b"x" * (200 << 10), b"y" * (2 << 20)])
        with pytest.raises(RefusedError):
            await queue.send([b"x" * (2 << 20)])


async def test_a_queue_that_is_not_there_is_no_fault_of_the_message(services: Services) -> None:
    async with make_queue(services.settings, services.settings.sqs_queue_url) as queue:
        endpoint = dataclasses.replace(queue._endpoint, max_attempts=1)
        async with Queue(endpoint, queue.url + "-of-nobody") as nobody:
            with pytest.raises(StoreError) as raised:
                await nobody.send([b"hello"])
    assert not isinstance(raised.value, RefusedError)
