"""Announcing what stands in S3 and nobody announced: fragments without chunk and row, runs' ends.

Requests to S3 of one pass over one camera, at most (docs/design/consistency.md):

    ceil((R + 1) / 1000)                 its R runs, listed
  + sum of ceil((F + 2) / 1000)          of each run looked at: its F fragments from `since` on
  + min(U, most)                         a HEAD for each fragment unannounced
  + E                                    a GET for each end.json that the catalog does not know
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from agents.healing.healer import Healer
from domain.events import FragmentArrived, RunEnded
from domain.identity import fragment_key, is_run, run_started_ms
from domain.seqs import SeqRanges
from domain.window_lengths import WindowLengths
from stores import bucket_listing as bucket
from stores.catalog import Catalog
from stores.catalog import inventory as index
from stores.catalog.camera_windows import camera_windows
from stores.objects import ObjectStore

MOST = 20_000
"""Fragments announced of one camera in one pass; the next goes on."""
RUNS_AT_ONCE = 200
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """What a pass is about."""

    since_ms: int
    """Runs that ended before, and fragments of chunks before, are not looked for (UTC, ms)."""
    now_ms: int
    settle_ms: int
    """What was written to S3 after now - settle may still be announced by itself."""
    window_ms: int
    """As the settings say it; what a camera was told otherwise is read for each."""
    most: int = MOST


class Reconciler:
    """Looks through cameras of one bucket and one catalog. Changes nothing by itself."""

    def __init__(self, store: ObjectStore, catalog: Catalog, of: ReconcileOptions) -> None:
        self._store, self._catalog = store, catalog
        self._given = self._of = of
        self._lengths = WindowLengths.always(of.window_ms)
        self._reader = Healer(store, lambda: of.now_ms)
        self.in_work = 0
        self.passed_over = 0
        """Fragments whose objects do not say what they are."""

    async def camera(self, camera: str) -> AsyncIterator[FragmentArrived | RunEnded]:
        """Yield what is to be sent, a run's end after its fragments.

        Raises StoreError where S3 or the catalog fails: ask again, which is harmless.
        """
        cut = await camera_windows(self._catalog, camera, self._given.window_ms)
        settle_ms = self._given.settle_ms + cut.extra_wait_ms(self._given.window_ms)
        self._of = replace(self._given, settle_ms=settle_ms)
        self._lengths = cut.lengths
        known = await index.known_runs(self._catalog, camera, self._of.since_ms)
        left = self._of.most
        waiting: list[str] = []
        names = [name async for name in bucket.runs(self._store, camera) if is_run(name)]
        waiting = [run for run in names if run not in known or not known[run].ended_before]
        for start in range(0, len(waiting), RUNS_AT_ONCE):
            runs = waiting[start : start + RUNS_AT_ONCE]
            seen = await self._seen(camera, runs)
            for run in runs:
                ended = run in known and known[run].ended
                async for event in self._run(camera, run, seen[run], ended=ended, most=left):
                    left -= isinstance(event, FragmentArrived)
                    yield event

    async def _seen(self, camera: str, runs: list[str]) -> dict[str, tuple[SeqRanges, SeqRanges]]:
        """Return of each run the seqs that need no notice, and those chunks held before since."""
        of = self._of
        held = await index.seqs_in_chunks(self._catalog, camera, runs)
        before = await index.seqs_in_chunks(
            self._catalog, camera, runs, but=(self._lengths.window(of.since_ms)[0], 1 << 47)
        )
        rows = await index.seqs_with_rows(self._catalog, camera, runs)
        buried = await index.deleted_fragments(self._catalog, camera, runs, of.now_ms)
        found = {}
        for run in runs:
            seen = rows.get(run, SeqRanges())
            if run in held:
                seen |= held[run].seqs | held[run].left_out
            for each in buried.get(run, ()):
                seen |= each
            found[run] = seen, before[run].seqs if run in before else SeqRanges()
        return found

    async def _run(
        self, camera: str, run: str, seen: tuple[SeqRanges, SeqRanges], *, ended: bool, most: int
    ) -> AsyncIterator[FragmentArrived | RunEnded]:
        known, before = seen
        began_before = run_started_ms(run) < self._of.since_ms
        last = before.ranges[-1][1] if before and began_before else -1
        after = fragment_key(camera, run, last) if last >= 0 else ""
        end_stands = False
        async for seq, info in bucket.fragments(self._store, camera, run, after):
            is_end = seq is None and bucket.is_run_end(camera, run, info.key) and not ended
            if not is_end and (seq is None or seq in known):
                continue
            if info.modified_ms + self._of.settle_ms > self._of.now_ms:
                self.in_work += 1
                continue
            if seq is None:
                end_stands = True
                continue
            if most <= 0:
                return
            most -= 1
            event = await self._reader.fragment(info)
            if event is None:
                self.passed_over += 1
            elif not await index.covering_chunk_deleted(
                self._catalog, camera, run, event.start_ms, self._lengths.at(event.start_ms)
            ):
                yield event
        if end_stands:
            end = await self._reader.end(camera, run)
            if end is not None:
                yield end
