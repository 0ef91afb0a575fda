"""How soon a revoked device is refused: its socket is closed, and its events are dead letters.

devices ──signed heartbeats, 10 a second each──► SQS ──► relay ──► Kafka: which ones arrived?
        ──link──► link worker                                     when was the socket closed?
"""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.device_identity import EventSignature, key_id
from domain.errors import VigilError
from domain.events import Heartbeat, parse
from domain.events.registry import encode
from domain.times import utc_ms
from edge_bridge.link.client import DeviceLink
from stores.catalog import Catalog
from stores.catalog.devices import change_device_state
from stores.queue import Queue
from streams.kafka import client_options
from streams.settings import Settings
from streams.storage import make_queue
from streams.topics import HEARTBEAT

EVERY_S = 0.1
START_S = 30.0
APART_S = 0.73
"""Between two revocations: they meet the workers' polls at different times."""
AFTER_S = 8.0
LIMIT_MS = 5_000


class RevocationBench:
    """Revokes devices that send and are connected."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        keys: Mapping[str, Ed25519PrivateKey],
        links: Mapping[str, DeviceLink],
    ) -> None:
        """`keys` and `links`: of the devices that are revoked, by their ids."""
        self._settings = settings
        self._catalog = catalog
        self._keys = keys
        self._links = links
        self._revoked_ms: dict[str, int] = {}
        self._closed_ms: dict[str, int] = {}
        self._accepted_ms: dict[str, int] = {}
        """Device -> when the relay gave its newest heartbeat to Kafka."""

    async def run(self) -> dict[str, Any]:
        """Measure; the relay and the link workers run already."""
        consumer = AIOKafkaConsumer(
            HEARTBEAT.name_for(self._settings),
            **client_options(self._settings),
            group_id=None,
            auto_offset_reset="latest",
        )
        await consumer.start()
        try:
            await consumer.seek_to_end()
            async with make_queue(self._settings, self._settings.sqs_queue_url) as queue:
                work = (self._send(queue), self._receive(consumer), self._watch())
                tasks = [asyncio.create_task(each) for each in work]
                try:
                    await self._revoke_all()
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await consumer.stop()
        closed = [self._closed_ms.get(each, 1 << 62) - at for each, at in self._revoked_ms.items()]
        last = [max(0, self._accepted_ms[each] - at) for each, at in self._revoked_ms.items()]
        return {
            "devices": len(self._keys),
            "socket_closed": _figures(closed),
            "last_accepted_event": _figures(last),
            "within_5_s": max(closed + last) <= LIMIT_MS,
        }

    async def _revoke_all(self) -> None:
        deadline = asyncio.get_running_loop().time() + START_S
        while len(self._accepted_ms) < len(self._keys):
            if asyncio.get_running_loop().time() > deadline:
                raise VigilError("The relay accepts no heartbeat of the devices.")
            await asyncio.sleep(0.1)
        for device in self._keys:
            async with self._catalog.transaction() as connection:
                await change_device_state(connection, device, "revoked", utc_ms())
            self._revoked_ms[device] = utc_ms()
            await asyncio.sleep(APART_S)
        await asyncio.sleep(AFTER_S)

    async def _send(self, queue: Queue) -> None:
        while True:
            bodies, signatures = [], []
            for device, key in self._keys.items():
                body = encode(_heartbeat(device))
                name = key_id(key.public_key().public_bytes_raw())
                bodies.append(body)
                signatures.append(str(EventSignature.sign(key, name, device, 1, body)))
            for at in range(0, len(bodies), 10):
                await queue.send(bodies[at : at + 10], signatures[at : at + 10])
            await asyncio.sleep(EVERY_S)

    async def _receive(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            event = parse(record.value or b"")
            if isinstance(event, Heartbeat):
                device = f"{event.site}/{event.edge}"
                self._accepted_ms[device] = record.timestamp

    async def _watch(self) -> None:
        while True:
            for device in self._revoked_ms:
                if device not in self._closed_ms and not self._links[device].connected:
                    self._closed_ms[device] = utc_ms()
            await asyncio.sleep(0.02)


def _heartbeat(device: str) -> Heartbeat:
    site, _, edge = device.rpartition("/")
    return Heartbeat(
        site=site,
        edge=edge,
        sent_ms=utc_ms(),
        spool_bytes=0,
        spool_waiting=0,
        disk_free_bytes=1,
    )


def _figures(values: Sequence[int]) -> dict[str, int]:
    return {"p50_ms": round(statistics.median(values)), "max_ms": max(values)}
