"""Consistent footage in S3 and the catalog, made without workers, for tests that break it."""

import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agents.consistency.check import CheckCounts, CheckScope
from agents.consistency.fsck import Fsck, settle_ms
from agents.consistency.remover import RepairOutcome
from agents.joining.joiner import Joiner
from domain.consistency import DAY_MS, GracePeriods
from domain.events import ChunkComplete, ChunkDue, Event, FragmentArrived, FragmentRef, VideoForm
from domain.times import utc_ms
from stores.catalog import Catalog, add_camera, index_chunks, index_fragments, known_cameras
from stores.objects import ObjectStore
from stores.stored_fragment import ObjectSignatures
from streams.settings import Settings
from streams.storage import make_object_store
from tests.integration.catalog_support import fresh_catalog
from tests.recorder import Recorder

START_MS = 1_790_000_000_000
"""A multiple of 20 s."""
WINDOW_MS = 10_000
SOON_MS = 3_600_000
"""Later than anything settles."""
LATER_MS = 2 * DAY_MS


@dataclass
class Sent:
    """A fake of the sender to Kafka: keeps what was sent."""

    events: list[Event] = field(default_factory=list)

    async def send(self, event: Event, *, partition: int | None = None) -> tuple[int, int]:
        self.events.append(event)
        return 0, len(self.events) - 1


@dataclass
class Place:
    """One camera's bucket and catalog."""

    store: ObjectStore
    catalog: Catalog
    camera: str
    settings: Settings
    sent: Sent = field(default_factory=Sent)

    def recorder(self, number: int = 0, start_ms: int = START_MS) -> Recorder:
        return Recorder(self.camera, start_ms, entropy=random.Random(number).randbytes(10))

    async def announce(self, *events: FragmentArrived) -> None:
        await index_fragments(self.catalog, events, now_ms())

    async def join(
        self,
        recorder: Recorder,
        seqs: range | list[int],
        *,
        window_ms: int = WINDOW_MS,
        clock_ms: int | None = None,
        indexed: bool = True,
    ) -> ChunkComplete:
        """Join fragments as the joiner does, and index the chunk."""
        events = [recorder.film(seq)[0] for seq in seqs]
        due = due_of(events, window_ms)
        chunk = await Joiner(self.store, lambda: clock_ms or now_ms()).join(due)
        if indexed:
            await index_chunks(self.catalog, [chunk], now_ms())
        return chunk

    async def film(self, number: int = 0, start_ms: int = START_MS) -> list[ChunkComplete]:
        """Make a whole run of 15 fragments in three chunks, all as it should be."""
        recorder = self.recorder(number, start_ms)
        for seq in range(15):
            await self.announce(await recorder.put(self.store, seq))
        return [await self.join(recorder, range(at, at + 5)) for at in (0, 5, 10)]

    async def check(
        self,
        *,
        repair: bool = False,
        later_ms: int = SOON_MS,
        all_: bool = False,
        checker: ObjectSignatures | None = None,
        **scope: Any,
    ) -> tuple[list[RepairOutcome], CheckCounts]:
        grace = GracePeriods(now_ms() + later_ms, settle_ms(self.settings))
        sender: Any = self.sent if repair else None
        fsck = Fsck(self.store, self.catalog, CheckScope(**scope), grace, WINDOW_MS, sender)
        fsck.signatures = checker
        only = [] if all_ else [self.camera]
        return [
            each async for each in fsck.run(await known_cameras(self.catalog), only)
        ], fsck.counts

    async def kinds(self, **options: Any) -> list[str]:
        return [each.finding.kind for each in (await self.check(**options))[0]]

    async def execute(self, statement: str, *values: object) -> None:
        async with self.catalog.transaction() as connection:
            done = await connection.execute(statement, *values)
        assert not done.endswith(" 0"), f"{statement} touched nothing"

    async def count(self, table: str) -> int:
        async with self.catalog.transaction() as connection:
            return int(
                await connection.fetchval(
                    f"SELECT count(*) FROM {table} WHERE camera = $1", self.camera
                )
            )

    async def overwrite(self, key: str, data: bytes) -> None:
        """Put other bytes under a key, which no program of ours does."""

        async def once() -> AsyncIterator[bytes]:
            yield data

        await self.store.put_stream(key, once(), metadata=(await self.store.head(key)).metadata)

    async def keys(self, prefix: str = "") -> list[str]:
        found = []
        for kind in ("fragments", "chunks"):
            found += [info.key async for info in self.store.list(f"{kind}/{self.camera}/{prefix}")]
        return found


def due_of(events: list[FragmentArrived], window_ms: int = WINDOW_MS) -> ChunkDue:
    first = events[0]
    return ChunkDue(
        camera=first.camera,
        run=first.run,
        window_start_ms=first.start_ms - first.start_ms % window_ms,
        window_ms=window_ms,
        reason="complete",
        form=VideoForm(video_codec="h264", width=96, height=64),
        fragments=[
            FragmentRef.model_validate(each.model_dump(include=set(FragmentRef.model_fields)))
            for each in events
        ],
    )


def now_ms() -> int:
    return utc_ms()


@asynccontextmanager
async def place(settings: Settings) -> AsyncIterator[Place]:
    """Make a camera of its own in a catalog of its own."""
    camera = f"acme/{uuid.uuid4().hex[:8]}/gate"
    async with (
        fresh_catalog(settings.database_url.get_secret_value()) as catalog,
        make_object_store(settings) as store,
    ):
        await add_camera(catalog, camera, camera, 0)
        yield Place(store, catalog, camera, settings)
