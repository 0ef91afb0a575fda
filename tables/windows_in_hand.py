"""The windows of the cameras at work: in memory, written to their table before each commit.

A table write per event is most of what an event costs: the whole of a camera's windows, as JSON,
to RocksDB and to the changelog. Within one commit interval only the last of them counts.

    events      a0  b0  a1  a2  b1 │ commit: a and b are written once, then the offsets
    memory      ●───●───●───●───●──│  each event holds the commit back until its camera is written
    decisions       ▲       ▲      │  are on their way meanwhile, and are waited for

What stands before an offset is committed: its decisions are acknowledged, then its table entry
is, then the offset. Where positions move (a rebalance, a recovery), the memory is void: the events
since the last commit come again and find the table as it was then, or newer, which they bear.
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
from streams.delivery import outside
from streams.ending import end_process
from streams.interruption import Interrupted
from tables.open_windows import Table, load, put

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Posted:
    """A decision; `taken` is what to await for the broker's word, None where it must be sent."""

    event: Event
    taken: Awaitable[Any] | None = None


class WindowsInHand:
    """All cameras of the partitions that this worker has. One event at a time changes it."""

    def __init__(self, app: App, table: Table, rules: WindowRules) -> None:
        self._app, self._table, self._rules = app, table, rules
        self._cameras: dict[str, CameraWindows] = {}
        self._of_partition: dict[int, set[str]] | None = None
        self._changed: dict[str, int] = {}  # camera -> partition
        self._holds: list[Callable[[], None]] = []
        self._decided: list[_Posted] = []
        self._unposted: deque[_Posted] = deque()
        self._posting = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._generation = 0
        app.before_commit.append(self.write)
        app.on_positioned.append(self.void)

    # -- one event

    def of(self, camera: str, record: Record) -> CameraWindows:
        """Return a camera's windows, to be changed by the event of `record`.

        The first time they are written again even if nothing changes: a worker that was killed
        may have kept an entry on its disk that never reached the changelog.
        """
        windows = self._cameras.get(camera)
        if windows is None:
            windows = self.look(camera)
            self._changed[camera] = record.partition
            self._known(record.partition).add(camera)
        return windows

    def look(self, camera: str) -> CameraWindows:
        """Return a camera's windows as they are, without anything to be written for it."""
        windows = self._cameras.get(camera)
        if windows is None:
            windows = self._cameras[camera] = load(self._table, camera, self._rules)
        return windows

    def cameras(self, partition: int) -> list[str]:
        """Return the cameras of a partition that have windows, or had some just now."""
        return sorted(self._known(partition))

    async def keep(
        self, windows: CameraWindows, record: Record, decided: Iterable[Event] = ()
    ) -> None:
        """Remember what an event changed and send what was decided for it; wait for nothing.

        Commits wait instead. Call it without anything awaited since the windows were changed.
        """
        camera = windows.camera
        if self._cameras.get(camera) is not windows:
            return  # positions have moved meanwhile: the event comes again
        self._changed[camera] = record.partition
        self.hold(record)
        posted = [_Posted(event) for event in decided]
        self._decided += posted
        self._unposted += posted
        if posted:
            await self._post()

    def hold(self, record: Record) -> None:
        """Let commits wait for the next write before they pass this event."""
        tp = TP(record.topic, record.partition)
        self._holds.append(self._app.consumer.hold(tp, record.offset))

    async def _post(self) -> None:
        async with self._posting:
            while self._unposted:
                entry = self._unposted.popleft()
                try:
                    async with self._app.consumer.interrupted.bounding("post a decision"):
                        entry.taken = await codec.post(self._app, entry.event)
                except StoreError as error:
                    log.warning("will be sent again before the next commit: %s", error)

    # -- all of them

    def void(self) -> None:
        """Forget everything: what was not written comes again."""
        self._generation += 1
        self._cameras.clear()
        self._of_partition = None
        self._changed, self._holds, self._decided = {}, [], []
        self._unposted.clear()

    async def write(self) -> None:
        """Write what has changed until now, once its decisions are acknowledged."""
        async with self._writing:
            generation = self._generation
            changed, self._changed = self._changed, {}
            holds, self._holds = self._holds, []
            decided, self._decided = self._decided, []
            try:
                entries = [
                    (partition, camera, self._cameras[camera].snapshot())
                    for camera, partition in changed.items()
                ]
                await self._post()
                for entry in decided:
                    await self._taken(entry)
            except BaseException as error:
                if generation == self._generation:  # nothing is forgotten
                    self._changed = changed | self._changed
                    self._holds = holds + self._holds
                    self._decided = decided + self._decided
                if isinstance(error, Interrupted):
                    return
                raise
            if generation != self._generation:
                return
            source = topics.FRAGMENT_ARRIVED.full_name
            for partition, camera, snapshot in entries:
                with outside.at(source, partition):
                    put(self._table, camera, snapshot)
                if not self._cameras[camera]:
                    self._known(partition).discard(camera)
            for release in holds:
                release()

    async def _taken(self, entry: _Posted) -> None:
        """Return once the broker has a decision, sending it again for as long as it takes."""

        async def attempt() -> None:
            taken, entry.taken = entry.taken, None
            await (codec.send(self._app, entry.event) if taken is None else taken)

        try:
            await self._app.insist(attempt, what=f"send {entry.event.type}")
        except InvalidEventError as error:
            end_process(f"A decision cannot be sent: {error}")

    def _known(self, partition: int) -> set[str]:
        if self._of_partition is None:
            self._of_partition = {}
            for camera in self._table.keys():  # noqa: SIM118 - a Faust table
                at = topics.partition_of(camera, self._app.settings.partitions)
                self._of_partition.setdefault(at, set()).add(camera)
        return self._of_partition.setdefault(partition, set())
