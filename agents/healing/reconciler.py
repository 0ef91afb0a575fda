"""The reconciler: compares S3 with the catalog, and finds fragments and run ends to announce.

It finds fragments that are in no chunk and have no row, and run ends that the catalog lacks.
The most S3 requests of one pass over one camera (docs/design/consistency.md):

    ceil((R + 1) / 1000)                 list its R runs
  + sum of ceil((F + 2) / 1000)          for each run checked: list its F fragments from `since` on
  + min(U, max_fragments)                a HEAD for each unannounced fragment
  + E                                    a GET for each end.json that the catalog does not know
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from agents.healing.healer import Healer
from domain.events import FragmentArrived, RunEnded
from domain.identity import fragment_key, is_run, run_started_ms
from domain.seqs import SeqRanges
from domain.window_lengths import WindowLengths
from stores import bucket_listing
from stores.catalog import Catalog, inventory
from stores.catalog.camera_windows import camera_windows
from stores.objects import ObjectStore
from stores.stored_fragment import ObjectSignatures, whole_fragment

MAX_FRAGMENTS = 20_000
"""Fragments of one camera announced in one pass. The next pass announces more."""
RUNS_PER_QUERY = 200
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """The limits of one pass."""

    since_ms: int
    """Runs that ended before, and fragments of earlier chunks, are not checked (UTC, ms)."""
    now_ms: int
    settle_ms: int
    """Objects younger than this are skipped: their events may still be on their way."""
    window_ms: int
    """The default of the settings. A camera's own window lengths are read from the catalog."""
    max_fragments: int = MAX_FRAGMENTS


@dataclass(frozen=True, slots=True)
class _KnownSeqs:
    """What the catalog knows of one run."""

    known: SeqRanges
    """Seqs that need no event: they have a row, are in a chunk, or were deleted."""
    disputed: SeqRanges
    """Those of `known` that a chunk left out because S3 has other bytes than the notice."""
    in_old_chunks: SeqRanges
    """Seqs in chunks of windows before `since`."""


class Reconciler:
    """Checks cameras of one bucket and one catalog. It only reads; the caller sends the events."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        options: ReconcileOptions,
        signatures: ObjectSignatures | None = None,
    ) -> None:
        """`signatures` says which objects count; None: all of them."""
        self._store = store
        self._signatures = signatures
        self._catalog = catalog
        self._defaults = options
        self._options = options
        self._lengths = WindowLengths.always(options.window_ms)
        self._healer = Healer(store, lambda: options.now_ms, signatures=signatures)
        self.in_progress = 0
        """Objects that are too young to be judged."""
        self.unreadable = 0
        """Fragments whose metadata is invalid."""

    async def events_to_send(self, camera: str) -> AsyncIterator[FragmentArrived | RunEnded]:
        """Yield the missing events, a run's end after its fragments.

        Raises StoreError if S3 or the catalog fails: start again, which is harmless.
        """
        windows = await camera_windows(self._catalog, camera, self._defaults.window_ms)
        settle_ms = self._defaults.settle_ms + windows.extra_wait_ms(self._defaults.window_ms)
        self._options = replace(self._defaults, settle_ms=settle_ms)
        self._lengths = windows.lengths
        known = await inventory.known_runs(self._catalog, camera, self._options.since_ms)
        left = self._options.max_fragments
        names = [name async for name in bucket_listing.runs(self._store, camera) if is_run(name)]
        to_check = [run for run in names if run not in known or not known[run].ended_before]
        for start in range(0, len(to_check), RUNS_PER_QUERY):
            runs = to_check[start : start + RUNS_PER_QUERY]
            seqs = await self._known_seqs(camera, runs)
            for run in runs:
                ended = run in known and known[run].ended
                async for event in self._check_run(
                    camera, run, seqs[run], ended=ended, max_fragments=left
                ):
                    left -= isinstance(event, FragmentArrived)
                    yield event

    async def _known_seqs(self, camera: str, runs: list[str]) -> dict[str, _KnownSeqs]:
        """Return by run which seqs need no event."""
        options = self._options
        chunks = await inventory.seqs_in_chunks(self._catalog, camera, runs)
        since_window_ms = self._lengths.window(options.since_ms)[0]
        before = await inventory.seqs_in_chunks(
            self._catalog, camera, runs, excluding=(since_window_ms, 1 << 47)
        )
        rows = await inventory.seqs_with_rows(self._catalog, camera, runs)
        deleted = await inventory.deleted_fragments(self._catalog, camera, runs, options.now_ms)
        found = {}
        for run in runs:
            known = rows.get(run, SeqRanges())
            disputed = SeqRanges()
            if run in chunks:
                known |= chunks[run].seqs | chunks[run].left_out
                disputed = chunks[run].disputed
            for each in deleted.get(run, ()):
                known |= each
            in_old_chunks = before[run].seqs if run in before else SeqRanges()
            found[run] = _KnownSeqs(known, disputed, in_old_chunks)
        return found

    async def _check_run(
        self, camera: str, run: str, seqs: _KnownSeqs, *, ended: bool, max_fragments: int
    ) -> AsyncIterator[FragmentArrived | RunEnded]:
        began_before = run_started_ms(run) < self._options.since_ms
        # A long run began before `since`: list only what comes after its last old chunk.
        last = seqs.in_old_chunks.ranges[-1][1] if seqs.in_old_chunks and began_before else -1
        after = fragment_key(camera, run, last) if last >= 0 else ""
        has_end = False
        async for seq, info in bucket_listing.fragments(self._store, camera, run, after):
            is_end = seq is None and bucket_listing.is_run_end(camera, run, info.key) and not ended
            disputed = seq is not None and seq in seqs.disputed
            if not is_end and (seq is None or (seq in seqs.known and not disputed)):
                continue
            if info.modified_ms + self._options.settle_ms > self._options.now_ms:
                self.in_progress += 1
                continue
            if seq is None:
                has_end = True
                continue
            if max_fragments <= 0:
                return
            if disputed and not await whole_fragment(self._store, info.key, self._signatures):
                continue  # its chunk was right to leave it out
            max_fragments -= 1
            event = await self._healer.read_fragment(info)
            if event is None:
                self.unreadable += 1
            elif not await inventory.covering_chunk_deleted(
                self._catalog, camera, run, event.start_ms, self._lengths.at(event.start_ms)
            ):
                yield event
        if has_end:
            end = await self._healer.read_run_end(camera, run)
            if end is not None:
                yield end
