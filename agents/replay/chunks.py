"""Making chunks again with another window length, stretch by stretch, beside the live workers.

    read      the current chunks of a stretch, from the catalog
    cut       by the pure rule (domain/rechunk.py)
    join      the new ones from the bytes of the old: object and manifest stand, nobody knows them
    replace   rows, tombstones, deletions for later and the bookmark, in one transaction
    tell      chunk-complete of the new, deleted of the old; then the next stretch

Dying anywhere leaves all as it was, or all as it shall be: the same command goes on. Objects that
nobody came to know stay for the consistency check: a joiner may be about to name them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from agents.consistency.restorer import LostBytesError, other_chunks
from agents.joining.joiner import Joiner
from agents.replay.chunk_ranges import ChunkRangeStore
from agents.replay.progress import ProgressDisplay
from agents.replay.retry import retry_for
from domain.chunks import digest_of
from domain.errors import ConfigError
from domain.events import ChunkComplete, ChunkDue, Event
from domain.rechunk import aligned, border_ms, plan_rechunk
from domain.times import format_ms, utc_ms
from stores.catalog import Catalog, rechunk
from stores.catalog.bookmarks import delete_bookmark, load_bookmark, save_bookmark
from stores.catalog.inventory import chunk_rows
from stores.objects import ObjectStore
from streams.sender import EventSender

AT_ONCE = 2
"""Chunks that are joined beside each other: each takes a joiner's memory."""
TRIES = 3
"""Times that a stretch is looked at anew where it changed meanwhile."""


@dataclass(frozen=True, slots=True)
class RechunkJob:
    """What is made again. Times: UTC ms."""

    cameras: tuple[str, ...]
    from_ms: int
    to_ms: int
    window_ms: int
    latest_ms: dict[str, int]
    """By camera: no window that starts before can still be open."""
    margin_ms: int
    """How long the objects of what was replaced stand yet."""

    @property
    def job(self) -> str:
        """Its name: the same for the same thing, so that it is found again."""
        span = f"{self.from_ms} to {self.to_ms}"
        return f"chunks of {self.window_ms} ms from {span} of {' '.join(self.cameras)}"[:1000]


@dataclass
class RechunkResult:
    """What became of the chunks that were looked at."""

    looked_at: int = 0
    made: int = 0
    replaced: int = 0
    left: dict[str, int] = field(default_factory=dict)
    """Stretches left as they are, by the reason."""


class ChunksReplay:
    """Makes the chunks of some cameras again."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        sender: EventSender,
        of: RechunkJob,
        *,
        progress: ProgressDisplay,
        clock_ms: Callable[[], int] = utc_ms,
    ) -> None:
        self._store, self._catalog, self._sender = store, catalog, sender
        self._of, self._progress, self._clock_ms = of, progress, clock_ms
        self._state: dict[str, Any] = {"camera": "", "at_ms": 0, "untold": None}
        self.outcome = RechunkResult()

    async def run(self) -> RechunkResult:
        """Make them; StoreError where an outside system fails for long: run it again."""
        spans = {camera: await self._aligned(camera) for camera in self._of.cameras}
        await self._resume()
        self._progress.total = 0
        for camera, (from_ms, to_ms, _) in spans.items():
            _, chunks = await rechunk.first_window(self._catalog, camera, from_ms, to_ms)
            self._progress.total += chunks
        for camera, (from_ms, to_ms, border) in sorted(spans.items()):
            if camera >= self._state["camera"]:
                await self._camera(camera, from_ms, to_ms, border)
        await self._retry(lambda: delete_bookmark(self._catalog, self._of.job))
        return self.outcome

    async def _aligned(self, camera: str) -> tuple[int, int, int]:
        """Return from and to at borders of all lengths in between, and how far borders are apart.

        ConfigError where windows before `to` may still be open.
        """
        of, latest_ms = self._of, self._of.latest_ms[camera]
        if of.to_ms > latest_ms:
            raise ConfigError(
                f"--to must not be after {format_ms(latest_ms)} for {camera}: later windows "
                "may still be open (window, grace, idle, late and two minutes before now)."
            )
        lengths, span = {of.window_ms}, (of.from_ms, of.to_ms)
        while True:
            border = border_ms(lengths)
            span = aligned(of.from_ms, of.to_ms, border, latest_ms)
            found = await rechunk.window_lengths(self._catalog, camera, *span)
            if found <= lengths:
                break
            lengths |= found
        if span != (of.from_ms, of.to_ms):
            self._progress.say(
                f"{camera}: from {format_ms(span[0])} to {format_ms(span[1])}, so that no window "
                f"is replaced by half (borders every {border // 1_000} s)."
            )
        return *span, border

    async def _resume(self) -> None:
        state = await load_bookmark(self._catalog, self._of.job)
        if state is None:
            return
        self._progress.say("Going on where this replay stopped.")
        self._state = state
        if state["untold"] is not None:
            from_ms, to_ms = state["untold"]
            rows = await chunk_rows(self._catalog, state["camera"], from_ms, to_ms)
            for row in rows:
                if row.chunk is not None:
                    await self._send(row.chunk)

    # -- one camera

    async def _camera(self, camera: str, from_ms: int, to_ms: int, border: int) -> None:
        at_ms = from_ms
        if camera == self._state["camera"]:
            at_ms = max(at_ms, self._state["at_ms"])
        while True:
            first_ms, _ = await self._retry(
                lambda: rechunk.first_window(self._catalog, camera, at_ms, to_ms)  # noqa: B023
            )
            if first_ms is None:
                return
            at_ms = first_ms // border * border
            stretch = (camera, at_ms, at_ms + border)
            why = await self._stretch(stretch)
            if why is not None:
                self.outcome.left[why] = self.outcome.left.get(why, 0) + 1
            at_ms += border
            self._state = {"camera": camera, "at_ms": at_ms, "untold": None}
            state = self._state
            await self._retry(lambda: save_bookmark(self._catalog, self._of.job, state))  # noqa: B023

    async def _stretch(self, stretch: tuple[str, int, int]) -> str | None:
        """Replace one stretch; return why it was left as it is, None where it is as it shall be."""
        for _ in range(TRIES):
            rows = await self._retry(lambda: chunk_rows(self._catalog, *stretch))
            chunks = [row.chunk for row in rows if row.chunk is not None]
            if len(chunks) < len(rows):
                return "a row cannot be read: see `vigil fsck`"
            cut = plan_rechunk(chunks, self._of.window_ms)
            if not cut.made:
                break
            if await rechunk.has_waiting_fragments(self._catalog, *stretch):
                return "fragments in it wait for their chunk: try again later"
            older = await self._retry(lambda: self._older(cut.replaced))  # noqa: B023
            if older is None:
                return "a newer revision is on its way: try again later"
            if await rechunk.any_deleted(self._catalog, stretch[0], cut.made):
                return "a chunk that it needs was deleted or replaced before, and cannot come back"
            try:
                new = await self._joined(cut.made, chunks)
            except LostBytesError as error:
                self._progress.say(str(error))
                return "bytes are missing"
            if await self._replaced(stretch, chunks, (*cut.replaced, *older), new):
                self.outcome.made += len(new)
                self.outcome.replaced += len(cut.replaced)
                break
        else:
            return "it changed again and again"
        self.outcome.looked_at += len(chunks)
        self._progress.add(len(chunks))
        return None

    async def _older(self, replaced: Sequence[ChunkComplete]) -> list[ChunkComplete] | None:
        """Return the lower revisions of these chunks that stand in S3: they give way with them.

        None where a higher one stands, which the catalog does not know yet.
        """
        older = []
        for chunk in replaced:
            async for other in other_chunks(self._store, chunk):
                if other.window_ms != chunk.window_ms:
                    continue
                if other.revision > chunk.revision:
                    return None
                older.append(other)
        return older

    async def _joined(
        self, made: Sequence[ChunkDue], old: Sequence[ChunkComplete]
    ) -> list[ChunkComplete]:
        """Let the new chunks stand in S3; LostBytesError where one cannot be as it should."""
        joiner = Joiner(cast(ObjectStore, ChunkRangeStore(self._store, old)), self._clock_ms)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(due: ChunkDue) -> ChunkComplete:
            async with gate:
                return await self._retry(lambda: joiner.join(due))

        tasks = [asyncio.ensure_future(one(due)) for due in made]
        try:
            new = list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for due, chunk in zip(made, new, strict=True):
            if chunk.digest != digest_of(due.camera, due.run, due.fragments):
                raise LostBytesError(
                    f"{due.camera}: the chunk of {format_ms(due.window_start_ms)} would not hold "
                    "the fragments that it must: see `vigil fsck --bytes`."
                )
        return new

    async def _replaced(
        self,
        stretch: tuple[str, int, int],
        seen: Sequence[ChunkComplete],
        old: Sequence[ChunkComplete],
        new: Sequence[ChunkComplete],
    ) -> bool:
        camera, from_ms, to_ms = stretch
        now_ms = self._clock_ms()
        state = {"camera": camera, "at_ms": from_ms, "untold": [from_ms, to_ms]}
        deletions = await self._retry(
            lambda: rechunk.replace_chunks(
                *(self._catalog, stretch, seen, old, new),
                now_ms=now_ms,
                not_before_ms=now_ms + self._of.margin_ms,
                bookmark=(self._of.job, state),
            )
        )
        if deletions is None:
            return False
        for event in [*new, *(each.event() for each in deletions)]:
            await self._send(event)
        return True

    async def _send(self, event: Event) -> None:
        await self._retry(lambda: self._sender.send(event))

    async def _retry(self, action: Callable[[], Awaitable[Any]]) -> Any:
        return await retry_for(action, say=self._progress.say, final=(LostBytesError,))
