"""Reads the commands of all partitions, without a group: each link worker sees each command.

A worker acts only for the sockets that it holds. So what was sent before it started does not
matter: it begins at the end of the topic. `on_start` is called each time that it begins.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from domain.backoff import EQUAL_JITTER, Backoff
from domain.errors import InvalidEventError, StoreError
from domain.events import EdgeCommand, parse
from streams.kafka import client_options
from streams.settings import Settings
from streams.topics import EDGE_COMMAND

BACKOFF = Backoff(first_s=0.5, longest_s=10.0, jitter=EQUAL_JITTER)
log = logging.getLogger(__name__)


class CommandReader:
    """Hands each command for a wanted device to `give`."""

    def __init__(
        self,
        settings: Settings,
        *,
        wanted: Callable[[str], bool],
        give: Callable[[EdgeCommand], None],
        on_start: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._give = give
        self._on_start = on_start
        self.reading = False
        """Whether commands arrive now."""

    async def run(self) -> None:
        """Read until cancelled; where Kafka fails, begin again."""
        failures = 0
        while True:
            try:
                await self._read_once()
            except (KafkaError, OSError, StoreError) as error:
                log.warning("commands cannot be read, trying again: %r", error)
            failures = 0 if self.reading else failures + 1
            self.reading = False
            await asyncio.sleep(BACKOFF.delay_s(failures, random.random()))  # noqa: S311

    async def _read_once(self) -> None:
        consumer = AIOKafkaConsumer(
            EDGE_COMMAND.name_for(self._settings),
            **client_options(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            metadata_max_age_ms=10_000,
            max_partition_fetch_bytes=EDGE_COMMAND.max_message_bytes,
        )
        try:
            await consumer.start()
            await consumer.seek_to_end()
            self.reading = True
            await self._on_start()
            async for record in consumer:
                device = (record.key or b"").decode(errors="replace")
                if not self._wanted(device):
                    continue
                try:
                    event = parse(record.value or b"")
                except InvalidEventError as error:
                    log.error("a command for %s cannot be read: %s", device, error)
                    continue
                if isinstance(event, EdgeCommand) and event.device == device:
                    self._give(event)
        finally:
            await consumer.stop()
