"""What signatures cost: the edge to sign a fragment, the relay to check an event.

    edge     notice and metadata of a fragment   not enrolled | enrolled      CPU of this thread
    relay    SQS ──► checks ──► Kafka            no signature | signed        CPU of this process

The relay is the real one, over the local SQS and Kafka, whose own CPU is not counted.
"""

import argparse
import asyncio
import statistics
import time
import uuid
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.relay.relay import KnownCameras, Relay
from agents.signatures.checker import SignatureChecker
from agents.signatures.registry import MAX_AGE_S, KnownSigners, SignerRegistry
from domain.device_identity import Device, DeviceKey, EventSignature, key_id
from domain.events import Detection, DetectionFrame, FoundObject, FragmentArrived, Keyframe, encode
from domain.identity import new_run_id
from domain.times import utc_ms
from edge_bridge.spool.rows import FragmentState, SpooledFragment
from edge_bridge.upload.signed_events import NotEnrolled, Signer, metadata_of, notice_of
from harness.environment import own_services, say
from local.aws import client
from stores.queue import Queue
from streams import topics
from streams.settings import get_settings
from streams.storage import make_queue
from streams.topic_admin import ensure

SITE = "bench/sign"
DEVICE = f"{SITE}/edge-1"
CAMERA = f"{SITE}/gate"
RECORDING_CPU_US = 9_700
"""CPU to record a fragment of 4 s: 0.146 s a camera and minute, by `vigil bench capture`."""
SENDERS = 4


class _BenchDevice:
    """Signs as the device's identity does."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        self._public = self._private.public_key().public_bytes_raw()
        self._key = key_id(self._public)

    def sign(self, body: bytes) -> str:
        return str(EventSignature.sign(self._private, self._key, DEVICE, 1, body))

    def known(self) -> Device:
        return Device(DEVICE, "enrolled", 1, {self._key: DeviceKey(self._public, 1)})


class _FixedRegistry(SignerRegistry):
    """Needs no catalog."""

    def __init__(self, known: KnownSigners) -> None:
        self._signers = known

    async def known(self, max_age_s: float = MAX_AGE_S) -> KnownSigners:
        return self._signers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--events", type=int, default=4_000, help="for the relay, of each kind")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind, in turns")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure and return the figures."""
    device = _BenchDevice()
    figures = _edge(device)
    with own_services("sign") as (stack, _):
        del stack
        figures |= asyncio.run(_relay(device, arguments.events, arguments.rounds))
    return figures


def _fragment(seq: int) -> FragmentArrived:
    now_ms = utc_ms()
    keyframes = [Keyframe(pts=at * 180_000, offset=at * 1_000_000, size=90_000) for at in range(2)]
    return FragmentArrived(
        camera=CAMERA, run=new_run_id(now_ms, bytes(10)), seq=seq, start_ms=now_ms,
        duration_ms=4_000, start_pts=0, arrived_ms=now_ms, closed_ms=now_ms, frames=100,
        size_bytes=1_003_920, sha256="9f" * 32, video_codec="h264", width=1920, height=1080,
        keyframes=keyframes,
    )  # fmt: skip


def _edge(device: _BenchDevice, count: int = 2_000, rounds: int = 5) -> dict[str, Any]:
    """Return the CPU of what is sent for a fragment, us."""
    event = _fragment(7).with_previous("5e" * 32)
    row = SpooledFragment.of(event, FragmentState.UPLOADED)

    def measured(signer: Signer) -> float:
        began = time.thread_time_ns()
        for _ in range(count):
            notice_of(row, signer)
            metadata_of(event, signer)
        return (time.thread_time_ns() - began) / count / 1_000

    plain, signed = [], []
    for _ in range(rounds):
        plain.append(measured(NotEnrolled()))
        signed.append(measured(device))
    without_us, with_us = statistics.median(plain), statistics.median(signed)
    return {
        "fragment_unsigned_us": round(without_us, 1),
        "fragment_signed_us": round(with_us, 1),
        "of_recording": round((with_us - without_us) / RECORDING_CPU_US, 4),
    }


def _events(count: int) -> list[bytes]:
    """Return what sites send: half notices, half detections of ten pictures."""
    bodies = []
    objects = [FoundObject(label="person", score=0.9, box=(0.1, 0.1, 0.2, 0.4), track="7")] * 2
    for number in range(count // 2):
        notice = _fragment(number)
        frames = [
            DetectionFrame(pts=number * 90_000 + at, at_ms=notice.start_ms, objects=objects)
            for at in range(10)
        ]
        found = Detection(
            camera=CAMERA, run=notice.run, model="yolox-s", model_version="1", frames=frames
        )
        bodies += [encode(notice), encode(found)]
    return bodies


async def _fill(queue: Queue, bodies: Sequence[bytes], signer: _BenchDevice | None) -> None:
    async def send(first: int) -> None:
        for at in range(first * 10, len(bodies), SENDERS * 10):
            batch = bodies[at : at + 10]
            signatures = [None if signer is None else signer.sign(body) for body in batch]
            await queue.send(batch, signatures)

    await asyncio.gather(*map(send, range(SENDERS)))


async def _relay(device: _BenchDevice, count: int, rounds: int) -> dict[str, Any]:
    settings = get_settings()
    await ensure(topics.TOPICS)
    sqs = client("sqs", settings.sqs_endpoint or "")
    bodies = _events(count)

    async def cameras() -> set[str]:
        return {CAMERA}

    async def drain(signer: _BenchDevice | None) -> tuple[float, float]:
        """Return seconds and CPU seconds of this process for all events."""
        url = sqs.create_queue(QueueName=f"sign-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        used = settings.model_copy(update={"sqs_queue_url": url})
        checker = SignatureChecker(
            _FixedRegistry(KnownSigners({DEVICE: device.known()}, {SITE: "accept"}))
        )
        stop = asyncio.Event()
        async with make_queue(used, url) as queue:
            await _fill(queue, bodies, signer)
            relay = Relay(used, KnownCameras(cameras), checker, utc_ms)
            cpu_s, began_s = time.process_time(), time.monotonic()
            running = asyncio.create_task(relay.run(stop))
            while await queue.message_count():  # noqa: ASYNC110 - another program's queue
                await asyncio.sleep(0.2)
            took = time.monotonic() - began_s, time.process_time() - cpu_s
            stop.set()
            await running
        return took

    unsigned, signed = [], []
    for number in range(rounds):
        say(f"sign: round {number + 1} of {rounds}")
        unsigned.append(await drain(None))
        signed.append(await drain(device))
    figures = {}
    for name, taken in (("unsigned", unsigned), ("signed", signed)):
        figures[f"relay_{name}_cpu_us"] = round(
            statistics.median(cpu_s for _, cpu_s in taken) / len(bodies) * 1e6, 1
        )
        figures[f"relay_{name}_events_s"] = round(
            len(bodies) / statistics.median(seconds for seconds, _ in taken), 1
        )
    return figures
