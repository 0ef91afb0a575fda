"""What a recovery is measured with: cameras that go on, a worker asked, a group that commits."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from domain.errors import VigilError
from domain.events import FragmentArrived, encode
from harness import lag
from harness.fragment_load import DURATION_MS, fragments
from streams.settings import Settings
from streams.topics import FRAGMENT_ARRIVED

STATE_ROUNDS = 15
"""Fragments of each camera before anything is killed: half a window's."""
ROUNDS = 100_000
WITHIN_S = 180.0
ASK_EVERY_S = 0.02
COMMITTED_WITHIN_S = 1.5
"""No lag: what the log held is committed so soon; a commit comes once a second."""


class Feed:
    """Cameras that send a fragment every two seconds, spread over them."""

    def __init__(self, producer: AIOKafkaProducer, cameras: int) -> None:
        self._producer, self._cameras = producer, cameras
        self._events: Iterator[FragmentArrived] = fragments(cameras, ROUNDS)

    async def state(self) -> None:
        """Send what makes the state, as fast as it goes."""
        for _ in range(STATE_ROUNDS * self._cameras):
            await self._send()
        await self._producer.flush()

    async def live(self) -> None:
        """Go on at the cameras' pace forever."""
        began_s, sent = time.monotonic(), 0
        while True:
            due = (time.monotonic() - began_s) * 1_000 / DURATION_MS * self._cameras
            while sent < due:
                await self._send()
                sent += 1
            await asyncio.sleep(ASK_EVERY_S)

    async def _send(self) -> None:
        event = next(self._events)
        await self._producer.send(
            FRAGMENT_ARRIVED.full_name, encode(event), key=event.camera.encode()
        )


@dataclass
class Watched:
    """A worker, asked for its metrics again and again."""

    port: int
    answered_s: float = 0.0
    ready_s: float = 0.0
    first_s: float = 0.0
    cpu_s: float = 0.0
    paused_s: float = 0.0
    first: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._ask())

    async def stop(self) -> None:
        """Ask no more; raises the error that occurred."""
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _ask(self) -> None:
        handled, since_s = 0.0, time.monotonic()
        async with aiohttp.ClientSession() as session:
            while True:
                with suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
                        text = await answer.text()
                    now_s = time.monotonic()
                    self.answered_s = self.answered_s or now_s
                    if value(text, "vigil_ready"):
                        self.ready_s = self.ready_s or now_s
                    if (now := value(text, "vigil_events_total")) > handled:
                        if handled:
                            self.paused_s = max(self.paused_s, now_s - since_s)
                        if not self.first.is_set():
                            self.first_s = now_s
                            self.cpu_s = value(text, "process_cpu_seconds_total")
                            self.first.set()
                        handled, since_s = now, now_s
                await asyncio.sleep(ASK_EVERY_S)


def value(text: str, name: str) -> float:
    """Return the sum of a metric over its labels."""
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith((f"{name} ", f"{name}{{"))
    )


class Group:
    """What the assemblers have committed, and where their topic ends."""

    def __init__(self, settings: Settings) -> None:
        self._group = f"{settings.app_prefix}-assemble"
        self._consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_brokers)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_brokers)
        self._tps = [
            TopicPartition(FRAGMENT_ARRIVED.full_name, at) for at in range(settings.partitions)
        ]

    async def __aenter__(self) -> "Group":
        await self._consumer.start()
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        await self._consumer.stop()

    async def caught_up(self, since_s: float) -> float:
        """Return the first moment after `since_s` whose log's ends were committed at once."""
        seen: deque[tuple[float, lag.Ends]] = deque()
        while time.monotonic() < since_s + WITHIN_S:
            at_s = time.monotonic()
            seen.append((at_s, dict(await self._consumer.end_offsets(self._tps))))
            committed = await self._committed()
            now_s = time.monotonic()
            while seen and seen[0][0] < now_s - COMMITTED_WITHIN_S:
                seen.popleft()
            for at_s, ends in seen:
                if all(tp in committed and committed[tp] >= end for tp, end in ends.items()):
                    return at_s
            await asyncio.sleep(ASK_EVERY_S * 5)
        raise VigilError(f"{self._group} did not catch up within {WITHIN_S:.0f} s.")

    async def _committed(self) -> lag.Ends:
        try:
            found = await self._admin.list_consumer_group_offsets(self._group)
        except KafkaError:  # the group's coordinator is still being set up
            return {}
        return {tp: metadata.offset for tp, metadata in found.items()}
