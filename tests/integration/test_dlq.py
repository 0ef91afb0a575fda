"""`vigil dlq` on a real Kafka and SQS, through the command."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from cli.main import main
from local.aws import client
from stores.catalog import migrate
from streams import codec, topics
from streams.codec import Record
from streams.sender import KafkaSender
from streams.settings import get_settings
from streams.storage import make_queue
from streams.topic_admin import ensure
from tests.conftest import Services

Vigil = Callable[..., tuple[int, bytes]]
POISON = b'{"type": "fragment-arrived", \xff not JSON'


@pytest.fixture
def own(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Topics and queues of the test's own."""
    name = uuid.uuid4().hex[:8]
    sqs = client("sqs", services.settings.sqs_endpoint or "")
    for queue in ("", "-dead"):
        url = sqs.create_queue(QueueName=name + queue)["QueueUrl"]
        monkeypatch.setenv(f"VIGIL_SQS_{'DEAD_LETTER' if queue else 'QUEUE'}_URL", url)
    monkeypatch.setenv("VIGIL_TOPIC_PREFIX", f"{name}-")
    monkeypatch.setenv("VIGIL_PARTITIONS", "2")
    get_settings.cache_clear()
    asyncio.run(ensure(topics.TOPICS))
    # What is done with a dead letter is in the audit log.
    asyncio.run(migrate(services.settings.database_url.get_secret_value()))
    yield name
    get_settings.cache_clear()


@pytest.fixture
def vigil(own: str, capfdbinary: pytest.CaptureFixture[bytes]) -> Vigil:
    def run(*arguments: str) -> tuple[int, bytes]:
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["dlq", *arguments])
        return int(ended.value.code or 0) if not isinstance(ended.value.code, str) else 1, (
            capfdbinary.readouterr().out
        )

    return run


async def put(key: bytes | None, value: bytes, reason: str, *, keep: int | None = None) -> None:
    """Send a message to its topic, and its dead letter as a worker would; `keep` bytes of it."""
    topic = topics.FRAGMENT_ARRIVED.full_name
    async with KafkaSender(get_settings()) as sender:
        partition, offset = await sender.send_bytes(topic, key, value, 0 if key is None else None)
        letter = codec.make_dead_letter(Record(topic, partition, offset, key, value), reason)
        await sender.send(letter)


async def records_in(topic: str) -> list[tuple[int, bytes | None, bytes]]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=get_settings().kafka_brokers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        found: list[tuple[int, bytes | None, bytes]] = []
        ends = await consumer.end_offsets(consumer.assignment())
        while sum(ends.values()) > len(found):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [(each.partition, each.key, each.value) for each in records]
        return found
    finally:
        await consumer.stop()


def listed(vigil: Vigil, *arguments: str) -> list[dict[str, Any]]:
    code, out = vigil("list", "--json", *arguments)
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.slow
def test_letters_are_listed_shown_retried_and_dropped(vigil: Vigil) -> None:
    asyncio.run(put(b"acme/hq/gate", POISON, "message: it is not JSON"))
    asyncio.run(put(None, b"", "message: it is empty"))
    letters = {each["reason"]: each for each in listed(vigil)}
    assert set(letters) == {"message: it is not JSON", "message: it is empty"}
    first = letters["message: it is not JSON"]["id"]
    second = letters["message: it is empty"]["id"]
    assert vigil("show", "--raw", first) == (0, POISON)
    _, shown = vigil("show", first)
    assert b"reason: message: it is not JSON" in shown and POISON in shown

    assert vigil("retry", first)[0] == 0
    source = asyncio.run(records_in(topics.FRAGMENT_ARRIVED.full_name))
    sent = [each for each in source if each[2] == POISON]
    assert len(sent) == 2 and sent[0] == sent[1]  # same key, same bytes, same partition
    assert [each["id"] for each in listed(vigil)] == [second]
    assert b"already" in vigil("retry", first)[1]
    assert len(asyncio.run(records_in(topics.FRAGMENT_ARRIVED.full_name))) == len(source)

    assert vigil("drop", "--source", "fragment-arrived")[0] == 0
    assert listed(vigil) == []
    became = {each["id"]: each["did"] for each in listed(vigil, "--done")}
    assert became == {first: "retried", second: "dropped"}
    assert vigil("show", "--raw", first) == (0, POISON)  # kept, with what became of it


def test_a_message_too_large_for_its_letter_is_had_from_its_topic(vigil: Vigil) -> None:
    large = POISON + b"x" * (codec.MAX_ORIGINAL_BYTES + 20_000)
    asyncio.run(put(b"\xff\xfe key", large, "message: too large"))
    (letter,) = listed(vigil)
    assert vigil("retry", letter["id"])[0] == 0
    sent = asyncio.run(records_in(topics.FRAGMENT_ARRIVED.full_name))
    assert [(key, value) for _, key, value in sent] == [(b"\xff\xfe key", large)] * 2


def test_a_part_of_a_message_is_not_sent(vigil: Vigil) -> None:
    async def lost() -> None:
        topic = topics.FRAGMENT_ARRIVED.full_name
        large = b"y" * (codec.MAX_ORIGINAL_BYTES + 1)
        async with KafkaSender(get_settings()) as sender:
            await sender.send(
                codec.make_dead_letter(Record(topic, 0, 4_711, b"k", large), "too large")
            )

    asyncio.run(lost())
    (letter,) = listed(vigil)
    assert vigil("retry", letter["id"])[0] == 1
    assert len(listed(vigil)) == 1
    assert asyncio.run(records_in(topics.FRAGMENT_ARRIVED.full_name)) == []


@pytest.mark.slow
def test_the_queues_letters_are_listed_retried_and_dropped(vigil: Vigil) -> None:
    bodies = ["ä {".encode(), b'{"type": "tick"}', b"third"]

    async def poison() -> None:
        async with make_queue(get_settings(), get_settings().sqs_dead_letter_url) as dead:
            for number, body in enumerate(bodies):
                assert await dead.send([body], reason=f"reason {number}") == []

    async def queued() -> list[bytes]:
        async with make_queue(get_settings(), get_settings().sqs_queue_url) as queue:
            return [message.body for message in await queue.receive(wait_s=1)]

    asyncio.run(poison())
    letters = {each["reason"]: each["id"] for each in listed(vigil, "--source", "sqs")}
    assert sorted(letters) == ["reason 0", "reason 1", "reason 2"]
    assert len(listed(vigil)) == 3  # reading hides nothing
    assert vigil("show", "--raw", letters["reason 0"]) == (0, bodies[0])
    assert vigil("retry", letters["reason 0"])[0] == 0
    assert asyncio.run(queued()) == [bodies[0]]
    assert vigil("drop", letters["reason 1"])[0] == 0
    assert [each["reason"] for each in listed(vigil)] == ["reason 2"]
    done = {each["reason"]: each["did"] for each in listed(vigil, "--source", "sqs", "--done")
            if "did" in each}  # fmt: skip
    assert done == {"reason 0": "retried", "reason 1": "dropped"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nonsense"),
        ("show", "0@999"),
        ("retry",),
        ("retry", "0@1", "--source", "detection"),
        ("list", "--source", "no-such-topic"),
        ("drop", "sqs:missing"),
    ],
)
def test_what_is_not_there_is_reported_in_a_sentence(
    vigil: Vigil, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dlq", *arguments])
    assert str(ended.value.code).startswith("vigil: ")
