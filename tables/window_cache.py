"""A write-back cache of the table of open windows: written to the table before each commit.

A table write per event is most of what an event costs: all of a camera's windows, as JSON, to
RocksDB and to the changelog. Within one commit interval only the last of them counts.

    events      a0  b0  a1  a2  b1 │ commit: a and b are written once, then the offsets
    memory      ●───●───●───●───●──│  each event holds the commit back until its camera is written
    decisions       ▲       ▲      │  are in flight, and are waited for

The order before an offset is committed: its decisions are acknowledged, then its table entry, then
the offset. Where positions move (a rebalance, a recovery), the cache is invalid. The events since
the last commit come again, and find the table as it was then, or newer; both are correct.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from domain.camera_windows import CameraWindows
from domain.errors import InvalidEventError, StoreError
from domain.events import Event
from domain.windows import WindowRules
from streams import codec, topics
from streams.app import App
from streams.codec import Record
from streams.delivery import table_context
from streams.interruption import Interrupted
from streams.process_exit import exit_process
from tables.open_windows import KeyValueTable, encode_windows, load_windows, store_windows

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Decision:
    """A decision on its way to Kafka."""

    event: Event
    acknowledgement: Awaitable[Any] | None = None
    """What to await for the broker's acknowledgement; None: it must be sent (again)."""


class WindowCache:
    """All cameras of the partitions that this worker has. One event at a time changes it."""

    def __init__(self, app: App, table: KeyValueTable, rules: WindowRules) -> None:
        self._app = app
        self._table = table
        self._rules = rules
        self._cameras: dict[str, CameraWindows] = {}
        self._partition_cameras: dict[int, set[str]] | None = None
        self._changed: dict[str, int] = {}  # camera -> partition
        self._holds: list[Callable[[], None]] = []
        self._decisions: list[_Decision] = []
        self._unsent: deque[_Decision] = deque()
        self._send_lock = asyncio.Lock()
        self._flush_lock = asyncio.Lock()
        self._generation = 0
        app.before_commit.append(self.flush)
        app.on_positioned.append(self.invalidate)

    # -- one event

    def for_update(self, camera: str, record: Record) -> CameraWindows:
        """Return a camera's windows, to be changed by the event of `record`.

        The first time they are written again even if nothing changes: a worker that was killed
        may have kept an entry on its disk that never reached the changelog.
        """
        windows = self._cameras.get(camera)
        if windows is None:
            windows = self.peek(camera)
            self._changed[camera] = record.partition
            self._cameras_of(record.partition).add(camera)
        return windows

    def peek(self, camera: str) -> CameraWindows:
        """Return a camera's windows as they are, without anything to be written for it."""
        windows = self._cameras.get(camera)
        if windows is None:
            windows = self._cameras[camera] = load_windows(self._table, camera, self._rules)
        return windows

    def cameras(self, partition: int) -> list[str]:
        """Return the cameras of a partition that have windows, or had some just now."""
        return sorted(self._cameras_of(partition))

    async def update(
        self, windows: CameraWindows, record: Record, decided: Iterable[Event] = ()
    ) -> None:
        """Remember what an event changed and send what was decided for it; wait for nothing.

        Commits wait instead. Call it without anything awaited since the windows were changed.
        """
        camera = windows.camera
        if self._cameras.get(camera) is not windows:
            return  # positions have moved since: the event comes again
        self._changed[camera] = record.partition
        self.hold_commit(record)
        decisions = [_Decision(event) for event in decided]
        self._decisions += decisions
        self._unsent += decisions
        if decisions:
            await self._send_decisions()

    def hold_commit(self, record: Record) -> None:
        """Let commits wait for the next write before they pass this event."""
        tp = TP(record.topic, record.partition)
        self._holds.append(self._app.consumer.hold_commit(tp, record.offset))

    async def _send_decisions(self) -> None:
        async with self._send_lock:
            while self._unsent:
                entry = self._unsent.popleft()
                try:
                    async with self._app.consumer.interrupted.bounded("post a decision"):
                        entry.acknowledgement = await codec.enqueue(self._app, entry.event)
                except StoreError as error:
                    log.warning("will be sent again before the next commit: %s", error)

    # -- all of them

    def invalidate(self) -> None:
        """Forget everything: what was not written comes again."""
        self._generation += 1
        self._cameras.clear()
        self._partition_cameras = None
        self._changed = {}
        self._holds = []
        self._decisions = []
        self._unsent.clear()

    async def flush(self) -> None:
        """Write what has changed until now, once its decisions are acknowledged."""
        async with self._flush_lock:
            generation = self._generation
            changed = self._changed
            holds = self._holds
            decisions = self._decisions
            self._changed = {}
            self._holds = []
            self._decisions = []
            try:
                entries = [
                    (partition, camera, encode_windows(self._cameras[camera]))
                    for camera, partition in changed.items()
                ]
                await self._send_decisions()
                for decision in decisions:
                    await self._acknowledged(decision)
            except BaseException as error:
                if generation == self._generation:  # nothing is forgotten
                    self._changed = changed | self._changed
                    self._holds = holds + self._holds
                    self._decisions = decisions + self._decisions
                if isinstance(error, Interrupted):
                    return
                raise
            if generation != self._generation:
                return
            source = topics.FRAGMENT_ARRIVED.full_name
            for partition, camera, entry in entries:
                with table_context.source_partition(source, partition):
                    store_windows(self._table, camera, entry)
                if not self._cameras[camera]:
                    self._cameras_of(partition).discard(camera)
            for release in holds:
                release()

    async def _acknowledged(self, entry: _Decision) -> None:
        """Return once the broker has a decision, sending it again for as long as it takes."""

        async def attempt() -> None:
            acknowledgement = entry.acknowledgement
            entry.acknowledgement = None  # another try sends it again
            if acknowledgement is None:
                acknowledgement = codec.send(self._app, entry.event)
            await acknowledgement

        try:
            await self._app.retry(attempt, what=f"send {entry.event.type}")
        except InvalidEventError as error:
            exit_process(f"A decision cannot be sent: {error}")

    def _cameras_of(self, partition: int) -> set[str]:
        if self._partition_cameras is None:
            self._partition_cameras = {}
            for camera in self._table.keys():  # noqa: SIM118 - a Faust table
                number = topics.partition_of(camera, self._app.settings.partitions)
                self._partition_cameras.setdefault(number, set()).add(camera)
        return self._partition_cameras.setdefault(partition, set())
