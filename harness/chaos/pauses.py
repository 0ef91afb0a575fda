"""The longest time without progress in any camera's stream.

decided    between two of the assembler's table writes for one camera, on the broker's clock
playable   for which the catalog knew of no newer footage of one camera
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from domain.errors import StoreError
from harness.background_tasks import background_tasks
from stores.catalog import Catalog
from streams.settings import Settings

ASK_EVERY_S = 0.2


class Pauses:
    """Watches all cameras while it is entered."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._decided: dict[bytes, tuple[int, int]] = {}  # key -> (newest ms, longest ms)
        self._playable: dict[str, tuple[int, float, float]] = {}  # camera -> (last, since, longest)
        self.worst: tuple[float, float] = (0.0, 0.0)
        """Beginning and end of the longest playable pause, on the monotonic clock."""

    async def __aenter__(self) -> Self:
        name = f"{self._settings.app_prefix}-assemble-open-windows-changelog"
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_brokers, auto_offset_reset="latest"
        )
        async with AsyncExitStack() as resources:
            await self._consumer.start()
            resources.push_async_callback(self._consumer.stop)
            partitions = range(self._settings.partitions)
            self._consumer.assign([TopicPartition(name, number) for number in partitions])
            await self._consumer.seek_to_end()
            catalog = Catalog(self._settings.database_url.get_secret_value())
            self._catalog = await resources.enter_async_context(catalog)
            watching = background_tasks(self._watch_changelog(), self._watch_catalog())
            await resources.enter_async_context(watching)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    def longest(self) -> dict[str, float]:
        """Return the longest pause of any camera, decided and playable, in seconds."""
        decided = max((longest for _, longest in self._decided.values()), default=0)
        playable = max((longest for _, _, longest in self._playable.values()), default=0.0)
        return {
            "longest_pause_decided_s": round(decided / 1000, 2),
            "longest_pause_playable_s": round(playable, 2),
        }

    async def _watch_changelog(self) -> None:
        async for record in self._consumer:
            newest, longest = self._decided.get(record.key, (record.timestamp, 0))
            self._decided[record.key] = (
                max(newest, record.timestamp),
                max(longest, record.timestamp - newest),
            )

    async def _watch_catalog(self) -> None:
        while True:
            try:
                async with self._catalog.transaction() as connection:
                    rows = await connection.fetch("SELECT camera, last_ms FROM footage")
            except StoreError:
                rows = []
            now_s = time.monotonic()
            for row in rows:
                camera, last_ms = row["camera"], int(row["last_ms"])
                last, since_s, longest_s = self._playable.get(camera, (last_ms, now_s, 0.0))
                longest_s = max(longest_s, now_s - since_s)
                if now_s - since_s > self.worst[1] - self.worst[0]:
                    self.worst = since_s, now_s
                if last_ms != last:
                    last, since_s = last_ms, now_s
                self._playable[camera] = (last, since_s, longest_s)
            await asyncio.sleep(ASK_EVERY_S)
