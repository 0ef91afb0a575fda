"""Sends commands to Kafka from web workers and link workers, and waits for answers.

Waiting requests share one query: its cost does not depend on how many wait.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict

from domain.errors import StoreError
from domain.events import EdgeCommand
from stores.catalog import Catalog
from stores.catalog.edge_commands import finished_commands
from stores.catalog.web_catalog import all_tenants
from streams.sender import KafkaSender
from streams.settings import Settings
from streams.storage import LazyStore

SEND_S = 3.0
POLL_S = 0.1
RETRY_S = 1.0

log = logging.getLogger(__name__)


class CommandSender:
    """One per process. The connection to Kafka is opened for the first command."""

    def __init__(self, settings: Settings) -> None:
        self._sender: LazyStore[KafkaSender] = LazyStore(lambda: KafkaSender(settings))
        self._opened = False

    async def send(self, command: EdgeCommand) -> None:
        """Send a command. Raises StoreError where Kafka does not accept it in time."""
        try:
            async with asyncio.timeout(SEND_S):
                sender = await self._sender.get()
                self._opened = True
                await sender.send(command)
        except TimeoutError:
            raise StoreError("Kafka did not accept the command in time.") from None

    async def close(self) -> None:
        """Close the connection."""
        if self._opened:
            await (await self._sender.get()).__aexit__(None, None, None)


class CommandWaiter:
    """Waits for the final state of commands."""

    def __init__(self, catalog: LazyStore[Catalog]) -> None:
        self._catalog = catalog
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    async def wait(self, command: str, within_s: float) -> None:
        """Return when the command's state is final, or after some seconds."""
        done = asyncio.Event()
        self._waiting[command].add(done)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await done.wait()
        finally:
            self._waiting[command].discard(done)
            if not self._waiting[command]:
                del self._waiting[command]

    async def _poll(self) -> None:
        while self._waiting:
            try:
                with all_tenants():
                    found = await finished_commands(await self._catalog.get(), list(self._waiting))
            except StoreError as error:
                log.warning("answers of devices are not read: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            for command in found:
                for done in self._waiting.get(command, ()):
                    done.set()
            await asyncio.sleep(POLL_S)
