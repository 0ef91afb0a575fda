"""Makes chunks again with another window length, one section at a time, while live workers run.

    read      the current chunks of a section, from the catalog
    plan      which chunks replace which (domain/rechunk.py, pure)
    join      the new chunks from the bytes of the old: objects and manifests, without rows yet
    replace   rows, tombstones, deletions for later and the bookmark, in one transaction
    send      `chunk-complete` for the new, `deleted` for the old; then the next section

After a crash at any point a section is either unchanged or fully replaced, and the same command
continues. New objects without a row are left to the consistency check: a joiner may be about to
write the same chunk.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.consistency.restorer import LostBytesError, other_chunks
from agents.joining.joiner import Joiner
from agents.replay.chunk_ranges import ChunkRanges
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
from stores.stored_manifest import signed_notices
from streams.sender import EventSender

PARALLEL_JOINS = 2
"""Chunks that are joined in parallel. Each takes the memory of a joiner."""
MAX_ATTEMPTS = 3
"""Attempts to replace a section that changes at the same time."""


@dataclass(frozen=True, slots=True)
class RechunkJob:
    """The parameters of one replay of chunks. Times: UTC ms."""

    cameras: tuple[str, ...]
    from_ms: int
    to_ms: int
    window_ms: int
    latest_ms: dict[str, int]
    """By camera: windows that start before this are closed."""
    margin_ms: int
    """How long the objects of replaced chunks are kept (ms)."""

    @property
    def name(self) -> str:
        """The job's name, under which its bookmark is found again. It must not change."""
        span = f"{self.from_ms} to {self.to_ms}"
        return f"chunks of {self.window_ms} ms from {span} of {' '.join(self.cameras)}"[:1000]


@dataclass
class RechunkResult:
    """What was done with the chunks."""

    checked: int = 0
    made: int = 0
    replaced: int = 0
    left: dict[str, int] = field(default_factory=dict)
    """Number of sections left unchanged, by reason."""


class ChunksReplay:
    """Makes the chunks of some cameras again."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        sender: EventSender,
        job: RechunkJob,
        *,
        progress: ProgressDisplay,
        clock_ms: Callable[[], int] = utc_ms,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._sender = sender
        self._job = job
        self._progress = progress
        self._clock_ms = clock_ms
        self._state: dict[str, Any] = {"camera": "", "at_ms": 0, "untold": None}
        self.result = RechunkResult()

    async def run(self) -> RechunkResult:
        """Make the chunks. Raises StoreError if a server fails for long: run it again."""
        spans = {camera: await self._align(camera) for camera in self._job.cameras}
        await self._resume()
        self._progress.total = 0
        for camera, (from_ms, to_ms, _) in spans.items():
            self._progress.total += await rechunk.count_chunks(
                self._catalog, camera, from_ms, to_ms
            )
        for camera, (from_ms, to_ms, border) in sorted(spans.items()):
            if camera >= self._state["camera"]:
                await self._rechunk(camera, from_ms, to_ms, border)
        await self._retry(lambda: delete_bookmark(self._catalog, self._job.name))
        return self.result

    async def _align(self, camera: str) -> tuple[int, int, int]:
        """Return from and to, aligned to borders of all window lengths, and the border interval.

        All in ms. Raises ConfigError if windows before `to` may still be open.
        """
        job = self._job
        latest_ms = job.latest_ms[camera]
        if job.to_ms > latest_ms:
            raise ConfigError(
                f"--to must not be after {format_ms(latest_ms)} for {camera}: later windows "
                "may still be open (window, grace, idle, late and two minutes before now)."
            )
        lengths = {job.window_ms}
        span = (job.from_ms, job.to_ms)
        while True:
            border = border_ms(lengths)
            span = aligned(job.from_ms, job.to_ms, border, latest_ms)
            found = await rechunk.window_lengths(self._catalog, camera, *span)
            if found <= lengths:
                break
            lengths |= found
        if span != (job.from_ms, job.to_ms):
            self._progress.say(
                f"{camera}: from {format_ms(span[0])} to {format_ms(span[1])}, so that windows are "
                f"replaced as a whole (borders every {border // 1_000} s)."
            )
        return *span, border

    async def _resume(self) -> None:
        state = await load_bookmark(self._catalog, self._job.name)
        if state is None:
            return
        self._progress.say("Continuing where this replay stopped.")
        self._state = state
        if state["untold"] is not None:
            from_ms, to_ms = state["untold"]
            rows = await chunk_rows(self._catalog, state["camera"], from_ms, to_ms)
            for row in rows:
                if row.chunk is not None:
                    await self._send(row.chunk)

    # -- one camera

    async def _rechunk(self, camera: str, from_ms: int, to_ms: int, border: int) -> None:
        at_ms = from_ms
        if camera == self._state["camera"]:
            at_ms = max(at_ms, self._state["at_ms"])
        while True:
            first_ms = await self._retry(
                lambda: rechunk.first_window(self._catalog, camera, at_ms, to_ms)  # noqa: B023
            )
            if first_ms is None:
                return
            at_ms = first_ms // border * border
            section = (camera, at_ms, at_ms + border)
            reason = await self._replace_section(section)
            if reason is not None:
                self.result.left[reason] = self.result.left.get(reason, 0) + 1
            at_ms += border
            self._state = {"camera": camera, "at_ms": at_ms, "untold": None}
            state = self._state
            await self._retry(lambda: save_bookmark(self._catalog, self._job.name, state))  # noqa: B023

    async def _replace_section(self, section: tuple[str, int, int]) -> str | None:
        """Replace one section. Return why it was left unchanged, or None on success."""
        for _ in range(MAX_ATTEMPTS):
            rows = await self._retry(lambda: chunk_rows(self._catalog, *section))
            chunks = [row.chunk for row in rows if row.chunk is not None]
            if len(chunks) < len(rows):
                return "a row cannot be read: run `vigil fsck`"
            plan = plan_rechunk(chunks, self._job.window_ms)
            if not plan.made:
                break
            if await rechunk.has_waiting_fragments(self._catalog, *section):
                return "fragments in it are not joined yet: try again later"
            older = await self._retry(lambda: self._older_revisions(plan.replaced))  # noqa: B023
            if older is None:
                return "a newer revision is being indexed: try again later"
            if await rechunk.any_deleted(self._catalog, section[0], plan.made):
                return "a chunk that it needs was deleted or replaced before"
            try:
                new = await self._join_all(plan.made, chunks)
            except LostBytesError as error:
                self._progress.say(str(error))
                return "bytes are missing"
            if await self._replace(section, chunks, (*plan.replaced, *older), new):
                self.result.made += len(new)
                self.result.replaced += len(plan.replaced)
                break
        else:
            return "it changed during each attempt: try again later"
        self.result.checked += len(chunks)
        self._progress.add(len(chunks))
        return None

    async def _older_revisions(
        self, replaced: Sequence[ChunkComplete]
    ) -> list[ChunkComplete] | None:
        """Return the lower revisions of these chunks in S3: they are deleted together.

        None: S3 has a higher revision, which the catalog does not have yet.
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

    async def _join_all(
        self, made: Sequence[ChunkDue], old: Sequence[ChunkComplete]
    ) -> list[ChunkComplete]:
        """Write the new chunks to S3. Raises LostBytesError if one would lack fragments."""
        joiner = Joiner(
            self._store,
            self._clock_ms,
            read=ChunkRanges(self._store, old).read,
            signed=await self._retry(lambda: signed_notices(self._store, old)),
        )
        limit = asyncio.Semaphore(PARALLEL_JOINS)

        async def join(due: ChunkDue) -> ChunkComplete:
            async with limit:
                return await self._retry(lambda: joiner.join(due))

        tasks = [asyncio.ensure_future(join(due)) for due in made]
        try:
            new = list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for due, chunk in zip(made, new, strict=True):
            if chunk.digest != digest_of(due.camera, due.run, due.fragments):
                raise LostBytesError(
                    f"{due.camera}: the chunk of {format_ms(due.window_start_ms)} would lack "
                    "fragments: run `vigil fsck --bytes`."
                )
        return new

    async def _replace(
        self,
        section: tuple[str, int, int],
        seen: Sequence[ChunkComplete],
        old: Sequence[ChunkComplete],
        new: Sequence[ChunkComplete],
    ) -> bool:
        camera, from_ms, to_ms = section
        now_ms = self._clock_ms()
        state = {"camera": camera, "at_ms": from_ms, "untold": [from_ms, to_ms]}
        deletions = await self._retry(
            lambda: rechunk.replace_chunks(
                self._catalog,
                section,
                seen,
                old,
                new,
                now_ms=now_ms,
                not_before_ms=now_ms + self._job.margin_ms,
                bookmark=(self._job.name, state),
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
