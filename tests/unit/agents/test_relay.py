"""The relay with a queue and a producer in memory: what is deleted, dead-lettered, tried again."""

from dataclasses import dataclass, field

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from agents.relay.relay import KnownCameras, Relay
from agents.signatures.checker import SignatureChecker
from agents.signatures.registry import KnownSigners, SignerRegistry
from domain.errors import RefusedError
from domain.events import Detection, DetectionFrame, encode
from domain.identity import new_run_id
from stores.message_batch import MAX_BATCH_BYTES, RejectedMessage, signature_bytes
from stores.queue import QueueMessage, fit_message
from streams.settings import Settings
from tests.devices import SigningDevice

CAMERA = "acme/hq/gate"
NOW_MS = 1_795_369_409_000


def detection(camera: str = CAMERA, model: str = "people") -> bytes:
    frames = [DetectionFrame(pts=1, at_ms=NOW_MS, objects=[])]
    run = new_run_id(NOW_MS, b"x" * 10)
    return encode(Detection(camera=camera, run=run, model=model, model_version="1", frames=frames))


@dataclass
class MemoryQueue:
    """Holds messages; as a dead-letter queue it accepts `most` bytes, by AWS's count."""

    bodies: list[bytes] = field(default_factory=list)
    most: int = MAX_BATCH_BYTES
    deleted: list[str] = field(default_factory=list)
    visible: list[str] = field(default_factory=list)
    letters: list[tuple[bytes, str]] = field(default_factory=list)
    letter_signatures: list[str | None] = field(default_factory=list)
    signatures: dict[int, str] = field(default_factory=dict)
    """Of the messages, by index."""

    def messages(self) -> list[QueueMessage]:
        return [
            QueueMessage(body, str(at), 1, signature=self.signatures.get(at))
            for at, body in enumerate(self.bodies)
        ]

    async def delete(self, receipts: list[str]) -> None:
        self.deleted += receipts

    async def make_visible(self, receipts: list[str]) -> None:
        self.visible += receipts

    async def send(
        self, bodies: list[bytes], signatures: list[str | None], *, reason: str
    ) -> list[RejectedMessage]:
        size = len(bodies[0]) + len("reason") + len("String") + len(reason.encode())
        size += signature_bytes(signatures[0])
        if size > self.most:
            raise RefusedError(f"BatchRequestTooLong: {size} bytes")
        self.letters.append((bodies[0], reason))
        self.letter_signatures.append(signatures[0])
        return []


@dataclass
class FailingProducer:
    """Fails for values that contain a marker."""

    errors: dict[bytes, Exception] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    headers: list[list[tuple[str, bytes]]] = field(default_factory=list)

    async def send_and_wait(
        self, _topic: str, *, value: bytes, key: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        assert key == CAMERA.encode()
        for marker, error in self.errors.items():
            if marker in value:
                raise error
        self.sent.append(value)
        self.headers.append(headers)


async def registered() -> set[str]:
    return {CAMERA}


class KnownRegistry(SignerRegistry):
    """Knows what the test says."""

    def __init__(self, known: KnownSigners) -> None:
        self.signers = known

    async def known(self, max_age_s: float = 2.0) -> KnownSigners:
        return self.signers


def relay_of(
    queue: MemoryQueue,
    dead: MemoryQueue,
    producer: FailingProducer,
    signers: KnownSigners = KnownSigners(policies={"acme/hq": "accept"}),  # noqa: B008 - frozen
) -> Relay:
    signatures = SignatureChecker(KnownRegistry(signers))
    relay = Relay(Settings(), KnownCameras(registered), signatures, lambda: NOW_MS)
    relay._queue = queue  # type: ignore[assignment]
    relay._dead_letter_queue = dead  # type: ignore[assignment]
    relay._producer = producer  # type: ignore[assignment]
    return relay


async def test_a_message_that_kafka_refuses_does_not_stop_the_others() -> None:
    queue = MemoryQueue([detection(), detection(model="large"), detection()])
    dead = MemoryQueue()
    producer = FailingProducer({b"large": MessageSizeTooLargeError("the topic takes 2000 bytes")})
    receipts = await relay_of(queue, dead, producer)._forward_batch(queue.messages())
    assert receipts == ["0", "2"]
    assert (dead.letters, queue.visible) == ([], []), "it waits for its timeout in SQS"


async def test_while_kafka_is_away_messages_are_visible_again_at_once() -> None:
    queue = MemoryQueue([detection(), detection(model="lost")])
    producer = FailingProducer({b"lost": KafkaConnectionError("no broker")})
    with pytest.raises(KafkaConnectionError):
        await relay_of(queue, MemoryQueue(), producer)._forward_batch(queue.messages())
    assert (queue.visible, queue.deleted) == (["1"], ["0"])


async def test_more_than_the_topic_takes_is_a_dead_letter() -> None:
    queue = MemoryQueue([detection() + b" " * (1 << 20)])
    dead = MemoryQueue(most=4 << 20)
    receipts = await relay_of(queue, dead, FailingProducer())._forward_batch(queue.messages())
    assert receipts == ["0"]
    assert "bytes" in dead.letters[0][1]


@pytest.mark.parametrize("most", [MAX_BATCH_BYTES, 100_000, 2_000])
async def test_poison_of_the_queue_s_full_size_fits_the_dead_letter_queue(most: int) -> None:
    body = detection(camera="acme/nowhere/x")
    poison = body[:-1] + b" " * (MAX_BATCH_BYTES - len(body)) + b"}"
    queue, dead = MemoryQueue([poison]), MemoryQueue(most=most)
    receipts = await relay_of(queue, dead, FailingProducer())._forward_batch(queue.messages())
    assert receipts == ["0"]
    [(letter, reason)] = dead.letters
    assert poison.startswith(letter)
    assert "not registered" in reason
    assert f"cut from {MAX_BATCH_BYTES} bytes" in reason


@pytest.mark.parametrize("max_bytes", [1_024, 5_000, MAX_BATCH_BYTES])
@pytest.mark.parametrize("reason", ["", "short", "é" * 5_000, "type: \0\x01\ud800\uffff"])
def test_fit_message(reason: str, max_bytes: int) -> None:
    body = "ä".encode() * MAX_BATCH_BYTES
    cut, short = fit_message(body, reason, max_bytes)
    assert len(cut) + len(short.encode()) + len("reasonString") <= max_bytes
    assert cut.decode() == "ä" * (len(cut) // 2)
    assert not set(short) & set("\0\x01\ud800\uffff")
    assert fit_message(b"{}", "why", max_bytes) == (b"{}", "why")


async def test_only_what_its_device_signed_is_forwarded() -> None:
    mine = SigningDevice("acme/hq/edge-1")
    other = SigningDevice("acme/lab/edge-1")
    body = detection()
    queue, dead, producer = MemoryQueue([body] * 4), MemoryQueue(), FailingProducer()
    queue.signatures = {
        0: mine.sign(body), 1: other.sign(body), 2: mine.sign(b"{}"), 3: "x" * 9_000
    }  # fmt: skip
    signers = KnownSigners({each.id: each.known() for each in (mine, other)}, {"acme/hq": "accept"})
    relay = relay_of(queue, dead, producer, signers)
    assert await relay._forward_batch(queue.messages()) == ["0", "1", "2", "3"]
    assert producer.sent == [body]
    assert producer.headers == [[("signature", queue.signatures[0].encode())]]
    assert [reason.partition(":")[0] for _, reason in dead.letters] == [
        "foreign", "forged", "malformed",
    ]  # fmt: skip
    # A retry needs the signature; what is not a signature is left out.
    assert dead.letter_signatures == [queue.signatures[1], queue.signatures[2], None]


async def test_a_site_that_refuses_unsigned_events_gets_none() -> None:
    queue, dead, producer = MemoryQueue([detection()]), MemoryQueue(), FailingProducer()
    relay = relay_of(queue, dead, producer, KnownSigners(policies={"acme/hq": "refuse"}))
    assert await relay._forward_batch(queue.messages()) == ["0"]
    assert producer.sent == []
    ((_, reason),) = dead.letters
    assert reason == "unsigned: acme/hq refuses events that no device signed"


async def test_a_site_that_warns_accepts_unsigned_events_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue, dead, producer = MemoryQueue([detection()] * 2), MemoryQueue(), FailingProducer()
    relay = relay_of(queue, dead, producer, KnownSigners(policies={"acme/hq": "warn"}))
    assert await relay._forward_batch(queue.messages()) == ["0", "1"]
    assert producer.headers == [[], []]
    assert caplog.text.count("vigil site unsigned acme/hq refuse") == 1
