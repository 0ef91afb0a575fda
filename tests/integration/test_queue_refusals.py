"""Messages that the queue rejects, and a queue that fails."""

import dataclasses
import uuid

import pytest

from domain.errors import RefusedError, StoreError
from local.aws import client
from stores.queue import Queue
from stores.signed_queue import SignedQueue
from streams.storage import make_queue
from tests.conftest import Services


async def test_a_message_that_is_too_large_is_rejected(services: Services) -> None:
    sqs = client("sqs", services.env["VIGIL_SQS_ENDPOINT"])
    own = sqs.create_queue(QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]
    async with (
        make_queue(services.settings, own) as queue,
        SignedQueue(queue._endpoint, own) as edge,
    ):
        for sender in (queue, edge):
            with pytest.raises(RefusedError):
                await sender.send([b"x" * (200 << 10), b"y" * (2 << 20)])
            with pytest.raises(RefusedError):
                await sender.send([b"x" * (2 << 20)])
        assert await queue.message_count() == 0
        bodies = ['{"text": "ü\\u0000"}'.encode(), b"second"]
        assert await edge.send(bodies) == []
        received: list[bytes] = []
        while len(received) < len(bodies):
            received += [message.body for message in await queue.receive(wait_s=10)]
        assert sorted(received) == sorted(bodies)
        (rejected,) = await edge.send([b"a\x00b"])
        assert rejected.sender_fault


async def test_a_missing_queue_does_not_reject_the_message(services: Services) -> None:
    async with make_queue(services.settings, services.settings.sqs_queue_url) as queue:
        endpoint = dataclasses.replace(queue._endpoint, max_attempts=1)
        for kind in (Queue, SignedQueue):
            async with kind(endpoint, queue.url + "-missing") as missing:
                with pytest.raises(
                    StoreError, match=r"QueueDoesNotExist|NonExistentQueue"
                ) as raised:
                    await missing.send([b"hello"])
            assert not isinstance(raised.value, RefusedError)
